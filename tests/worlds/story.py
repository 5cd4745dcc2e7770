"""A vocabulary for tests of the functional core: one agent's stream, told event by event.

    story = Story()                                     # given: an agent that has greeted its user
    story.says("I live in Oslo").answers(call("send_message", message="Noted."))    # when
    assert story.the(TurnEnded).reason == "yielded"     # then

After each event the agent decides until it waits, as the memory manager has it; every append goes through a log, so
that keys, open requests and expected seqs are checked as in earnest. `watch` checks the promises after every event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from palimpsest.events.codec import answer, decode, draft
from palimpsest.events.context import fingerprint, measure, open_request, with_margin
from palimpsest.events.decide import advance
from palimpsest.events.envelope import Draft, answer_key
from palimpsest.events.evolve import fold
from palimpsest.events.formats import NAMED, NEWBORN, Format
from palimpsest.events.kinds import Kind, kind_of
from palimpsest.events.lifecycle import reinstating, retiring
from palimpsest.events.prompts import newborn
from palimpsest.events.servers import chosen
from palimpsest.events.state import State
from palimpsest.events.types import (
    INPUTS,
    Event,
    Found,
    FunctionCalled,
    FunctionFailed,
    FunctionReturned,
    InferenceCompleted,
    InferenceFailed,
    InferenceRequested,
    Own,
    Settings,
    SettingsChanged,
    StopRequested,
    Timer,
    TimerFired,
    TimerSet,
    ToolCall,
    Usage,
    UserMessageReceived,
)
from palimpsest.events.vocabulary import FinishOrNone, NoAnswer, Opens, Phase, Purpose, Topic
from palimpsest.store.logs.contract import MUST_EXIST, Append
from palimpsest.store.logs.in_memory import InMemoryLog
from palimpsest.store.times.zones import offset_s
from tests.simulation.promises import Watch

AGENT = "ada"
START_MS = 1_795_361_055_000  # 2026-11-22 15:24:15 UTC
MINUTE_MS = 60_000

E = TypeVar("E", bound=Event)


def quarter(_encoding: str, text: str) -> int:
    """A tokenizer of English's sort: four characters a token."""
    return (len(text) + 3) // 4


def octets(_encoding: str, text: str) -> int:
    """The worst that a tokenizer of bytes can do: a token a byte."""
    return len(text.encode())


def call(name: str, /, id: str = "c1", **arguments: object) -> ToolCall:
    return ToolCall(id=id, name=name, arguments=msgspec.json.encode(arguments).decode())


def say(text: str = "Hello.", id: str = "say") -> ToolCall:
    return call("send_message", id, message=text)


def settings(**changes: Any) -> Settings:
    """Half the usual window, so that it fills up soon."""
    return msgspec.structs.replace(Settings(window_tokens=4096, reserve_tokens=512), **changes)


class Story:
    """An agent, from its first event on. `met`: it has greeted its user (so that any answer may come first)."""

    def __init__(
        self,
        *,
        count: Callable[[str, str], int] = quarter,
        met: bool = True,
        system: str = "You are an agent in a test.",
        human: str = "",
        limit: int = 2000,
        format: int = NAMED,
        parts: Format = NEWBORN,
        **changes: Any,
    ) -> None:
        self.log = InMemoryLog()
        self.log.open_epoch()
        self.watch = Watch()
        self.count = count
        self.now_ms = START_MS
        self._named = 0
        self.mark = 0
        born = newborn(settings(**changes), system=system, persona="I am Ada.", human=human)
        blocks = tuple(msgspec.structs.replace(block, limit=limit) for block in born.blocks)
        self.happens(msgspec.structs.replace(born, blocks=blocks, format=format, parts=parts), key="create")
        if met:
            self.says("Hi.").answers(say("Hello."))
            self.mark = self.state.seq

    # --- when

    def happens(self, event: Event, *, key: str = "", opens: Opens = "", closes: str = "") -> Story:
        """An event of another part; then the agent decides."""
        self._named += 1
        made = draft(AGENT, self.now_ms, event, key=key or f"x:{self._named}", opens=opens, closes=closes)
        return self.appends(made)

    def appends(self, *drafts: Draft) -> Story:
        """Several events in one append; then the agent decides."""
        self._append(drafts, 0 if drafts[0].key == "create" else MUST_EXIST)
        before = self.state
        after, decided = advance(before, self.count, self.now_ms, offset_s)
        if decided:
            self._append(tuple(decided), before.seq)
        assert self.state == after, "the fold of what was appended is the state that was decided"
        return self

    def _append(self, drafts: tuple[Draft, ...], expected: int) -> None:
        outcomes = [a.outcome for a in self.log.append([Append(drafts, {AGENT: expected})])[0]]
        assert set(outcomes) == {"appended"}, f"the log refused {[d.kind for d in drafts]}: {outcomes}"
        self.watch.look(self.log)

    def comes(self, event: Event, **options: str) -> Story:
        """An input, a minute after what came before."""
        assert isinstance(event, INPUTS), "an input"
        self.now_ms += MINUTE_MS
        return self.happens(event, opens="turn", **options)

    def says(self, text: str, name: str = "") -> Story:
        return self.comes(UserMessageReceived(text=text, name=name))

    def stops(self, reason: str = "", input: int = 0) -> Story:
        return self.happens(StopRequested(reason=reason, input=input))

    def changes(self, **changes: Any) -> Story:
        return self.happens(SettingsChanged(settings=msgspec.structs.replace(chosen(self.state), **changes)))

    def sets(self, timer: Timer) -> Story:
        return self.happens(TimerSet(timer=timer), key=f"alarm:{timer.id}:{timer.due_ms}", opens="alarm")

    def retires(self, reason: str = "") -> Story:
        """A client retires the agent."""
        opened = {envelope.key for envelope in self.log.open_requests_of(AGENT, "alarm")}
        return self.appends(*retiring(self.state, self.now_ms, opened=opened, reason=reason))

    def returns_to_work(self, *timers: Timer) -> Story:
        """A client takes it back, with these timers set."""
        return self.appends(*reinstating(self.state, self.now_ms, timers))

    def fires(self, timer: Timer) -> Story:
        key = f"alarm:{timer.id}:{timer.due_ms}"
        return self.comes(TimerFired(timer=timer), key=answer_key(key), closes=key)

    def answers(
        self,
        *calls: ToolCall,
        content: str = "",
        finish: FinishOrNone = "",
        usage: Usage | None = None,
        own: Own | None = None,
        stopped: bool = False,
    ) -> Story:
        """The model's answer to the inference that is open; `stopped`: with a stop right behind it."""
        event = InferenceCompleted(
            content=content,
            calls=calls,
            finish=finish or ("tool_calls" if calls else "stop"),
            usage=usage or Usage(),
            sent=self._handed(),
            own=own,
        )
        stop = draft(AGENT, self.now_ms, StopRequested(), key=f"stop:{self.state.seq}")
        return self._close(event, "inference", *((stop,) if stopped else ()))

    def fails(
        self, error: NoAnswer = "timeout", detail: str = "No answer came.", mended_by: tuple[str, ...] = ()
    ) -> Story:
        event = InferenceFailed(error=error, detail=detail, sent=self._handed(), mended_by=mended_by)
        return self._close(event, "inference")

    def _handed(self) -> bytes:
        """The fingerprint of the open inference's bytes, folded up to its request as the LLM processor does it."""
        asked = self.log.open_requests_of(AGENT, "inference")[0]
        state = fold(self.log.read(AGENT, to=asked.seq))
        assert state is not None, "a request stands in a stream"
        return fingerprint(open_request(state))

    def returns(self, result: str = "done", *more: Draft, found: tuple[Found, ...] = ()) -> Story:
        """The part that was asked gives its result (clipped as it was asked to)."""
        asked = self.the(FunctionCalled)
        returned = FunctionReturned(call=asked.call, result=result[: asked.max_chars], found=found, total=len(found))
        return self._close(returned, self.owed, *more)

    def refuses(self, error: str) -> Story:
        asked = self.the(FunctionCalled)
        return self._close(FunctionFailed(call=asked.call, name=asked.name, error=error), self.owed)

    def _close(self, event: Event, topic: Topic, *more: Draft) -> Story:
        asked = next(e for e in self.log.open_requests_of(AGENT, topic))
        return self.appends(answer(asked, event, self.now_ms), *more)

    def chats(self, turns: int, text: str = "words " * 40) -> Story:
        """Plain turns, each answered at once, until the window has filled up as far as they do."""
        for number in range(turns):
            self.says(f"{number}: {text}")
            self.settles()
        return self

    def settles(self, summary: str = "I talked.", usage: Usage | None = None) -> Story:
        """Whatever is open is answered soundly until the turn is over."""
        while self.state.turn:
            if self.phase == "summarising":
                self.answers(content=summary)
            elif self.phase == "inferring":
                self.answers(say(), usage=usage)
            else:
                self.returns()
        return self

    # --- then

    @property
    def state(self) -> State:
        return self.watch.state(AGENT)

    @property
    def phase(self) -> Phase | Literal[""]:
        """Where the turn stands ("": there is none)."""
        return self.state.turn.phase if self.state.turn else ""

    @property
    def owed(self) -> Topic:
        """The part that a function call waits for."""
        return "storage" if self.log.open_requests_of(AGENT, "storage") else "timer"

    @property
    def events(self) -> list[Event]:
        """What happened since the mark."""
        return [decode(envelope) for envelope in self.log.read(AGENT, after=self.mark)]

    @property
    def kinds(self) -> list[Kind]:
        return [kind_of(event) for event in self.events]

    def all(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def the(self, kind: type[E]) -> E:
        """The last of its kind."""
        found = self.all(kind)
        assert found, f"no {kind.__name__} in {self.kinds}"
        return found[-1]

    def marks(self) -> Story:
        """From here on is "what happened"."""
        self.mark = self.state.seq
        return self

    @property
    def request(self) -> bytes:
        """The bytes of the inference that is open."""
        assert self.phase in {"inferring", "summarising"}, f"no inference is open: {self.phase or 'no turn'}"
        return open_request(self.state)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages of the open request."""
        messages: list[dict[str, Any]] = msgspec.json.decode(self.request)["messages"]
        return messages

    @property
    def results(self) -> list[dict[str, Any]]:
        """The functions' results in the queue, as the model reads them."""
        return [
            msgspec.json.decode(msgspec.json.decode(entry.wire)["content"])
            for entry in self.state.queue
            if entry.kind == "tool"
        ]

    @property
    def tokens(self) -> int:
        """The count of the context as it stands."""
        return with_margin(measure(self.state, self.count).total, self.state.settings)

    def requested(self, purpose: Purpose = "reply") -> list[InferenceRequested]:
        return [event for event in self.all(InferenceRequested) if event.purpose == purpose]
