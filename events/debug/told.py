"""What an agent was ever told, event by event, and where it could find it again.

Rules. (1) A text counts where it states what is looked for: a sentence that asks tells nothing (unless what is looked
for is a question itself). (2) `store` names where a search of the agent's finds it. (3) What only repeats others
(search results, the agent's thoughts) is told apart by `REPEATING`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from palimpsest.events.debug.phrases import Phrase, TextMatch, without_questions
from palimpsest.events.debug.windows import hits_of
from palimpsest.events.documents import unpacked
from palimpsest.events.envelope import Envelope
from palimpsest.events.kinds import Kind, kinds_of
from palimpsest.events.passages import chunks, input_text
from palimpsest.events.types import (
    INPUTS,
    AgentCreated,
    AgentForked,
    ArchivalMemoryInserted,
    Block,
    CoreMemoryAppended,
    CoreMemoryReplaced,
    Event,
    FunctionReturned,
    InferenceCompleted,
    InputArchived,
    MessageSent,
    PassagesLoaded,
    UserMessageReceived,
)

INPUT_KINDS: Final = kinds_of(*INPUTS)
TELLING: Final = INPUT_KINDS | kinds_of(
    AgentCreated,
    AgentForked,
    MessageSent,
    CoreMemoryAppended,
    CoreMemoryReplaced,
    ArchivalMemoryInserted,
    InputArchived,
)
"""The kinds by which something is told (that of InputArchived was told by its input)."""
REPEATING: Final = kinds_of(FunctionReturned, InferenceCompleted)
"""The kinds that repeat what was told, in other words perhaps."""


Store: TypeAlias = Literal["recall", "archival", "documents", ""]
"""Where a search of the agent's finds a text ("": none does)."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A text that has what is looked for: told by the event `seq` of `stream` ("": the agent's own). `who` said it."""

    seq: int
    kind: Kind
    time_ms: int
    who: str
    text: str
    store: Store = ""
    stream: str = ""
    chunk: int = -1
    asks: bool = False
    """It has it only in a question."""
    turn: int = 0
    path: str = ""


class Text(msgspec.Struct, frozen=True):
    """A text of an event: who said it, where it is found again, and which chunk of the event it is (-1: the whole)."""

    who: str
    text: str
    store: Store = ""
    chunk: int = -1
    path: str = ""


def texts_of(at: Envelope, event: Event) -> Iterator[Text]:
    """What an event tells."""
    if at.kind in REPEATING:
        yield from _repeated(event)
        return
    match event:
        case UserMessageReceived(text=text, name=name):
            yield Text(name or "the user", text, "recall")
        case AgentCreated(blocks=blocks) | AgentForked(blocks=blocks):
            yield from _given(blocks or ())
        case MessageSent(text=text):
            yield Text("the agent", text, "recall")
        case CoreMemoryAppended(label=label, text=text):
            yield Text(f"core memory, {label}", text)
        case CoreMemoryReplaced(label=label, new=text):
            yield Text(f"core memory, {label}", text)
        case ArchivalMemoryInserted(text=text, ends=ends):
            for chunk, piece in enumerate(chunks(text, ends)):
                yield Text("archival storage", piece, "archival", chunk)
        case PassagesLoaded(path=path):
            for chunk, passage in enumerate(unpacked(at, event)):
                yield Text(path, f"{passage.heading}\n{passage.text}".strip(), "documents", chunk, path)
        case _ if at.kind in INPUT_KINDS:
            yield Text(at.kind, input_text(event))


def _repeated(event: Event) -> Iterator[Text]:
    match event:
        case FunctionReturned(result=result):
            for piece in hits_of(result):
                yield Text("a function's result", piece)
        case InferenceCompleted(content=content) if content:
            yield Text("the agent's thought", content)


def _given(blocks: tuple[Block, ...]) -> Iterator[Text]:
    for block in blocks:
        if block.value:
            yield Text(f"core memory, {block.label}", block.value)


def states(wanted: Phrase, text: str) -> TextMatch:
    """How much of what is looked for a text states."""
    return wanted.match(text if wanted.text.endswith("?") else without_questions(text))


class Nearest(msgspec.Struct, frozen=True, kw_only=True):
    """The text that has the most of what is looked for, where none has it all."""

    told: Told
    match: TextMatch


class Telling:
    """Gathers what an agent was told, event by event."""

    def __init__(self, wanted: Phrase) -> None:
        self.wanted = wanted
        self.found: list[Told] = []
        self.nearest: Nearest | None = None

    def take(self, at: Envelope, event: Event, *, stream: str = "") -> None:
        for each in texts_of(at, event):
            self._look(at, each, stream)

    def archived(self, at: Envelope, text: str, ends: tuple[int, ...]) -> None:
        """An input that went to archival storage whole, in passages."""
        for chunk, piece in enumerate(chunks(text, ends)):
            self._look(at, Text("archival storage", piece, "archival", chunk), "")

    def _look(self, at: Envelope, each: Text, stream: str) -> None:
        match = self.wanted.match(each.text)
        if match.whole:
            shown = " … ".join(each.text[start:end] for start, end in self.wanted.where(each.text))
            asks = not states(self.wanted, each.text).whole
            self.found.append(_told(at, each, stream, shown, asks=asks))
        elif match.found and (self.nearest is None or match.found >= self.nearest.match.found):
            self.nearest = Nearest(told=_told(at, each, stream, each.text), match=match)


def _told(at: Envelope, each: Text, stream: str, text: str, *, asks: bool = False) -> Told:
    return Told(
        seq=at.seq,
        kind=at.kind,
        time_ms=at.time,
        who=each.who,
        text=text,
        store=each.store,
        stream=stream,
        chunk=each.chunk,
        asks=asks,
        turn=at.turn,
        path=each.path,
    )
