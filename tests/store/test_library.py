"""The functions on documents, carried out on a log: list, open page by page, grep; within their caps, as asked."""

from __future__ import annotations

import msgspec
import pytest

from palimpsest.events.documents import Passage
from palimpsest.events.envelope import Envelope
from palimpsest.events.sources import stream_of
from palimpsest.events.types import FunctionCalled, FunctionReturned
from palimpsest.store.library import reading as library_module
from palimpsest.store.library.functions import look_up
from palimpsest.store.library.grep import TEXT_CHARS
from palimpsest.store.library.reading import Library
from tests.worlds.library import Desk, lines
from tests.worlds.positions import nth


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.source("manuals")
    return desk


def carry_out(
    desk: Desk,
    name: str,
    *,
    at: Envelope | None = None,
    library: Library | None = None,
    sources: tuple[str, ...] = ("manuals",),
    cap: int = 3000,
    page_chars: int = 0,
    **given: str | int,
) -> FunctionReturned:
    """A function's result as of an event of the log (the last one)."""
    arguments: dict[str, str | int | float | bool] = dict(given)
    call = FunctionCalled(
        call="c", name=name, arguments=arguments, max_chars=cap, sources=sources, page_chars=page_chars or cap
    )
    asked = msgspec.structs.replace(at or desk.tail(nth(0), 1 << 30)[0][-1], stream="ada")
    returned = look_up(library or Library(desk), asked, call, desk)
    assert len(returned.result) <= cap
    return returned


def text_of(desk: Desk, document: str, cap: int) -> str:
    """A document read page by page."""
    text, page = "", 0
    while True:
        head, _, body = carry_out(desk, "open_document", document=document, page=page, cap=cap).result.partition("\n")
        text += body
        page += 1
        if "this is its end" in head:
            return text


# --- listing ------------------------------------------------------------------------------------------------------


def test_documents_are_listed_with_ids_and_sizes(desk: Desk) -> None:
    id = desk.document("manuals", "pumps/valve.md", lines(1, 9))
    result = carry_out(desk, "list_documents").result
    assert result.splitlines() == [
        "Documents 1 to 1 of 1 (page 0/0):",
        f"{id} manuals: pumps/valve.md, 5 passages, 71 characters",
    ]


def test_a_long_list_has_pages_and_true_totals(desk: Desk) -> None:
    for number in range(45):
        desk.document("manuals", f"{number:02}.txt", lines(1, 1))
    seen = []
    for page in range(3):
        head, *rows = carry_out(desk, "list_documents", page=page).result.splitlines()
        assert f"of 45 (page {page}/2)" in head
        seen += [row.split()[2].rstrip(",") for row in rows]
    assert seen == [f"{number:02}.txt" for number in range(45)]
    with pytest.raises(ValueError, match="pages 0 to 2"):
        carry_out(desk, "list_documents", page=3)
    assert len(carry_out(desk, "list_documents", cap=200).result.splitlines()) == 2


def test_an_empty_source_is_named(desk: Desk) -> None:
    assert "manuals (0 documents)" in carry_out(desk, "list_documents").result


# --- opening ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cap", [200, 333, 3000])
@pytest.mark.parametrize("backwards", [False, True])
def test_the_pages_of_a_document_are_its_whole_text(desk: Desk, cap: int, backwards: bool) -> None:
    desk.document("manuals", "long.txt", lines(1, 600), backwards=backwards)
    assert text_of(desk, "long.txt", cap) == "".join(f"line {n}\n" for n in range(1, 601))


def test_what_passages_have_in_common_is_read_once(desk: Desk) -> None:
    passages = [Passage(text="One two three."), Passage(text="two three. Four.", overlap=10)]
    desk.document("manuals", "a.txt", passages)
    assert text_of(desk, "a.txt", 3000) == "One two three.\n Four.\n"


def test_a_page_says_where_it_stands(desk: Desk) -> None:
    desk.document("manuals", "long.txt", lines(1, 600))
    head = carry_out(desk, "open_document", document="long.txt", page=1, cap=400).result.partition("\n")[0]
    assert head == "manuals: long.txt (page 1/26, lines 27-52; page 2 reads on)"


def test_a_document_opens_at_a_line(desk: Desk) -> None:
    desk.document("manuals", "long.txt", lines(1, 600), at_once=20)
    for number in (1, 2, 57, 300, 599, 600):
        result = carry_out(desk, "open_document", document="long.txt", place=f"line {number}", cap=300).result
        assert f"line {number}\n" in result
    with pytest.raises(ValueError, match="ends before line 601"):
        carry_out(desk, "open_document", document="long.txt", place="line 601")


def test_a_pdf_opens_at_a_page(desk: Desk) -> None:
    passages = [Passage(text=f"About topic {n}. " * 9, page=n // 3 + 1) for n in range(60)]
    desk.document("manuals", "book.pdf", passages, at_once=4)
    for page in (1, 2, 7, 20):
        result = carry_out(desk, "open_document", document="book.pdf", place=f"page {page}", cap=900).result
        assert f"About topic {3 * (page - 1)}. " in result
    with pytest.raises(ValueError, match="ends before page 21"):
        carry_out(desk, "open_document", document="book.pdf", place="page 21")
    with pytest.raises(ValueError, match=r"lines of book\.pdf are not known"):
        carry_out(desk, "open_document", document="book.pdf", place="line 3")
    with pytest.raises(ValueError, match="give it as 'line 120'"):
        carry_out(desk, "open_document", document="book.pdf", place="the middle")


def test_beside_other_calls_a_page_stays_the_same_page_and_says_that_it_is_cut(desk: Desk) -> None:
    desk.document("manuals", "long.txt", lines(1, 600))
    alone = carry_out(desk, "open_document", document="long.txt", page=1).result
    beside = carry_out(desk, "open_document", document="long.txt", page=1, cap=600, page_chars=3000).result
    assert alone.startswith(beside.partition("\n[Cut here")[0])
    assert "Call open_document alone" in beside


def test_a_page_past_the_end_says_which_there_are(desk: Desk) -> None:
    desk.document("manuals", "a.txt", lines(1, 2))
    with pytest.raises(ValueError, match=r"a\.txt has only page 0"):
        carry_out(desk, "open_document", document="a.txt", page=1)
    with pytest.raises(ValueError, match="Pages are counted from 0"):
        carry_out(desk, "open_document", document="a.txt", page=-1)


def test_a_document_is_named_by_id_by_path_and_by_source_and_path(desk: Desk) -> None:
    id = desk.document("manuals", "en/a.txt", lines(1, 2))
    for name in (id, "en/a.txt", "a.txt", "manuals/en/a.txt", "manuals: en/a.txt"):
        assert carry_out(desk, "open_document", document=name).result.startswith("manuals: en/a.txt")


def test_a_name_that_is_no_documents_or_several_is_answered_with_those_that_it_may_mean(desk: Desk) -> None:
    ids = [desk.document("manuals", path, lines(1, 2)) for path in ("de/a.txt", "en/a.txt")]
    with pytest.raises(ValueError, match="can be 2 documents") as caught:
        carry_out(desk, "open_document", document="a.txt")
    assert all(id in str(caught.value) for id in ids)
    with pytest.raises(ValueError, match=r"There is no document 'en/b\.txt'.*'en/a\.txt'.*list_documents"):
        carry_out(desk, "open_document", document="en/b.txt")
    with pytest.raises(ValueError, match="There is no document"):
        carry_out(desk, "open_document", document="x" * 100_000)


def test_a_document_is_as_it_was_when_it_was_asked_for(desk: Desk) -> None:
    library = Library(desk)
    id = desk.document("manuals", "a.txt", lines(1, 4, "old"))
    before = desk.tail(nth(0), 1 << 30)[0][-1]
    desk.remove("manuals", id)
    desk.document("manuals", "a.txt", lines(1, 6, "new"))
    assert "new 1" in carry_out(desk, "open_document", document="a.txt", library=library).result
    assert "old 1" in carry_out(desk, "open_document", document="a.txt", at=before, library=library).result
    assert carry_out(desk, "grep_documents", text="new", at=before, library=library).total == 0
    assert "new 1" in carry_out(desk, "open_document", document="a.txt", library=library).result


# --- grep ---------------------------------------------------------------------------------------------------------


def test_grep_counts_every_place_and_shows_a_page_of_them(desk: Desk) -> None:
    desk.document("manuals", "a.txt", lines(1, 20, "The VALVE"))
    found = carry_out(desk, "grep_documents", text="the valve", page=1)
    assert (found.total, len(found.found)) == (20, 5)
    assert found.result.startswith("Showing 5 of 20 results (page 1/3): [")
    rows = msgspec.json.decode(found.result.partition(": ")[2])
    assert rows[0].startswith("source: manuals, document: a.txt, line 6: ")
    assert "The VALVE 6" in rows[0]
    assert {one.stream for one in found.found} == {stream_of("manuals")}
    assert "there are 20, on pages 0 to 3" in carry_out(desk, "grep_documents", text="valve", page=9).result


def test_grep_finds_what_stands_across_two_passages_once(desk: Desk) -> None:
    cut = [Passage(text="It is the red"), Passage(text="fox of the red"), Passage(text="fox.")]
    desk.document("manuals", "cut.txt", cut, at_once=1, backwards=True)
    shared = [Passage(text="See the red fox"), Passage(text="the red fox run", overlap=11)]
    desk.document("manuals", "shared.txt", shared)
    assert carry_out(desk, "grep_documents", text="red\n fox").total == 3
    assert carry_out(desk, "grep_documents", text="red fox", document="shared.txt").total == 1
    desk.document("manuals", "next.txt", [Passage(text="fox")])
    assert carry_out(desk, "grep_documents", text="fox. fox").total == 0, "no place spans two documents"


def test_grep_shows_the_place_also_behind_letters_that_grow_in_lower_case(desk: Desk) -> None:
    desk.document("manuals", "a.txt", [Passage(text="İ" * 200 + "\nThe valve of İZMİR.", first_line=1, last_line=2)])
    for text in ("the VALVE", "of İzmİr"):
        found = carry_out(desk, "grep_documents", text=text)
        assert found.total == 1, text
        assert "document: a.txt, line 2" in found.result
        assert "The valve of İZMİR." in found.result


def test_grep_takes_no_signs_for_patterns(desk: Desk) -> None:
    desk.document("manuals", "a.txt", [Passage(text="a.b (c) [d]* \\n €5")])
    for text in ("a.b", "(c)", "[D]*", "\\N", "€5"):
        assert carry_out(desk, "grep_documents", text=text).total == 1, text
    assert carry_out(desk, "grep_documents", text="a?b").total == 0
    assert carry_out(desk, "grep_documents", text="nothing").result == "No results found."


@pytest.mark.parametrize("text", ["", "  \n", "x" * (TEXT_CHARS + 1), "x" * 100_000])
def test_a_text_that_is_none_to_look_for_is_refused(desk: Desk, text: str) -> None:
    with pytest.raises(ValueError, match=r"text (is empty|has [\d,]+ characters)"):
        carry_out(desk, "grep_documents", text=text)


def test_only_attached_sources_are_read(desk: Desk) -> None:
    desk.source("others")
    desk.document("others", "b.txt", [Passage(text="a secret")])
    desk.document("manuals", "a.txt", [Passage(text="nothing to hide")])
    assert carry_out(desk, "grep_documents", text="secret").total == 0
    assert carry_out(desk, "grep_documents", text="secret", sources=("manuals", "others")).total == 1
    assert carry_out(desk, "list_documents", sources=("nowhere",)).result.startswith("There is no document yet")


def test_the_smallest_cap_holds_the_longest_names(desk: Desk) -> None:
    desk.document("manuals", "a/" * 400 + "b.txt", [Passage(text="needle " * 200, heading="h" * 500, page=3)])
    assert carry_out(desk, "list_documents", cap=200).result
    assert carry_out(desk, "open_document", cap=200, document="b.txt").result
    assert carry_out(desk, "grep_documents", cap=200, text="needle").result


def test_folded_sources_are_let_go_in_the_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_module, "SOURCES_KEPT", 2)
    names = ["manuals", "recipes", "letters"]
    for name in names[1:]:
        desk.source(name)
    library = Library(desk)
    for name in [*names, "manuals"]:
        (source,) = library.sources({name: 1})
        assert source.name == name
    assert list(library._sources) == ["letters", "manuals"]
    monkeypatch.setattr(library_module, "DOCUMENTS_KEPT", 0)
    desk.document("recipes", "soup.txt", lines(1, 3))
    library.sources({"recipes": desk.read(stream_of("recipes"))[-1].seq})
    assert list(library._sources) == ["recipes"], "the one that is read is always held"
