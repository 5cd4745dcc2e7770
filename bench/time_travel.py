"""Time travel in Palimpsest and in LangGraph, on one conversation: what it takes to have a state of the past, all of
them, and a fork; and what it weighs on disk.

    pip install langgraph==1.2.22 langgraph-checkpoint-sqlite==3.1.2
    python -m bench.time_travel --turns 500

Both keep the same texts in SQLite files, with their own defaults. LangGraph: a graph of one node over `MessagesState`
with `SqliteSaver`, one `invoke` a turn. Palimpsest: one agent, a window that holds the whole conversation, so that
nothing is evicted and its states hold all of it, too. Each figure is the median of `--repeat` calls in one process.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.replay import AGENT, START_MS, Maker
from palimpsest.events.codec import decode, draft
from palimpsest.events.evolve import evolve
from palimpsest.events.state import State
from palimpsest.events.types import AgentForked, Parent
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.contract import Append
from palimpsest.store.logs.sqlite_log import SqliteLog
from palimpsest.store.logs.states import load

WINDOW_TOKENS = 1_000_000
SNAPSHOT_EVERY = 500
NAMES = {
    "state_ms": "a state at the middle, ms",
    "history_s": "every state, s",
    "fork_ms": "a fork at the middle, ms",
    "disk_mb": "disk, MB",
}


def text(number: int, who: str, chars: int) -> str:
    """What is said in a turn; no two turns say the same."""
    words = f"{who} {number}: "
    while len(words) < chars:
        words += f"word {(number * 31 + len(words)) % 997} "
    return words[:chars]


def timed(call: Callable[[], object], repeat: int) -> float:
    """The median of so many calls, in seconds."""
    took = []
    for _ in range(repeat):
        started = time.perf_counter()
        call()
        took.append(time.perf_counter() - started)
    return statistics.median(took)


# --- Palimpsest -----------------------------------------------------------------------------------------------------


def palimpsest(path: Path, turns: int, chars: int, repeat: int) -> dict[str, float]:
    folder = DataFolder(path).create()
    with SqliteLog(folder.log_path()) as log:
        log.open_epoch()
        maker, flushed = Maker(log, window_tokens=WINDOW_TOKENS), 0
        for number in range(turns):
            maker.turn(number, text(number, "user", chars), text(number, "agent", chars))
            if maker.state.seq - flushed >= SNAPSHOT_EVERY:
                maker.flush()
                flushed = maker.state.seq
        maker.flush()
        assert len(maker.state.queue) >= 2 * turns, "the window holds all that was said"
        middle = maker.state.seq // 2
        figures = {
            "state_ms": 1000 * timed(lambda: load(log, AGENT, to=middle), repeat),
            "history_s": timed(lambda: history(log), 1),
            "fork_ms": 1000 * timed(_forks(log, middle), repeat),
        }
    return figures | {"disk_mb": weight_mb(path)}


def history(log: SqliteLog) -> int:
    """Every state that the agent ever had, one after another; how many."""
    state: State | None = None
    number = 0
    for envelope in log.read(AGENT):
        state = evolve(state, envelope, decode(envelope))
        number += 1
    return number


def _forks(log: SqliteLog, seq: int) -> Callable[[], object]:
    """A call that forks the agent at a seq, under a new name each time, and has the fork's state."""
    numbers = iter(range(1_000_000))

    def call() -> State | None:
        name, parent = f"fork-{next(numbers)}", Parent(agent=AGENT, seq=seq)
        hash = log.hash_at(AGENT, seq)
        assert hash is not None, "the agent has this event"
        made = draft(name, START_MS, AgentForked(parent=parent, hash=hash), key="fork")
        log.append([Append((made,), {name: 0}, forks={name: parent})])
        return load(log, name)

    return call


# --- LangGraph ------------------------------------------------------------------------------------------------------


def langgraph(path: Path, turns: int, chars: int, repeat: int) -> dict[str, float]:
    from langchain_core.messages import AIMessage, HumanMessage
    from langgraph.checkpoint.sqlite import SqliteSaver
    from langgraph.graph import START, MessagesState, StateGraph

    path.mkdir()
    with sqlite3.connect(path / "checkpoints.sqlite", check_same_thread=False) as connection:
        builder = StateGraph(MessagesState)

        def agent(state: Any) -> dict[str, Any]:
            return {"messages": [AIMessage(text((len(state["messages"]) - 1) // 2, "agent", chars))]}

        builder.add_node("agent", agent)
        builder.add_edge(START, "agent")
        graph: Any = builder.compile(checkpointer=SqliteSaver(connection))
        thread: dict[str, Any] = {"configurable": {"thread_id": AGENT}}
        for number in range(turns):
            graph.invoke({"messages": [HumanMessage(text(number, "user", chars))]}, thread)
            if number == turns // 2:
                middle = graph.get_state(thread).config

        def fork() -> object:
            return graph.get_state(graph.update_state(middle, {"messages": [HumanMessage("Another way.")]}))

        figures = {
            "state_ms": 1000 * timed(lambda: graph.get_state(middle), repeat),
            "history_s": timed(lambda: sum(1 for _ in graph.get_state_history(thread)), 1),
            "fork_ms": 1000 * timed(fork, repeat),
        }
    connection.close()
    return figures | {"disk_mb": weight_mb(path)}


def weight_mb(path: Path) -> float:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="Time travel against LangGraph's.")
    parser.add_argument("--turns", type=int, default=500)
    parser.add_argument("--chars", type=int, default=400, help="Characters of each message.")
    parser.add_argument("--repeat", type=int, default=9)
    given = parser.parse_args()
    if find_spec("langgraph") is None or find_spec("langgraph.checkpoint.sqlite") is None:
        sys.exit("LangGraph is not here. Install it: pip install langgraph==1.2.22 langgraph-checkpoint-sqlite==3.1.2")
    with tempfile.TemporaryDirectory(prefix="palimpsest-bench-") as scratch:
        ours = palimpsest(Path(scratch) / "ours", given.turns, given.chars, given.repeat)
        theirs = langgraph(Path(scratch) / "theirs", given.turns, given.chars, given.repeat)
    print(f"{given.turns} turns of two messages of {given.chars} characters")
    print(f"{'':<28}{'Palimpsest':>12}{'LangGraph':>12}{'ratio':>10}")
    for name, label in NAMES.items():
        print(f"{label:<28}{ours[name]:>12.2f}{theirs[name]:>12.2f}{theirs[name] / ours[name]:>9.1f}x")
    print(json.dumps({"turns": given.turns, "palimpsest": ours, "langgraph": theirs}))


if __name__ == "__main__":
    main()
