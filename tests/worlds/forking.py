"""Forks in a simulated log: begun at any event, and driven on with their parent's inputs, where it got them."""

from __future__ import annotations

from palimpsest.events.codec import answer, decode, draft
from palimpsest.events.decide import advance, resumption
from palimpsest.events.envelope import Draft, Envelope
from palimpsest.events.forks import KEPT
from palimpsest.events.inference import job
from palimpsest.events.memory_manager import FOREIGN
from palimpsest.events.replay import Proved, Replayer
from palimpsest.events.state import State
from palimpsest.events.types import (
    AgentForked,
    FunctionCalled,
    FunctionReturned,
    InferenceRequested,
    Parent,
    SettingsChanged,
    TimerSet,
)
from palimpsest.events.vocabulary import Topic
from palimpsest.store.logs.contract import Append
from palimpsest.store.logs.in_memory import InMemoryLog
from palimpsest.store.logs.states import load
from palimpsest.store.times.zones import offset_s
from tests.worlds.simulated import count, searched, sound_model, timer_of

_ANSWERS = ("InferenceCompleted", "InferenceFailed", "FunctionReturned", "FunctionFailed")


def replayed(log: InMemoryLog, agent: str) -> dict[int, Proved]:
    """Where the proof of a stream stands after each of its events."""
    replayer, found = Replayer(agent), {}
    for envelope in log.read(agent):
        difference = replayer.feed(envelope)
        assert difference is None, difference
        here = replayer.here()
        assert here is not None
        found[envelope.seq] = here
    return found


class Continuation:
    """A fork of a parent at a seq, and how it goes on beside it. `places` are the parent's, by seq (`replayed`)."""

    def __init__(self, log: InMemoryLog, parent: str, seq: int, name: str, places: dict[int, Proved]) -> None:
        self.log = log
        self.parent = parent
        self.name = name
        self.seq = seq
        self.places = places
        self.now_ms = places[seq].state.time_ms
        self.replayer = Replayer(name, since=places[seq])
        self.contexts: list[bytes] = []
        owner = places[seq].state.agent  # the parent, or whom it inherited that event from
        made = AgentForked(parent=Parent(agent=owner, seq=seq), hash=places[seq].hash, timers=KEPT)
        self._append([draft(name, self.now_ms, made, key="fork")], 0, {name: made.parent})

    @property
    def state(self) -> State:
        assert self.replayer.state is not None
        return self.replayer.state

    def _append(self, drafts: list[Draft], expected: int | None = None, forks: dict[str, Parent] | None = None) -> None:
        wanted = {} if expected is None else {self.name: expected}
        answers = self.log.append([Append(tuple(drafts), wanted, forks=forks or {})])[0]
        assert {each.outcome for each in answers} <= {"appended"}, (drafts, answers)
        for envelope in self.log.read(self.name, after=self.replayer.seq):
            difference = self.replayer.feed(envelope)
            assert difference is None, difference
            event = decode(envelope)
            if isinstance(event, InferenceRequested):
                self.contexts.append(event.fingerprint)

    def resume(self) -> None:
        self._append(resumption(self.state, self.now_ms), self.state.seq)

    def manage(self) -> None:
        state = self.state
        after, drafts = advance(state, count, self.now_ms, offset_s)
        self._append(drafts, state.seq)
        assert self.state == after

    def run(self) -> None:
        """Live through what the parent did after the fork."""
        self.resume()
        rest = self.log.read(self.parent, after=self.seq)
        turn = self.state.turn
        if turn and turn.rewound and turn.stop is None:
            self.manage()
        decided = False
        for envelope in rest:
            self.now_ms = envelope.time
            if _is_adoption(self.places[envelope.seq - 1].state, envelope):
                continue
            if _is_own(envelope):
                if not decided:
                    self.manage()
                decided = True
            else:
                self._append([self._answer(envelope) if envelope.kind in _ANSWERS else _again(envelope, self.name)])
                decided = False

    def _answer(self, theirs: Envelope) -> Draft:
        """The answer to what the fork has open, as its own model, storage or timers give it."""
        opened = [e for topic in _ASKED for e in self.log.open_requests_of(self.name, topic)]
        assert len(opened) == 1, f"the parent had an answer at {theirs.seq}; open here: {opened}"
        asked, event = opened[0], decode(opened[0])
        if isinstance(event, InferenceRequested):
            state = load(self.log, self.name, to=asked.seq)
            assert state is not None
            done = job(state, asked, event)
            return answer(done, sound_model(done), theirs.time)
        assert isinstance(event, FunctionCalled)
        result = searched(self.log, asked, event) if asked.opens == "storage" else _set(asked, event)
        return answer(asked, result, theirs.time)

    def changed_since_asked(self) -> bool:
        """Whether other settings came while a request was open: the fork asks under those, its parent did not."""
        turn = self.places[self.seq].state.turn
        asked = turn.request_key if turn else ""
        kinds = {e.key: e.kind for e in self.log.read(self.parent, to=self.seq)}
        since = list(kinds)[list(kinds).index(asked) :] if asked else []
        return any(kinds[key] == SettingsChanged.__name__ for key in since)

    def expected(self) -> list[bytes]:
        """The fingerprints of the requests that the parent made after the fork, and of the one that was open there."""
        found = []
        open_ = self.places[self.seq].state
        if open_.turn and open_.turn.phase in ("inferring", "summarising"):
            found.append(_fingerprint_at(self.log, self.parent, open_.turn.request_key, self.seq))
        events = map(decode, self.log.read(self.parent, after=self.seq))
        return found + [event.fingerprint for event in events if isinstance(event, InferenceRequested)]


_ASKED: tuple[Topic, ...] = ("inference", "storage", "timer")


def _fingerprint_at(log: InMemoryLog, agent: str, key: str, to: int) -> bytes:
    asked = [decode(envelope) for envelope in log.read(agent, to=to) if envelope.key == key]
    assert isinstance(asked[-1], InferenceRequested)
    return asked[-1].fingerprint


def _set(asked: Envelope, call: FunctionCalled) -> FunctionReturned:
    return FunctionReturned(call=call.call, result=f"Timer {timer_of(asked, call).id} is set.")


def _is_own(envelope: Envelope) -> bool:
    """Whether the memory manager wrote it."""
    return envelope.kind not in FOREIGN or envelope.key.startswith("m")


def _is_adoption(before: State, envelope: Envelope) -> bool:
    """Whether a parent that is a fork itself took up what it had of its own parent."""
    theirs = before.unadopted
    taken = bool(theirs and envelope.kind == TimerSet.__name__ and envelope.key in theirs.alarms)
    return taken or envelope.kind == "InputAdopted"


def _again(envelope: Envelope, name: str) -> Draft:
    """What came from outside, for the fork."""
    fields = {field: getattr(envelope, field) for field in Draft.__struct_fields__}
    return Draft(**{**fields, "stream": name})
