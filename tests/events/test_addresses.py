"""Addresses of model servers: which is below which, what in one is secret, and which an agent's settings name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.events.addresses import (
    OPENAI_URL,
    Address,
    address_of,
    addresses_in,
    credentials_in,
    endpoint,
    is_openai,
    public_url,
    secrets_in_query,
)
from palimpsest.events.types import Server, Settings


def at(url: str) -> Address:
    address = address_of(url)
    assert address is not None
    return address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://API.Mistral.ai/v1/", "https://api.mistral.ai/v1"),
        ("https://api.mistral.ai:443/v1", "https://api.mistral.ai/v1"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:8000/v1?api-version=1#there", "http://[::1]:8000/v1"),
        ("http://user:word@gateway/v1", "http://gateway/v1"),
        ("http://hömé.example/v1", "http://hömé.example/v1"),
    ],
)
def test_one_server_is_written_in_one_way(url: str, address: str) -> None:
    assert str(at(url)) == address


@pytest.mark.parametrize(
    "url",
    [
        "", "localhost:8000/v1", "ftp://x/v1", "http:///v1", "http://[", "http://x:99999/v1", "http://x:y/v1",
        r"http://good.example\@evil.example/v1", "http://good.example /v1", "http://a\nb/v1", "http://good%2eexample/v1",
    ],
)  # fmt: skip
def test_what_could_be_read_as_another_host_is_no_address(url: str) -> None:
    assert address_of(url) is None


def test_an_address_covers_what_lies_below_it_and_nothing_else() -> None:
    gateway = at("https://gateway.example/v1/me")
    for below in ("https://gateway.example/v1/me", "https://gateway.example/v1/me/openai/"):
        assert gateway.covers(at(below)), below
    for beside in (
        "https://gateway.example/v1", "https://gateway.example/v1/mean", "https://gateway.example/v1/you",
        "http://gateway.example/v1/me", "https://gateway.example:8443/v1/me", "https://x.gateway.example/v1/me",
        "https://gateway.example/v1/me/../you", "https://gateway.example/v1/me/%2e%2e/you",
        "https://gateway.example/v1/me/..%2fyou",
    ):  # fmt: skip
        assert not gateway.covers(at(beside)), beside
    assert at("https://gateway.example").covers(gateway)


@pytest.mark.slow
@given(st.text(max_size=40))
def test_any_text_is_an_address_or_none(text: str) -> None:
    for url in (text, "http://" + text, "https://x/" + text):
        address = address_of(url)
        assert address is None or address_of(str(address)) == address
        public_url(url), credentials_in(url)


def test_openai_itself() -> None:
    assert is_openai(at(OPENAI_URL))
    assert is_openai(at("https://eu.api.openai.com/v1"))
    for other in ("http://api.openai.com/v1", "https://openai.com/v1", "https://evilapi.openai.com.evil.example/v1"):
        assert not is_openai(at(other)), other


@pytest.mark.parametrize(
    "query",
    [
        "api-version=2024-12-01-preview", "deployment=gpt-4o-mini", "region=eu&beta=true", "timeout=30", "",
        "organisation=acme", "route=fast-lane", "model=llama3.1:8b", "max_tokens=5", "a=&b",
    ],
)  # fmt: skip
def test_a_query_that_is_no_secret_passes(query: str) -> None:
    assert secrets_in_query(query) == []
    assert public_url(f"https://x/v1?{query}").removesuffix("?") == f"https://x/v1?{query}".removesuffix("?")


@pytest.mark.parametrize(
    "query",
    [
        "key=abc", "api_key=abc", "api-key=abc", "apiKey=abc", "KEY=abc", "access_token=abc", "token=abc", "code=abc",
        "sig=abc", "X-Amz-Signature=abc", "subscription-key=abc", "sharedAccessSecret=abc", "password=x", "auth=x",
        "x=sk-abcd1234", "x=eyJhbGciOiJIUzI1NiJ9.e30.abc", "v=1&trace=4f1c9be0a7d24a55b1e0c3f9d2a86b70",
    ],
)  # fmt: skip
def test_a_query_that_says_or_looks_secret_is_found(query: str) -> None:
    (secret,) = secrets_in_query(query)
    assert secret[1] in credentials_in(f"https://x/v1?{query}")
    assert public_url(f"https://x/v1?{query}") == "https://x/v1"


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://x/v1", "http://x/v1/chat"),
        ("http://x/v1/", "http://x/v1/chat"),
        ("http://x", "http://x/chat"),
        ("http://x/d/gpt?api-version=1&a=b%20c", "http://x/d/gpt/chat?api-version=1&a=b%20c"),
        ("http://x/v1#part", "http://x/v1/chat"),
    ],
)
def test_the_path_is_joined_before_the_query(url: str, asked: str) -> None:
    assert endpoint(url, "/chat") == asked


def test_the_servers_of_settings_are_found_wherever_they_stand() -> None:
    assert addresses_in(Settings()) == []
    assert addresses_in(Settings(model="gpt-4o")) == [OPENAI_URL]
    assert addresses_in(Settings(summarizer="gpt-4o-mini")) == [OPENAI_URL]
    settings = Settings(
        model="llama3",
        base_url="http://one/v1",
        fallbacks=(Server(model="a", base_url="http://two/v1"), Server(model="gpt-4o"), Server(model="offline")),
        summarizer_at=Server(model="b", base_url="https://three/v1?api-version=1"),
    )
    assert set(addresses_in(settings)) == {
        "http://one/v1", "http://two/v1", "https://three/v1?api-version=1", OPENAI_URL,
    }  # fmt: skip
