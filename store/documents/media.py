"""What a file is, told by its first bytes; the name only decides between kinds of text.

Rules. (1) What is no kind of document is refused by what it is, and with what to do about it. (2) Reads a bounded part
of the file, besides a ZIP's directory.
"""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import BinaryIO, Final

from palimpsest.events.errors import DocumentUnreadable
from palimpsest.store.documents.decoding import SAMPLE_BYTES, encoding_of

PDF: Final = "application/pdf"
DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
HTML: Final = "text/html"
MARKDOWN: Final = "text/markdown"
CSV: Final = "text/csv"
JSON: Final = "application/json"
JSONL: Final = "application/x-ndjson"
TEXT: Final = "text/plain"

_BY_NAME: Final = {
    ".md": MARKDOWN, ".markdown": MARKDOWN, ".mdown": MARKDOWN, ".mkd": MARKDOWN, ".csv": CSV, ".tsv": CSV,
    ".json": JSON, ".jsonl": JSONL, ".ndjson": JSONL, ".html": HTML, ".htm": HTML, ".xhtml": HTML,
}  # fmt: skip

_HTML_STARTS: Final = re.compile(r"(?:\s|<\?xml[^>]*>|<!--.*?-->)*<(?:!doctype\s+html|html)[\s>]", re.I | re.S)
_TAG: Final = re.compile(r"<(?:body|div|p|h[1-6]|table|ul|ol|span|a|br|title|section|article)\b[^>]*>", re.I)

_SAVE_AS: Final = "Save it as PDF, DOCX, HTML or text and load that."
_MAGIC: Final = (
    (b"\x89PNG", "a PNG image"), (b"\xff\xd8\xff", "a JPEG image"), (b"GIF8", "a GIF image"), (b"BM", "a bitmap image"),
    (b"II*\0", "a TIFF image"), (b"MM\0*", "a TIFF image"), (b"RIFF", "a RIFF file (sound, video or WebP image)"),
    (b"\x1f\x8b", "gzip-compressed"), (b"BZh", "bzip2-compressed"), (b"\xfd7zXZ", "xz-compressed"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed"), (b"7z\xbc\xaf", "a 7z archive"), (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a program"), (b"MZ", "a Windows program"), (b"SQLite format 3\0", "an SQLite database"),
    (b"OggS", "an Ogg sound file"), (b"ID3", "an MP3 sound file"), (b"fLaC", "a FLAC sound file"),
    (b"\xd0\xcf\x11\xe0", "an old Office file (.doc, .xls, .ppt), or a DOCX with a password"),
)  # fmt: skip
_IN_ZIP: Final = (
    ("xl/workbook.xml", "an Excel workbook: save its sheets as CSV and load those."),
    ("ppt/presentation.xml", "a PowerPoint file: save it as PDF and load that."),
    ("META-INF/container.xml", "an EPUB book: convert it to HTML, DOCX or PDF and load that."),
    ("content.xml", "an OpenDocument file: save it as DOCX or PDF and load that."),
)


def media_type(path: Path, stream: BinaryIO) -> tuple[str, str]:
    """The kind of a document, and its encoding if it is text. Raises DocumentUnreadable for what is no document."""
    sample = stream.read(SAMPLE_BYTES)
    if not sample:
        raise DocumentUnreadable(str(path), "It is empty (0 bytes). Leave it out.")
    if b"%PDF-" in sample[:1024]:
        return PDF, ""
    if sample.startswith(b"PK\x03\x04"):
        return _in_zip(path, stream), ""
    encoding = encoding_of(sample)
    if encoding is None:
        raise DocumentUnreadable(str(path), _not_text(sample))
    text = sample.decode(encoding, "replace").lstrip("\ufeff")
    if text.startswith("{\\rtf"):
        raise DocumentUnreadable(str(path), f"It is rich text (RTF). {_SAVE_AS}")
    return _kind_of_text(path, text, whole=len(sample) < SAMPLE_BYTES), encoding


def _not_text(sample: bytes) -> str:
    for magic, kind in _MAGIC:
        if sample.startswith(magic):
            return f"It is {kind}, not a document. {_SAVE_AS}"
    return f"It is binary, of a format that is not known here. {_SAVE_AS}"


def _in_zip(path: Path, stream: BinaryIO) -> str:
    try:
        with zipfile.ZipFile(stream) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        reason = "It begins as a DOCX or ZIP file, but is cut off or damaged. Get a whole copy and load that."
        raise DocumentUnreadable(str(path), reason) from error
    if "word/document.xml" in names:
        return DOCX
    for name, kind in _IN_ZIP:
        if name in names:
            raise DocumentUnreadable(str(path), f"It is {kind}")
    raise DocumentUnreadable(str(path), "It is a ZIP archive. Unpack it and load its files.")


def _kind_of_text(path: Path, text: str, *, whole: bool) -> str:
    named = _BY_NAME.get(path.suffix.lower(), TEXT)
    if named != MARKDOWN and _HTML_STARTS.match(text[:4096]):
        return HTML
    if named == HTML and not _TAG.search(text):
        return TEXT
    if named == TEXT and text.lstrip()[:1] in ("{", "["):
        return _json_or_text(text, whole=whole)
    return JSONL if named == JSON and _is_lines(text, whole=whole) else named


def _json_or_text(text: str, *, whole: bool) -> str:
    """A file without a telling name: JSON if it is that from end to end, JSONL if its first two lines are objects."""
    if _is_lines(text, whole=whole):
        return JSONL
    return JSON if whole and _parses(text) else TEXT


def _is_lines(text: str, *, whole: bool) -> bool:
    """Whether the first two lines are an object each, which no single JSON value can begin with."""
    lines = [line for line in text.split("\n")[: None if whole else -1] if line.strip()]
    return len(lines) > 1 and all(line.lstrip().startswith("{") and _parses(line) for line in lines[:2])


def _parses(text: str) -> bool:
    try:
        json.loads(text, parse_int=str)
    except (ValueError, RecursionError):
        return False
    return True
