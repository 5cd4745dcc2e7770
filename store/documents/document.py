"""One file as a document: its kind, and its passages as a stream.

Rules. (1) What goes wrong is a DocumentUnreadable, also when passages were given already: a caller keeps a document's
passages only if the stream ended without one. (2) A file that changed while it was read is refused. (3) `notes` says
what was mended on the way, and is whole at the stream's end.
"""

from __future__ import annotations

import functools
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from palimpsest.events.documents import Passage
from palimpsest.events.errors import BadInput, DocumentUnreadable
from palimpsest.store.documents import media
from palimpsest.store.documents.chunks import chunk
from palimpsest.store.documents.decoding import Decoded
from palimpsest.store.documents.files import digest, reason_of
from palimpsest.store.documents.parts import TextPart
from palimpsest.store.documents.pdf import pdf_parts
from palimpsest.store.documents.plain import markdown_parts, text_parts
from palimpsest.store.documents.records import csv_parts, json_parts, jsonl_parts
from palimpsest.store.documents.web import html_parts
from palimpsest.store.documents.word import docx_parts
from palimpsest.store.tokens import counting as tokens

PASSAGE_TOKENS: Final = 200
OVERLAP_TOKENS: Final = 20
LEAST_TOKENS: Final = 16
ENCODING: Final = tokens.DEFAULT_ENCODING
"""Passages are measured in the tokens of OpenAI's present models."""


def open_document(path: Path, *, sha256: str = "", limit_bytes: int | None = None) -> DocumentFile:
    """Look at a file. With the digest that it was found to have, its content is checked against it at the end.

    Raises DocumentUnreadable for what is empty, no document, or larger than the limit (None: text, CSV and JSONL of
    any size; the other formats have limits of their own).
    """
    return DocumentFile(path, sha256, limit_bytes)


class DocumentFile:
    def __init__(self, path: Path, sha256: str, limit_bytes: int | None) -> None:
        self.path = path
        self.notes: list[str] = []
        self._sha256 = sha256
        self._stamp = self._stat()
        size = self._stamp[0]
        if limit_bytes is not None and size > limit_bytes:
            reason = f"It has {size:,} bytes, and the limit is {limit_bytes:,}. Split it, or raise the limit."
            raise DocumentUnreadable(str(path), reason)
        with self._open() as stream, self._refusing():
            self.media_type, self._encoding = media.media_type(path, stream)

    def passages(self, size_tokens: int = PASSAGE_TOKENS, overlap_tokens: int = OVERLAP_TOKENS) -> Iterator[Passage]:
        """The passages, of at most `size_tokens` tokens and eight characters a token. Reads the file as it goes."""
        if size_tokens < LEAST_TOKENS or not 0 <= overlap_tokens <= size_tokens // 2:
            raise BadInput(
                f"Passages of {size_tokens} tokens with an overlap of {overlap_tokens} cannot be made: a passage has "
                f"at least {LEAST_TOKENS} tokens, and the overlap is at most half of it."
            )
        return self._passages(size_tokens, overlap_tokens)

    def _passages(self, size_tokens: int, overlap_tokens: int) -> Iterator[Passage]:
        self.notes = []
        count = functools.partial(tokens.count, ENCODING)
        some = False
        with self._open() as stream, self._refusing():
            for passage in chunk(self._parts(stream), count, size_tokens, overlap_tokens):
                some = True
                yield passage
        self._check_unchanged()
        if not some:
            raise DocumentUnreadable(str(self.path), _NO_TEXT.get(self.media_type, _NOTHING))

    def _parts(self, stream: BinaryIO) -> Iterator[TextPart]:
        text = Decoded(stream, self._encoding)
        match self.media_type:
            case media.PDF:
                yield from pdf_parts(self.path, self.notes)
            case media.DOCX:
                yield from docx_parts(self.path)
            case media.HTML:
                yield from html_parts(self.path, stream, self._encoding, self.notes)
            case media.CSV:
                yield from csv_parts(text, self.notes)
            case media.JSON:
                yield from json_parts(text, self.notes)
            case media.JSONL:
                yield from jsonl_parts(text, self.notes)
            case media.MARKDOWN:
                yield from markdown_parts(text)
            case _:
                yield from text_parts(text)
        self.notes += text.notes

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """What the system says of a file that cannot be read, as a reason for the report."""
        try:
            yield
        except OSError as error:
            raise DocumentUnreadable(str(self.path), reason_of(error, self.path)) from error

    def _open(self) -> BinaryIO:
        with self._refusing():
            return self.path.open("rb")

    def _stat(self) -> tuple[int, int, int]:
        """What differs if the file is written or replaced: size, time of the last change, and inode."""
        with self._refusing():
            status = self.path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DocumentUnreadable(str(self.path), "It is not a file. Name the folder's files, or leave it out.")
        return status.st_size, status.st_mtime_ns, status.st_ino

    def _check_unchanged(self) -> None:
        with self._refusing():
            changed = self._stat() != self._stamp or (self._sha256 and digest(self.path)[0] != self._sha256)
        if changed:
            reason = "It was changed while it was read. Load it again when nothing writes to it."
            raise DocumentUnreadable(str(self.path), reason)


_NOTHING: Final = "There is no text in it. Leave it out."
_NO_TEXT: Final = {
    media.PDF: "There is no text in it, only pictures (a scan?). Run a text recognition on it (ocrmypdf, say) first."
}
