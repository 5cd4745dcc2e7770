"""The body of a response, read as what it is: one JSON document, or server-sent events. Whichever was asked for.

Rules. (1) The body's first character decides, and no content type does: servers and proxies give wrong ones. (2) What
is kept of a body is bounded, whatever comes: an answer without an end is cut off. (3) A stream that ended without
saying so is an answer only if all of its calls are whole.
"""

from __future__ import annotations

from typing import Final

from palimpsest.actors.models.hosted.answers import MOST_CHARS, AnswerBuilder
from palimpsest.actors.models.hosted.completions import decoded
from palimpsest.actors.models.hosted.failures import Failure, cut_off, from_text, strange_body
from palimpsest.actors.models.hosted.pieces import EventLines
from palimpsest.actors.models.protocol import Answer, OnPiece

MOST_DOCUMENT: Final = 32_000_000
"""Bytes of a document, or of one line of a stream."""
MOST_BYTES: Final = 512_000_000
"""Bytes of a stream, with all that is around the text: a chunk a token makes some 300 bytes of each."""
UNENDED: Final = "the stream was closed without a finish reason, after whole calls"
_BLANK: Final = b"\xef\xbb\xbf \t\r\n"  # a byte-order mark too


class BodyReader:
    """Takes a body's bytes as they come; once `feed` gives a failure, it is the result.

    `came` counts what of an answer came (keep-alives are none of it); `is_bare`: it ended with nothing in it.
    """

    def __init__(self, on_piece: OnPiece | None = None, *, plain: bool = False) -> None:
        self.builder = AnswerBuilder(on_piece, plain=plain)
        self.came = 0
        self.is_bare = False
        self._bytes = 0
        self._document: bytearray | None = None
        self._lines: EventLines | None = None

    @property
    def is_begun(self) -> bool:
        """Whether there was any text, thought or call."""
        return not self.builder.is_empty

    @property
    def is_complete(self) -> bool:
        """Whether the answer has all that it needs, whatever comes behind it."""
        return self.builder.finished or self.builder.closed

    @property
    def is_over(self) -> bool:
        """Whether the stream said so."""
        return self.builder.closed

    def feed(self, data: bytes) -> Failure | None:
        self._bytes += len(data)
        if self._bytes > MOST_BYTES:
            return endless(self._bytes, "bytes")
        if self._lines is None and self._document is None:
            data = data.lstrip(_BLANK)
            if not data:
                return None
            if data.startswith((b"{", b"[", b"<")):
                self._document = bytearray()
            else:
                self._lines = EventLines()
        if self._document is not None:
            self._document += data
            self.came += 1
            return endless(len(self._document), "bytes") if len(self._document) > MOST_DOCUMENT else None
        assert self._lines is not None, "it is one or the other"
        return self._take(self._lines, data)

    def end(self) -> Answer | Failure:
        """What came of it, at the response's end."""
        failure = None
        if self._document is not None:
            failure = self._read_document(bytes(self._document))
        elif self._lines is not None:
            failure = self._take(self._lines, None)
        return failure or self._verdict()

    def salvaged(self) -> Answer | None:
        """The answer of a stream that was cut, if nothing but its end is missing."""
        if self._lines is None and self._document is None:
            self.is_bare = True
        if self._lines is None or self.builder.is_cut:
            return None
        self.builder.notes[UNENDED] = None
        return self.builder.answer()

    def _take(self, lines: EventLines, data: bytes | None) -> Failure | None:
        """Bytes of a stream; None: its end."""
        for payload in lines.end() if data is None else lines.feed(data):
            self.came += 1
            if failure := self._add(payload):
                return failure
        if lines.error is not None and (data is None or not lines.is_in_error):
            return from_text(lines.error)
        if self.builder.chars > MOST_CHARS:
            return endless(self.builder.chars, "characters")
        return endless(lines.waiting, "bytes in one line") if lines.waiting > MOST_DOCUMENT else None

    def _add(self, payload: bytes) -> Failure | None:
        try:
            return self.builder.add_chunk(payload)
        except RecursionError:
            return strange_body(payload)

    def _read_document(self, body: bytes) -> Failure | None:
        completion = decoded(body)
        if completion is not None:
            if completion.choices is None and not completion.error:
                return from_text(body) if completion.is_error else strange_body(body)
            try:
                return self.builder.add_whole(completion)
            except RecursionError:
                return strange_body(body)
        if b"\n" not in body.strip() or body.startswith(b"<"):
            return strange_body(body)
        failure = self._take(EventLines(), body + b"\n")  # JSON line by line, or an event without its "data:"
        return failure or (None if self.builder.chose else strange_body(body))

    def _verdict(self) -> Answer | Failure:
        builder = self.builder
        if self._document is None and not (builder.finished or (builder.closed and builder.chose)):
            if builder.is_empty:
                return self._nothing()
            if builder.is_cut:
                return cut_off(builder.strange)
            builder.notes[UNENDED] = None
        objection = builder.objection()
        self.is_bare = builder.is_empty and objection is None
        return objection or builder.answer()

    def _nothing(self) -> Failure:
        if self.builder.strange:
            return from_text(self.builder.strange)
        if self._lines is not None and self._lines.strange:
            failure = from_text(self._lines.strange)
            return strange_body(self._lines.strange) if failure.error == "server_error" else failure
        self.is_bare = True
        what = "nothing but keep-alive comments" if self._bytes else "an empty body"
        detail = f"The server sent nothing: {what}, with status 200. Check its log; the request may be too long for it."
        return Failure("bad_answer", detail)


def whole_answer(body: bytes, on_piece: OnPiece | None = None) -> Answer | Failure:
    """The answer in a complete response body."""
    reading = BodyReader(on_piece)
    return reading.feed(body) or reading.end()


def endless(count: int, what: str) -> Failure:
    detail = (
        f"The answer has no end: it was cut off after {count:,} {what}. Check the server's limit of tokens and the "
        "model's stop tokens."
    )
    return Failure("bad_answer", detail)
