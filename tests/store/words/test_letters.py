# ruff: noqa: RUF001 (letters that look alike are what is tested)
"""Words are found whatever their form, by search and by grep, and what grep quotes is the document's own text."""

from __future__ import annotations

from itertools import product
from unicodedata import normalize

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from palimpsest.events.documents import Passage
from palimpsest.store.library.grep import sought
from palimpsest.store.words.letters import Folded, parted, plain
from palimpsest.store.words.lexical import ready
from palimpsest.store.words.terms import TermTokenizer
from tests.store.test_library import carry_out
from tests.worlds.library import Desk

WORDS = TermTokenizer()

ALIKE = (
    ("email", "e-mail", "E-Mail", "e\u2011mail", "e\u2010mail", "e-\nmail", "e\u00ad\nmail"),
    ("email", "e-mail", "e\u200bmail", "e\u00admail"),
    ("example", "exam-\nple", "exam-  \r\n  ple", "Exam\u00adple", "exam\u2060ple", "\ufeffexample"),
    ("well-known", "wellknown", "well-\nknown", "well_known"),
    ("INC-107", "INC107", "inc-107", "INC-\n107", "ＩＮＣ－１０７"),
    ("1250000", "1,250,000", "1.250.000", "1 250 000", "1\u202f250\u202f000", "1\u00a0250\u00a0000"),
    ("1250000", "1'250'000", "1\u2019250\u2019000", "12,50,000", "１２５００００"),
    ("1,250,000", "१२,५०,०००", "1\u066c250\u066c000", "1\u2009250\u2009000"),
    ("10000", "10 000", "10,000", "10\u00a0000"),
    ("1,250.50", "1250.50"),
    ("v2.60", "2.60", "V2.60", "v２.６０"),
    ("1.2.3", "v1.2.3"),
    ("getUserName", "get_user_name", "getusername", "get-user-name", "GetUserName"),
    ("größeÄndern", "größe_ändern", "gro\u0308ßea\u0308ndern"),
    ("café", "cafe\u0301", "CAFÉ", "ca\u200dfé"),
    ("office", "o\ufb03ce", "of\ufb01ce", "ｏｆｆｉｃｅ"),
    ("Straße", "STRASSE", "Stra\u00adße"),
    ("привет", "приве\u0301т", "ПРИВЕТ"),
    ("её", "ее", "е\u0308е"),
    ("ガム", "ｶﾞﾑ", "カ\u3099ム"),
    ("한국어", normalize("NFD", "한국어")),
    ("हिन्दी", "हिन्\u200dदी", "हिनदी", "हनद"),
    ("क़लम", "क\u093cलम", "कलम"),
    ("उन्नयन", "उननयन"),
    ("தமிழ்", "தமிழ", "தமழ"),
    ("שָׁלוֹם", "שלום", "\ufb2aלום"),
    ("مُحَمَّد", "محمد", "محـــمد", "\ufee3\ufea4\ufee4\ufeaa"),
    ("น้ำ", "น\u0e49\u0e4d\u0e32", "น\u0e4d\u0e49\u0e32", "นำ"),
)  # fmt: skip
PAIRS = [pair for forms in ALIKE for pair in product(forms, repeat=2)]


def terms(text: str) -> set[int]:
    return set(WORDS.counts(ready(text)))


def quotes(wanted: str, text: str) -> list[str]:
    for each in sought(wanted):
        if found := [text[start:end] for start, end in each.spans(text)]:
            return found
    return []


@pytest.mark.parametrize(("there", "wanted"), PAIRS)
def test_each_form_finds_each_by_search(there: str, wanted: str) -> None:
    assert terms(there) & terms(wanted)


@pytest.mark.parametrize(("there", "wanted"), PAIRS)
def test_each_form_finds_each_by_grep_and_quotes_what_is_there(there: str, wanted: str) -> None:
    text = f"Vor ﬁnem\u00ad é — x, {there} ende\u0301."
    (quote,) = quotes(wanted, text)
    assert quote.lower().strip("v\u0bcd\ufeff") == there.lower().strip("v\u0bcd\ufeff")


def test_parts_of_words_are_found_by_search() -> None:
    for whole, parts in {
        "getUserName": "user name",
        "snake_case_name": "snake case",
        "HTTPServer": "http server",
        "Wi-Fi": "fi wifi",
        "E-Mail-Adresse": "email mail adresse",
        "python-2.60.tar": "python tar 2.60",
        "exam-\nple": "example",
    }.items():
        for part in parts.split():
            assert terms(part) & terms(whole), (whole, part)


@pytest.mark.parametrize(
    ("wanted", "text", "found"),
    [
        ("art", "bar-table, star-\ntling", ["ar-\nt"]),
        ("250000", "1,250,000", []),
        ("1250", "1,250,000", []),
        ("1920", "2019-\n2020 and 19-20", []),
        ("is_a", "visa", []),
        ("known", "well-known", ["known"]),
        ("-known", "well-known", ["-known"]),
        ("--force", "run --force", ["--force"]),
        ("12", "1,2", []),
        ("v2.60", "12.60", []),
        ("ano", "año", []),
        ("कल", "काल कल", ["कल"]),
        ("foo bar", "foo\n  bar", ["foo\n  bar"]),
    ],
)  # fmt: skip
def test_other_words_are_not_found_by_grep(wanted: str, text: str, found: list[str]) -> None:
    assert quotes(wanted, text) == found


def test_vowel_signs_tell_words_apart_where_they_are_given() -> None:
    assert quotes("काल", "कल काल किल") == ["काल"]
    assert quotes("कुल", "कल") == ["कल"], "but a text is found without them rather than not at all"


LETTERS = "abgmtéöñßжйшюλάﬁ語東がガ가각नमकםשحमदก"
HIDDEN = "\u00ad\u200b\u200c\u200d\u2060\ufeff"


@st.composite
def rewritten(draw: st.DrawFn) -> tuple[str, str]:
    """A word, and a form of it."""
    word = draw(st.text(LETTERS, min_size=3, max_size=9))
    at = draw(st.integers(1, len(word) - 1))
    form = draw(
        st.sampled_from(
            [
                *(word[:at] + sign + word[at:] for sign in HIDDEN),
                *(normalize(how, word) for how in ("NFC", "NFD", "NFKC", "NFKD")),
                f"{word[:at]}-\n{word[at:]}",
                f"{word[:at]}\u00ad\r\n {word[at:]}",
                "".join(chr(ord(c) + 0xFEE0) if c.isascii() else c for c in word),
            ]
        )
    )
    return (word, form) if draw(st.booleans()) else (form, word)


AROUND = st.text("ab é\u0301\u00ad\u200bﬁİ-\n.,1２नि", max_size=8)


@settings(max_examples=300, deadline=None)
@given(rewritten(), AROUND, AROUND)
@example(("exam-\nple", "example"), "-\n", "\u0301")
def test_any_form_of_any_word(pair: tuple[str, str], before: str, behind: str) -> None:
    wanted, there = pair
    text = f"{before} {there} {behind}"
    assert there in quotes(wanted, text)
    asked = terms(wanted)
    assume(asked)
    assert asked & terms(there)


@settings(max_examples=200, deadline=None)
@given(st.text("ab éﬁİß\u0301\u00ad\u200b-\n.,1２निน้ำ", max_size=20), st.booleans())
def test_what_is_folded_keeps_its_places(text: str, bare: bool) -> None:
    folded = Folded(text, bare=bare)
    last = 0
    for at in range(len(folded.text)):
        start, end = folded.span(at, at + 1)
        assert last <= start < end <= len(text)
        assert folded.text[at] in Folded(text[start:end], bare=bare).text
        last = start


@settings(max_examples=100, deadline=None)
@given(st.integers(1000, 10**10))
def test_numbers_are_found_however_they_are_grouped(number: int) -> None:
    forms = [str(number), *(f"{number:,}".replace(",", sign) for sign in (",", ".", "'", " ", "\u202f", "\u00a0"))]
    for there, wanted in product(forms, repeat=2):
        assert quotes(wanted, f"It is {there}, or so.") == [there]
        assert terms(f"It is {there}, or so.") & terms(wanted) & terms(str(number))


@settings(max_examples=150, deadline=None)
@given(st.text("ab éﬁ\u0301\u00ad-\n.,1２नि", max_size=20))
def test_a_text_made_plain_stays_so(text: str) -> None:
    assert plain(plain(text)) == plain(text)


@settings(max_examples=100, deadline=None)
@given(st.text("aB-_.,'12 \n\té", max_size=30))
def test_words_are_parted_one_by_one(text: str) -> None:
    assert parted(text).split() == [part for word in text.split() for part in parted(word).split()]


def test_grep_documents_quotes_the_documents_own_text_across_passages() -> None:
    desk = Desk()
    desk.source("manuals")
    desk.document(
        "manuals", "a.txt", [Passage(text="Cut of\u00adfice, an exam-"), Passage(text="ple: 1\u202f250\u202f000.")]
    )
    assert "of\u00adfice" in carry_out(desk, "grep_documents", text="office").result
    found = carry_out(desk, "grep_documents", text="example")
    assert found.total == 1
    assert "exam- ple" in found.result
    assert carry_out(desk, "grep_documents", text="1,250,000").total == 1
    assert carry_out(desk, "grep_documents", text="exam").total == 1
