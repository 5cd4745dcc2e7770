"""What was said just before a message: its context, which is indexed with it.

Rules. (1) The context of a message is a function of its stream's log up to it, and of nothing else: the same after a
restart in the middle, and when the index is built again. (2) It is the messages before it in the same *session*: at
most `REACH` of them, and none further back than `SPAN` events. A pause of `PAUSE_MS`, or a login, begins a session.
(3) What is held is a cache of that, for the streams lately written to; what is not held is read from the log.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from palimpsest.events.codec import decode
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import LogDamaged, NewerFormat
from palimpsest.events.kinds import kind_of, kinds_of
from palimpsest.events.passages import chunks, split
from palimpsest.events.types import MessageSent, UserLoggedIn, UserMessageReceived
from palimpsest.store.index.clocks import STREAMS, Clocks, Read
from palimpsest.store.index.corrections import KEPT, NEAR_SEQS, SHORT_CHARS, UserText, corrected
from palimpsest.store.index.forms import STATING, form_of
from palimpsest.store.index.ranking import AROUND, AROUND_WORDS, MESSAGE_B, MESSAGE_K1, MESSAGE_WORDS
from palimpsest.store.words import lexical
from palimpsest.store.words.terms import Counts, TermTokenizer, saturated, together

REACH: Final = 6
SPAN: Final = 200
PAUSE_MS: Final = 2 * 3_600_000
MESSAGE_CHARS: Final = 1200
"""A longer message is kept in pieces of at most so many characters, so that a page of hits stays readable."""

_SPOKEN: Final = kinds_of(UserMessageReceived, MessageSent, UserLoggedIn)
_BY_USER: Final = kind_of(UserMessageReceived)
LINKED: Final = 0.5
"""What a word of what it corrects counts in a correction."""
_NEAR: Final = 2
_FAR_WEIGHT: Final = 0.2


class WeighedMessage(msgspec.Struct, frozen=True):
    """A message, or a piece of one, as terms at their saturated weights: `spoken` are its text and its speaker's name,
    `terms` also the words of its day."""

    seq: int
    time_ms: int
    text: str
    day: str
    spoken: dict[int, float]
    terms: dict[int, float]


class Surroundings:
    """The last messages of streams."""

    def __init__(self, read: Read, clocks: Clocks, tokenizer: TermTokenizer) -> None:
        self._read = read
        self._clocks = clocks
        self._tokenizer = tokenizer
        self._streams: OrderedDict[str, deque[WeighedMessage]] = OrderedDict()
        self._told: dict[str, deque[UserText]] = {}
        """Of the same streams, what users stated."""

    def hear(
        self, envelope: Envelope, text: str, name: str = ""
    ) -> Iterator[tuple[WeighedMessage, list[WeighedMessage]]]:
        """A message in pieces, each with what was said before it, the latest first; from now on it was said."""
        last = self._last(envelope)
        for piece in pieces(text):
            said = self._said(envelope, piece, name)
            _begin_anew(last, said)
            yield said, list(reversed(last))
            last.append(said)

    def log_in(self, envelope: Envelope) -> None:
        """A session begins."""
        self._last(envelope).clear()

    def forget(self) -> None:
        """What was held may be ahead of what was applied: read it again."""
        self._streams.clear()
        self._told.clear()

    def _last(self, envelope: Envelope) -> deque[WeighedMessage]:
        held = self._streams.pop(envelope.stream, None)
        last = self._recall(envelope.stream, envelope.seq) if held is None else held
        self._streams[envelope.stream] = last
        if len(self._streams) > STREAMS:
            gone, _ = self._streams.popitem(last=False)
            self._told.pop(gone, None)
        return last

    def _recall(self, stream: str, seq: int) -> deque[WeighedMessage]:
        """What would be held before `seq`, from the log."""
        last: deque[WeighedMessage] = deque(maxlen=REACH)
        self._told[stream] = deque(maxlen=KEPT)
        if seq <= 2:  # before it is the stream's creation alone
            return last
        for envelope in self._read(stream, max(0, seq - 1 - SPAN - NEAR_SEQS), seq - 1):
            if envelope.kind in _SPOKEN:
                self._take(last, replace(envelope, stream=stream))
        return last

    def _take(self, last: deque[WeighedMessage], envelope: Envelope) -> None:
        try:
            event = decode(envelope)
        except (LogDamaged, NewerFormat):  # passed over by the index too
            return
        match event:
            case UserLoggedIn():
                last.clear()
            case UserMessageReceived(text=text, name=name):
                self._add(last, envelope, text, name)
            case MessageSent(text=text):
                self._add(last, envelope, text, "")

    def _add(self, last: deque[WeighedMessage], envelope: Envelope, text: str, name: str) -> None:
        for piece in pieces(text):
            said = self._said(envelope, piece, name)
            _begin_anew(last, said)
            last.append(said)

    def _said(self, envelope: Envelope, piece: str, name: str) -> WeighedMessage:
        """Its words, who said it, and the day."""
        words, day = self._tokenizer, self._clocks.day(envelope)
        spoken = words.counts(lexical.ready(piece))
        if envelope.kind == _BY_USER and len(piece) <= SHORT_CHARS:
            told, mine = self._told[envelope.stream], UserText(envelope.seq, name, piece, spoken)
            states = form_of(piece, by_agent=False) in STATING
            meant = corrected(mine, reversed(told)) if states and not piece.rstrip().endswith("?") else None
            if states:
                told.append(mine)
            if meant is not None:
                spoken = together((spoken, {term: LINKED * count for term, count in meant.words.items()}))
        if name:
            spoken = together((spoken, words.short_counts(name)))
        terms = together((spoken, words.short_counts(day)))
        return WeighedMessage(envelope.seq, envelope.time, piece, day, weighed(spoken), weighed(terms))


def around(said: WeighedMessage, before: Sequence[WeighedMessage]) -> dict[int, float]:
    """What the words of a message and its context add to its terms: the two before it count as much as itself, the
    others little. The day counts once, in the message's own terms; that of a message of another day hardly."""
    near = together((said.spoken, *(one.spoken for one in before[:_NEAR])))
    for term, weight in together(one.spoken for one in before[_NEAR:]).items():
        near[term] = near.get(term, 0.0) + _FAR_WEIGHT * weight
    found = {term: AROUND * weight for term, weight in saturated(near, MESSAGE_K1, MESSAGE_B, AROUND_WORDS).items()}
    for one in before:
        if one.day != said.day:
            found.update(dict.fromkeys(one.terms.keys() - found.keys(), _FAR_WEIGHT))
    return found


def weighed(counts: Counts) -> dict[int, float]:
    """BM25's weights of the words of a message."""
    return saturated(counts, MESSAGE_K1, MESSAGE_B, MESSAGE_WORDS)


def pieces(text: str) -> list[str]:
    """A message as recall keeps it: whole, unless it is very long. Empty ones bear nothing."""
    if len(text) <= MESSAGE_CHARS:
        return [text] if text else []
    return chunks(text, split(text, len, MESSAGE_CHARS))


def _begin_anew(last: deque[WeighedMessage], said: WeighedMessage) -> None:
    """Drop what is of an earlier session, or too far back."""
    if last and abs(said.time_ms - last[-1].time_ms) >= PAUSE_MS:
        last.clear()
    while last and last[0].seq < said.seq - SPAN:
        last.popleft()
