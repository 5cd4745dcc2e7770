"""A kernel in one function: real turns in a real SQLite log, with a scripted model. No Ray, no tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from palimpsest.events.alarms import firing
from palimpsest.events.codec import answer, decode, draft
from palimpsest.events.decide import advance
from palimpsest.events.envelope import Draft
from palimpsest.events.inference import Job, job, sent
from palimpsest.events.prompts import newborn
from palimpsest.events.state import State
from palimpsest.events.types import (
    InferenceCompleted,
    InferenceRequested,
    Settings,
    Timer,
    TimerSet,
    ToolCall,
    UserMessageReceived,
)
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.contract import Append
from palimpsest.store.logs.sqlite_log import SqliteLog
from palimpsest.store.logs.states import load, snapshot_of
from palimpsest.store.times.zones import offset_s

START_MS = 1_763_800_000_000


def count(_encoding: str, text: str) -> int:
    """Four characters a token."""
    return (len(text) + 3) // 4


def model(asked: Job) -> InferenceCompleted:
    """Says what it heard, keeps a fact now and then, and sums up in a sentence."""
    if asked.purpose == "summary":
        return InferenceCompleted(content="We talked about many things.", sent=sent(asked))
    said = ToolCall(id=f"say{asked.turn}", name="send_message", arguments='{"message":"Heard you."}')
    keep = ToolCall(id=f"keep{asked.turn}", name="core_memory_append", arguments='{"name":"human","content":"Kind."}')
    calls = (keep, said) if asked.turn % 5 == 0 else (said,)
    return InferenceCompleted(content="I listen.", calls=calls, sent=sent(asked))


class Kernel:
    """A data folder's log, and the turns of its agents."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = SqliteLog(DataFolder(folder).create().log_path())
        self.log.open_epoch()

    def create(self, agent: str, *, window: int = 4096, margin: float = 1.0) -> None:
        settings = Settings(window_tokens=window, reserve_tokens=400, token_margin=margin)
        self._append(draft(agent, START_MS, newborn(settings), key="create"))

    def talk(self, agent: str, texts: Sequence[str]) -> None:
        """A turn for each text."""
        for text in texts:
            now = self._state(agent)
            event = UserMessageReceived(text=text)
            made = draft(agent, START_MS + now.seq * 1000, event, key=f"in:{now.seq}", opens="turn")
            self._append(made)
            self._turn(agent)

    def ask(self, agent: str, text: str) -> None:
        """An input whose turn stops where the model is asked: the inference stays open."""
        now = self._state(agent)
        self._append(draft(agent, START_MS, UserMessageReceived(text=text), key=f"in:{now.seq}", opens="turn"))
        _, drafts = advance(self._state(agent), count, START_MS, offset_s)
        self._append(*drafts)

    def sets(self, agent: str, timer: Timer) -> None:
        self._append(draft(agent, START_MS, TimerSet(timer=timer), key=f"alarm:{timer.id}", opens="alarm"))

    def rings(self, agent: str) -> None:
        """All that is set rings now, and each has its turn."""
        for alarm in self._state(agent).alarms:
            self._append(*firing(agent, alarm.timer, alarm.key, alarm.timer.due_ms))
            self._turn(agent)

    def snapshot(self, agent: str, *, spoiled: bool = False) -> None:
        """A snapshot of the agent's state now, saved with a harmless event; `spoiled`: of another state."""
        state = self._state(agent)
        chain = self.log.hash_at(agent, state.seq)
        assert chain is not None, "the state has a last event"
        taken = snapshot_of(msgspec.structs.replace(state, turns=999) if spoiled else state, chain)
        made = draft(agent, START_MS, UserMessageReceived(text="hm"), key=f"in:{state.seq}", opens="turn")
        self.log.append([Append((made,), snapshots=(taken,))])
        self._turn(agent)

    def close(self) -> None:
        self.log.close()

    def _turn(self, agent: str) -> None:
        while True:
            state, drafts = advance(self._state(agent), count, START_MS, offset_s)
            if not drafts:
                return
            self._append(*drafts)
            last = self.log.read(agent, after=state.seq - 1)[-1]
            event = decode(last)
            if isinstance(event, InferenceRequested):
                asked = job(state, last, event)
                self._append(answer(asked, model(asked), START_MS))

    def _state(self, agent: str) -> State:
        state = load(self.log, agent)
        assert state is not None, "the agent was created"
        return state

    def _append(self, *drafts: Draft) -> None:
        answers = self.log.append([Append(drafts)])[0]
        assert {answer.outcome for answer in answers} == {"appended"}, answers
