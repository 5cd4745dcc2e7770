"""MemGPT's nested key-value task, through real agents.

    python -m bench.nested_kv --data DIR | --kv FILE [--rows N] [--seed N] [--json]

A row of a file is a set of pairs of UUIDs. At level n the values of n pairs are overwritten with other pairs' keys, so
that n + 1 look-ups lead from the key that is asked for to a value that is nobody's key. Each row is asked once at each
level, all rows unless `--rows` says fewer. The pairs of each case are a text file, loaded as a source that the case's
own agent has attached. The model is a scripted policy, served over HTTP: it searches archival memory for the key, then
for the value that it reads there, and answers with the last one. What is tested is the tools and their pages, no model.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.chains import LEVELS, UUID, Task, tasks_of
from bench.figures import add_json_option
from bench.openai_stub import Case, Reply, Stub, calling, completion, default_message, last_user_text, spoken, tool_call
from bench.progress import Steps
from bench.retrieval import path_of
from bench.retrieval_sets import BadData
from palimpsest.actors.client import Client
from palimpsest.actors.system import boot
from palimpsest.console import gauge
from palimpsest.events.prompts import newborn
from palimpsest.events.types import Settings
from palimpsest.store.folder import DataFolder

MODEL: Final = "nested-kv"
AT_ONCE: Final = 8
TOLD: Final = 5
"""So many of the cases that were not solved are shown."""
_PAIR: Final = re.compile(rf"({UUID}): ({UUID})")
_ID: Final = re.compile(UUID)
_SEARCH: Final = "archival_memory_search"


class Outcome(msgspec.Struct, frozen=True):
    task: Task
    answer: str
    steps: int
    """Inferences of its turn: a search each, and the answer."""

    @property
    def solved(self) -> bool:
        return self.answer == self.task.value


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


async def run(tasks: Sequence[Task], folder: Path) -> list[Outcome]:
    """All tasks, some at a time, in one system."""
    stub = Stub(more={MODEL: policy})
    url = f"http://127.0.0.1:{await stub.start()}/v1"
    system = await boot(DataFolder(folder / "data"), "bench.nested_kv")
    client = system.client()
    room, steps = asyncio.Semaphore(AT_ONCE), Steps("cases", len(tasks))

    async def one(each: Task) -> Outcome:
        async with room:
            outcome = await solve(client, each, folder, url)
        steps.step()
        return outcome

    try:
        return await asyncio.gather(*map(one, tasks))
    finally:
        steps.end()
        await client.close()
        await system.stop()
        await stub.aclose()


async def solve(client: Client, each: Task, folder: Path, url: str) -> Outcome:
    """Load the pairs, attach them to an agent of their own, and ask."""
    path = folder / f"{each.name}.txt"
    path.write_text("".join(f"{key}: {value}\n" for key, value in each.pairs))
    settings = Settings(model=MODEL, base_url=url)
    await client.create(each.name, newborn(settings))
    await client.load_source(each.name, [path])
    await client.attach(each.name, [each.name])
    question = f"What is the value of the key {each.key}? Where a value is itself a key, follow it to the end."
    reply = await client.ask(each.name, question)
    return Outcome(each, reply.text.strip(), reply.steps)


# --- the command ----------------------------------------------------------------------------------------------------


def report(outcomes: Sequence[Outcome]) -> dict[int, float]:
    """Print what was solved, and what was not; the shares by level."""
    shares = {}
    for level in LEVELS:
        here = [each for each in outcomes if each.task.level == level]
        shares[level] = sum(each.solved for each in here) / len(here)
        steps = sum(each.steps for each in here) / len(here)
        print(f"level {level}   {shares[level]:8.2%} of {len(here)}   {steps:.2f} inferences each")
    for each in [each for each in outcomes if not each.solved][:TOLD]:
        print(f"  {each.task.name}: {each.task.key} leads to {each.task.value}; the answer was {each.answer[:80]!r}")
    return shares


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="folder with kv*.jsonl (gzipped or not)")
    parser.add_argument("--kv", type=Path, metavar="FILE", help="the file, instead of the folder's")
    parser.add_argument("--rows", type=int, metavar="N", help="use the first N rows only")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="which keys are chained (1)")
    add_json_option(parser)
    options, started = parser.parse_args(), time.perf_counter()
    try:
        tasks = tasks_of(path_of(options, "kv"), options.rows, options.seed)
    except BadData as error:
        print(f"bench.nested_kv: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="palimpsest-bench-") as folder:
        shares = report(asyncio.run(run(tasks, Path(folder))))
    print(f"{time.perf_counter() - started:.0f} s; {gauge.machine()}; load {os.getloadavg()[0]:.1f}")
    if options.json:
        print(json.dumps({"nested_kv": {str(level): share for level, share in shares.items()}}))
    return 0 if min(shares.values()) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
