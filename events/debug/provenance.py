"""Who wrote what stands in core memory: each character of a block, with the seq of the event that wrote it.

Rules. (1) It is folded beside the state, from the same events: the runs of a block, joined, are its value at every seq.
(2) A replace wrote what it put there, all of it; what it was put in the place of is kept beside (`over`). (3) Memory is
bounded by the blocks, not by the stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from palimpsest.events.debug.phrases import Span
from palimpsest.events.envelope import Envelope
from palimpsest.events.functions.core_memory import appended
from palimpsest.events.kinds import kinds_of
from palimpsest.events.types import AgentCreated, AgentForked, Block, CoreMemoryAppended, CoreMemoryReplaced, Event

KINDS: Final = kinds_of(AgentCreated, AgentForked, CoreMemoryAppended, CoreMemoryReplaced)
"""The kinds that write core memory."""


class WrittenRun(msgspec.Struct, frozen=True):
    """A stretch of text, and the seq of the event that wrote it."""

    text: str
    seq: int


class Over(msgspec.Struct, frozen=True):
    """What a replace took away: the text, and the events that had written it."""

    text: str
    writers: tuple[int, ...]


class Written:
    """A block's text with its writers."""

    def __init__(self, text: str = "", seq: int = 0) -> None:
        self.value = text
        self.runs: list[WrittenRun] = [WrittenRun(text, seq)] if text else []
        self.over: dict[int, Over] = {}

    def append(self, text: str, seq: int) -> None:
        value = appended(self.value, text)
        self.runs = _joined([*self.runs, WrittenRun(value[len(self.value) :], seq)])
        self.value = value

    def replace(self, old: str, new: str, seq: int) -> None:
        """As the fold does it: the first place where the old text stands; none: nothing."""
        start = self.value.find(old)
        if start < 0:
            return
        end = start + len(old)
        gone = cut(self.runs, (start, end))
        rest = cut(self.runs, (end, len(self.value)))
        self.runs = _joined([*cut(self.runs, (0, start)), WrittenRun(new, seq), *rest])
        self.value = self.value.replace(old, new, 1)
        living = writers_of(self.runs)
        self.over = {writer: over for writer, over in self.over.items() if writer in living}
        if seq in living:
            self.over[seq] = Over(old, writers_of(gone))


class Provenance:
    """The blocks of an agent's core memory, by label, each with its writers."""

    def __init__(self) -> None:
        self.blocks: dict[str, Written] = {}

    def take(self, envelope: Envelope, event: Event) -> None:
        match event:
            case AgentCreated(blocks=blocks):
                self._lay_out(blocks, envelope.seq)
            case AgentForked(blocks=blocks) if blocks is not None:
                self._lay_out(blocks, envelope.seq)
            case CoreMemoryAppended(label=label, text=text) if label in self.blocks:
                self.blocks[label].append(text, envelope.seq)
            case CoreMemoryReplaced(label=label, old=old, new=new) if label in self.blocks:
                self.blocks[label].replace(old, new, envelope.seq)

    def _lay_out(self, blocks: Sequence[Block], seq: int) -> None:
        """Core memory as it is given whole. A block that keeps its text keeps its writers."""
        before = self.blocks
        self.blocks = {}
        for block in blocks:
            kept = before.get(block.label)
            self.blocks[block.label] = kept if kept and kept.value == block.value else Written(block.value, seq)

    def values(self) -> dict[str, str]:
        return {label: written.value for label, written in self.blocks.items()}


def cut(runs: Iterable[WrittenRun], span: Span) -> list[WrittenRun]:
    """The runs of a part of a text."""
    start, end = span
    at, found = 0, []
    for run in runs:
        text = run.text[max(0, start - at) : max(0, end - at)]
        if text:
            found.append(WrittenRun(text, run.seq))
        at += len(run.text)
    return found


def writers_of(runs: Iterable[WrittenRun]) -> tuple[int, ...]:
    """The events that wrote them; white space alone makes no writer."""
    return tuple(sorted({run.seq for run in runs if run.text.strip()}))


def _joined(runs: Iterable[WrittenRun]) -> list[WrittenRun]:
    """Neighbours of one writer as one run, and no empty ones."""
    joined: list[WrittenRun] = []
    for run in runs:
        if joined and joined[-1].seq == run.seq:
            joined[-1] = WrittenRun(joined[-1].text + run.text, run.seq)
        elif run.text:
            joined.append(run)
    return joined
