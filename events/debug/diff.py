"""Two states of agents held against each other: what entered the window, what left and where it went, what changed.

Rules. (1) A StateDiff is complete: `apply(a, diff(a, b))` is b, whatever the two are; what explains it (who evicted,
who wrote) is beside it, and comes from the events on the way. (2) The way from a to b goes `back` from a to where the
two parted, and `forth` from there to b: of one agent's two states the earlier is where they parted. (3) Of the way only
events of `KINDS` are looked at, so that it may be long.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Final

import msgspec
from msgspec.structs import replace

from palimpsest.events.answers import rewired
from palimpsest.events.codec import decode
from palimpsest.events.debug.moments import SettingChange
from palimpsest.events.debug.summaries import Covered
from palimpsest.events.debug.timeline import changes
from palimpsest.events.debug.window import Window, window
from palimpsest.events.envelope import Envelope
from palimpsest.events.formats import Format
from palimpsest.events.kinds import kinds_of
from palimpsest.events.state import Entry, State
from palimpsest.events.types import (
    AgentForked,
    AnswerRejected,
    CoreMemoryAppended,
    CoreMemoryReplaced,
    Event,
    InferenceRequested,
    MessagesEvicted,
    SummaryWritten,
    Timer,
)

KINDS: Final = kinds_of(
    AgentForked, AnswerRejected, CoreMemoryAppended, CoreMemoryReplaced, MessagesEvicted, SummaryWritten
)
"""What of the events on the way is looked at."""


class DiffSide(msgspec.Struct, frozen=True, kw_only=True):
    """An agent after one of its events."""

    agent: str
    seq: int
    time_ms: int = 0


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is in one window and not in the other, `at` its place in the queue of the one that has it.

    `evicted` is the event that took it out of the other, and `summary` the event that wrote what stands for it there;
    `rejected` the event that struck it out, if that was it. All 0: it was never in the other's window.
    """

    at: int
    entry: Entry
    evicted: int = 0
    summary: int = 0
    rejected: int = 0


class Recounted(msgspec.Struct, frozen=True, kw_only=True):
    """A message of both windows whose count changed; `at` is its place in b's queue. `wire` is its JSON in b, where
    that is rendered in another format."""

    at: int
    before: int
    after: int
    wire: bytes | None = None


class TextPiece(msgspec.Struct, frozen=True):
    """A sentence or line of a text: `sign` is "-" (only before), "+" (only after) or " " (both)."""

    sign: str
    text: str


class BlockEdit(msgspec.Struct, frozen=True, kw_only=True):
    """A core-memory block whose text changed (None: there is no such block). `by` are the events that wrote it on the
    way forth, `undone` those on the way back."""

    label: str
    before: str | None
    after: str | None
    pieces: tuple[TextPiece, ...]
    by: tuple[int, ...] = ()
    undone: tuple[int, ...] = ()


class StateDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What is different in b. `changed` are all fields of State that differ, but for the queue; what follows it tells
    them apart. `passing` are messages that were in neither window, and came and went on the way."""

    a: DiffSide
    b: DiffSide
    parted: DiffSide | None
    left: tuple[Moved, ...]
    entered: tuple[Moved, ...]
    recounted: tuple[Recounted, ...]
    changed: tuple[SettingChange, ...]
    passing: tuple[int, ...]
    blocks: tuple[BlockEdit, ...]
    settings: tuple[SettingChange, ...]
    timers_gone: tuple[Timer, ...]
    timers_set: tuple[Timer, ...]
    sources_gone: tuple[str, ...]
    sources_new: tuple[str, ...]
    summaries: tuple[Covered, ...]
    """Those written on the way forth, the oldest first."""
    summaries_undone: tuple[Covered, ...]
    """Those written on the way back: a has them behind it, b does not."""
    window_before: Window
    window_after: Window


class Road:
    """The explaining events of one way: who evicted what, who wrote what."""

    def __init__(self, envelopes: Iterable[Envelope]) -> None:
        self.evicted: dict[int, int] = {}
        self.summary: dict[int, int] = {}
        self.rejections: list[int] = []
        self.edits: list[tuple[int, str]] = []
        self.summaries: list[Covered] = []
        for envelope in envelopes:
            if envelope.kind in KINDS:
                self._take(envelope.seq, decode(envelope))

    def _take(self, seq: int, event: Event) -> None:
        match event:
            case MessagesEvicted():
                self.evicted |= dict.fromkeys(event.seqs, seq)
            case SummaryWritten():
                self.summary |= dict.fromkeys(event.covers, seq)
                self.summaries.append(Covered(seq=seq, author=event.author, covers=event.covers))
            case AnswerRejected():
                self.rejections.append(seq)
            case CoreMemoryAppended() | CoreMemoryReplaced():
                self.edits.append((seq, event.label))
            case _:  # a fork may have been given other blocks
                self.edits += [(seq, block.label) for block in getattr(event, "blocks", None) or ()]

    def moved(self, at: int, entry: Entry) -> Moved:
        """A message that this way took out of the window, if it did."""
        evicted = self.evicted.get(entry.seq, 0)
        struck = next((seq for seq in self.rejections if seq > entry.seq), 0)
        return Moved(
            at=at,
            entry=entry,
            evicted=evicted,
            summary=self.summary.get(entry.seq, 0),
            rejected=struck if entry.kind == "assistant" and not evicted else 0,
        )

    def wrote(self, label: str) -> tuple[int, ...]:
        return tuple(seq for seq, each in self.edits if each == label)


def diff(
    a: State,
    b: State,
    forth: Iterable[Envelope] = (),
    back: Iterable[Envelope] = (),
    *,
    parted: DiffSide | None = None,
    asked: tuple[InferenceRequested | None, InferenceRequested | None] = (None, None),
) -> StateDiff:
    """What makes b of a. `forth` and `back` are the events of the way (see above), both in their stream's order, and
    `parted` is where they begin; `asked` are the inferences that are open at a and at b, which have exact counts."""
    there, here = Road(forth), Road(back)
    left, entered, recounted = _queue(a, b, there, here)
    known = {entry.seq for entry in (*a.queue, *b.queue)}
    return StateDiff(
        a=DiffSide(agent=a.agent, seq=a.seq, time_ms=a.time_ms),
        b=DiffSide(agent=b.agent, seq=b.seq, time_ms=b.time_ms),
        parted=parted,
        left=left,
        entered=entered,
        recounted=recounted,
        changed=tuple(each for each in changes(a, b) if each.name != "queue"),
        passing=tuple(sorted({*there.evicted, *here.evicted} - known)),
        blocks=tuple(_blocks(a, b, there, here)),
        settings=changes(a.settings, b.settings),
        timers_gone=tuple(each.timer for each in a.alarms if each not in b.alarms),
        timers_set=tuple(each.timer for each in b.alarms if each not in a.alarms),
        sources_gone=tuple(each for each in a.sources if each not in b.sources),
        sources_new=tuple(each for each in b.sources if each not in a.sources),
        summaries=tuple(there.summaries),
        summaries_undone=tuple(here.summaries),
        window_before=window(a, asked[0]),
        window_after=window(b, asked[1]),
    )


def apply(a: State, difference: StateDiff) -> State:
    """The state that the difference makes of a. Raises ValueError where it is not a's."""
    if (a.agent, a.seq) != (difference.a.agent, difference.a.seq):
        raise ValueError(f"The difference is from event {difference.a.seq} of '{difference.a.agent}' on.")
    gone = {each.at for each in difference.left}
    queue = [entry for at, entry in enumerate(a.queue) if at not in gone]
    for each in difference.entered:
        queue.insert(each.at, each.entry)
    for count in difference.recounted:
        held = queue[count.at]
        queue[count.at] = replace(held, tokens=count.after, wire=held.wire if count.wire is None else count.wire)
    return replace(a, queue=tuple(queue), **{each.name: each.after for each in difference.changed})


# --- the parts ----------------------------------------------------------------------------------------------------


def _queue(
    a: State, b: State, forth: Road, back: Road
) -> tuple[tuple[Moved, ...], tuple[Moved, ...], tuple[Recounted, ...]]:
    """What left, what entered, and what is in both and was counted anew; each in its queue's order."""
    left: list[Moved] = []
    entered: list[Moved] = []
    recounted: list[Recounted] = []
    keys = [_key(each, a.format, b.format) for each in a.queue], [_key(each, b.format, b.format) for each in b.queue]
    matcher = SequenceMatcher(None, *keys, autojunk=False)
    for what, i, i_end, j, j_end in matcher.get_opcodes():
        if what == "equal":
            for at, (old, new) in enumerate(zip(a.queue[i:i_end], b.queue[j:j_end], strict=True), j):
                if (old.tokens, old.wire) != (new.tokens, new.wire):
                    wire = None if old.wire == new.wire else new.wire
                    recounted.append(Recounted(at=at, before=old.tokens, after=new.tokens, wire=wire))
            continue
        left += [forth.moved(at, a.queue[at]) for at in range(i, i_end)]
        entered += [back.moved(at, b.queue[at]) for at in range(j, j_end)]
    return tuple(left), tuple(entered), tuple(recounted)


def _key(entry: Entry, format: Format, wanted: Format) -> tuple[int, str, bytes]:
    """What a message is known by, however its format has it rendered."""
    is_same = format == wanted or entry.kind != "assistant"
    return entry.seq, entry.kind, entry.wire if is_same else rewired(entry.wire, wanted)


def _blocks(a: State, b: State, forth: Road, back: Road) -> Iterator[BlockEdit]:
    before = {block.label: block.value for block in a.blocks}
    after = {block.label: block.value for block in b.blocks}
    for label in {**before, **after}:
        old, new = before.get(label), after.get(label)
        if old != new:
            yield BlockEdit(
                label=label,
                before=old,
                after=new,
                pieces=tuple(pieces(old or "", new or "")),
                by=forth.wrote(label),
                undone=back.wrote(label),
            )


_SENTENCE: Final = re.compile(r"\n|(?<=[.!?;])\s+")


def pieces(before: str, after: str) -> Iterator[TextPiece]:
    """Two texts by their sentences and lines: what both have, and what only one has."""
    old, new = _sentences(before), _sentences(after)
    for what, i, i_end, j, j_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            yield from (TextPiece(" ", text) for text in old[i:i_end])
            continue
        yield from (TextPiece("-", text) for text in old[i:i_end])
        yield from (TextPiece("+", text) for text in new[j:j_end])


def _sentences(text: str) -> list[str]:
    return [part for part in _SENTENCE.split(text) if part.strip()]
