"""MemGPT's nested key-value task, through real agents: `python -m bench.nested_kv --data DIR | --kv FILE [--json]`.

A file's rows have 140 pairs of UUIDs. At level n the values of n pairs are overwritten with other pairs' keys, so that
n + 1 look-ups lead from the key that is asked for to a value that is nobody's key. The pairs of each case are a text
file, loaded as a source that the case's own agent has attached. The model is a scripted policy, served over HTTP: it
searches archival memory for the key, then for the value that it reads there, and answers with the last one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec

from actors.client import Client
from actors.system import boot
from bench.figures import add_json_option
from bench.openai_stub import Case, Reply, Stub, calling, completion, default_message, last_user_text, spoken, tool_call
from bench.retrieval_sets import BadData, find, key_values
from console import gauge
from events.prompts import newborn
from events.types import Settings
from store.folder import DataFolder

LEVELS: Final = tuple(range(7))
MODEL: Final = "nested-kv"
AT_ONCE: Final = 8
WAIT_S: Final = 5.0
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PAIR: Final = re.compile(rf"({_UUID}): ({_UUID})")
_ID: Final = re.compile(_UUID)
_SEARCH: Final = "archival_memory_search"

Pairs = Sequence[tuple[str, str]]


class Task(msgspec.Struct, frozen=True):
    """A case: its pairs, the key that is asked for, and the value at the end of the chain."""

    name: str
    level: int
    pairs: list[tuple[str, str]]
    key: str
    value: str


def task(name: str, pairs: Pairs, level: int, dice: random.Random) -> Task:
    """A chain of `level` + 1 keys in these pairs, each the value of the one before."""
    chain = dice.sample([key for key, _ in pairs], level + 1)
    overwritten = {**dict(pairs), **dict(pairwise(chain))}
    return Task(name, level, [(key, overwritten[key]) for key, _ in pairs], chain[0], overwritten[chain[-1]])


# --- the policy -----------------------------------------------------------------------------------------------------


class Searched(msgspec.Struct, frozen=True):
    """The last search in a request, and what it gave."""

    query: str
    page: int
    result: str


def policy(case: Case) -> Reply:
    """Search for the key; then for its value; when a value is nobody's key, say it."""
    body = case.got.body
    if bytes(case.asked.tools) in (b"", b"null", b"[]"):
        return completion(case.asked, body, default_message(case.asked, body))
    last = _last_search(case.asked.messages)
    if last is None:
        asked = _ID.findall(last_user_text(case.asked))
        return _search(case, asked[-1], 0) if asked else completion(case.asked, body, spoken("Which key?", body))
    value = dict(_PAIR.findall(last.result)).get(last.query)
    if value is not None:
        return _search(case, value, 0)
    if last.query in last.result:  # others have it as their value: it may be a key on the next page
        return _search(case, last.query, last.page + 1)
    return completion(case.asked, body, spoken(last.query, body))


def _search(case: Case, query: str, page: int) -> Reply:
    arguments = msgspec.json.encode({"query": query, "page": page, "request_heartbeat": True}).decode()
    return completion(case.asked, case.got.body, calling(tool_call(_SEARCH, arguments, case.got.body)))


def _last_search(messages: Sequence[msgspec.Raw]) -> Searched | None:
    """The last search since the user's message, with its result."""
    found: Searched | None = None
    for raw in messages:
        message = msgspec.json.decode(raw)
        for call in message.get("tool_calls") or ():
            if call["function"]["name"] == _SEARCH:
                arguments = msgspec.json.decode(call["function"]["arguments"])
                found = Searched(arguments["query"], arguments.get("page", 0), "")
        if message["role"] == "tool" and found is not None:
            found = msgspec.structs.replace(found, result=str(message["content"]))
    return found


# --- the run --------------------------------------------------------------------------------------------------------


async def run(tasks: Sequence[Task], folder: Path) -> dict[int, list[bool]]:
    """Whether each task was solved, by level."""
    stub = Stub(more={MODEL: policy})
    url = f"http://127.0.0.1:{await stub.start()}/v1"
    solved: dict[int, list[bool]] = {level: [] for level in sorted({each.level for each in tasks})}
    system = await boot(DataFolder(folder / "data"), "bench.nested_kv")
    room = asyncio.Semaphore(AT_ONCE)

    async def one(each: Task) -> None:
        async with room:
            solved[each.level].append(await solve(system.client(), each, folder, url))

    try:
        await asyncio.gather(*map(one, tasks))
    finally:
        await system.stop()
        await stub.aclose()
    return solved


async def solve(client: Client, each: Task, folder: Path, url: str) -> bool:
    """Load the pairs, attach them to an agent of their own, ask, and compare."""
    path = folder / f"{each.name}.txt"
    path.write_text("".join(f"{key}: {value}\n" for key, value in each.pairs))
    await client.create(each.name, newborn(Settings(model=MODEL, base_url=url)))
    await client.load_source(each.name, [path])
    await client.attach(each.name, [each.name])
    question = f"What is the value of the key {each.key}? Where a value is itself a key, follow it to the end."
    reply = await client.ask(each.name, question)
    return reply.text.strip() == each.value


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="folder with kv*.jsonl (gzipped or not)")
    parser.add_argument("--kv", type=Path, metavar="FILE", help="the file, instead of the folder's")
    parser.add_argument("--rows", type=int, default=30, help="rows that are used, from the first")
    parser.add_argument("--seed", type=int, default=1, help="which keys are chained")
    add_json_option(parser)
    options = parser.parse_args()
    try:
        if options.kv is None and options.data is None:
            raise BadData("Where is the data? Give --data DIR, or --kv FILE.")
        rows = key_values(options.kv or find(options.data, "kv"))[: options.rows]
    except BadData as error:
        print(f"bench.nested_kv: {error}", file=sys.stderr)
        return 2
    dice = random.Random(options.seed)
    tasks = [task(f"row-{n}-level-{level}", pairs, level, dice) for n, pairs in enumerate(rows) for level in LEVELS]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="palimpsest-bench-") as folder:
        solved = asyncio.run(run(tasks, Path(folder)))
    shares = {level: sum(each) / len(each) for level, each in solved.items()}
    for level, share in shares.items():
        print(f"level {level}   {share:8.2%}   of {len(solved[level])}")
    print(f"{time.perf_counter() - started:.0f} s; {gauge.machine()}; load {os.getloadavg()[0]:.1f}")
    if options.json:
        print(json.dumps({"nested_kv": {str(level): share for level, share in shares.items()}}))
    return 0 if min(shares.values()) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
