"""A Qdrant server's REST interface, as much of it as the engine asks for, over real HTTP on qdrant-client's local mode.

So what the client puts on the wire is read back by the protocol's own models, and what it is answered crosses the wire.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import msgspec
from pydantic import TypeAdapter
from qdrant_client import QdrantClient, models

OPERATIONS: TypeAdapter[Any] = TypeAdapter(list[models.UpdateOperation])


def answer(memory: QdrantClient, method: str, path: str, body: bytes) -> Any:
    """What the route gives; None: there is no such collection, or route."""
    _, _, name, *rest = path.split("/")
    there = memory.collection_exists(name)
    match method, rest:
        case "GET", ["exists"]:
            return {"exists": there}
        case "PUT", []:
            asked = models.CreateCollection.model_validate_json(body)
            vectors = {"vectors_config": asked.vectors, "sparse_vectors_config": asked.sparse_vectors}
            return memory.create_collection(name, **vectors)  # type: ignore[arg-type]
        case "DELETE", []:
            return memory.delete_collection(name)
    if not there:
        return None
    match method, rest:
        case "PUT", ["index"]:
            models.CreateFieldIndex.model_validate_json(body)
            return {"operation_id": 0, "status": "completed"}
        case "POST", ["points", "batch"]:
            operations = OPERATIONS.validate_python(msgspec.json.decode(body)["operations"])
            memory.batch_update_points(name, operations)
            return [{"operation_id": 0, "status": "completed"} for _ in operations]
        case "POST", ["points", "query", "batch"]:
            queries = models.QueryRequestBatch.model_validate_json(body)
            return memory.query_batch_points(name, queries.searches)
        case "POST", ["points", "scroll"]:
            scroll = models.ScrollRequest.model_validate_json(body)
            fields = {
                n: getattr(scroll, n)
                for n in ("limit", "offset", "order_by", "with_payload")
                if getattr(scroll, n) is not None
            }
            points, offset = memory.scroll(name, scroll_filter=scroll.filter, **fields)
            return {"points": points, "next_page_offset": offset}
        case "POST", ["points", "count"]:
            return memory.count(name, exact=True)
        case "POST", ["points"]:
            wanted = models.PointRequest.model_validate_json(body)
            return memory.retrieve(name, wanted.ids, with_payload=True)
    return None


def plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, list):
        return [plain(each) for each in value]
    return {name: plain(each) for name, each in value.items()} if isinstance(value, dict) else value


Reply = Callable[[str, str, Mapping[str, str], bytes], tuple[int, dict[str, Any]]]
"""(method, path, headers, body) -> status, and what is said."""


@contextmanager
def over_http(reply: Reply) -> Iterator[str]:
    """A server's URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, said = reply(self.command, urlsplit(self.path).path, dict(self.headers), body)
            data = msgspec.json.encode({"time": 0.0, **said})
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def serving(memory: QdrantClient) -> Iterator[str]:
    """The URL of a Qdrant server that holds what is in memory."""
    one_at_a_time = threading.Lock()

    def reply(method: str, path: str, _headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        with one_at_a_time:
            result = answer(memory, method, path, body)
        if result is None:
            return 404, {"status": {"error": f"Not found: {method} {path}"}, "result": None}
        return 200, {"status": "ok", "result": plain(result)}

    with over_http(reply) as url:
        yield url


@contextmanager
def answering(status: int, said: str, seen: list[str] | None = None) -> Iterator[str]:
    """The URL of a server that says the same to everything; `seen` gathers the keys that it is given."""

    def reply(_method: str, _path: str, headers: Mapping[str, str], _body: bytes) -> tuple[int, dict[str, Any]]:
        if seen is not None:
            seen.append(headers.get("api-key", ""))
        return status, {"status": {"error": said}, "result": None}

    with over_http(reply) as url:
        yield url
