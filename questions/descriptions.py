"""What a log holds in plain words: each event in a line, and what events are made of.

Rules. (1) No command is named but where an event's own text names one. (2) Every text is clipped and printable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from palimpsest.events import margins
from palimpsest.events.encodings import is_own
from palimpsest.events.endings import WHOLE
from palimpsest.events.prompts import reserve_tokens
from palimpsest.events.times import ahead, stamp
from palimpsest.events.types import (
    AgentAttached,
    AgentCreated,
    AgentDetached,
    AgentForked,
    AgentReinstated,
    AgentRetired,
    AlertRaised,
    AnswerRejected,
    ArchivalMemoryInserted,
    CoreMemoryAppended,
    CoreMemoryReplaced,
    CutNoticed,
    DocumentLoaded,
    DocumentOpened,
    DocumentRefused,
    DocumentRemoved,
    Event,
    EvictionStarted,
    FormatChanged,
    FunctionCalled,
    FunctionFailed,
    FunctionReturned,
    HeartbeatRaised,
    HeartbeatsPaused,
    InferenceCancelled,
    InferenceCompleted,
    InferenceFailed,
    InferenceRequested,
    InputAdopted,
    InputArchived,
    InputSkipped,
    MarginLearned,
    MemoryPressureWarned,
    MessageSent,
    MessagesEvicted,
    PassagesLoaded,
    RepetitionNoted,
    Server,
    ServerSwitched,
    Settings,
    SettingsChanged,
    SourceAttached,
    SourceCreated,
    SourceDetached,
    SourceUnloaded,
    StopRequested,
    SummaryWritten,
    Timer,
    TimerCancelled,
    TimerFired,
    TimerSet,
    TimeZoneSet,
    TitleChanged,
    ToolCall,
    TurnEnded,
    TurnStarted,
    UploadFinished,
    UserLoggedIn,
    UserMessageReceived,
)
from palimpsest.questions.texts import one_line, utc

MOST_CHARS: Final = 1000


def describe(event: Event) -> str:
    """What the event says, in one line."""
    return one_line(_SAY[type(event)](event), MOST_CHARS)


def quoted(text: str, chars: int = 90) -> str:
    return f'"{one_line(text, chars)}"'


def seqs(numbers: tuple[int, ...], chars: int = 60) -> str:
    """Seqs as ranges: 2-7, 9. Long lists are clipped."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return one_line(", ".join("-".join(map(str, run)) for run in runs), chars) or "none"


def value_text(value: object) -> str:
    """A setting's value."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Server):
        return one_line(server_text(value), 120)
    if isinstance(value, tuple):
        return one_line(", ".join(map(value_text, value)), 240) or "none"
    return one_line(str(value), 60) or "none"


def server_text(one: Server) -> str:
    """The server as it is typed (`console/servers.py` reads it)."""
    at = f"@{one.base_url}" if one.base_url else ""
    usual = max(1, reserve_tokens(one.model, one.window_tokens)) if one.window_tokens else 0
    more = {"window": one.window_tokens, "in-flight": one.in_flight}
    if one.reserve_tokens != usual:
        more["reserve"] = one.reserve_tokens
    said = "".join(f",{name}={value}" for name, value in more.items() if value)
    return f"{one.model}{at}{said}" + f",tokenizer={one.encoding}" * is_own(one.encoding)


def call_text(name: str, arguments: str, chars: int = 90) -> str:
    """A call as it would be written: name(argument="…")."""
    try:
        parsed = msgspec.json.decode(arguments or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError):
        return f"{one_line(name, 40)}({one_line(arguments, chars)})"
    return f"{one_line(name, 40)}({_arguments(parsed, chars)})"


def _arguments(given: dict[str, Any], chars: int) -> str:
    return ", ".join(f"{one_line(name, 40)}={_argument(value, chars)}" for name, value in given.items())


def _argument(value: Any, chars: int) -> str:
    return quoted(value, chars) if isinstance(value, str) else one_line(msgspec.json.encode(value).decode(), chars)


def _settings(settings: Settings) -> str:
    at = f" at {one_line(settings.base_url)}" if settings.base_url else ""
    parts = [f"model {one_line(settings.model, 60)}{at}", f"window {settings.window_tokens:,} tokens"]
    if settings.fallbacks:
        parts.append(f"fallbacks: {value_text(settings.fallbacks)}")
    if settings.summarizer_at or settings.summarizer:
        parts.append(f"summaries by {value_text(settings.summarizer_at or settings.summarizer)}")
    return ", ".join(parts)


def _created(event: AgentCreated) -> str:
    blocks = ", ".join(one_line(block.label, 40) for block in event.blocks)
    fork = f", forked from {one_line(event.parent.agent, 60)} at {event.parent.seq}" if event.parent else ""
    zone = f", time zone {one_line(event.zone, 40)}" if event.zone else ""
    return f"{_settings(event.settings)}, core memory: {blocks}{zone}{fork}"


def _switched(event: ServerSwitched) -> str:
    to = f"fallback {event.server}" if event.server else "the first server"
    why = f", since the one before failed ({one_line(event.reason, 200)})" if event.reason else ", tried again"
    return f"to {to}{why}: {_settings(replace(event.settings, fallbacks=()))}"


def _margin(event: MarginLearned) -> str:
    at = f" at {one_line(event.base_url)}" if event.base_url else ""
    counted = f"{event.prompt:,} tokens where {event.counted:,} were counted here"
    return f"x {event.margin:g} for {one_line(event.model, 60)}{at}: it counted {counted}"


def _format(event: FormatChanged) -> str:
    reason = f", since {one_line(event.reason, 200)}" if event.reason else ""
    return f"contexts with {', '.join(event.parts) or 'no part'}{reason}"


def _forked(event: AgentForked) -> str:
    parts = [f"from {one_line(event.parent.agent, 60)} at {event.parent.seq}, timers {event.timers}"]
    if event.settings is not None:
        parts.append(_settings(event.settings))
    if event.system is not None:
        parts.append(f"system {quoted(event.system)}")
    if event.blocks is not None:
        parts.append(f"core memory: {', '.join(one_line(block.label, 40) for block in event.blocks)}")
    return ", ".join(parts)


def _retired(event: AgentRetired) -> str:
    timers = f", timers off: {len(event.timers)}" if event.timers else ""
    return (one_line(event.reason, 200) or "no reason given") + timers


def timer_text(timer: Timer) -> str:
    """A timer in a line: its id, its note, when it is due, and how it repeats."""
    again = f", every {timer.every_s} s" if timer.every_s else f", cron {timer.cron}" if timer.cron else ""
    note = f" {quoted(timer.note)}" if timer.note else ""
    due = f"{utc(timer.due_ms)} UTC" if timer.offset_s is None else stamp(timer.due_ms, timer.offset_s)
    return f"{one_line(timer.id, 40)}{note}, due {due}{again}{', heartbeat' * timer.heartbeat}"


def _call(call: ToolCall) -> str:
    repaired = f" (repaired; the model wrote: {one_line(call.raw)})" if call.raw else ""
    return call_text(call.name, call.arguments) + repaired


def _completed(event: InferenceCompleted) -> str:
    parts = [_call(call) for call in event.calls]
    if event.content:
        parts.append(f"{'thinks' if event.calls else 'says'} {quoted(event.content)}")
    usage = event.usage
    cached = f" ({usage.cached:,} cached)" if usage.cached else ""
    cut = f", finish {event.finish}" if event.finish not in WHOLE else ""
    counted = "tokens by our count" if usage.estimated else "tokens"
    figures = f"[{usage.prompt:,}{cached} + {usage.completion:,} {counted}, {event.duration_ms:,} ms{cut}]"
    if event.reasoning:
        parts.append(f"reasons {quoted(event.reasoning)}")
    noted = [f"({one_line(note, 90)})" for note in event.notes]
    return " ".join([*parts[:1], *(f"| {part}" for part in parts[1:]), *noted, figures])


def _summary(event: SummaryWritten) -> str:
    before = f" and the summary of event {event.previous}" if event.previous else ""
    note = f" ({one_line(event.note, 80)})" if event.note else ""
    return f"{event.author}, covers {seqs(event.covers)}{before}, {event.tokens:,} tokens: {quoted(event.text)}{note}"


def _returned(event: FunctionReturned) -> str:
    found = f"{len(event.found)} of {event.total} found: " if event.total else ""
    return f"{found}{quoted(event.result)}"


def cut_text(event: MessageSent) -> str:
    """What cut a message off, as an addition to it."""
    by = {
        "length": "at the length limit",
        "content_filter": "by the server's content filter",
        "interrupted": "by the server",
    }
    return f" (cut off {by.get(event.cut, one_line(event.cut, 40))})" if event.cut else ""


def _ended(event: TurnEnded) -> str:
    detail = f": {one_line(event.detail)}" if event.detail else ""
    return f"{event.reason}{detail}, steps {event.steps}, {event.tokens:,} tokens"


def _document(event: DocumentOpened | PassagesLoaded) -> str:
    return f"{one_line(event.document, 40)} {one_line(event.path)}"


def _loaded(event: DocumentLoaded) -> str:
    notes = f"; {one_line('; '.join(event.notes), 200)}" if event.notes else ""
    return f"{one_line(event.document, 40)}, passages {event.passages:,}, {event.chars:,} characters{notes}"


_SAY: Final[dict[type[Event], Callable[[Any], str]]] = {
    AgentCreated: _created,
    AgentForked: _forked,
    TimeZoneSet: lambda e: one_line(e.zone, 40) + (f" ({ahead(e.offset_s)})" if e.offset_s is not None else ""),
    SettingsChanged: lambda e: _settings(e.settings),
    TitleChanged: lambda e: quoted(e.title) if e.title else "none",
    AgentRetired: _retired,
    AgentReinstated: lambda _: "it takes inputs again",
    FormatChanged: _format,
    MarginLearned: _margin,
    CutNoticed: margins.told,
    ServerSwitched: _switched,
    UserMessageReceived: lambda e: (f"{one_line(e.name, 40)}: " if e.name else "") + quoted(e.text),
    UserLoggedIn: lambda e: f"last login {one_line(e.last_login) or 'never'}",
    UploadFinished: lambda e: one_line(e.source) + (f": {one_line(e.detail)}" if e.detail else ""),
    AlertRaised: lambda e: quoted(e.text),
    TimerFired: lambda e: timer_text(e.timer),
    InputAdopted: lambda e: f"input {e.input}, as it was at the fork",
    StopRequested: lambda e: one_line(e.reason) or "no reason given",
    InputArchived: lambda e: f"input {e.input} went to archival storage in {len(e.ends)} passages",
    TurnStarted: lambda e: f"input {e.input}" + (f", its first {e.first_chars:,} characters" * bool(e.first_chars)),
    InputSkipped: lambda e: f"input {e.input}: {one_line(e.reason)}",
    InferenceRequested: lambda e: f"{e.purpose}, {e.tokens:,} tokens, fingerprint {e.fingerprint.hex()[:16]}",
    InferenceCompleted: _completed,
    InferenceFailed: lambda e: f"{e.error} (attempts: {e.attempts}): {one_line(e.detail)}",
    InferenceCancelled: lambda e: one_line(e.reason) or "no reason given",
    AnswerRejected: lambda e: one_line(e.reason),
    RepetitionNoted: lambda e: f"{one_line(e.name, 40)} made {e.times} times alike: {one_line(e.reason)}",
    HeartbeatRaised: lambda e: e.reason,
    TurnEnded: _ended,
    MessageSent: lambda e: quoted(e.text) + cut_text(e),
    CoreMemoryAppended: lambda e: f"{one_line(e.label, 40)} + {quoted(e.text)}",
    CoreMemoryReplaced: lambda e: f"{one_line(e.label, 40)}: {quoted(e.old)} -> {quoted(e.new)}",
    ArchivalMemoryInserted: lambda e: f"passages {len(e.ends)}: {quoted(e.text)}",
    HeartbeatsPaused: lambda e: f"{e.minutes} min, until {utc(e.until_ms)} UTC",
    FunctionCalled: lambda e: f"{one_line(e.name, 40)}({_arguments(e.arguments, 90)})",
    FunctionReturned: _returned,
    FunctionFailed: lambda e: f"{one_line(e.name, 40)}: {one_line(e.error)}",
    TimerSet: lambda e: timer_text(e.timer),
    TimerCancelled: lambda e: (
        one_line(e.timer_id, 40) + f", as {one_line(e.moved_to)} goes on in this agent's place" * bool(e.moved_to)
    ),
    MemoryPressureWarned: lambda e: f"{e.tokens:,} of {e.window_tokens:,} tokens",
    EvictionStarted: lambda e: f"{e.reason}: {seqs(e.seqs)}, from {e.tokens:,} down to {e.target_tokens:,} tokens",
    MessagesEvicted: lambda e: f"{len(e.seqs)} messages: {seqs(e.seqs)}",
    SummaryWritten: _summary,
    SourceAttached: lambda e: one_line(e.source),
    SourceDetached: lambda e: one_line(e.source),
    SourceCreated: lambda e: f"passages of {e.passage_tokens:,} tokens, {e.overlap_tokens:,} of them overlapping",
    DocumentOpened: lambda e: f"{_document(e)}, {one_line(e.media_type, 80)}, {e.size_bytes:,} bytes",
    PassagesLoaded: lambda e: f"{_document(e)}, passages {e.first} to {e.first + e.count - 1}, {e.chars:,} characters",
    DocumentLoaded: _loaded,
    DocumentRefused: lambda e: f"{one_line(e.path)}: {one_line(e.reason, 400)}",
    DocumentRemoved: lambda e: f"{one_line(e.document, 40)}: {one_line(e.reason)}",
    SourceUnloaded: lambda _: "all documents",
    AgentAttached: lambda e: one_line(e.agent),
    AgentDetached: lambda e: one_line(e.agent),
}
