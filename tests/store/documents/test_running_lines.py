"""Headers and footers of pages go, but for their first, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.small_files import pdf, written
from palimpsest.store.documents import open_document
from palimpsest.store.documents.running_lines import NEAR, without_running_lines

BODIES = [
    "Alpha is the first.\n",
    "Beta comes after.\n",
    "Gamma.\nWith two lines.\n",
    "Delta.\n",
    "Epsilon.\n",
    "Zeta.\n",
]


def cleared(top: Callable[[int], str], bottom: Callable[[int], str], count: int = 6) -> list[str | None]:
    return list(without_running_lines(top(n) + BODIES[n % 6] + bottom(n) for n in range(count)))


@pytest.mark.parametrize(
    ("top", "bottom"),
    [
        (lambda _: "ACME Corp\n", lambda n: f"Page {n + 1} of 6\n"),
        (lambda n: f"Annual report of ACME {n + 17}\n", lambda _: "Confidential\n"),
        (lambda n: "ACME\n" if n % 2 else "Annual report\n", lambda n: f"- {n + 1} -\n"),
        (lambda _: "ACME\nInternal  use\n\n", lambda n: f"Seite {n + 1}\n"),
        (lambda _: "", lambda n: f"{n + 1}\n"),
    ],
)
def test_lines_that_come_again_go_but_for_the_first(top: Callable[[int], str], bottom: Callable[[int], str]) -> None:
    """Those of left and right pages too, which take turns."""
    found = cleared(top, bottom)
    assert found[0] == top(0) + BODIES[0] + bottom(0)
    assert [(page or "").strip() for page in found[2:]] == [body.strip() for body in BODIES[2:]]


@pytest.mark.parametrize(
    ("top", "bottom"),
    [
        (lambda n: f"Invoice {n + 1}\n", lambda n: f"Total: {n * 7 % 5},00 EUR\n"),
        (lambda n: f"Order 10{n}4\n", lambda n: "paid\n" if n in (0, 5) else ""),
        (lambda n: f"Row {n * n}\n", lambda n: f"{n * 3} {n * 5}\n"),
    ],
)
def test_what_a_page_is_about_stays(top: Callable[[int], str], bottom: Callable[[int], str]) -> None:
    assert cleared(top, bottom) == [top(n) + BODIES[n] + bottom(n) for n in range(6)]


def test_two_pages_have_no_running_lines_and_unread_ones_stay() -> None:
    assert list(without_running_lines(["Title\na", "Title\nb"])) == ["Title\na", "Title\nb"]
    pages = [None, "T\na\n", None, "T\nb\n", "T\nc\n"]
    assert list(without_running_lines(pages)) == [None, "T\na\n", None, "b\n", "c\n"]


def test_the_header_of_a_chapter_goes_where_the_chapter_is(tmp_path: Path) -> None:
    bodies = [chr(ord("A") + n) * 9 for n in range(10)]
    pages = [f"{'Chapter one' if n < 5 else 'Chapter two'}\n{bodies[n]}\n{n + 1}" for n in range(10)]
    document = open_document(written(tmp_path / "a.pdf", pdf(pages)))
    texts = [each.text for each in document.passages()]
    assert [text.splitlines()[0] for text in texts] == ["Chapter one", *bodies[1:5], "Chapter two", *bodies[6:]]


@given(st.lists(st.one_of(st.none(), st.text(alphabet="ab1\n", max_size=8)), max_size=3 * NEAR))
def test_pages_stay_as_many_and_no_text_is_lost(pages: list[str | None]) -> None:
    found = list(without_running_lines(iter(pages)))
    assert [page is None for page in found] == [page is None for page in pages]
    known = {line.strip() for page in found if page for line in page.splitlines()}
    numbers = {line.strip() for page in pages if page for line in page.splitlines() if line.strip().isdecimal()}
    assert {line.strip() for page in pages if page for line in page.splitlines()} <= known | numbers
