"""Each format's text and places, and that a file is read as what it is, whatever its name says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.small_files import W, docx, encrypted, paragraph, pdf, table, written, zipped
from palimpsest.events.documents import Passage
from palimpsest.store.documents import DocumentFile, open_document


def read(path: Path, content: bytes | str) -> tuple[DocumentFile, list[Passage]]:
    document = open_document(written(path, content))
    return document, list(document.passages())


def passages(path: Path, content: bytes | str) -> list[Passage]:
    return read(path, content)[1]


# --- by content -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("a.txt", pdf(["Words"]), "application/pdf"),
        ("a.pdf", "<!DOCTYPE html><html><body>Words</body></html>", "text/html"),
        ("a.pdf", "Just words.", "text/plain"),
        ("a.csv", "<!-- page --><HTML><p>Words</HTML>", "text/html"),
        ("a.html", "No tags, 1 < 2", "text/plain"),
        ("a.html", "<p>A fragment", "text/html"),
        ("a.bin", docx(paragraph("Words")), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("notes", '{"a": 1}\n{"a": 2}\n', "application/x-ndjson"),
        ("a.json", '{"a": 1}\n{"a": 2}\n', "application/x-ndjson"),
        ("notes", '[{"a": 1},\n {"a": 2}]', "application/json"),
        ("notes.txt", "[sic] he said", "text/plain"),
        ("a.MD", "# Title\nWords", "text/markdown"),
        ("a.md", '<h1 align="center">Title</h1>\nWords', "text/markdown"),
        ("a.py", "def f(): ...", "text/plain"),
    ],
)
def test_a_file_is_read_as_what_it_is(tmp_path: Path, name: str, content: bytes | str, media_type: str) -> None:
    document, found = read(tmp_path / name, content)
    assert document.media_type == media_type
    assert found


# --- PDF --------------------------------------------------------------------------------------------------------


def test_a_pdf_goes_page_by_page(tmp_path: Path) -> None:
    content = pdf(["First page.\nMore of it.", "", "Third page."], outline=[("Start", 0), ("End", 2)])
    assert passages(tmp_path / "a.pdf", content) == [
        Passage(text="First page.\nMore of it.", page=1, heading="Start"),
        Passage(text="Third page.", page=3, heading="End"),
    ]


def test_a_pdf_that_only_its_owner_may_change_is_read(tmp_path: Path) -> None:
    (found,) = passages(tmp_path / "a.pdf", encrypted(pdf(["Words"]), password=""))
    assert found.text == "Words"


def test_a_pdf_without_its_end_mark_is_read_and_told(tmp_path: Path) -> None:
    whole = pdf(["First page.", "Second page."])
    document, found = read(tmp_path / "a.pdf", whole[: whole.index(b"startxref")])
    assert [each.text for each in found] == ["First page.", "Second page."]
    assert document.notes == ["The PDF has no end mark: it may be cut off, and pages may be missing."]


# --- DOCX -------------------------------------------------------------------------------------------------------


def test_a_docx_has_headings_paragraphs_and_tables(tmp_path: Path) -> None:
    body = (
        paragraph("Guide", "berschrift1")
        + paragraph("Linux", "Mine")
        + paragraph("Run it.")
        + table([["Name", "Size"], ["a", "1"]])
        + paragraph("After.")
    )
    assert passages(tmp_path / "a.docx", docx(body)) == [
        Passage(
            text="Guide\n\nLinux\n\nRun it.\n\nName | Size\na | 1\n\nAfter.",
            heading="Guide > Linux",
        )
    ]


def test_a_docx_that_describes_no_styles_means_words_own(tmp_path: Path) -> None:
    body = paragraph("Guide", "Heading1") + paragraph("Words.") + paragraph("Linux", "Heading2") + paragraph("Run it.")
    bare = zipped({"word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>"})
    assert [each.heading for each in passages(tmp_path / "a.docx", bare)] == ["Guide", "Guide > Linux"]


def test_a_docx_gives_insertions_text_boxes_and_nested_tables_once(tmp_path: Path) -> None:
    body = (
        "<w:p><w:ins><w:r><w:t>Inserted</w:t></w:r></w:ins><w:del><w:r><w:delText>Gone</w:delText></w:r></w:del>"
        "<w:r><w:tab/><w:t>tabbed</w:t><w:br/><w:t>below</w:t></w:r></w:p>"
        f"<w:p><w:r><mc:AlternateContent><mc:Choice>{paragraph('Box')}</mc:Choice>"
        f"<mc:Fallback>{paragraph('Box')}</mc:Fallback></mc:AlternateContent></w:r></w:p>"
        f"<w:sdt><w:sdtContent>{paragraph('Field')}</w:sdtContent></w:sdt>"
        f"<w:tbl><w:tr><w:tc>{table([['x', 'y']])}{paragraph('z')}</w:tc><w:tc>{paragraph('q')}</w:tc></w:tr></w:tbl>"
    )
    (found,) = passages(tmp_path / "a.docx", docx(body))
    assert found.text == "Inserted\ttabbed\nbelow\n\nBox\n\nField\n\nx | y z | q"


# --- HTML -------------------------------------------------------------------------------------------------------


def test_an_html_page_gives_its_main_text_with_headings(tmp_path: Path) -> None:
    page = """<!doctype html><html><head><title>My site</title><style>p {}</style></head><body>
    <nav><a href="/">Home</a></nav><p>Before.</p><h1>Install <b>it</b></h1><p>Run   the
    <code>setup</code>.<br>Then wait.</p><script>var x = "<p>no</p>";</script>
    <h2>Linux</h2><ul><li>One</li><li>Two</li></ul><p hidden>Not seen</p>
    <table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table><pre>a
      b</pre><p>caf&eacute; &lt;3</body></html>"""
    assert passages(tmp_path / "a.html", page) == [
        Passage(text="Before.", heading="My site"),
        Passage(text="Install it\n\nRun the setup.\nThen wait.", heading="Install it"),
        Passage(
            text="Linux\n\nOne\nTwo\nA | B\n1 | 2\na\n      b\n\ncafé <3",
            heading="Install it > Linux",
        ),
    ]


def test_a_page_that_marks_its_main_part_gives_that(tmp_path: Path) -> None:
    page = "<html><body><div>Menu</div><main><p>Words</p></main></body></html>"
    assert [each.text for each in passages(tmp_path / "a.html", page)] == ["Words"]


@pytest.mark.parametrize("page", ["<main><h2>Part</h2>Words</main>{}", "<h2>Part</h2>Words{}", "{}<main>Words</main>"])
def test_a_pages_footer_comes_last_and_once_without_its_lists_of_links(tmp_path: Path, page: str) -> None:
    """An article's footer stays where it is."""
    footer = (
        '<footer><nav>Up</nav><ul><li><a href="/a">Imprint</a><li><a href="/b">Press</a></ul><p>4 Strand Lane</p><ul>'
        '<li><a href="mailto:us@site.example">us@site.example</a></ul></footer>'
    )
    *_, words, last = passages(tmp_path / "a.html", f"<title>Site</title><body>{page.format(footer)}")
    assert words.text.endswith("Words")
    assert (last.text, last.heading) == ("4 Strand Lane\n\nus@site.example", "Site")
    article = "<body><article>One<footer>By Ann</footer></article><p>Two"
    assert [each.text for each in passages(tmp_path / "b.html", article)] == ["One\nBy Ann"]
    hidden = "<footer hidden>A</footer><div hidden><footer>B</footer></div><nav><footer>C</footer></nav>"
    assert [each.text for each in passages(tmp_path / "c.html", f"<body><p>One</p>{hidden}")] == ["One"]


def test_a_page_is_read_in_the_encoding_that_it_names(tmp_path: Path) -> None:
    page = '<html><head><meta charset="windows-1251"></head><body><p>Привет</p></body></html>'.encode("cp1251")
    assert [each.text for each in passages(tmp_path / "a.html", page)] == ["Привет"]


def test_elements_nested_deep_are_read(tmp_path: Path) -> None:
    (found,) = passages(tmp_path / "a.html", "<html><body>" + "<div>" * 4_000 + "deep")
    assert found.text == "deep"


# --- records ----------------------------------------------------------------------------------------------------


def test_rows_of_a_csv_stand_under_their_columns(tmp_path: Path) -> None:
    content = 'name;note;size\r\nA;"two\r\nlines; ""quoted""";1,5\r\n\r\nB;;2;more\r\n'
    assert passages(tmp_path / "a.csv", content) == [
        Passage(text='name: A\nnote: two\nlines; "quoted"\nsize: 1,5', first_line=2, last_line=3),
        Passage(text="name: B\nsize: 2\ncolumn 4: more", first_line=5, last_line=5),
    ]


def test_a_csv_without_a_header_counts_its_columns(tmp_path: Path) -> None:
    assert [each.text for each in passages(tmp_path / "a.csv", "1,x\n2,y\n")] == [
        "column 1: 1\ncolumn 2: x",
        "column 1: 2\ncolumn 2: y",
    ]


@pytest.mark.parametrize(("name", "mark"), [("a.tsv", "\t"), ("a.csv", "|"), ("a.csv", ","), ("a.csv", ";")])
def test_the_dialect_is_told_by_the_rows(tmp_path: Path, name: str, mark: str) -> None:
    content = f"city{mark}people{mark}note\n" + f"Rome{mark}2{mark}old town\n" * 3
    assert passages(tmp_path / name, content)[1].text == "city: Rome\npeople: 2\nnote: old town"


def test_a_row_with_an_open_quote_swallows_no_other(tmp_path: Path) -> None:
    content = 'a,b\n1,2\n3,"open\n' + "some words,here\n" * 20_000 + '4,"closed\nlater"\n5,"again\n6,7\n'
    document, found = read(tmp_path / "a.csv", content)
    assert found[:3] == [
        Passage(text="a: 1\nb: 2", first_line=2, last_line=2),
        Passage(text="a: 3\nb: open", first_line=3, last_line=3),
        Passage(text="a: some words\nb: here", first_line=4, last_line=4),
    ]
    assert found[-3:] == [
        Passage(text="a: 4\nb: closed\nlater", first_line=20_004, last_line=20_005),
        Passage(text="a: 5\nb: again", first_line=20_006, last_line=20_006),
        Passage(text="a: 6\nb: 7", first_line=20_007, last_line=20_007),
    ]
    assert document.notes == [
        "Rows with a quote that does not close were read as they stand: on line 3, 20006.",
    ]


@pytest.mark.parametrize("quote", ['"', ""], ids=["quoted", "bare"])
@pytest.mark.parametrize("place", [0, 3, 60, 99])
@pytest.mark.parametrize("chars", [131_072, 131_073, 400_000])
def test_a_row_with_a_huge_cell_stands_beside_all_others(tmp_path: Path, chars: int, place: int, quote: str) -> None:
    huge = quote + "word " * (chars // 5) + "end" + quote
    rows = [f"{number},{huge if number == place else f'note {number}'}" for number in range(100)]
    document, found = read(tmp_path / "a.csv", "\n".join(["id,text", *rows]))
    ids = {int(each.text.split("id: ")[1].split()[0]) for each in found if "id: " in each.text}
    assert ids == set(range(100))
    assert sum(len(each.text.split()) for each in found) >= chars // 5
    assert not document.notes


@given(st.data())
def test_every_row_of_a_csv_is_there_whatever_its_quotes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Each row has a word of its own, and cells with quotes and commas at any place, closed or not."""
    cell = st.text(alphabet='",;x \n', max_size=8)
    rows = data.draw(st.lists(st.lists(cell, min_size=1, max_size=3), min_size=1, max_size=12))
    content = "".join(f"row{number}end,{','.join(cells)}\n" for number, cells in enumerate(rows))
    _, found = read(tmp_path_factory.mktemp("csv") / "a.csv", "id,a,b\n" + content)
    text = "\n".join(each.text for each in found)
    assert [number for number in range(len(rows)) if f"row{number}end" not in text] == []


def test_json_lines_are_records(tmp_path: Path) -> None:
    content = '{"q": "Why?", "n": {"a": 1.50, "ok": true}, "l": [1, "x"], "m": [{"k": null}]}\n\nno json\n'
    document, found = read(tmp_path / "a.jsonl", content)
    assert found == [
        Passage(text="q: Why?\nn.a: 1.50\nn.ok: true\nl: 1, x\nm[1].k: null", first_line=1, last_line=1),
        Passage(text="no json", first_line=3, last_line=3),
    ]
    assert document.notes == ["Lines that are not JSON were read as text, first on line 3."]


def test_a_json_list_gives_its_records_with_their_lines(tmp_path: Path) -> None:
    content = '[\n  {"a": 1,\n   "b": "\\ud83d\\ude00 \\ud800"},\n  7, "x"\n]\n'
    assert passages(tmp_path / "a.json", content) == [
        Passage(text="a: 1\nb: \U0001f600 \ufffd", first_line=2, last_line=3),
        Passage(text="7", first_line=4, last_line=4),
        Passage(text="x", first_line=4, last_line=4),
    ]


def test_a_long_json_list_is_read_piece_by_piece(tmp_path: Path) -> None:
    rows = [f'{{"id": {number}, "text": "{"word " * (number % 50)}"}}' for number in range(3000)]
    found = passages(tmp_path / "a.json", "[" + ",\n".join(rows) + "]")
    assert {each.text.splitlines()[0] for each in found if each.text.startswith("id")} == {
        f"id: {number}" for number in range(3000)
    }
    assert found[-1].last_line == 3000


def test_one_json_value_is_laid_out(tmp_path: Path) -> None:
    (found,) = passages(tmp_path / "a.json", '{"name": "x",\n "deps": {"a": "1"}}\n')
    assert found == Passage(text="name: x\ndeps.a: 1", first_line=1, last_line=2)


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ('{"a": 1,}', "It is not JSON (Expecting property name"),
        ('[{"a": 1},\n{"b": 2', "It is not JSON from line 2 on (Expecting ',' delimiter"),
        ('[{"a": 1},\n7', "It is not JSON from line 2 on (it is cut off within its list)"),
        ("[" * 100_000, "It is not JSON from line 1 on (it is nested too deep)"),
        ('{"a": ' * 50_000, "It is not JSON (it is nested too deep)"),
        ("[1]\nand more", "It is not JSON from line 2 on (more follows after its list)"),
    ],
    ids=range(6),
)
def test_what_is_not_json_is_read_as_text_and_told(tmp_path: Path, content: str, note: str) -> None:
    document, found = read(tmp_path / "a.json", content)
    assert document.notes[0].startswith(note)
    assert "read as text" in document.notes[0]
    assert content.rpartition("\n")[2] in "".join(each.text for each in found) or len(content) > 10_000
