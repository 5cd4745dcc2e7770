"""How fast a long stream is folded, and every context in it proved, in one process.

Makes a data folder with one agent of `--events` events (real turns: the real core, a scripted model, evictions
included). `bench.debugger` measures the commands on such a stream.

    python -m bench.replay --events 100000 [--json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.figures import Figures, add_json_option, show
from palimpsest.events.codec import answer, decode, draft
from palimpsest.events.context import fingerprint, open_request
from palimpsest.events.decide import advance
from palimpsest.events.envelope import GENESIS, Draft, place
from palimpsest.events.evolve import evolve, fold
from palimpsest.events.position import UNPLACED
from palimpsest.events.prompts import newborn
from palimpsest.events.replay import replay
from palimpsest.events.state import State
from palimpsest.events.types import InferenceCompleted, InferenceRequested, Settings, ToolCall, UserMessageReceived
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.contract import Append
from palimpsest.store.logs.sqlite_log import SqliteLog
from palimpsest.store.logs.states import snapshot_of
from palimpsest.store.tokens.counting import count

AGENT = "long"
SNAPSHOT_EVERY = 500
START_MS = 1_763_800_000_000


class Maker:
    """Writes one agent's stream, turn by turn, straight into a log."""

    def __init__(self, log: SqliteLog, window_tokens: int = 8192) -> None:
        self._log = log
        self._drafts: list[Draft] = []
        self._due: tuple[State, bytes] | None = None
        born = draft(AGENT, START_MS, newborn(Settings(window_tokens=window_tokens)), key="create")
        log.append([Append((born,))])
        state = fold(log.read(AGENT))
        assert state is not None, "the agent was made"
        self.state: State = state

    def turn(self, number: int, text: str = "", reply: str = "So many boats; tell me more.") -> None:
        time_ms = START_MS + number * 60_000
        text = text or f"Message {number}: {'the harbour was full of boats today, ' * 3}"
        said = UserMessageReceived(text=text)
        self._take(draft(AGENT, time_ms, said, key=f"in:{number}", opens="turn"))
        while True:
            self.state, made = advance(self.state, count, time_ms)
            self._drafts += made
            asked = decode(made[-1])
            if not isinstance(asked, InferenceRequested):
                return
            self._take(self._answer(made[-1], asked, time_ms, reply))

    def _answer(self, asked: Draft, request: InferenceRequested, time_ms: int, text: str) -> Draft:
        sent = fingerprint(open_request(self.state))
        if request.purpose == "summary":
            event = InferenceCompleted(content="I heard about boats, day after day.", sent=sent)
        else:
            call = ToolCall(id="call", name="send_message", arguments=json.dumps({"message": text}))
            event = InferenceCompleted(content="Small talk.", calls=(call,), sent=sent)
        return answer(asked, event, time_ms)

    def _take(self, made: Draft) -> None:
        self._drafts.append(made)
        self.state = evolve(self.state, place(made, self.state.seq + 1, UNPLACED, GENESIS), decode(made))

    def flush(self) -> None:
        """Write what has gathered; with it, as the memory manager does, a snapshot of where the last flush ended."""
        snapshots = (snapshot_of(*self._due),) if self._due else ()
        self._log.append([Append(tuple(self._drafts), snapshots=snapshots)])
        self._drafts = []
        chain = self._log.hash_at(AGENT, self.state.seq)
        assert chain is not None, "the last event was written"
        self._due = (self.state, chain)


def make(folder: DataFolder, events: int) -> int:
    """A stream of at least so many events; how many it has."""
    folder.create()
    log = SqliteLog(folder.log_path())
    log.open_epoch()
    maker, number, flushed = Maker(log), 0, 0
    while maker.state.seq < events:
        maker.turn(number)
        number += 1
        if maker.state.seq - flushed >= SNAPSHOT_EVERY:
            maker.flush()
            flushed = maker.state.seq
    maker.flush()
    log.close()
    return maker.state.seq


def on_a_long_stream(measure: Callable[[DataFolder, int], Figures], about: str) -> None:
    """A measurement as a program: on the stream of so many events as are asked for, in a folder that goes with it."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--events", type=int, default=100_000)
    add_json_option(parser)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="palimpsest-bench-") as path:
        folder = DataFolder(Path(path) / "data")
        length = make(folder, given.events)
        figures = {"events": length, **measure(folder, length)}
    show(figures, as_json=given.json)


def measure(folder: DataFolder, length: int) -> dict[str, int]:
    with SqliteLog.open_readonly(folder.log_path()) as log:
        stream = log.read(AGENT)
    figures = {}
    for name, verify in (("fold_events_per_s", False), ("verify_events_per_s", True)):
        started = time.perf_counter()
        proof = replay(AGENT, stream, verify=verify)
        figures[name] = round(length / (time.perf_counter() - started))
        assert proof.difference is None, proof.difference
    return {**figures, "contexts_proved": proof.contexts}


if __name__ == "__main__":
    on_a_long_stream(measure, "How fast a long stream is folded, and proved.")
