"""What cannot be read: each with the reason that stands in the report."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.small_files import W, docx, encrypted, paragraph, pdf, table, written, zipped
from palimpsest.events.errors import BadInput, DocumentUnreadable
from palimpsest.store.documents import digest, open_document

SOUND = {
    "a.pdf": pdf(["First page.\nMore.", "Second page."], [("Start", 0), ("End", 1)]),
    "a.docx": docx(paragraph("Title", "berschrift1") + paragraph("Words.") + table([["a", "b"], ["c", "d"]])),
    "a.html": b"<!doctype html><html><meta charset=cp1251><body><h1>A</h1><p>caf\xe9<table><tr><td>1</table></html>",
    "a.json": b'[{"a": 1, "b": [true, {"c": "\\u00e9"}]}, "x", -1.5e3]',
    "a.csv": b'name,"note"\r\nA,"two\nlines ""x"""\r\nB,caf\xc3\xa9\r\n',
    "a.md": b"---\nx: y\n---\n# A\n\nText\n===\n\n```\ncode\n```\n",
}


def refusal(path: Path, content: bytes | str, **options: int) -> str:
    with pytest.raises(DocumentUnreadable) as caught:
        list(open_document(written(path, content), **options).passages())  # type: ignore[arg-type]
    assert caught.value.path == str(path)
    return caught.value.reason


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"", "It is empty (0 bytes)."),
        ("a.txt", b" \n\n\t\n", "There is no text in it."),
        ("a.pdf", pdf([""]), "There is no text in it, only pictures (a scan?). Run a text recognition on it"),
        ("a.csv", "\n\n", "There is no text in it."),
        ("a.json", "[]", "There is no text in it."),
        ("a.html", "<html><script>x</script></html>", "There is no text in it."),
        ("a.txt", bytes(range(256)) * 20, "It is binary, of a format that is not known here."),
        ("a.txt", b"\x89PNG\r\n\x1a\n" + bytes(500), "It is a PNG image, not a document."),
        (
            "a.doc",
            b"\xd0\xcf\x11\xe0" + bytes(500),
            "It is an old Office file (.doc, .xls, .ppt), or a DOCX with a pass",
        ),
        ("a.rtf", r"{\rtf1 words}", "It is rich text (RTF). Save it as"),
        ("a.zip", zipped({"a.txt": "x"}), "It is a ZIP archive. Unpack it and load its files."),
        ("a.xlsx", zipped({"xl/workbook.xml": "x"}), "It is an Excel workbook: save its sheets as CSV"),
        ("a.pdf", pdf(["Words"])[:300], "It is a PDF that is cut off: its end is missing."),
        ("a.pdf", b"%PDF-1.4\nnothing\n%%EOF\n", "It is a damaged PDF (Failed to load document"),
        ("a.docx", docx(paragraph("Words"))[:-30], "It begins as a DOCX or ZIP file, but is cut off or damaged."),
        ("a.docx", zipped({"word/document.xml": "<w:document"}), "It is a damaged DOCX: its XML cannot be read"),
        ("a.docx", docx(""), "There is no text in it."),
        ("a.html", "<html>" + "<b>" * 6000 + "x", "It is HTML whose elements are nested more than 5,000 deep."),
    ],
    ids=range(18),
)
def test_what_is_no_document_says_what_it_is(tmp_path: Path, name: str, content: bytes | str, reason: str) -> None:
    assert refusal(tmp_path / name, content).startswith(reason)


def test_a_pdf_with_a_password_is_refused(tmp_path: Path) -> None:
    reason = refusal(tmp_path / "a.pdf", encrypted(pdf(["Words"]), password="secret"))
    assert reason.startswith("It is encrypted, and needs a password. Save it without one")


def test_a_pdf_without_pages_is_told_from_what_was_refused_before(tmp_path: Path) -> None:
    refusal(tmp_path / "a.pdf", encrypted(pdf(["Words"]), password="secret"))
    assert refusal(tmp_path / "b.pdf", pdf([])).startswith("It is a PDF that has no pages.")


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    reason = refusal(tmp_path / "a.docx", docx(paragraph("a" * (12 << 20))))
    assert reason.startswith("It would unpack to 12,58")
    assert "a ZIP bomb, or too large" in reason


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "{"a" * 100}">]><w:document {W}>&a;</w:document>'
    assert "it declares entities" in refusal(tmp_path / "a.docx", zipped({"word/document.xml": bomb}))


def test_damage_within_a_docx_is_told(tmp_path: Path) -> None:
    whole = bytearray(docx("".join(paragraph(f"Words {number}") for number in range(500))))
    whole[200:260] = bytes(60)
    assert refusal(tmp_path / "a.docx", bytes(whole)).startswith("It is a damaged DOCX")


def test_a_limit_of_bytes_is_kept(tmp_path: Path) -> None:
    reason = refusal(tmp_path / "a.txt", b"x" * 1001, limit_bytes=1000)
    assert reason == "It has 1,001 bytes, and the limit is 1,000. Split it, or raise the limit."


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentUnreadable, match="There is no such file or folder"):
        open_document(tmp_path / "a.txt")


@pytest.mark.parametrize("change", ["longer", "other", "replaced"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, change: str) -> None:
    path = written(tmp_path / "a.txt", "Some words in a line. " * 20_000)
    before = path.stat()
    reading = open_document(path, sha256=digest(path)[0]).passages()
    next(reading)
    if change == "longer":
        with path.open("a") as stream:
            stream.write("more")
    elif change == "other":  # the same size and time: only the digest tells
        written(path, "Same words in a line. " * 20_000)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        written(tmp_path / "b.txt", "Else").replace(path)
    with pytest.raises(
        DocumentUnreadable, match=r"changed while it was read\. Load it again when nothing writes to it"
    ):
        list(reading)


@pytest.mark.parametrize(("size", "overlap"), [(15, 0), (200, 101), (200, -1), (0, 0)])
def test_sizes_that_make_no_sense_are_refused(tmp_path: Path, size: int, overlap: int) -> None:
    document = open_document(written(tmp_path / "a.txt", "Words"))
    with pytest.raises(BadInput, match="a passage has at least 16 tokens, and the overlap is at most half of it"):
        document.passages(size, overlap)


def test_a_folder_and_a_pipe_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(DocumentUnreadable, match="It is not a file"):
            open_document(path)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(SOUND)), st.data())
def test_damaged_files_give_passages_or_a_reason(name: str, data: st.DataObject) -> None:
    damaged = bytearray(SOUND[name])
    for _ in range(data.draw(st.integers(0, 8))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / name, bytes(damaged))
        try:
            assert list(open_document(path).passages())
        except DocumentUnreadable as error:
            assert error.reason.endswith(".")
