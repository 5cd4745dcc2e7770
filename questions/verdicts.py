"""The miss diagnosis, from the log: was it said, was it in the window, was it looked for, did a page have it.
(The other question, why an agent said what it did, is `questions.grounds`.)

Rule: what is dear is read only where a verdict needs it: thoughts and results, sources, what came later, ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from typing import Final

from msgspec.structs import replace

from palimpsest.events.codec import decode
from palimpsest.events.debug.compare import said
from palimpsest.events.debug.phrases import Phrase, is_question
from palimpsest.events.debug.summaries import KINDS as EVICTING
from palimpsest.events.debug.told import INPUT_KINDS, REPEATING, TELLING, Nearest, Telling, Told
from palimpsest.events.debug.turns import JudgedTurn, Search, look_back
from palimpsest.events.debug.verdict import Ranked, Verdict
from palimpsest.events.debug.why import why
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import BadInput, NotAnswered
from palimpsest.events.kinds import Kind, kinds_of
from palimpsest.events.passages import input_text
from palimpsest.events.sources import PREFIX, is_source, source_of, stream_of
from palimpsest.events.types import (
    Event,
    InputArchived,
    MessageSent,
    PassagesLoaded,
    TurnEnded,
    TurnStarted,
    UserMessageReceived,
)
from palimpsest.questions.streams import CHUNK, agent_head, check_event, stretches
from palimpsest.store.library.reading import folded
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.states import load

Rank = Callable[[Search, Collection[Told]], Ranked]

LOOKED_BACK: Final = 1_000
"""So many turns that answered something are looked at for one that answers a question."""

_PASSAGES: Final = kinds_of(PassagesLoaded)
_STARTS: Final = kinds_of(TurnStarted)
_ENDS: Final = kinds_of(TurnEnded)


def verdict_at(log: LogReader, agent: str, wanted: Phrase, at: int | None, rank: Rank) -> Verdict:
    """The verdict on the answer at event `at` (None: the last one to a question); `rank` says where a search had what
    was told. Raises UnknownAgent; BadInput where there is no such event, or no turn by then."""
    head = agent_head(log, agent)
    check_event(head, at, "at")
    passed_over = 0
    if at is None:
        at, passed_over = last_answer(log, agent, head.seq)
    turn = turn_at(log, agent, at, head.seq)
    verdict = why(agent, wanted, turn, LogFacts(log, agent, wanted, turn, rank))
    return replace(verdict, question=said(_input(log, agent, turn.input)), passed_over=passed_over)


# --- which turn ---------------------------------------------------------------------------------------------------


def last_answer(log: LogReader, agent: str, head: int) -> tuple[int, int]:
    """The last answer to a question, and how many turns came later that answered something else.

    Where nothing was asked (of the last `LOOKED_BACK` turns) it is the last answer to a user, or else of all.
    """
    to_user, last, turns = 0, 0, 0
    seen: set[int] = set()
    for sent in _backwards(log, agent, head, kinds_of(MessageSent)):
        if sent.turn in seen:
            continue
        if len(seen) == LOOKED_BACK:
            break
        seen.add(sent.turn)
        event = _input(log, agent, sent.turn)
        last = last or sent.seq
        if isinstance(event, UserMessageReceived):
            if is_question(event.text):
                return sent.seq, turns
            to_user = to_user or sent.seq
        turns += 1
    if not last:
        raise NotAnswered(agent)
    return to_user or last, 0


def _input(log: LogReader, agent: str, seq: int) -> Event:
    (at,) = log.read(agent, seq - 1, seq)
    return decode(at)


def turn_at(log: LogReader, agent: str, at: int, head: int) -> JudgedTurn:
    """The turn of the answer at event `at`: of an input it is the turn that it led to, all of it; between two turns it
    is the one that has ended."""
    (here,) = log.read(agent, at - 1, at)
    if here.kind in INPUT_KINDS:
        starts = stretches(log, agent, at + 1, head, _STARTS)
        started = next((each for each in starts if each.turn == at), None)
        if started:
            ended = log.read(agent, started.seq, head, 1, _ENDS)
            return _turn(log, agent, started, ended[0].seq if ended else head)
    before = _last(log, agent, at, _STARTS)
    if before is None:
        raise BadInput(f"Agent '{agent}' had no turn by event {at}: it had nothing to answer.")
    return _turn(log, agent, before, at)


def _turn(log: LogReader, agent: str, started: Envelope, end: int) -> JudgedTurn:
    state = load(log, agent, started.seq - 1)
    return look_back(state, stretches(log, agent, started.seq, end), started.turn)


def _last(log: LogReader, agent: str, to: int, kinds: frozenset[Kind]) -> Envelope | None:
    """The last event of these kinds up to seq `to`."""
    return next(_backwards(log, agent, to, kinds), None)


def _backwards(log: LogReader, agent: str, to: int, kinds: frozenset[Kind]) -> Iterator[Envelope]:
    """The events of these kinds up to seq `to`, the last one first."""
    while to > 0:
        yield from reversed(log.read(agent, max(0, to - CHUNK), to, kinds=kinds))
        to -= CHUNK


# --- the facts ----------------------------------------------------------------------------------------------------


class LogFacts:
    """The facts for a verdict, out of a log; each is read when it is first asked for."""

    def __init__(self, log: LogReader, agent: str, wanted: Phrase, turn: JudgedTurn, rank: Rank) -> None:
        self._log, self._agent, self._wanted, self._turn = log, agent, wanted, turn
        self._rank = rank

    def told(self) -> Sequence[Told]:
        return self._told.found

    def nearest(self) -> Nearest | None:
        return self._told.nearest

    @cached_property
    def _told(self) -> Telling:
        telling = Telling(self._wanted)
        self._tell(telling, 1, self._turn.end)
        for source in self._turn.judged.sources:
            self._tell_documents(telling, source)
        return telling

    def repeated(self) -> Sequence[Told]:
        telling = Telling(self._wanted)
        for envelope in stretches(self._log, self._agent, 1, self._turn.end, REPEATING):
            telling.take(envelope, decode(envelope))
        return telling.found

    def later(self) -> Sequence[Told]:
        telling = Telling(self._wanted)
        head = self._log.head(self._agent)
        self._tell(telling, self._turn.end + 1, head.seq if head else 0)
        return telling.found

    def unattached(self) -> Sequence[Told]:
        telling = Telling(self._wanted)
        for head in self._log.heads(after=PREFIX):
            if not is_source(head.stream):
                break
            if source_of(head.stream) not in self._turn.judged.sources:
                self._tell_documents(telling, source_of(head.stream))
        return telling.found

    def evictions(self) -> Iterator[tuple[Envelope, Event]]:
        for envelope in stretches(self._log, self._agent, 1, self._turn.until, EVICTING):
            yield envelope, decode(envelope)

    def rank(self, search: Search, told: Collection[Told]) -> Ranked:
        return self._rank(search, told)

    def _tell(self, telling: Telling, first: int, last: int) -> None:
        for envelope in stretches(self._log, self._agent, first, last, TELLING):
            event = decode(envelope)
            telling.take(envelope, event)
            if isinstance(event, InputArchived):
                (at,) = self._log.read(self._agent, event.input - 1, event.input)
                telling.archived(envelope, input_text(decode(at)), event.ends)

    def _tell_documents(self, telling: Telling, name: str) -> None:
        """The passages of the documents that a source had when the agent was asked."""
        stream = stream_of(name)
        source = folded(self._log, name, self._log.seq_at(stream, self._turn.position))
        loaded = {document.id: document for document in source.loaded} if source else {}
        if not loaded:
            return
        for envelope in stretches(self._log, stream, 1, max(each.closed for each in loaded.values()), _PASSAGES):
            event = decode(envelope)
            assert isinstance(event, PassagesLoaded), "only these are read"
            document = loaded.get(event.document)
            if document and document.opened < envelope.seq < document.closed:
                telling.take(envelope, event, stream=stream)
