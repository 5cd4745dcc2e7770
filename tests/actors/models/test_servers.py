"""Which server gets which key: the real client over real HTTP, with two servers at two ports."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from palimpsest.actors.models.hosted.embeddings import OpenAIEmbedder
from palimpsest.actors.models.hosted.openai import OpenAIModel
from palimpsest.actors.models.protocol import ModelFailed
from palimpsest.events.errors import StorageAway
from palimpsest.store.keys.files import Handed, LiveKeys
from palimpsest.store.keys.keys import Credentials, Keys, OpenAI, Trusted, keys_in
from tests.worlds.stub_server import Server, ask, both_ways

OPENAI_KEY = "sk-openai-0123456789"
ONE, OTHER = "sk-one-0123456789ab", "sk-other-9876543210"
AZURE = "/openai/deployments/gpt?api-version=2024-06-01"


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    both = Server(), Server()
    yield both
    for each in both:
        each.close()


@pytest.fixture(autouse=True)
def _fresh(servers: tuple[Server, Server]) -> None:
    for each in servers:
        each.stub.requests.clear()
        each.stub.script.clear()


def complete(keys: Keys, *urls: str, model: str = "stub", stream: bool = False) -> None:
    """One model asks these in turn."""

    async def main() -> None:
        asked = OpenAIModel(keys=LiveKeys(Handed(environment=keys)), max_retries=0, jitter=lambda: 0.0)
        try:
            for url in urls:
                await asked.complete(ask(model), base_url=url, on_piece=(lambda _: None) if stream else None)
        finally:
            await asked.aclose()

    asyncio.run(main())


def fail(keys: Keys, url: str, *, model: str = "stub", stream: bool = False) -> ModelFailed:
    with pytest.raises(ModelFailed) as caught:
        complete(keys, url, model=model, stream=stream)
    return caught.value


def headers(server: Server) -> dict[str, str]:
    (received,) = server.stub.requests
    return received.headers


def holding(*secrets: str) -> Any:
    """What is in none of a server's headers."""
    return lambda got: any(secret in value for secret in secrets for value in got.values())


@both_ways
def test_two_servers_with_two_keys(servers: tuple[Server, Server], stream: bool) -> None:
    one, other = servers
    keys = Keys(servers=(Credentials(url=one.url, key=ONE), Credentials(url=other.url, key=OTHER)))
    complete(keys, one.url, other.url, stream=stream)
    assert [headers(each)["authorization"] for each in servers] == [f"Bearer {ONE}", f"Bearer {OTHER}"]


def test_the_environments_key_goes_where_it_belongs_and_nowhere_else(
    servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With it go the other headers that the client would find in the environment by itself, and send to everybody."""
    one, other = servers
    environ = {
        "OPENAI_API_KEY": OPENAI_KEY,
        "OPENAI_ADMIN_KEY": "sk-admin-0123456789",
        "OPENAI_BASE_URL": one.url,
        "OPENAI_ORG_ID": "org-very-secret",
        "OPENAI_PROJECT_ID": "proj-very-secret",
        "OPENAI_CUSTOM_HEADERS": "X-Gateway: gateway-secret\nx-other: other-secret",
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    complete(keys_in(environ), one.url, other.url)
    got = headers(one)
    assert got["authorization"] == f"Bearer {OPENAI_KEY}"
    assert (got["openai-organization"], got["openai-project"]) == ("org-very-secret", "proj-very-secret")
    assert (got["x-gateway"], got["x-other"]) == ("gateway-secret", "other-secret")
    assert headers(other)["authorization"] == "Bearer none"
    assert not holding(OPENAI_KEY, "sk-admin", "secret")(headers(other))


def test_a_key_in_the_ambient_authorization_header_stays_at_home(
    servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "authorization: Bearer ambient-secret")
    one, other = servers
    complete(Keys(servers=(Credentials(url=one.url, key=ONE),)), one.url, other.url)
    assert not holding("ambient-secret")(headers(one))
    assert not holding("ambient-secret")(headers(other))


def test_an_agent_with_no_server_stays_with_openai(
    servers: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client must not read OPENAI_BASE_URL for it; and the key is then that server's, not OpenAI's."""
    monkeypatch.setenv("OPENAI_BASE_URL", servers[0].url)
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)
    failed = fail(keys_in({"OPENAI_BASE_URL": servers[0].url, "OPENAI_API_KEY": OPENAI_KEY}), "")
    assert failed.error == "wrong_key"
    assert "https://api.openai.com/v1: There is no key" in failed.detail
    assert "OPENAI_API_KEY is that of OPENAI_BASE_URL's server" in failed.detail
    assert not servers[0].stub.requests


def test_a_typed_address_gets_the_environments_key(servers: tuple[Server, Server]) -> None:
    one, other = servers
    keys = Keys(openai=OpenAI(key=OPENAI_KEY), trusted=Trusted(typed=(one.url,)))
    complete(keys, one.url, other.url)
    assert headers(one)["authorization"] == f"Bearer {OPENAI_KEY}"
    assert not holding(OPENAI_KEY)(headers(other))


@both_ways
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_takes_anything_to_another_server(
    servers: tuple[Server, Server], status: int, stream: bool
) -> None:
    """Neither a key or a header, nor the conversation."""
    one, other = servers
    keys = Keys(servers=(Credentials(url=one.url, key=ONE, headers={"api-key": "azure-secret"}),))
    one.script({"status": status, "headers": {"location": f"{other.url}/chat/completions"}})
    failed = fail(keys, one.url, model="stub-script", stream=stream)
    assert failed.error == "unreachable"
    assert f"moved to {other.url}" in failed.detail
    assert "asked for nothing" in failed.detail
    assert not other.stub.requests


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_within_a_server_is_followed_with_the_key(servers: tuple[Server, Server], status: int) -> None:
    one, _ = servers
    one.script({"status": status, "headers": {"location": "/v2/chat/completions"}})
    complete(Keys(servers=(Credentials(url=one.url, key=ONE),)), one.url, model="stub-script")
    first, second = one.stub.requests
    assert (first.path, second.path) == ("/v1/chat/completions", "/v2/chat/completions")
    assert second.headers["authorization"] == f"Bearer {ONE}"
    assert first.body == second.body


def test_embeddings_are_redirected_to_nobody_either(servers: tuple[Server, Server]) -> None:
    one, other = servers
    keys = LiveKeys(Handed(environment=Keys(servers=(Credentials(url=one.url, headers={"api-key": "azure-secret"}),))))
    one.script({"status": 308, "headers": {"location": f"{other.url}/embeddings"}})
    embedder = OpenAIEmbedder("openai:stub-script", keys=keys, base_url=one.url, max_retries=0)
    with pytest.raises(StorageAway, match="sends requests on"):
        embedder.embed(["a"])
    assert not other.stub.requests
    assert "authorization" not in headers(one)


def test_embeddings_use_a_key_that_changes(servers: tuple[Server, Server]) -> None:
    one, _ = servers
    keys = LiveKeys(Handed(environment=Keys(servers=(Credentials(url=one.url, key=ONE),))))
    embedder = OpenAIEmbedder("openai:stub", keys=keys, base_url=one.url, max_retries=0)
    embedder.embed(["a"])
    keys.take(Handed(environment=Keys(servers=(Credentials(url=one.url, key=OTHER),))))
    embedder.embed(["a"])
    assert [each.headers["authorization"][-4:] for each in one.stub.requests] == [ONE[-4:], ONE[-4:], OTHER[-4:]]


@both_ways
@pytest.mark.parametrize(
    "keys",
    [
        lambda url: Keys(servers=(Credentials(url=url, key=ONE),)),
        lambda url: Keys(servers=(Credentials(url=url, headers={"api-key": ONE}),)),
        lambda url: Keys(openai=OpenAI(key=ONE), trusted=Trusted(typed=(url,))),
    ],
    ids=["key", "header", "environment"],
)
def test_azures_older_addresses(servers: tuple[Server, Server], keys: Any, stream: bool) -> None:
    """The query stays behind the path, and the key goes in the header that they want."""
    one, _ = servers
    url = f"http://127.0.0.1:{one.port}{AZURE}"
    complete(keys(url), url, stream=stream)
    (received,) = one.stub.requests
    assert received.path == "/openai/deployments/gpt/chat/completions?api-version=2024-06-01"
    assert received.headers["api-key"] == ONE
    assert "authorization" not in received.headers


def test_an_imported_address_is_asked_for_nothing(servers: tuple[Server, Server]) -> None:
    one, other = servers
    for keys in (
        Keys(imported=(one.url,)),
        Keys(imported=(one.url,), openai=OpenAI(key=OPENAI_KEY)),
        Keys(imported=(one.url,), trusted=Trusted(typed=(other.url,))),
    ):
        failed = fail(keys, one.url)
        assert (failed.error, failed.attempts) == ("not_allowed", 1)
        assert f"palimpsest keys allow {one.url}" in failed.detail
    assert not one.stub.requests


@pytest.mark.parametrize(
    "more",
    [
        lambda url: {"trusted": Trusted(allowed=(url,))},
        lambda url: {"trusted": Trusted(typed=(url,))},
        lambda url: {"servers": (Credentials(url=url, key=ONE),)},
        lambda url: {"openai": OpenAI(url=url)},
    ],
    ids=["allowed", "typed", "key", "base url"],
)
def test_an_imported_address_is_asked_once_the_user_has_named_it(servers: tuple[Server, Server], more: Any) -> None:
    one, _ = servers
    given: Mapping[str, Any] = more(one.url)
    complete(Keys(imported=(one.url,), **given), one.url)
    assert len(one.stub.requests) == 1


def test_an_allowed_address_gets_no_key_of_the_environment(servers: tuple[Server, Server]) -> None:
    one, _ = servers
    keys = Keys(imported=(one.url,), openai=OpenAI(key=OPENAI_KEY), trusted=Trusted(allowed=(one.url,)))
    complete(keys, one.url)
    assert not holding(OPENAI_KEY)(headers(one))


def test_no_servers_key_is_in_any_servers_error(servers: tuple[Server, Server]) -> None:
    one, other = servers
    keys = Keys(
        servers=(
            Credentials(url=one.url, key=ONE),
            Credentials(url=other.url, key=OTHER, headers={"X-Tenant": "tenant-secret"}),
        ),
        openai=OpenAI(key=OPENAI_KEY, headers={"OpenAI-Organization": "org-secret-1"}),
    )
    one.script({"status": 401, "body": f"knows {ONE}, {OTHER}, tenant-secret, {OPENAI_KEY} and org-secret-1 not"})
    failed = fail(keys, one.url, model="stub-script")
    assert "knows [removed], [removed], [removed], [removed] and [removed] not" in failed.detail
    assert f"give the right one by `palimpsest keys add {one.url}`" in failed.detail


def test_a_server_that_wants_a_key_and_has_none_is_told_so(servers: tuple[Server, Server]) -> None:
    failed = fail(Keys(), servers[0].url, model="stub-401")
    assert f"none is known for this server: `palimpsest keys add {servers[0].url}`" in failed.detail


def test_plain_http_to_openai_gets_no_key() -> None:
    keys = Keys(openai=OpenAI(key=OPENAI_KEY))
    for url in ("http://api.openai.com/v1", "https://api.openai.com:8443/v1", "https://evilopenai.com/v1",
                "https://api.openai.com.evil.example/v1", "https://api.openai.com@evil.example/v1"):  # fmt: skip
        assert not keys.access(url).secrets(), url
    for url in ("https://api.openai.com/v1", "https://API.openai.com:443/v1/", "https://eu.api.openai.com/v1"):
        assert keys.access(url).key == OPENAI_KEY, url
