"""All that an agent is after an event, laid out for people and programs: memory, queue, what is open, what is owed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from palimpsest.events.debug.moments import SettingChange
from palimpsest.events.debug.summaries import Covered
from palimpsest.events.debug.timeline import changes
from palimpsest.events.debug.window import Window, gist, in_words, window
from palimpsest.events.envelope import Envelope
from palimpsest.events.servers import chosen
from palimpsest.events.state import UNCOUNTED, State
from palimpsest.events.times import zone_of
from palimpsest.events.types import Event, InferenceRequested, Parent, Settings, SummaryWritten, Timer, ToolCall
from palimpsest.events.vocabulary import Phase


class BlockUse(msgspec.Struct, frozen=True, kw_only=True):
    """A core-memory block, with what it takes of its limit, in characters."""

    label: str
    chars: int
    limit: int
    value: str
    description: str = ""


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the queue. `tokens` None: the log has no count of it."""

    seq: int
    who: str
    tokens: int | None
    text: str


class Covering(msgspec.Struct, frozen=True, kw_only=True):
    """The recursive summary: its text, and all that it stands for through its generations, the newest first."""

    seq: int
    text: str
    tokens: int
    messages: int
    generations: tuple[Covered, ...]

    @property
    def seqs(self) -> tuple[int, ...]:
        return tuple(sorted(seq for each in self.generations for seq in each.covers))


class WaitingInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input that waits for its turn. `stopped`: the reason, where its turn was stopped before it began."""

    seq: int
    time_ms: int
    who: str
    text: str
    stopped: str | None = None


_WITH_CALLS: Final[frozenset[Phase]] = frozenset({"acting", "calling"})


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The turn under way. `asked` is the seq of the request that is open (0: none is), `open_calls` those calls of the
    last answer that have no result yet."""

    input: int
    phase: Phase
    steps: int
    tokens: int
    failures: int = 0
    asked: int = 0
    asked_ms: int = 0
    open_calls: tuple[ToolCall, ...] = ()
    stopped: str | None = None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """An agent after its event `seq`. `settings` are those that are not the defaults, with the default as `before`."""

    agent: str
    seq: int
    time_ms: int
    created_ms: int
    turns: int
    parent: Parent | None
    settings: tuple[SettingChange, ...]
    server: int
    """Who is asked: 0 is the first, then come the fallbacks; `model` and `base_url` are that one's."""
    model: str
    base_url: str
    back_ms: int
    """Where a fallback is asked: a turn whose input is of this time or later tries the first again."""
    window_tokens: int
    window: Window
    blocks: tuple[BlockUse, ...]
    summary: Covering | None
    queue: tuple[Queued, ...]
    running: Running | None
    evicting: tuple[int, ...]
    waiting: tuple[WaitingInput, ...]
    timers: tuple[Timer, ...]
    heartbeats_paused_until_ms: int
    time_zone: str
    """"": UTC."""
    warned: bool
    recall_messages: int
    archival_passages: int
    sources: tuple[str, ...]
    next_sources: tuple[str, ...] | None
    not_taken_up: tuple[int, ...]
    """The inputs that a fork has of its parent's, and that have no turn in its own stream before it is given something
    to do."""


EventAt = Callable[[int], Event | None]
"""The event at a seq of the agent's stream."""


def overview(state: State, event_at: EventAt, opened: Envelope | None = None) -> Overview:
    """The state laid out. `event_at` finds the summaries before this one; `opened` is the request that is open."""
    asked = event_at(opened.seq) if opened else None
    reply = asked if isinstance(asked, InferenceRequested) and asked.purpose == "reply" else None
    return Overview(
        agent=state.agent,
        seq=state.seq,
        time_ms=state.time_ms,
        created_ms=state.created_ms,
        turns=state.turns,
        parent=state.parent,
        settings=changes(Settings(), chosen(state)),
        server=state.server,
        model=state.settings.model,
        base_url=state.settings.base_url,
        back_ms=state.switched_ms + chosen(state).return_after_s * 1000 if state.server else 0,
        window_tokens=state.settings.window_tokens,
        window=window(state, reply),
        blocks=tuple(
            BlockUse(label=b.label, chars=len(b.value), limit=b.limit, value=b.value, description=b.description)
            for b in state.blocks
        ),
        summary=_covering(state, event_at),
        queue=tuple(_queued(state)),
        running=_running(state, opened),
        evicting=state.eviction.seqs if state.eviction else (),
        waiting=tuple(_waiting(state)),
        timers=tuple(alarm.timer for alarm in state.alarms),
        heartbeats_paused_until_ms=state.heartbeats_paused_until_ms,
        time_zone=zone_of(state),
        warned=state.warned,
        recall_messages=state.recall_messages,
        archival_passages=state.archival_passages,
        sources=state.sources,
        next_sources=state.next_sources,
        not_taken_up=state.unadopted.inputs if state.unadopted else (),
    )


def generations(seq: int, event_at: EventAt) -> Iterator[Covered]:
    """The summary of event `seq`, and those that it swallowed, one after the other, the newest first."""
    while seq:
        event = event_at(seq)
        if not isinstance(event, SummaryWritten):
            return
        yield Covered(seq=seq, author=event.author, covers=event.covers)
        seq = event.previous if event.previous < seq else 0


def _covering(state: State, event_at: EventAt) -> Covering | None:
    summary = state.summary
    if summary is None:
        return None
    found = tuple(generations(summary.seq, event_at))
    return Covering(
        seq=summary.seq, text=summary.text, tokens=summary.tokens, messages=summary.hidden, generations=found
    )


def _queued(state: State) -> Iterator[Queued]:
    for entry in state.queue:
        who, text = gist(entry)
        yield Queued(seq=entry.seq, who=who, tokens=None if entry.tokens == UNCOUNTED else entry.tokens, text=text)


def _running(state: State, opened: Envelope | None) -> Running | None:
    turn = state.turn
    if turn is None:
        return None
    return Running(
        input=turn.input,
        phase=turn.phase,
        steps=turn.steps,
        tokens=turn.tokens,
        failures=turn.failures,
        asked=opened.seq if opened else 0,
        asked_ms=opened.time if opened else 0,
        open_calls=turn.calls[turn.done :] if turn.phase in _WITH_CALLS else (),
        stopped=turn.stop,
    )


def _waiting(state: State) -> Iterator[WaitingInput]:
    for each in state.pending:
        who, text = in_words(msgspec.json.decode(each.wire)["content"])
        yield WaitingInput(seq=each.seq, time_ms=each.time_ms, who=who, text=text, stopped=each.stop)
