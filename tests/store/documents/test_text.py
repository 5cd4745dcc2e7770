"""Plain text and Markdown: exact lines, headings, encodings, and nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from palimpsest.events.documents import Passage, pack_passages, unpack_passages
from palimpsest.store.documents import open_document


def passages(path: Path, content: bytes, size: int = 200, overlap: int = 20) -> list[Passage]:
    path.write_bytes(content)
    return list(open_document(path).passages(size, overlap))


def test_passages_are_packed_and_unpacked() -> None:
    some = [Passage(text="a" * 500, page=3), Passage(text="é", first_line=1, last_line=2, heading="A > B")]
    assert unpack_passages(pack_passages(some)) == some
    assert len(pack_passages(some)) < 200


def test_a_short_text_is_one_passage_with_its_lines(tmp_path: Path) -> None:
    found = passages(tmp_path / "a.txt", b"\n\nOne.\nTwo.\n\n")
    assert found == [Passage(text="One.\nTwo.", first_line=3, last_line=4)]


def test_markdown_headings_are_the_places(tmp_path: Path) -> None:
    text = b"# Guide\n\n## Install\n\n### Linux\n\nRun it.\n\n```\n# no heading\n```\n\nUse\n---\nWords.\n"
    assert passages(tmp_path / "a.md", text) == [
        Passage(
            text="# Guide\n\n## Install\n\n### Linux\n\nRun it.\n\n```\n# no heading\n```",
            first_line=1,
            last_line=11,
            heading="Guide > Install > Linux",
        ),
        Passage(text="Use\n---\nWords.", first_line=13, last_line=15, heading="Guide > Use"),
    ]


def test_front_matter_and_lists_are_no_headings(tmp_path: Path) -> None:
    text = b"---\ntitle: x\n---\n\n- item\n---\n\nText\n"
    assert {each.heading for each in passages(tmp_path / "a.md", text)} == {""}


def test_a_heading_is_cut_at_200_characters(tmp_path: Path) -> None:
    (found,) = passages(tmp_path / "a.md", b"# " + b"x" * 300 + b"\n\nText\n")
    assert found.heading == "x" * 199 + "…"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_encodings_are_told_by_content(tmp_path: Path, encoding: str) -> None:
    text = "The café is über nice.\r\nIt has a terrace and the façade is blue.\rThe third line.\n"
    (found,) = passages(tmp_path / "a.txt", text.encode(encoding))
    assert found.text == text.replace("\r\n", "\n").replace("\r", "\n").strip()
    assert (found.first_line, found.last_line) == (1, 3)
