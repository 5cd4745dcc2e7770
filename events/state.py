"""An agent's state: what its events amount to. Frozen, bounded by the window, and plain data (so it snapshots).

The queue keeps each message as the JSON that goes on the wire, so that a context is a join of ready pieces.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from palimpsest.events.kinds import Kind
from palimpsest.events.types import Block, Own, Parent, Settings, Timer, ToolCall
from palimpsest.events.vocabulary import EntryKind, FinishOrNone, Logged, NoAnswerOrNone, Phase

FOLD: Final = "2"
"""The version of this state and of its fold; snapshots of another version are thrown away."""

UNCOUNTED: Final = -1


class StatePart(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a state."""


class Entry(StatePart, frozen=True, kw_only=True):
    """One message of the FIFO queue. `seq` is that of the event which bore it; `wire` its JSON; `tokens` its count."""

    seq: int
    kind: EntryKind
    wire: bytes
    tokens: int = UNCOUNTED
    own: Own | None = None
    """An answer's: what goes back to the server that gave it."""


class Pending(StatePart, frozen=True, kw_only=True):
    """An input that waits for its turn. `stop`: the reason, where its turn was stopped before it began."""

    seq: int
    key: str
    kind: Logged[Kind]
    time_ms: int
    wire: bytes
    heartbeat: bool = False
    stop: str | None = None
    ends: tuple[int, ...] = ()
    """Where the passages end in which it was archived, on its way into the window."""


class Summary(StatePart, frozen=True, kw_only=True):
    """The recursive summary. `seq` is that of the event that wrote it, `hidden` how many messages it stands for,
    of `total` that there were then; `tokens` its count as a message of the context."""

    seq: int
    text: str
    hidden: int
    total: int
    tokens: int
    time_ms: int
    offset_s: int | None = None


class Eviction(StatePart, frozen=True, kw_only=True):
    """An eviction under way: `seqs` are to go once a summary of them is written. `gone` are those entries while they
    are cut, and their summary is not written yet."""

    seqs: tuple[int, ...]
    clip_chars: int = 0
    attempts: int = 0
    answered: bool = False
    text: str = ""
    note: str = ""
    error: Logged[NoAnswerOrNone] = ""
    """Why the model gave no summary, in InferenceFailed's word."""
    gone: tuple[Entry, ...] = ()


class Alarm(StatePart, frozen=True, kw_only=True):
    """A timer that is set; `key` is that of the event that set it, which its firing or cancelling closes: it names the
    alarm, since a client may set two timers of one id."""

    timer: Timer
    key: str


class Down(StatePart, frozen=True, kw_only=True):
    """A server that failed in a turn: its number, and why."""

    server: int
    why: str


class Act(StatePart, frozen=True, kw_only=True):
    """A call and its result, as digests (see `events.repetition`), and how often the turn had both together."""

    call: bytes
    result: bytes
    times: int = 1


class Turn(StatePart, frozen=True, kw_only=True):
    """A turn under way, in one of its phases (`events.phases`). `time_ms` is the one time that the model is shown in
    it: that of its input; on the clock of `zone`, which is `offset_s` ahead of UTC (None: in UTC).

    `request_key` is that of the open request, if there is one. `calls` are those of the last answer, and the first
    `done` of them have their results; where it was plain text, `content`, `done` is 1 once that was sent.

    In a fork `rewound` is the phase that the parent was in, until what was open there is asked for again, and `number`
    is the open call's (see FunctionCalled).
    """

    input: int
    input_key: str
    input_kind: Logged[Kind]
    time_ms: int
    phase: Phase = "ready"
    request_key: str = ""
    steps: int = 0
    tokens: int = 0
    failures: int = 0
    overflows: int = 0
    sent: int = 0
    step_failed: bool = False
    calls: tuple[ToolCall, ...] = ()
    done: int = 0
    finish: Logged[FinishOrNone] = ""
    content: str = ""
    note: str = ""
    error: Logged[NoAnswerOrNone] = ""
    detail: str = ""
    mended_by: tuple[str, ...] = ()
    """What would have the server take the request that it refused: parts of the format."""
    asked_tokens: int = 0
    """Our count of the last request, without margin."""
    stop: str | None = None
    rewound: Phase | Literal[""] = ""
    number: int = 0
    down: tuple[Down, ...] = ()
    """The servers that are not asked again in this turn."""
    acts: tuple[Act, ...] = ()
    repeats: int = 0
    """The most often that the turn had what a call of the last answer came to; that call stands at `repeating`."""
    repeating: int = 0
    noted: int = 0
    """The step after which the model was last told that it repeats itself."""
    zone: str = ""
    offset_s: int | None = None


def moved(turn: Turn, phase: Phase, **changes: Any) -> Turn:
    """The turn in this phase, with further changes. (`replace` takes any word for a phase.)"""
    return replace(turn, phase=phase, **changes)


class ServerCount(StatePart, frozen=True, kw_only=True):
    """What a server counted of a request (`prompt`), beside our count of it, without margin."""

    counted: int
    prompt: int

    @property
    def ratio(self) -> float:
        return self.prompt / self.counted


class Learned(StatePart, frozen=True, kw_only=True):
    """The margin that was learned of a model at its server, for counts by this encoding."""

    model: str
    base_url: str
    encoding: str
    margin: float


class Retired(StatePart, frozen=True, kw_only=True):
    """A retirement: the event that began it, and the timers that were set then."""

    seq: int
    key: str
    time_ms: int
    reason: str = ""
    timers: tuple[Timer, ...] = ()


class Unadopted(StatePart, frozen=True, kw_only=True):
    """What a fork has of its parent's that is not open in its own stream yet: inputs' seqs and alarms' keys."""

    inputs: tuple[int, ...] = ()
    alarms: tuple[str, ...] = ()


class State(StatePart, frozen=True, kw_only=True):
    """All that an agent is, after its event `seq`."""

    agent: str
    seq: int
    time_ms: int
    created_ms: int
    format: tuple[str, ...]
    system: str
    settings: Settings
    blocks: tuple[Block, ...]
    parent: Parent | None = None
    queue: tuple[Entry, ...] = ()
    head_tokens: int = UNCOUNTED
    summary: Summary | None = None
    eviction: Eviction | None = None
    warned: bool = False
    pending: tuple[Pending, ...] = ()
    turn: Turn | None = None
    alarms: tuple[Alarm, ...] = ()
    heartbeats_paused_until_ms: int = 0
    recall_messages: int = 0
    archival_passages: int = 0
    turns: int = 0
    sources: tuple[str, ...] = ()
    """The sources that are attached, in the order of their attaching."""
    next_sources: tuple[str, ...] | None = None
    """Those that are attached once the running turn has ended, where that makes a difference: a turn sees one set."""
    shift: int = 0
    """How many events a fork has more than its parent would have, had it gone on, and how many titles and retirements
    there were: ids made of seqs leave them out."""
    server: int = 0
    """Who is asked: 0 is the server of the chosen settings, then come its fallbacks; `settings` are those to ask it
    with."""
    chosen: Settings | None = None
    """The settings as they were chosen, where another server than the first is asked."""
    switched_ms: int = 0
    """When the turn began in which it was switched to (0: all failed since, so that the first is due again)."""
    stand_ins: tuple[tuple[str, str, str], ...] = ()
    """Who wants something in the place of fields that did not come (`events.own_fields`): base_url, model and part."""
    margins: tuple[Learned, ...] = ()
    """What was learned of models, whether they are asked now or not."""
    readings: tuple[ServerCount, ...] = ()
    """The last of the model that is asked now."""
    cut_tokens: int = 0
    """What its server seems to cut requests at (0: nothing was noticed)."""
    zone: str = ""
    """As it was set last ("": UTC); `events.times.zone_of` says whether it holds."""
    offset_s: int | None = None
    """How far its clock was ahead of UTC when it was last asked for."""
    unadopted: Unadopted | None = None
    """What a fork takes up again as soon as it has anything to do; until then it is at rest."""
    title: str = ""
    """What people call it ("": by its name)."""
    retired: Retired | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(State)


def to_bytes(state: State) -> bytes:
    """The state as bytes: equal states give equal bytes."""
    return _encoder.encode(state)


def from_bytes(data: bytes) -> State:
    return _decoder.decode(data)
