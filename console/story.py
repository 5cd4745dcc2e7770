"""A timeline as lines for people: what a part says, whole; `StoryPage` clips it to the page, or wraps it.

Rule: what is short and sure (names, figures, seqs) stands first in a line, and the text that may be long last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, assert_never

import msgspec

from palimpsest.console.called import as_typed
from palimpsest.console.show import Page, many, took
from palimpsest.events.debug.moments import (
    Called,
    Evicted,
    EvictionBegan,
    Item,
    Moment,
    Noted,
    SettingsMoved,
    Step,
    TurnBegan,
    TurnClosed,
)
from palimpsest.events.endings import WHOLE
from palimpsest.events.functions import HEARTBEAT, function_named
from palimpsest.events.kinds import Kind
from palimpsest.events.types import (
    ArchivalMemoryInserted,
    CoreMemoryAppended,
    CoreMemoryReplaced,
    Event,
    FunctionReturned,
    HeartbeatsPaused,
    InferenceFailed,
    MessageSent,
    TimerSet,
    UserMessageReceived,
)
from palimpsest.events.vocabulary import Beat
from palimpsest.questions.descriptions import call_text, cut_text, describe, seqs, value_text
from palimpsest.questions.texts import one_line, printable, utc

ENDLESS: Final = 10_000_000
"""As many characters as a text may have where nothing is clipped."""


class Line(msgspec.Struct, frozen=True):
    """A line of a story: the event to look at, its time, who or what it is of, and what it says."""

    seq: int
    time_ms: int
    label: str
    text: str
    style: str = ""
    dim: bool = False


LABELS: Final[Mapping[Kind, tuple[str, str]]] = {
    "UserMessageReceived": ("user", "bold cyan"),
    "UserLoggedIn": ("login", "bold cyan"),
    "UploadFinished": ("upload", "bold cyan"),
    "AlertRaised": ("alert", "bold cyan"),
    "TimerFired": ("timer", "bold cyan"),
    "StopRequested": ("stop", "red"),
    "InputSkipped": ("skipped", "red"),
    "InputArchived": ("archived", "magenta"),
    "AnswerRejected": ("rejected", "red"),
    "RepetitionNoted": ("repeats", "red"),
    "MemoryPressureWarned": ("pressure", "magenta"),
    "AgentCreated": ("created", "bold"),
    "AgentForked": ("forked", "bold"),
    "InputAdopted": ("adopted", "cyan"),
    "ServerSwitched": ("server", "red"),
    "TimerSet": ("timer", "blue"),
    "TimerCancelled": ("timer", "blue"),
    "TimeZoneSet": ("zone", "blue"),
    "TitleChanged": ("title", "blue"),
    "AgentRetired": ("retired", "red"),
    "AgentReinstated": ("back", "bold"),
    "SourceAttached": ("attached", "blue"),
    "SourceDetached": ("detached", "blue"),
    "MessageSent": ("says", "bold green"),
    "CoreMemoryAppended": ("memory", "bold yellow"),
    "CoreMemoryReplaced": ("memory", "bold yellow"),
    "ArchivalMemoryInserted": ("archives", "bold yellow"),
    "HeartbeatsPaused": ("pauses", "blue"),
    "FunctionCalled": ("calls", "blue"),
    "HeartbeatRaised": ("goes on", "blue"),
    "MessagesEvicted": ("evicted", "magenta"),
}
"""What a single event is labelled with."""

WHY: Final[Mapping[Beat | Literal[""], str]] = {
    "failed": "told of the failure",
    "silent": "told that the user waits",
    "requested": "a heartbeat",
}


def lines(part: Item) -> Iterator[Line]:
    """What a part says; of a turn's beginning, what follows its header."""
    match part:
        case TurnBegan():
            yield from _input(part)
        case Step():
            yield from _step(part)
        case Called():
            yield _called(part)
        case EvictionBegan():
            tokens = f"{part.tokens:,} tokens to at most {part.target_tokens:,}"
            text = f"{many(len(part.seqs), 'message')} for {part.reason}, from {tokens}: events {_seqs(part.seqs)}"
            yield Line(part.seq, part.time_ms, "evicts", text, "bold magenta")
        case Evicted():
            yield _evicted(part)
        case SettingsMoved():
            text = ", ".join(
                f"{each.name} {value_text(each.before)} -> {value_text(each.after)}" for each in part.changes
            )
            yield Line(part.seq, part.time_ms, "settings", text or _said(part.events[-1]), "bold")
        case TurnClosed():
            yield _closed(part)
        case Noted():
            for told in part.events:
                yield _noted(told)
        case _:
            assert_never(part)


def header(part: TurnBegan) -> str:
    """A turn's first line: its name (the seq of its input), its number, its time."""
    waited = f", after it waited {took(part.waited_ms)}" if part.waited_ms >= 1000 else ""
    resumed = ", which began before" if part.resumed else ""
    return f"turn {part.turn}, the {ordinal(part.number)}: {utc(part.time_ms)[:19]} UTC{waited}{resumed}"


def event_line(event: Event) -> str:
    """What an event says, in one line. A failed inference may name commands: they can be typed as they stand there."""
    said = describe(event)
    return as_typed(said) if isinstance(event, InferenceFailed) else said


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th … 11th … 21st."""
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def _input(part: TurnBegan) -> Iterator[Line]:
    if part.input:
        yield _noted(part.input)
    if part.first_chars:
        text = f"too large for the window: {many(part.archived_passages, 'passage')} to archival storage, "
        text += f"the first {part.first_chars:,} characters to the window"
        yield Line(part.seq, part.time_ms, "archived", text, "magenta")


def _step(part: Step) -> Iterator[Line]:
    summary = part.purpose == "summary"
    share = f" ({100 * part.tokens / part.window_tokens:.0f} %)" if part.window_tokens and not summary else ""
    window = f"{'request' if summary else 'window'} {part.tokens:,}{share}" if part.tokens else "asked before"
    parts = [window, *_answer(part)]
    if part.why:
        parts.append(WHY.get(part.why, part.why))
    label = "sums up" if summary else f"step {part.number}"
    bad = part.answered > 0 and part.outcome != "answered"
    yield Line(part.seq, part.time_ms, label, ", ".join(parts), "red" if bad else "blue", dim=not bad)
    if part.content and part.calls and not summary:
        yield Line(part.answered, part.time_ms + part.wall_ms, "thinks", f'"{part.content}"', "dim", dim=True)


def _answer(part: Step) -> Iterator[str]:
    if not part.answered:
        yield "no answer yet" if part.outcome == "open" else part.outcome
        return
    if part.outcome != "answered":
        yield f"{part.outcome} after {took(part.wall_ms)}: {as_typed(part.detail)}"
        return
    usage = part.usage
    cached = f" ({usage.cached:,} cached)" if usage.cached else ""
    yield f"model {usage.prompt:,}{cached} + {usage.completion:,} tokens"
    yield took(part.duration_ms or part.wall_ms)
    if part.finish not in WHOLE:
        yield f"finish {part.finish}"


def _called(part: Called) -> Line:
    event = part.events[-1].event
    label, style = LABELS.get(part.events[-1].kind, (_label(part.name), "bold blue"))
    if not part.ok:
        label, style = "failed", "red"
        text = f"{call_text(part.name, part.arguments, ENDLESS)}: {part.result}"
    else:
        text = _outcome(part, event)
    if part.raw:
        text += f" (repaired; the model wrote: {part.raw})"
    return Line(part.seq, part.time_ms, label, text, style)


def _label(name: str) -> str:
    """What a function that finds or does something is labelled with."""
    function = function_named(name)
    return function.label if function else "call"


def _outcome(part: Called, event: Event | None) -> str:
    match event:
        case MessageSent():
            return f'"{event.text}"{cut_text(event)}'
        case CoreMemoryAppended():
            return f'{event.label} + "{event.text}"'
        case CoreMemoryReplaced():
            return f'{event.label}: "{event.old}" -> "{event.new}"'
        case ArchivalMemoryInserted():
            return f'{many(len(event.ends), "passage")}: "{event.text}"'
        case HeartbeatsPaused():
            return f"timed heartbeats for {event.minutes} min, until {utc(event.until_ms)[:19]} UTC"
        case FunctionReturned():
            return f"{_arguments(part)} -> {_found(part)}{part.result}"
        case _:
            return call_text(part.name, part.arguments, ENDLESS)


def _arguments(part: Called) -> str:
    """The call without what every call has."""
    try:
        given = msgspec.json.decode(part.arguments or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError):
        return call_text(part.name, part.arguments, 200)
    given.pop(HEARTBEAT.name, None)
    return call_text(part.name, msgspec.json.encode(given).decode(), 200)


def _found(part: Called) -> str:
    """How much a search found, and the events of its page."""
    if not part.total:
        return ""
    own = tuple(sorted({each.seq for each in part.found if not each.stream}))
    streams = sorted({each.stream for each in part.found if each.stream})
    places = [f"events {_seqs(own)}"] if own else []
    return f"{len(part.found)} of {part.total:,} found ({', '.join(places + streams) or 'none on this page'}): "


def _evicted(part: Evicted) -> Line:
    before = f" and the summary of event {part.previous}" if part.previous else ""
    note = f" ({part.note})" if part.note else ""
    by = {"model": "by the model", "extractive": "an extract", "bare": "a bare note"}.get(part.author, part.author)
    text = f"{by}{note}, {part.tokens:,} tokens for {many(len(part.seqs), 'message')}{before}"
    return Line(part.seq, part.time_ms, "summary", f'{text}: "{part.text}"', "bold magenta")


def _closed(part: TurnClosed) -> Line:
    detail = f": {part.detail}" if part.detail else ""
    split = f" ({part.prompt_tokens:,} + {part.completion_tokens:,})" if part.prompt_tokens else ""
    text = (
        f"{part.reason} after {took(part.wall_ms)}, {many(part.steps, 'step')}, {part.tokens:,} tokens{split}{detail}"
    )
    good = part.reason == "yielded"
    return Line(part.seq, part.time_ms, "ended", text, "" if good else "red", dim=good)


def _noted(told: Moment) -> Line:
    label, style = LABELS.get(told.kind, (one_line(told.kind, 24), "blue"))
    if told.event is None:
        return Line(told.seq, told.time_ms, label, told.problem, "bold red")
    return Line(told.seq, told.time_ms, label, _said(told), style)


def _said(told: Moment) -> str:
    """An event that is told as it stands; a user's text whole."""
    if isinstance(told.event, UserMessageReceived):
        return (f"{one_line(told.event.name, 40)}: " if told.event.name else "") + f'"{told.event.text}"'
    if isinstance(told.event, TimerSet):
        return f"set: {describe(told.event)}"
    return event_line(told.event) if told.event else told.problem


def _seqs(numbers: tuple[int, ...]) -> str:
    return seqs(numbers, ENDLESS)


# --- the page -----------------------------------------------------------------------------------------------------


class StoryPage:
    """Prints parts: a header for a turn, once something of it is shown, and a date where the day changes."""

    def __init__(self, page: Page, *, full: bool = False) -> None:
        self._page = page
        self._full = full
        self._day = ""
        self._turn = 0
        self._began: TurnBegan | None = None
        self._printed = False
        self._ended = False

    def began(self, part: TurnBegan) -> None:
        """The header of what comes next; it is printed with the first line of its turn."""
        self._began = part

    def part(self, part: Item) -> None:
        if part.turn and part.turn != self._turn and self._began and self._began.turn == part.turn:
            self._header(self._began)
        elif not part.turn and self._turn and isinstance(part, Noted) and self._ended:
            self._gap()
            self._turn = 0
        self._ended = isinstance(part, TurnClosed)
        for line in lines(part):
            self._line(line)

    def _header(self, began: TurnBegan) -> None:
        self._gap()
        self._turn = began.turn
        self._day = utc(began.time_ms)[:10]
        self._page.line((header(began), "bold"))

    def _gap(self) -> None:
        if self._printed:
            self._page.line()

    def _line(self, line: Line) -> None:
        day, _, time = utc(line.time_ms)[:19].partition(" ")
        if day != self._day:
            self._page.line((day, "dim"))
            self._day = day
        first = (f"{line.seq:>6}  ", "bold"), (f"{time}  ", "dim"), (f"{line.label:<9} ", line.style or "dim")
        style = "dim" if line.dim else ""
        self._printed = True
        if not self._full:
            self._page.fitted(*first, (one_line(line.text, 2000), style))
            return
        rows = printable(line.text).split("\n")
        self._page.line(*first, (rows[0], style))
        for row in rows[1:]:
            self._page.line(" " * 28, (row, style))
