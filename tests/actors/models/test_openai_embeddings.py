"""Embeddings of a server: the real client over real HTTP, against the stub server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench.openai_stub import vector_of
from palimpsest.actors.models.hosted.embeddings import BATCH_TEXTS, OpenAIEmbedder
from palimpsest.events.errors import BadInput, EmbedderChanged, StorageAway
from palimpsest.store.index.embeddings import TEXT_CHARS
from palimpsest.store.index.projection import MemoryIndex
from tests.worlds.journal import chatter, feed, own
from tests.worlds.stub_server import KEY, Server, keys_of


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def _fresh(server: Server) -> None:
    server.stub.requests.clear()


def embedder(server: Server, model: str = "stub", key: str = KEY) -> OpenAIEmbedder:
    return OpenAIEmbedder(
        f"openai:{model}", keys=keys_of(server.url, key, None), base_url=server.url, timeout_s=2.0, max_retries=0
    )


def asked(server: Server) -> list[list[str]]:
    return [msgspec.json.decode(request["body"])["input"] for request in server.requests()]


def test_texts_come_back_in_their_order_and_the_dimension_is_learned(server: Server) -> None:
    texts = ["red valve", "", "blue valve", "   ", "red"]
    here = embedder(server)
    rows = here.embed(texts)
    assert (here.name, here.dimension, rows.dtype.name) == ("openai:stub", 32, "float32")
    expected = [vector_of(text, 32) for text in texts]
    np.testing.assert_array_equal(rows, np.asarray(expected, np.float32))
    assert asked(server) == [["dimension"], ["red valve", "blue valve", "red"]], "what is empty is not asked for"
    assert server.requests()[0]["headers"]["authorization"] == f"Bearer {KEY}"


def test_many_texts_go_in_batches(server: Server) -> None:
    texts = [f"word{n}" for n in range(2 * BATCH_TEXTS + 1)]
    rows = embedder(server).embed(texts)
    np.testing.assert_array_equal(rows, np.asarray([vector_of(text, 32) for text in texts], np.float32))
    assert [len(each) for each in asked(server)] == [1, BATCH_TEXTS, BATCH_TEXTS, 1]
    server.stub.requests.clear()
    embedder(server).embed(["x" * TEXT_CHARS] * 30)
    assert [len(each) for each in asked(server)] == [1, 25, 5], "of so many characters at most"


def test_a_dimension_can_be_asked_for(server: Server) -> None:
    here = embedder(server, "stub@8")
    assert (here.dimension, here.embed(["a b"]).shape) == (8, (1, 8))
    body = msgspec.json.decode(server.requests()[-1]["body"])
    assert (body["model"], body["dimensions"]) == ("stub", 8)


def test_a_text_too_long_for_the_model_is_embedded_by_its_beginning(server: Server) -> None:
    long = "valve " * 300
    rows = embedder(server, "stub-short:1000").embed(["red", long, "blue"])
    np.testing.assert_array_equal(rows[[0, 2]], np.asarray([vector_of("red", 32), vector_of("blue", 32)], np.float32))
    np.testing.assert_array_equal(rows[1], np.asarray(vector_of(long[:900], 32), np.float32))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("stub-401", "key"),
        ("stub-404", "model"),
        ("stub-429", "It said"),
        ("stub-500", "It said"),
        ("stub-html", "cannot be had"),
        ("stub-hang", "no answer in time"),
        ("stub-echo-key", "cannot be had"),
        ("stub-short:3", "This model takes 3 characters"),
    ],
)
def test_what_goes_wrong_says_what_to_do_and_never_the_key(server: Server, model: str, says: str) -> None:
    with pytest.raises(StorageAway, match=says) as caught:
        embedder(server, model).embed(["a text of some length"])
    assert KEY not in str(caught.value)
    assert "tried again by itself; or set another --embedder" in str(caught.value)


def test_a_server_that_is_down_is_named(server: Server) -> None:
    with pytest.raises(StorageAway, match=r"127\.0\.0\.1:9/v1: No connection"):
        OpenAIEmbedder("openai:m", base_url="http://127.0.0.1:9/v1", max_retries=0).embed(["x"])
    assert asked(server) == []


@pytest.mark.parametrize(("url", "key"), [("", ""), ("localhost:80", "k"), ("http://x/v1", "schlüssel")])
def test_what_can_never_work_is_refused_at_once(url: str, key: str) -> None:
    with pytest.raises(BadInput, match=r"OPENAI_|HTTP cannot carry"):
        OpenAIEmbedder("openai:m", keys=keys_of(url, key, None), base_url=url)


def test_an_index_is_made_with_it_and_knows_it_again(server: Server, tmp_path: Path) -> None:
    journal = chatter(8, ("ann",))
    index = MemoryIndex.open(tmp_path / "index", embedder(server, "org/stub"), journal.read)
    feed(index, journal)
    found = index.search(own("ann"), kind="message", query="which remark", page=0, size=5)
    assert found.total > 0
    index.close()
    again = MemoryIndex.open(tmp_path / "index", embedder(server, "org/stub"), journal.read)
    assert again.position.number == journal.position
    assert again.search(own("ann"), kind="message", query="which remark", page=0, size=5) == found
    again.close()
    with pytest.raises(EmbedderChanged, match=r"embedder openai:org/stub \(32 dimensions\), and openai:stub .* is set"):
        MemoryIndex.open(tmp_path / "index", embedder(server), journal.read)
