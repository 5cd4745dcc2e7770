"""A recorded stretch of an agent's stream, as a rerun is fed with it.

Of each event it is told whether it came from *outside* (a client, or a timer: it is given again) or was the agent's own
doing (it is done again). What a fork's beginning wrote is left out: every fork does that anew, so that the rest of
two forks of one history can be held against each other event by event. So is what a fork within the stretch asked again
since it was open there; and settings that it was begun with count as changed there, from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from palimpsest.events.codec import decode
from palimpsest.events.envelope import Draft, Envelope
from palimpsest.events.forks import TAKEN_UP
from palimpsest.events.functions import function_named, topic
from palimpsest.events.texts import clip
from palimpsest.events.types import (
    INPUTS,
    AgentForked,
    AgentReinstated,
    AgentRetired,
    AnswerRejected,
    ArchivalMemoryInserted,
    CoreMemoryAppended,
    CoreMemoryReplaced,
    Event,
    EvictionStarted,
    FormatChanged,
    FunctionCalled,
    FunctionFailed,
    FunctionReturned,
    HeartbeatRaised,
    HeartbeatsPaused,
    InferenceCompleted,
    InferenceFailed,
    InferenceRequested,
    InputAdopted,
    InputArchived,
    MessageSent,
    MessagesEvicted,
    RepetitionNoted,
    ServerSwitched,
    SettingsChanged,
    SourceAttached,
    SourceDetached,
    StopRequested,
    SummaryWritten,
    Timer,
    TimerCancelled,
    TimerFired,
    TimerSet,
    TimeZoneSet,
    TitleChanged,
    TurnEnded,
    TurnStarted,
)

_OUTSIDE: Final[tuple[type[Event], ...]] = (
    *INPUTS,
    StopRequested,
    SettingsChanged,
    TitleChanged,
    AgentRetired,
    AgentReinstated,
    TimeZoneSet,
    SourceAttached,
    SourceDetached,
)


class Recorded(msgspec.Struct, frozen=True):
    """A recorded event in its place."""

    envelope: Envelope
    event: Event

    @property
    def outside(self) -> bool:
        return came_from_outside(self.envelope, self.event)


def came_from_outside(envelope: Envelope, event: Event) -> bool:
    """Whether a client or a timer wrote it: what an agent does itself of these kinds has a cause."""
    match event:
        case TimerSet():
            return not envelope.cause
        case TimerCancelled():
            return not event.call
        case FormatChanged():
            return not event.reason
        case _:
            return isinstance(event, _OUTSIDE)


def recorded(envelopes: Iterable[Envelope], *, retired: bool = False) -> list[Recorded]:
    """The stretch, without what began a fork in it. `retired`: the agent was, before it; a fork is not."""
    found: list[Recorded] = []
    asked: Recorded | None = None
    is_asked_again = False
    for envelope in envelopes:
        each = Recorded(envelope, decode(envelope))
        retired = isinstance(each.event, AgentRetired) or (retired and not isinstance(each.event, AgentReinstated))
        if isinstance(each.event, AgentForked):
            if retired:
                found.append(Recorded(envelope, AgentReinstated()))
                retired = False
            is_asked_again = asked is not None
            if each.event.settings is not None:
                found.append(Recorded(envelope, SettingsChanged(settings=each.event.settings)))
        elif not is_beginning(envelope, each.event):
            if not (is_asked_again and asked and _is_same_request(asked, each)):
                found.append(each)
            if asked and envelope.closes == asked.envelope.key:
                asked = None
            if isinstance(each.event, InferenceRequested | FunctionCalled):
                asked, is_asked_again = each, False
    return found


def _is_same_request(asked: Recorded, again: Recorded) -> bool:
    kinds = asked.envelope.kind, again.envelope.kind
    return kinds[0] == kinds[1] and bool(again.envelope.opens) and content(asked.event) == content(again.event)


def is_beginning(made: Envelope | Draft, event: Event) -> bool:
    """Whether it belongs to a fork's beginning: the fork itself, and what it took up again of its parent's."""
    return isinstance(event, AgentForked | InputAdopted) or (isinstance(event, TimerSet) and made.cause == TAKEN_UP)


_SAYS: Final[Mapping[type[Event], tuple[str, ...]]] = {
    InferenceRequested: ("purpose", "fingerprint"),
    InferenceCompleted: ("content", "calls", "finish"),
    InferenceFailed: ("error",),
    FunctionCalled: ("name", "arguments"),
    FunctionFailed: ("error",),
    FunctionReturned: ("result",),
    MessageSent: ("text", "cut"),
    SummaryWritten: ("text",),
    TurnEnded: ("reason",),
    HeartbeatRaised: ("reason",),
    AnswerRejected: ("reason",),
    FormatChanged: ("parts",),
    ServerSwitched: ("server",),
    RepetitionNoted: ("name", "times"),
    CoreMemoryAppended: ("label", "text"),
    CoreMemoryReplaced: ("label", "old", "new"),
    ArchivalMemoryInserted: ("text", "ends"),
    HeartbeatsPaused: ("minutes",),
    InputArchived: ("ends",),
    TurnStarted: ("first_chars", "offset_s"),
    EvictionStarted: ("reason",),
}
"""What events say apart from seqs, times and token counts."""


def content(event: Event) -> tuple[object, ...]:
    """What an event says apart from what may differ where nothing else does: two events of one kind and content are the
    same step. Of a call it is all that its result hangs on."""
    said = tuple(getattr(event, name) for name in _SAYS.get(type(event), ()))
    match event:
        case FunctionCalled():
            return (*said, *(getattr(event, name) for name in _hangs_on(event)))
        case TimerFired() | TimerSet():
            return timer_content(event.timer)
        case EvictionStarted() | MessagesEvicted():
            return (*said, len(event.seqs))
        case _:
            return said


_ON_STORAGE: Final = ("page_size", "max_chars", "page_chars", "sources", "zone")


def _hangs_on(call: FunctionCalled) -> tuple[str, ...]:
    """What the result of a call hangs on besides its arguments: a timer is set alike, whatever may be shown of it."""
    return _ON_STORAGE if topic(function_named(call.name)) == "storage" else ("zone",)


def otherwise(there: Event, here: Event) -> str:
    """In words, what is otherwise about a call that was recorded ("": nothing that is known)."""
    if not (isinstance(there, FunctionCalled) and isinstance(here, FunctionCalled)):
        return ""
    if there.name != here.name:
        return f"{here.name} instead of {there.name}"
    names = ("arguments", *_hangs_on(here))
    pairs = [(name, getattr(there, name), getattr(here, name)) for name in names]
    said = [f"{name} {_shown(before)} -> {_shown(after)}" for name, before, after in pairs if before != after]
    return f"{here.name} with {', '.join(said)}" if said else ""


def _shown(value: object) -> str:
    return clip(value if isinstance(value, str) else msgspec.json.encode(value).decode(), 80)


def timer_content(timer: Timer) -> tuple[object, ...]:
    """What a timer is, whatever its id: those that an agent sets have ids that are made of seqs."""
    return (timer.due_ms, timer.note, timer.every_s, timer.cron, timer.heartbeat, timer.zone)


def paired(there: Iterable[tuple[int, Timer]], here: Iterable[tuple[int, Timer]]) -> Iterator[tuple[int, int]]:
    """The firings of the same timers, in their order."""
    left = list(here)
    for seq, timer in there:
        same = next((each for each in left if timer_content(each[1]) == timer_content(timer)), None)
        if same:
            left.remove(same)
            yield seq, same[0]
