"""What is no text is known by its first bytes, and what is text passes."""

from __future__ import annotations

import base64
import random

import pytest

from palimpsest.console.not_text import held_in, kind_of, refusal
from palimpsest.console.pipe import Lines

NOISE = random.Random(7).randbytes(3000)
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + NOISE


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "a picture (PNG)"),
        (b"\xff\xd8\xff\xe0" + NOISE, "a picture (JPEG)"),
        (b"GIF89a\x10\x00\x10\x00\xf7" + NOISE, "a picture (GIF)"),
        (b"RIFF\x24\x08\x00\x00WEBPVP8 " + NOISE, "a picture (WebP)"),
        (b"\x00\x00\x00\x1cftypavif" + NOISE, "a picture (AVIF)"),
        (b"RIFF\x24\x08\x00\x00WAVEfmt " + NOISE, "a sound (WAV)"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a document (PDF)"),
        (b"PK\x03\x04\x14\x00" + NOISE, "an archive (ZIP, DOCX or the like)"),
        (b"\x7fELF\x02\x01" + NOISE, "a program (ELF)"),
        (b"BMW is a make of car", ""),
        (b"GIF89a is a format of pictures", ""),
        (b"ID3 is a tag", ""),
        (b"RIFF what?", ""),
        ("Grüße".encode(), ""),
        (b"", ""),
    ],
)
def test_bytes_are_told_by_how_they_begin(data: bytes, kind: str) -> None:
    assert kind_of(data) == kind


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"look: data:image/png;base64,{base64.b64encode(PNG).decode()} nice?", "a picture (PNG, as base64, 3 KB)"),
        (f"data:audio/wav;charset=x;base64,{base64.b64encode(NOISE).decode()}", "a sound (WAV, as base64, 3 KB)"),
        (base64.b64encode(PNG).decode(), "a picture (PNG, as base64, 3 KB)"),
        (base64.encodebytes(PNG).decode(), "a picture (PNG, as base64, 3 KB)"),
        (PNG.decode("utf-8", "surrogateescape"), "a picture (PNG, 3 KB)"),
        ("\udcff\udcfe", "bytes that are not UTF-8"),
        ("a\0b", "NUL bytes"),
    ],
)
def test_such_a_message_is_refused_by_name(text: str, said: str) -> None:
    assert said in refusal(text)
    assert "was not sent" in refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "What is data:image/png;base64, for?",
        "a" * 5000,
        base64.b64encode(b"just some words of a text, that are long enough to be looked at " * 4).decode(),
        "/home/me/cat.png",
        "\x1b[31mred\x1b[0m",
        "👩\u200d👧 e\u0301",
    ],
)
def test_text_passes(text: str) -> None:
    assert refusal(text) == held_in(text) == ""


def test_a_picture_among_the_lines_ends_them() -> None:
    lines = Lines()
    found = [*lines.feed(b"Hello\n" + PNG + b"\nnot sent\n"), *lines.end()]
    first, second = found[:2]
    assert first.text == "Hello"
    assert (second.problem, second.last) == ("begins a picture (PNG), and what follows it was not read", True)
