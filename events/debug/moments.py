"""What a timeline is made of: an agent's events, told as what was done. Each part names the events that it tells.

Rules. (1) No event is told twice, and none is left out. (2) Times are milliseconds, texts are whole: clipping is for
whoever prints. (3) A part says what it can of events that are missing or cannot be read, and never fails on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeAlias

import msgspec

from palimpsest.events.codec import decode
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import LogDamaged, NewerFormat
from palimpsest.events.kinds import Kind
from palimpsest.events.types import Event, Found, ToolCall, Usage
from palimpsest.events.vocabulary import Author, Beat, End, FinishOrNone, NoAnswer, Pressure, Purpose


class Moment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A decoded event in its place. `event` None: it cannot be read, and `problem` says why."""

    seq: int
    time_ms: int
    kind: Kind
    turn: int = 0
    event: Event | None = None
    problem: str = ""


class TimelinePart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag=True):
    """A part of a timeline. `seq` is where to look (`context --at`), `turn` the seq of the turn's input (0: none)."""

    seq: int
    time_ms: int
    turn: int = 0
    events: tuple[Moment, ...] = ()

    def texts(self) -> Iterator[str]:
        """All that it says, for a search."""
        for moment in self.events:
            yield from texts_in(moment.event) if moment.event else (moment.problem,)


class TurnBegan(TimelinePart, frozen=True, kw_only=True):
    """`number` counts the agent's turns from 1. `input` None: it lies before what was read. `resumed`: so does the
    turn's beginning. `archived_passages` > 0: the input was too large, and `first_chars` of it are in the window."""

    number: int
    input: Moment | None = None
    waited_ms: int = 0
    resumed: bool = False
    archived_passages: int = 0
    first_chars: int = 0


StepOutcome: TypeAlias = (
    Literal[
        "answered",
        "open",  # no answer yet
        "left to the parent",  # by a fork
        "cancelled",
    ]
    | NoAnswer
)
"""What became of an inference."""


class Step(TimelinePart, frozen=True, kw_only=True):
    """An inference: `seq` asked for it (so `context --at seq` is what the model saw), `answered` is its answer's seq.

    `number` counts the turn's replies, `why` is the reason of the heartbeat that led to it. `tokens` is the context's
    count, `usage` the provider's.
    `duration_ms` is the model's time, `wall_ms` that between the two events.
    """

    number: int
    purpose: Purpose
    tokens: int
    window_tokens: int = 0
    why: Beat | Literal[""] = ""
    answered: int = 0
    outcome: StepOutcome = "answered"
    detail: str = ""
    model: str = ""
    finish: FinishOrNone = ""
    content: str = ""
    calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    duration_ms: int = 0
    wall_ms: int = 0

    def texts(self) -> Iterator[str]:
        """Not its calls, nor what they become: each is told by its outcome."""
        yield from (self.content if self.calls else "", self.model, self.detail)


class Called(TimelinePart, frozen=True, kw_only=True):
    """A call of the model and what became of it, in the last of `events`: said, kept, found, or failed.

    `name` is empty where the model answered in plain text. `asked` is the seq of the request to another part, if it was
    one's to carry out, and `wall_ms` what it took. `raw`: what the model wrote, where its arguments were repaired.
    """

    name: str = ""
    arguments: str = ""
    raw: str = ""
    ok: bool = True
    result: str = ""
    found: tuple[Found, ...] = ()
    total: int = 0
    asked: int = 0
    wall_ms: int = 0

    def texts(self) -> Iterator[str]:
        yield from (self.name, self.arguments)
        yield from super().texts()


class EvictionBegan(TimelinePart, frozen=True, kw_only=True):
    """These messages are to leave the window."""

    seqs: tuple[int, ...]
    reason: Pressure
    tokens: int
    target_tokens: int


class Evicted(TimelinePart, frozen=True, kw_only=True):
    """The messages `seqs` left the window, and the summary stands for them, and for what the summary of event
    `previous` stood for. `seq` is the summary's."""

    seqs: tuple[int, ...]
    author: Author
    text: str
    tokens: int
    previous: int = 0
    note: str = ""


class SettingChange(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that changed, by name."""

    name: str
    before: Any
    after: Any


class SettingsMoved(TimelinePart, frozen=True, kw_only=True):
    """`changes` is empty where what was before is not known."""

    changes: tuple[SettingChange, ...] = ()


class TurnClosed(TimelinePart, frozen=True, kw_only=True):
    """`wall_ms` is from the turn's start to its end. `tokens` are all that the provider counted for it: of them
    `prompt_tokens` and `completion_tokens` are those of the steps that were read."""

    reason: End
    detail: str = ""
    steps: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    wall_ms: int = 0


class Noted(TimelinePart, frozen=True, kw_only=True):
    """Any other event, in a turn or beside it: the last of `events`."""


Item = TurnBegan | Step | Called | EvictionBegan | Evicted | SettingsMoved | TurnClosed | Noted


class WholeTurn(msgspec.Struct, frozen=True, kw_only=True):
    """A turn as a whole. `ended` None: it runs, or its end was not read. What happened beside it is not in it."""

    began: TurnBegan
    parts: tuple[Item, ...]
    ended: TurnClosed | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(part for part in self.parts if isinstance(part, Step))

    @property
    def calls(self) -> tuple[Called, ...]:
        return tuple(part for part in self.parts if isinstance(part, Called))

    @property
    def evictions(self) -> tuple[Evicted, ...]:
        return tuple(part for part in self.parts if isinstance(part, Evicted))


def turns(parts: Iterable[Item]) -> Iterator[WholeTurn | Item]:
    """The parts with each turn's as one, when it has ended; what happened beside it comes before it."""
    began: TurnBegan | None = None
    held: list[Item] = []
    for part in parts:
        if isinstance(part, TurnBegan):
            if began:
                yield WholeTurn(began=began, parts=tuple(held))
            began, held = part, []
        elif began is None or part.turn != began.turn:
            yield part
        elif isinstance(part, TurnClosed):
            yield WholeTurn(began=began, parts=tuple(held), ended=part)
            began = None
        else:
            held.append(part)
    if began:
        yield WholeTurn(began=began, parts=tuple(held))


def moment(envelope: Envelope) -> Moment:
    """An event in its place, decoded; or why it cannot be."""
    event, problem = None, ""
    try:
        event = decode(envelope)
    except (LogDamaged, NewerFormat) as error:
        problem = str(error)
    return Moment(
        seq=envelope.seq,
        time_ms=envelope.time,
        kind=envelope.kind,
        turn=envelope.turn,
        event=event,
        problem=problem,
    )


def texts_in(value: Any) -> Iterator[str]:
    """Every text within an event, or within a value of one."""
    match value:
        case str():
            yield value
        case msgspec.Struct():
            for name in value.__struct_fields__:
                yield from texts_in(getattr(value, name))
        case dict():
            yield from texts_in(tuple(value.values()))
        case tuple() | list():
            for item in value:
                yield from texts_in(item)
