"""Who wrote each sentence of core memory, the summary or archival storage, why, and on what grounds.

Rule: the log is read by kinds, and windows are folded from the nearest snapshot, in the order of their seqs: a long
stream costs what its memory edits cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from palimpsest.events.codec import decode
from palimpsest.events.debug import summaries
from palimpsest.events.debug.blame import (
    KINDS,
    Account,
    Blamed,
    BlamedSaying,
    BlamedSummary,
    Sentence,
    Sentences,
    passage,
)
from palimpsest.events.debug.phrases import Phrase, Terms
from palimpsest.events.debug.provenance import Over
from palimpsest.events.debug.writers import TURN_KINDS, Hint, Writer, hints, writer
from palimpsest.events.errors import BadInput
from palimpsest.events.evolve import fold
from palimpsest.events.passages import input_text
from palimpsest.events.state import State
from palimpsest.events.types import ArchivalMemoryInserted, InputArchived
from palimpsest.questions.streams import stretches
from palimpsest.questions.words import search_terms
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.states import load

SHOWN: Final = 20
"""So many passages that have a text are explained, the latest, and so many places where it once stood."""


class Blaming(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be blamed: what has a text, a block's sentences, or the summary's; without any, all of core memory."""

    text: str | None = None
    exact: bool = False
    block: str = ""
    summary: bool = False


def account(log: LogReader, agent: str, asked: Blaming, at: int) -> Account:
    """The answer as of event `at`. Raises BadInput where the block is not there, or the text is empty."""
    terms = search_terms()
    wanted = Phrase(asked.text, terms, exact=asked.exact) if asked.text is not None else None
    found = _fold(log, agent, at, terms, wanted)
    if asked.block not in ("", *found.provenance.blocks):
        there = ", ".join(found.provenance.blocks) or "none"
        raise BadInput(f"Agent '{agent}' has no block '{asked.block}' in core memory. Its blocks are: {there}.")
    return _Explained(log, agent, at, terms).account(found, asked, wanted)


def _fold(log: LogReader, agent: str, at: int, terms: Terms, wanted: Phrase | None) -> Sentences:
    found = Sentences(terms, wanted)
    for envelope in stretches(log, agent, 1, at, KINDS):
        event = decode(envelope)
        found.take(envelope, event)
        if wanted and isinstance(event, InputArchived):
            found.look_into(envelope.seq, _text_of_input(log, agent, event.input), event.ends)
    return found


def _text_of_input(log: LogReader, agent: str, seq: int) -> str:
    (at,) = log.read(agent, seq - 1, seq)
    return input_text(decode(at))


class _Explained:
    """Explains what was found: each writer once, each window once."""

    def __init__(self, log: LogReader, agent: str, at: int, terms: Terms) -> None:
        self._log, self._agent, self._at = log, agent, at
        self._terms = terms
        self._wanted_of: dict[int, list[_TextInWindow]] = {}

    def account(self, found: Sentences, asked: Blaming, wanted: Phrase | None) -> Account:
        standing = [] if asked.summary else found.core(asked.block)
        if wanted:
            standing += self._passages(found, wanted)
        gone = found.gone[-SHOWN:]
        sayings = found.summary() if asked.summary or wanted else []
        over = {seq: each for written in found.provenance.blocks.values() for seq, each in written.over.items()}
        wrote = {seq for s in (*standing, *gone) if s.place != "summary" for seq in s.writers}
        wrote |= {sentence.until for sentence in gone}
        writers = {seq: self._writer(seq, over.get(seq)) for seq in sorted(wrote)}
        for each in writers.values():
            if each.window:
                self._wanted_of.setdefault(each.window.seq, [])
        shown = [self._look_at(sentence, writers) for sentence in (*standing, *gone)]
        told = [self._look_behind(saying) for saying in sayings]
        messages = self._look()
        blamed = [Blamed(sentence=s, hints=_hints(looks)) for s, looks in shown]
        summary = BlamedSummary(
            sayings=tuple(BlamedSaying(saying=s, hints=_hints([look])) for s, look in told),
            generations=tuple(found.chain.generations),
            covers=tuple(sorted(found.chain.covered)),
            stretches=self._stretches(found) if asked.summary else (),
        )
        return Account(
            agent=self._agent,
            at=self._at,
            matched=wanted.how if wanted else "",
            standing=tuple(blamed[: len(standing)]),
            gone=tuple(blamed[len(standing) :]),
            summary=summary if asked.summary or sayings else None,
            writers=tuple(_with_messages(each, messages) for each in writers.values()),
            more=max(0, len(found.archival) - SHOWN) + len(found.gone) - len(gone),
        )

    def _passages(self, found: Sentences, wanted: Phrase) -> list[Sentence]:
        sentences: list[Sentence] = []
        for seq, chunk in found.archival[-SHOWN:]:
            (at,) = self._log.read(self._agent, seq - 1, seq)
            match decode(at):
                case ArchivalMemoryInserted(text=text) as event:
                    sentences += passage(at, event, chunk, text, wanted)
                case InputArchived(input=input) as event:
                    sentences += passage(at, event, chunk, _text_of_input(self._log, self._agent, input), wanted)
        return sentences

    def _writer(self, seq: int, over: Over | None) -> Writer:
        (at,) = self._log.read(self._agent, seq - 1, seq)
        before = self._log.read(self._agent, at.turn - 1, seq - 1, kinds=TURN_KINDS) if at.turn else []
        return writer(at, decode(at), before, over)

    def _stretches(self, found: Sentences) -> tuple[summaries.Range, ...]:
        state = load(self._log, self._agent, self._at)
        return summaries.stretches(found.chain.covered, (entry.seq for entry in state.queue) if state else ())

    # --- windows: what is to be looked at in each is gathered, then they are folded one after the other

    def _look_at(self, sentence: Sentence, writers: Mapping[int, Writer]) -> tuple[Sentence, list[_TextInWindow]]:
        looks = []
        for seq in sentence.writers:
            window = writers[seq].window if seq in writers else None
            if window:
                looks.append(_TextInWindow("".join(run.text for run in sentence.pieces if run.seq == seq)))
                self._wanted_of.setdefault(window.seq, []).append(looks[-1])
        return sentence, looks

    def _look_behind(self, saying: summaries.Saying) -> tuple[summaries.Saying, _TextInWindow]:
        """What a generation was made of stood in the queue before the two events of the cut."""
        origin = saying.origin
        look = _TextInWindow(saying.first_text, frozenset(origin.covers))
        self._wanted_of.setdefault(origin.seq - 2, []).append(look)
        return saying, look

    def _look(self) -> dict[int, int]:
        """Look at all that was gathered; how many messages stood in each window."""
        messages = {}
        for state in states_at(self._log, self._agent, sorted(self._wanted_of)):
            messages[state.seq] = len(state.queue)
            for look in self._wanted_of[state.seq]:
                look.hints = hints(look.text, state, self._terms, look.covers)
        return messages


class _TextInWindow:
    """A text that is to be looked for in a window (among `covers`), and what was found there."""

    def __init__(self, text: str, covers: frozenset[int] | None = None) -> None:
        self.text = text
        self.covers = covers
        self.hints: list[Hint] = []


def _hints(looks: Iterable[_TextInWindow]) -> tuple[Hint, ...]:
    return tuple(hint for look in looks for hint in look.hints)


def _with_messages(explained: Writer, messages: Mapping[int, int]) -> Writer:
    window = explained.window
    return replace(explained, window=replace(window, messages=messages[window.seq])) if window else explained


def states_at(log: LogReader, agent: str, seqs: Iterable[int]) -> Iterator[State]:
    """The states after these events, given in order: each folded on from the one before, or from a nearer snapshot."""
    state: State | None = None
    for seq in seqs:
        newest = log.snapshots(agent, seq, limit=1)
        if state is None or (newest and newest[0].seq > state.seq):
            state = load(log, agent, seq)
        else:
            state = fold(log.read(agent, state.seq, seq), state)
        assert state is not None, "the stream has these events"
        yield state
