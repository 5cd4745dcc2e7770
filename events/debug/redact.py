"""Redaction: chosen texts masked in every event of a history, by blocks of the same length.

Rules. (1) A text is found as it stands and as JSON has it (escaped, however often), in fields of any depth and in the
packed passages of documents; a pattern is looked for as the fields stand. (2) Lengths stay, so that what counts
characters stays right; the few fields with a word of ours or a stream's name, which the fold reads, stay too. (3) From
the first masked event on the chain is made again: it shows that nothing was altered since, and not what the original
was. (4) It is told which contexts do not match their fingerprints any more.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from palimpsest.events.codec import decode, encode
from palimpsest.events.documents import pack_passages, unpack_passages
from palimpsest.events.envelope import GENESIS, Envelope, chain
from palimpsest.events.errors import BadInput, LogDamaged, NoPattern, NothingToMask
from palimpsest.events.kinds import Kind
from palimpsest.events.replay import Replayer
from palimpsest.events.sources import is_source
from palimpsest.events.types import AgentForked

BLOCK: Final = "█"

_OURS: Final = frozenset(
    {"purpose", "finish", "cut", "author", "encoding", "output_parameter", "timers", "agent", "stream"}
)
_OURS_IN: Final[Mapping[Kind, frozenset[str]]] = {
    "TurnEnded": frozenset({"reason"}),
    "HeartbeatRaised": frozenset({"reason"}),
    "EvictionStarted": frozenset({"reason"}),
    "AgentCreated": frozenset({"parts"}),
    "FormatChanged": frozenset({"parts"}),
    "InferenceFailed": frozenset({"error", "mended_by"}),
    "SourceAttached": frozenset({"source"}),
    "SourceDetached": frozenset({"source"}),
    "FunctionCalled": frozenset({"sources"}),
}
"""The fields that hold a word of ours, or the name of a stream: of every kind, and of some."""

_SHORT: Final = {"\n": "n", "\t": "t", "\r": "r", "\b": "b", "\f": "f", '"': '"', "\\": "\\", "/": "/"}
"""What JSON writes behind a backslash."""


class Masks:
    """What is to be masked."""

    def __init__(self, texts: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        """Raises BadInput for a text or pattern that is empty, or no regular expression."""
        self._wanted = [re.compile(_in_any_form(text)) for text in texts]
        for pattern in patterns:
            try:
                compiled = re.compile(pattern)
            except re.error as error:
                raise NoPattern(pattern, str(error)) from None
            if compiled.search(""):
                raise BadInput(f"The pattern '{pattern}' matches where nothing is: it would mask nothing, or all.")
            self._wanted.append(compiled)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """What is to be masked in a text, by character, in order and without overlaps."""
        found = sorted(match.span() for wanted in self._wanted for match in wanted.finditer(text) if match[0])
        spans: list[tuple[int, int]] = []
        for start, end in found:
            if spans and start < spans[-1][1]:
                spans[-1] = spans[-1][0], max(spans[-1][1], end)
            else:
                spans.append((start, end))
        return spans


def _in_any_form(text: str) -> str:
    """A pattern for a text as it stands, or as JSON has it, or JSON in JSON."""
    if not text.strip():
        raise NothingToMask
    return "".join(map(_letter, text))


def _letter(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    code = "".join(rf"\\+u(?i:{units[at : at + 4]})" for at in range(0, len(units), 4))
    forms = [code, re.escape(letter)]
    if letter in _SHORT:
        forms.insert(0, r"\\+" + re.escape(_SHORT[letter]))  # first: of two backslashes no half may stay
    return f"(?:{'|'.join(forms)})"


def _blocked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    pieces, done = [], 0
    for start, end in spans:
        pieces += [text[done:start], BLOCK * (end - start)]
        done = end
    return "".join([*pieces, text[done:]])


# --- one event ----------------------------------------------------------------------------------------------------


def mask_event(at: Envelope, masks: Masks) -> tuple[bytes, int]:
    """An event's body with the masks on, and in how many places; the very bytes where there is none."""
    walk = _FieldWalk(at.kind, masks)
    try:
        masked = walk.value(msgspec.msgpack.decode(at.body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, zlib.error) as error:
        raise LogDamaged(at.stream, at.seq, f"its body does not decode ({error})") from error
    return (msgspec.msgpack.encode(masked), walk.places) if walk.places else (at.body, 0)


class _FieldWalk:
    """Goes through an event's fields."""

    def __init__(self, kind: Kind, masks: Masks) -> None:
        self.places = 0
        self._masks = masks
        self._ours = _OURS | _OURS_IN.get(kind, frozenset())

    def value(self, value: Any) -> Any:
        match value:
            case str():
                spans = self._masks.spans(value)
                self.places += len(spans)
                return _blocked(value, spans)
            case dict():
                return {name: self._field(name, each) for name, each in value.items()}
            case list():
                return [self.value(each) for each in value]
        return value

    def _field(self, name: Any, value: Any) -> Any:
        if name in self._ours:
            return value
        return self._packed(value) if name == "packed" and isinstance(value, bytes) else self.value(value)

    def _packed(self, packed: bytes) -> bytes:
        """A stretch of a document. A text that is cut in two by the end of a passage is found too."""
        passages = unpack_passages(packed)
        before = self.places
        ends = list(accumulate(len(each.text) - each.overlap for each in passages))
        spans = self._masks.spans("".join(each.text[each.overlap :] for each in passages))
        self.places += len(spans)
        masked = []
        for passage, end in zip(passages, ends, strict=True):
            start = end - len(passage.text)
            inside = [(max(a, start) - start, min(b, end) - start) for a, b in spans if a < end and b > start]
            text = _blocked(passage.text, inside)
            own = self._masks.spans(text)  # what the overlap has of a stretch before
            self.places += len(own)
            masked.append(replace(passage, text=_blocked(text, own), heading=self.value(passage.heading)))
        return pack_passages(masked) if self.places > before else packed


def _goes_on(at: Envelope, body: bytes, hash: bytes) -> bytes:
    """A fork's first event names the hash that it goes on from: it is another one now."""
    event = decode(replace(at, body=body))
    return encode(replace(event, hash=hash)) if isinstance(event, AgentForked) else body


# --- a history ----------------------------------------------------------------------------------------------------


class Trace:
    """What a redaction has done to a stream."""

    def __init__(self) -> None:
        self.masked: list[int] = []
        self.places = 0
        self.unprovable: list[int] = []
        self.rechained = 0


class Redactor:
    """Masks the events of a history (an agent's lineage, and sources), which come by position."""

    def __init__(self, agent: str, masks: Masks) -> None:
        self.traces: dict[str, Trace] = {}
        """By stream, of those that are not the original's any more."""
        self.hashes: dict[str, bytes] = {}
        self._masks = masks
        self._originals: dict[str, bytes] = {}
        self._line = ""
        """The stream of the lineage whose events came last: a fork's goes on from it."""
        self._replayers = {"": Replayer(agent)}

    def take(self, at: Envelope) -> Envelope:
        """The event as it goes into the bundle. Raises LogDamaged where the chain is broken, BadInput where a mask
        would make the stream unreadable."""
        source = is_source(at.stream)
        before = at.stream if source or at.stream in self.hashes else self._line
        if chain(self._originals.get(before, GENESIS), at.seq, at) != at.hash:
            raise LogDamaged(at.stream, at.seq, "it does not match the hash chain, which a redaction would hide")
        self._originals[at.stream] = at.hash
        made = self._made(at, before)
        self.hashes[at.stream] = made.hash
        if not source:
            self._line = at.stream
        self._prove(made)
        return made

    def _made(self, at: Envelope, before: str) -> Envelope:
        body, places = mask_event(at, self._masks)
        parted = before in self.traces and self.traces[before].rechained
        if not places and not parted:
            return at
        trace = self.traces.setdefault(at.stream, Trace())
        trace.rechained = trace.rechained or at.seq
        if places:
            trace.masked.append(at.seq)
            trace.places += places
        bare = replace(at, body=_goes_on(at, body, self.hashes[before]) if parted else body)
        return replace(bare, hash=chain(self.hashes.get(before, GENESIS), at.seq, bare))

    def _prove(self, made: Envelope) -> None:
        name = made.stream if is_source(made.stream) else ""
        replayer = self._replayers.setdefault(name, Replayer(name))
        difference = replayer.feed(made)
        if difference is None:
            return
        if not difference.context:
            raise BadInput(
                f"Masked so, event {made.seq} ({made.kind}) of '{made.stream}' cannot be read any more: "
                f"{difference.what} Choose a text that is longer, or less common. Nothing was written."
            )
        self.traces.setdefault(made.stream, Trace()).unprovable.append(made.seq)
