"""store/library/naming.py: a document as a model names it, and what it is told that names none."""

from __future__ import annotations

import pytest

from palimpsest.events.sources import Source, fold_source, stream_of
from palimpsest.events.types import DocumentOpened
from palimpsest.store.library.naming import bare, unknown
from tests.worlds.library import Desk, lines


def manuals(*paths: str) -> tuple[Desk, Source]:
    desk = Desk()
    desk.source("manuals")
    for path in paths:
        desk.document("manuals", path, lines(1, 4))
    return desk, folded(desk)


def folded(desk: Desk) -> Source:
    source = fold_source(desk.read(stream_of("manuals")))
    assert source is not None
    return source


@pytest.mark.parametrize("wanted", ["a.txt", "manuals: a.txt", "manuals:a.txt", "manuals/a.txt"])
def test_the_sources_name_may_stand_before_it(wanted: str) -> None:
    assert bare(manuals()[1], wanted) == "a.txt"


@pytest.mark.parametrize("wanted", ["manual: a.txt", "my manuals/a.txt", "manuals a.txt", "manuals"])
def test_what_only_looks_like_it_stays(wanted: str) -> None:
    assert bare(manuals()[1], wanted) == wanted


def test_the_nearest_are_named_of_those_that_are_there() -> None:
    _, source = manuals("boiler.md", "garden.md", "heating/boiler-old.md", "roof.md")
    told = unknown([source], "Boiler.txt")
    assert told.startswith("There is no document 'Boiler.txt'. There are 4, among them 'boiler.md'")
    assert "garden" not in told
    assert "among them 'boiler.md', 'garden.md', 'heating/boiler-old.md'; list_documents" in unknown([source], "%%%%")


def test_one_that_is_being_loaded_is_no_unknown_one() -> None:
    desk, _ = manuals()
    opened = DocumentOpened(document="d", path="roof.md", media_type="text/plain", size_bytes=1, sha256="aa")
    desk.add(stream_of("manuals"), opened)
    for wanted in ("roof.md", "d"):
        assert f"'{wanted}' is still being loaded" in unknown([folded(desk)], wanted)


def test_where_there_is_none_that_is_said_and_a_long_name_is_cut() -> None:
    told = unknown([manuals()[1]], "x" * 500)
    assert "the attached sources hold none yet" in told
    assert len(told) < 200
