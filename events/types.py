"""The events: facts in the past tense, frozen, versioned; and the values that they carry.

Rules. (1) A field is only ever added, with a default; anything else is a new version with an upcaster in `codec`.
(2) An event carries every outcome of a policy (what was cut, counted, refused), so that folding needs no policy.
(3) Nothing secret and nothing unbounded: keys and headers never, contexts as fingerprints. (4) A word of a closed set
is one of `events.vocabulary`.
"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from palimpsest.events.vocabulary import (
    Author,
    Beat,
    CutOrNot,
    End,
    Finish,
    Logged,
    NoAnswer,
    Pressure,
    Purpose,
    TimersGo,
)

OFFLINE: Final = "offline"
"""The built-in model's name."""

# --- values -----------------------------------------------------------------------------------------------------


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value inside an event or a state."""


class Server(Value, frozen=True, kw_only=True):
    """A model, and the server that has it ("": OpenAI's own). A window or reserve of 0 is the agent's."""

    model: str
    base_url: str = ""
    window_tokens: int = 0
    reserve_tokens: int = 0
    output_parameter: str = "max_completion_tokens"
    encoding: str = "o200k_base"
    token_margin: float = 1.0
    in_flight: int = 0


class Settings(Value, frozen=True, kw_only=True):
    """What an agent runs with. Fractions are of `window_tokens`.

    `encoding` (see `events.encodings`) and `token_margin` are filled in by the shell, from the model's name or as the
    user says, so that a fold never looks them up.
    """

    model: str = OFFLINE
    """By its server's name for it; "offline": the built-in one."""
    base_url: str = ""
    """Of the model's server ("": OpenAI's own)."""
    summarizer: str = ""
    """The model that writes summaries, at the agent's own server; empty: `model`."""
    window_tokens: int = 8192
    """The context window: what is sent, and what is kept free for the answer."""
    reserve_tokens: int = 1024
    """Kept free for the model's answer."""
    warn_at: float = 0.75
    """So full, the agent is told to save what matters."""
    evict_at: float = 0.90
    """So full, messages leave the window for a summary …"""
    evict_to: float = 0.50
    """… until it is no fuller than this."""
    summary_words: int = 100
    """So many words a summary may have."""
    max_steps: int = 50
    """Requests to the model that one turn may make before it is ended."""
    max_turn_tokens: int = 500_000
    """Prompt and completion tokens that one turn may use before it is ended."""
    max_failures: int = 5
    """Failures in a row that are told to the model before the turn is ended."""
    first_message_attempts: int = 5
    """No longer used: a first answer is carried out like any other. It stands here for the logs that have it."""
    page_size: int = 5
    """Results on a page of a search."""
    result_chars: int = 3000
    """Cap on a function's result; search pages are exempt."""
    temperature: float | None = None
    """None: not said, so that the server's own holds."""
    output_parameter: str = "max_completion_tokens"
    """The name under which the server takes `reserve_tokens`."""
    encoding: str = "o200k_base"
    """How tokens are counted: the name of a tokenizer, or where it is."""
    token_margin: float = 1.0
    """The factor by which these counts may be too low."""
    margin_learned: float = 0.0
    """What the server's own counts showed that `token_margin` should be, where that is more (0: nothing)."""
    in_flight: int = 0
    """The most requests that the agent's server is to have at once, whoever makes them (0: 64). Of several agents'
    wishes the least holds."""
    repeats_told: int = 3
    """At so many calls alike (name, arguments, result) within a turn the model is told that it repeats itself (0: it
    never is)."""
    repeats_ended: int = 5
    """At so many the turn is ended (0: it never is)."""
    timeout_s: float = 0.0
    """The most that one attempt at an answer may take, once the server has a slot for it (0: 600 s)."""
    idle_s: float = 0.0
    """The most that a stream may pause between two of its pieces (0: 120 s)."""
    fallbacks: tuple[Server, ...] = ()
    """Who is asked, in this order, where the server of `model` fails (see `events.servers`)."""
    return_after_s: int = 600
    """So long after a switch to a fallback a turn begins with the first server again."""
    summarizer_at: Server | None = None
    """Who writes the summaries, at a server of its own; it goes before `summarizer`."""
    tool_choice: str = ""
    """"auto", "required", "none" or a function's name; empty: not said. This and what follows is for the agent's own
    server (see `events.body`), not for its fallbacks."""
    parallel_tool_calls: bool | None = None
    """Whether an answer may call several functions; None: not said."""
    response_format: str = ""
    """A JSON object."""
    seed: int | None = None
    """None: not said."""
    reasoning_effort: str = ""
    """As the server takes it ("low", "high" …); empty: not said."""
    extra_body: str = ""
    """Further fields of the body: a JSON object."""
    headers: str = ""
    """A JSON object of texts, none of them a secret."""

    @property
    def margin(self) -> float:
        """The factor by which our counts may be too low."""
        return max(self.token_margin, self.margin_learned)


class Block(Value, frozen=True, kw_only=True):
    """A core-memory block; `limit` counts characters."""

    label: str
    value: str = ""
    limit: int = 2000
    description: str = ""


class Parent(Value, frozen=True, kw_only=True):
    """The stream and the seq at which an agent was forked."""

    agent: str
    seq: int


class ToolCall(Value, frozen=True, kw_only=True):
    """A call as the model wrote it. `arguments` is JSON text; `raw` the model's own text where that was repaired."""

    id: str
    name: str
    arguments: str
    raw: str = ""


class Usage(Value, frozen=True, kw_only=True):
    """Tokens as the provider counted them; `estimated`: it did not, and these are our own count."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    estimated: bool = False


class Own(Value, frozen=True, kw_only=True):
    """Fields of a server's own that came with an answer, for that server alone: `server` is the base_url and `model`
    the name that were asked. `message` holds those beside the content, `calls` those of each call: JSON, or ""."""

    server: str = ""
    model: str = ""
    message: str = ""
    calls: tuple[str, ...] = ()


class Found(Value, frozen=True, kw_only=True):
    """One thing a search found: the seq of the event that bore it, the chunk of it, and its score.

    `stream` is whose event that is, where it is not the asking agent's own (a source, a fork's parent).
    """

    seq: int
    chunk: int = 0
    score: float = 0.0
    stream: str = ""


class Timer(Value, frozen=True, kw_only=True):
    """`due_ms` is the next firing; `every_s` and `cron` say how it repeats (neither: once).

    A `heartbeat` timer is a timed heartbeat: it is silent while heartbeats are paused. `cron`, and an `every_s` of
    whole days, go by the clocks of `zone` ("": UTC), which are `offset_s` ahead of UTC at `due_ms`.
    """

    id: str
    due_ms: int
    note: str = ""
    every_s: int = 0
    cron: str = ""
    heartbeat: bool = False
    zone: str = ""
    offset_s: int | None = None
    wall: str = ""
    """What the clock is to show at `due_ms`, where it repeats by whole days: a gap may put off one firing, and not the
    next."""


# --- events -----------------------------------------------------------------------------------------------------


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event's body. `version` is the version that this code writes."""

    version: ClassVar[int] = 1


class AgentCreated(Event, frozen=True, kw_only=True):
    """Seq 1 of every stream. `format` and `parts` fix how contexts are rendered (see `events.formats`), so that a later
    rendering leaves old logs be."""

    system: str
    blocks: tuple[Block, ...]
    settings: Settings
    parent: Parent | None = None
    format: int = 1
    parts: tuple[str, ...] = ()
    zone: str = ""
    offset_s: int | None = None
    """As in TimeZoneSet; "": UTC."""


class TimeZoneSet(Event, frozen=True, kw_only=True):
    """From its next turn on the agent goes by the clocks of this zone of the IANA's ("UTC": by none), where its format
    tells times so; they are `offset_s` ahead of UTC now."""

    zone: str
    offset_s: int | None = None


class SettingsChanged(Event, frozen=True, kw_only=True):
    settings: Settings


class TitleChanged(Event, frozen=True, kw_only=True):
    """What people call the agent from here on ("": by its name again). The stream's name stands in its chain, and
    stays."""

    title: str = ""


class AgentRetired(Event, frozen=True, kw_only=True):
    """From here on the agent takes no input; what came before is answered. It opens a request, which AgentReinstated
    closes. `timers` were set, and are cancelled in the same append: they are remembered for that day."""

    reason: str = ""
    timers: tuple[Timer, ...] = ()


class AgentReinstated(Event, frozen=True, kw_only=True):
    """The agent takes inputs again. Its timers are set again by the events that follow."""


class ServerSwitched(Event, frozen=True, kw_only=True):
    """From here on another server is asked, with these settings: the first (0), or a fallback by its number (from 1).

    `reason` is why the one before is not asked any more; empty: the first is tried again.
    """

    server: int
    settings: Settings
    reason: str = ""


class MarginLearned(Event, frozen=True, kw_only=True):
    """From here on the model at this server is held to count `margin` times as many tokens as we do: it counted
    `prompt` in a request of which we counted `counted`."""

    model: str
    base_url: str
    encoding: str
    margin: float
    counted: int
    prompt: int


class CutNoticed(Event, frozen=True, kw_only=True):
    """The server's counts stay below ours, however long requests grow: it seems to cut them. Told once.

    `tokens` is what it counted last, in a request of which we counted `counted`.
    """

    tokens: int
    counted: int


class FormatChanged(Event, frozen=True, kw_only=True):
    """From here on contexts are rendered with these parts (all of them: see `events.formats`).

    `reason` is "" where a user said so; else what the server said when it refused the request before.
    """

    parts: tuple[str, ...]
    reason: str = ""


class AgentForked(Event, frozen=True, kw_only=True):
    """The first event of a fork's own stream, at the seq after `parent.seq`: up to there its history is the parent's,
    which is not copied. `hash` is the parent's chain there.

    What is None goes on as it was. What was open at the parent is not run twice: an open inference or call is asked
    for again, once the fork is given something to do.
    """

    parent: Parent
    hash: bytes
    settings: Settings | None = None
    system: str | None = None
    blocks: tuple[Block, ...] | None = None
    timers: Logged[TimersGo] = "dropped"


class InputAdopted(Event, frozen=True, kw_only=True):
    """A fork takes up an input of its parent's, at seq `input`, that had no end there: running, or waiting. It opens
    the turn anew, in this stream."""

    input: int


# Inputs: each opens a turn.


class UserMessageReceived(Event, frozen=True, kw_only=True):
    text: str
    name: str = ""


class UserLoggedIn(Event, frozen=True, kw_only=True):
    last_login: str = ""


class UploadFinished(Event, frozen=True, kw_only=True):
    source: str
    detail: str = ""


class AlertRaised(Event, frozen=True, kw_only=True):
    text: str


class TimerFired(Event, frozen=True, kw_only=True):
    """`timer.due_ms` is when it was due. One that repeats is set again, by a TimerSet in the same append."""

    timer: Timer


class StopRequested(Event, frozen=True, kw_only=True):
    """Cancels the turn of the input at seq `input`, running or still to begin; one that has ended stays as it is.

    With `input` 0 it is the running turn, or else that of the first input that waits; with neither it changes nothing.
    """

    reason: str = ""
    input: int = 0


# A turn.


class InputArchived(Event, frozen=True, kw_only=True):
    """An input too large for the window went to archival storage, in passages that end at these character offsets."""

    input: int
    ends: tuple[int, ...]


class TurnStarted(Event, frozen=True, kw_only=True):
    """`first_chars` > 0: only so many characters of the input enter the window (the rest was archived). `offset_s`: so
    far the agent's clock was ahead of UTC when the input came (None: it shows UTC); the turn goes by it."""

    input: int
    first_chars: int = 0
    offset_s: int | None = None


class InputSkipped(Event, frozen=True, kw_only=True):
    """An input that leads to no inference: a timed heartbeat while heartbeats are paused. Closes it."""

    input: int
    reason: str


class InferenceRequested(Event, frozen=True, kw_only=True):
    """`fingerprint` is the SHA-256 of the request's bytes; `tokens` its count, margin included.

    `counted` are the tokens of the queue's entries that had no count yet, in order; `head_tokens` those of the system
    message and the functions' schemas, and `summary_tokens` the summary's (0: it has its count, or there is none).
    """

    purpose: Logged[Purpose]
    fingerprint: bytes
    tokens: int
    counted: tuple[int, ...] = ()
    head_tokens: int = 0
    summary_tokens: int = 0
    clip_chars: int = 0
    """In a summary's request: each line is clipped to so many characters."""


class Counted(Value, frozen=True, kw_only=True):
    """What the server's own tokenizer counted of a request before it was sent (`events.counting`): `tokens` of it all,
    without a margin. Of its parts those that were held to be another number until then (0: none); `entries` as pairs of
    a place in the queue and its tokens."""

    tokens: int
    head: int = 0
    summary: int = 0
    entries: tuple[tuple[int, int], ...] = ()


class InferenceCompleted(Event, frozen=True, kw_only=True):
    """The model's message. `sent` is the SHA-256 of the request bytes that were really handed to the client.

    `reasoning` came beside the content: it is no part of any context. `notes`: what was odd in how the answer came.
    """

    content: str = ""
    calls: tuple[ToolCall, ...] = ()
    finish: Logged[Finish] = "stop"
    model: str = ""
    usage: Usage = Usage()
    sent: bytes = b""
    duration_ms: int = 0
    own: Own | None = None
    reasoning: str = ""
    notes: tuple[str, ...] = ()
    counted: Counted | None = None


class InferenceFailed(Event, frozen=True, kw_only=True):
    """`detail` says what to do; it never holds a key."""

    error: Logged[NoAnswer]
    detail: str
    sent: bytes = b""
    attempts: int = 1
    mended_by: tuple[str, ...] = ()
    """Parts of the format (`events.formats`) with which the server would have taken the request."""
    counted: Counted | None = None


class InferenceCancelled(Event, frozen=True, kw_only=True):
    reason: str


class AnswerRejected(Event, frozen=True, kw_only=True):
    """The model's last message was not taken into the queue; `reason` is told to the model with the next request."""

    reason: str


class RepetitionNoted(Event, frozen=True, kw_only=True):
    """The model made one call `times` times in this turn, with the same arguments and the same result. `reason` is told
    to it with the next request."""

    name: str
    times: int
    reason: str


class HeartbeatRaised(Event, frozen=True, kw_only=True):
    """Control goes back to the model."""

    reason: Logged[Beat]


class TurnEnded(Event, frozen=True, kw_only=True):
    input: int
    reason: Logged[End] = "yielded"
    detail: str = ""
    steps: int = 0
    tokens: int = 0


# Functions. Each event of a call adds the call's result to the queue.


class MessageSent(Event, frozen=True, kw_only=True):
    """What the user sees. `call` is empty where the model answered in plain text. `cut`: the server ended the answer
    in its middle; the user and the model are told."""

    text: str
    call: str = ""
    cut: Logged[CutOrNot] = ""


class CoreMemoryAppended(Event, frozen=True, kw_only=True):
    call: str
    label: str
    text: str


class CoreMemoryReplaced(Event, frozen=True, kw_only=True):
    call: str
    label: str
    old: str
    new: str


class ArchivalMemoryInserted(Event, frozen=True, kw_only=True):
    """A passage in chunks that end at these character offsets."""

    call: str
    text: str
    ends: tuple[int, ...]


class HeartbeatsPaused(Event, frozen=True, kw_only=True):
    call: str
    until_ms: int
    minutes: int


class FunctionCalled(Event, frozen=True, kw_only=True):
    """A call that another part carries out; `arguments` are checked and complete."""

    call: str
    name: str
    arguments: dict[str, str | int | float | bool]
    hidden: tuple[int, ...] = ()
    """Seqs of inputs that a search must not find: the one being answered, and those that still wait."""
    max_chars: int = 3000
    """Cap on the result's text."""
    page_size: int = 5
    time_ms: int = 0
    """The time that the model is shown in this turn."""
    sources: tuple[str, ...] = ()
    """The sources that are attached: what else a search of archival storage sees, and what can be read."""
    page_chars: int = 0
    """The cap as it is for a call that stands alone: documents are paged by it, whatever is called beside."""
    number: int = 0
    """What ids that are made from the call are numbered by (0: its seq): in a fork, the seq that it has in its parent,
    or would have there."""
    zone: str = ""
    """The zone whose days and hours are meant ("": UTC)."""


class FunctionReturned(Event, frozen=True, kw_only=True):
    """`total` counts all that a search matched; `found` is the page."""

    call: str
    result: str
    found: tuple[Found, ...] = ()
    total: int = 0
    between: tuple[int, int] | None = None
    """The first and the last millisecond of the days that a search was for, where they are days of a zone."""


class FunctionFailed(Event, frozen=True, kw_only=True):
    """`error` is written for the model: it says how to mend the call."""

    call: str
    name: str
    error: str


# Timers. The timer actor owes the firing of each TimerSet (topic "alarm").


class TimerSet(Event, frozen=True, kw_only=True):
    timer: Timer


class TimerCancelled(Event, frozen=True, kw_only=True):
    """`moved_to`: the agent that goes on in this one's place, by an undo; what of its timers goes over is set there."""

    timer_id: str
    call: str = ""
    moved_to: str = ""


# Memory pressure.


class MemoryPressureWarned(Event, frozen=True, kw_only=True):
    tokens: int
    window_tokens: int


class EvictionStarted(Event, frozen=True, kw_only=True):
    """These seqs are to leave the queue. `tokens` is the context's count before, and `target_tokens` what it is to
    shrink to."""

    seqs: tuple[int, ...]
    reason: Logged[Pressure]
    tokens: int
    target_tokens: int


class MessagesEvicted(Event, frozen=True, kw_only=True):
    """These seqs left the queue; every one of them is in the log and in recall."""

    seqs: tuple[int, ...]


class SummaryWritten(Event, frozen=True, kw_only=True):
    """The recursive summary. `covers` are the newly evicted seqs, `previous` the seq of the summary that this one
    swallowed (0: none): together they name every seq it covers."""

    text: str
    covers: tuple[int, ...]
    previous: int
    author: Logged[Author]
    tokens: int
    note: str = ""


# Sources. An agent's stream says which sources are attached to it.


class SourceAttached(Event, frozen=True, kw_only=True):
    """The agent sees the documents of this source from now on. One that is attached already stays so."""

    source: str


class SourceDetached(Event, frozen=True, kw_only=True):
    source: str


# A source, a named set of documents, has a stream of its own ("source:NAME"). It holds these events and no others.


class SourceCreated(Event, frozen=True, kw_only=True):
    """Seq 1 of a source's stream: how its documents are cut into passages."""

    passage_tokens: int
    overlap_tokens: int
    format: int = 1


class DocumentOpened(Event, frozen=True, kw_only=True):
    """A document begins to be loaded. `document` is its id: it names these bytes (`sha256`, in hex) at this path.

    `origin` is where the file lay ("": not known): `path` may mean another file in another folder.
    """

    document: str
    path: str
    media_type: str
    size_bytes: int
    sha256: str
    origin: str = ""


class PassagesLoaded(Event, frozen=True, kw_only=True):
    """A stretch of a document: `count` passages from number `first` (from 0) on, packed (`events.documents`).

    `chars`, `page` and `line` let a reader find its place without unpacking: the characters that these passages add to
    the document, and the page and line at which they begin (0: not known).
    """

    document: str
    path: str
    first: int
    count: int
    chars: int
    packed: bytes
    page: int = 0
    line: int = 0


class DocumentLoaded(Event, frozen=True, kw_only=True):
    """The document is there whole. What it read and could not use stands in `notes`."""

    document: str
    passages: int
    chars: int
    notes: tuple[str, ...] = ()


class DocumentRefused(Event, frozen=True, kw_only=True):
    """A file was not loaded; `reason` says why and what to do. `sha256`: of its bytes, where they could be read."""

    path: str
    reason: str
    sha256: str = ""


class DocumentRemoved(Event, frozen=True, kw_only=True):
    """The document's passages die with this event: searches as of earlier ones still find them.

    `last`: whoever loaded it says that nothing more of it comes. Who unloads what somebody else loads cannot say so.
    """

    document: str
    reason: str = ""
    last: bool = False


class SourceUnloaded(Event, frozen=True, kw_only=True):
    """Every document of the source is removed, and the source with them, until something is loaded into it again."""


class AgentAttached(Event, frozen=True, kw_only=True):
    """In the same append the agent's stream gets SourceAttached."""

    agent: str


class AgentDetached(Event, frozen=True, kw_only=True):
    agent: str


INPUTS: tuple[type[Event], ...] = (
    UserMessageReceived,
    UserLoggedIn,
    UploadFinished,
    AlertRaised,
    TimerFired,
)
"""The inputs that lead to a turn."""

SOURCE_EVENTS: tuple[type[Event], ...] = (
    SourceCreated,
    DocumentOpened,
    PassagesLoaded,
    DocumentLoaded,
    DocumentRefused,
    DocumentRemoved,
    SourceUnloaded,
    AgentAttached,
    AgentDetached,
)
"""What stands in a source's stream."""

AGENT_EVENTS: tuple[type[Event], ...] = (
    AgentCreated,
    AgentForked,
    TimeZoneSet,
    SettingsChanged,
    TitleChanged,
    AgentRetired,
    AgentReinstated,
    FormatChanged,
    MarginLearned,
    CutNoticed,
    ServerSwitched,
    *INPUTS,
    InputAdopted,
    StopRequested,
    InputArchived,
    TurnStarted,
    InputSkipped,
    InferenceRequested,
    InferenceCompleted,
    InferenceFailed,
    InferenceCancelled,
    AnswerRejected,
    RepetitionNoted,
    HeartbeatRaised,
    TurnEnded,
    MessageSent,
    CoreMemoryAppended,
    CoreMemoryReplaced,
    ArchivalMemoryInserted,
    HeartbeatsPaused,
    FunctionCalled,
    FunctionReturned,
    FunctionFailed,
    TimerSet,
    TimerCancelled,
    MemoryPressureWarned,
    EvictionStarted,
    MessagesEvicted,
    SummaryWritten,
    SourceAttached,
    SourceDetached,
)
"""What stands in an agent's stream."""

ALL_EVENTS: tuple[type[Event], ...] = (*AGENT_EVENTS, *SOURCE_EVENTS)
