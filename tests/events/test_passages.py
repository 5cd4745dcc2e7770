"""events/passages.py: splitting is exact and within the limit; pages and dates say what they should."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.events.passages import DAY_MS, Hit, chunks, day_bounds, excerpt, input_text, search_page, split
from palimpsest.events.types import (
    AlertRaised,
    MessageSent,
    Timer,
    TimerFired,
    UploadFinished,
    UserLoggedIn,
    UserMessageReceived,
)


def words(text: str) -> int:
    return len(text.split())


def coarse(text: str) -> int:
    """Counts like a tokeniser whose joints can cost: text joined can count more than its parts."""
    return (len(text) + 2) // 3 + text.count(" \n")


COUNTS = (len, words, coarse)

TEXTS = st.one_of(
    st.text(max_size=400),
    st.lists(
        st.sampled_from(["word", " ", "\n", "\n\n", ". ", "! ", "。", "x" * 50, "é", "🦊", "'"]), max_size=200
    ).map("".join),
)


@given(text=TEXTS, count=st.sampled_from(COUNTS), limit=st.integers(1, 60))
def test_chunks_join_to_the_text_and_keep_the_limit(text: str, count: Callable[[str], int], limit: int) -> None:
    ends = split(text, count, limit)
    pieces = chunks(text, ends)
    assert "".join(pieces) == text
    assert list(ends) == sorted(set(ends))
    assert all(count(piece) <= limit or len(piece) == 1 for piece in pieces)


def test_no_text_has_no_chunks() -> None:
    assert split("", len) == ()


def test_cuts_after_paragraphs_then_sentences_then_words() -> None:
    text = "One two three four.\n\nFive six. Seven eight nine ten. Eleven twelve thirteen."
    assert chunks(text, split(text, words, 8)) == [
        "One two three four.\n\n",
        "Five six. Seven eight nine ten. ",
        "Eleven twelve thirteen.",
    ]
    assert chunks("aa bb cc dd", split("aa bb cc dd", words, 3)) == ["aa bb ", "cc dd"]


def test_a_giant_word_is_cut_hard() -> None:
    pieces = chunks("x" * 1000, split("x" * 1000, len, 300))
    assert "".join(pieces) == "x" * 1000
    assert max(map(len, pieces)) <= 300


@pytest.mark.parametrize(
    "text",
    [
        "A short sentence. " * 60_000,
        "word " * 200_000,
        "x" * 1_000_000,
        "\n" * 1_000_000,
        ". " * 500_000,
        "'" * 500_000 + ".'" * 250_000,
    ],
    ids=["sentences", "words", "one word", "newlines", "stops", "quotes"],
)
def test_a_megabyte_is_counted_a_few_times_over(text: str) -> None:
    counted = 0

    def count(part: str) -> int:
        nonlocal counted
        counted += len(part)
        return (len(part) + 3) // 4

    started = time.process_time()
    ends = split(text, count)
    took_s = time.process_time() - started
    assert ends[-1] == len(text)
    assert counted <= 5 * len(text)
    assert took_s < 3, f"took {took_s:.1f} s"  # 0.1 to 0.5 s on an idle core


def test_input_text_is_what_each_input_says() -> None:
    assert input_text(UserMessageReceived(text="hi")) == "hi"
    assert input_text(AlertRaised(text="hot")) == "hot"
    assert input_text(UploadFinished(source="a.pdf", detail="3 pages")) == "3 pages"
    assert input_text(TimerFired(timer=Timer(id="t", due_ms=1, note="tea"))) == "tea"
    assert input_text(UserLoggedIn(last_login="yesterday")) == ""
    with pytest.raises(ValueError, match="MessageSent is no input"):
        input_text(MessageSent(text="no"))


def hit(seq: int, text: str, speaker: str = "user") -> Hit:
    return Hit(seq, 0, 1.0, 1_795_361_055_000, speaker, text)


def test_a_page_says_where_it_stands() -> None:
    shown = search_page([hit(1, "I live in Oslo"), hit(2, 'a "b" \n ü', "memory")], 23, 0, 5)
    head, _, items = shown.partition(": ")
    assert head == "Showing 2 of 23 results (page 0/4)"
    assert json.loads(items) == [
        "timestamp: 2026-11-22 15:24:15 UTC, user: I live in Oslo",
        'timestamp: 2026-11-22 15:24:15 UTC, memory: a "b" \n ü',
    ]
    assert "ü" in shown


def test_the_last_page_of_a_full_one_is_not_counted_twice() -> None:
    assert search_page([hit(1, "x")], 5, 0, 5).startswith("Showing 1 of 5 results (page 0/0): ")
    assert search_page([hit(1, "x")], 6, 1, 5).startswith("Showing 1 of 6 results (page 1/1): ")


def test_pages_without_results_say_where_they_are() -> None:
    assert search_page([], 0, 0, 5) == "No results found."
    assert search_page([], 0, 3, 5) == "No results found."
    assert search_page([], 23, 7, 5) == "No results on page 7: there are 23 results, on pages 0 to 4."
    assert search_page([], 23, -1, 5) == "No results on page -1: there are 23 results, on pages 0 to 4."
    assert search_page([], 1, 2, 5) == "No results on page 2: there is 1 result, on page 0."
    assert search_page([], 3, 2, 5) == "No results on page 2: there are 3 results, on page 0."


def test_day_bounds_take_both_days_whole() -> None:
    assert day_bounds("1970-01-01", "1970-01-01") == (0, DAY_MS - 1)
    assert day_bounds(" 1970-01-02 ", "1970-01-03") == (DAY_MS, 3 * DAY_MS - 1)
    assert day_bounds("2024-02-29", "9999-12-31")[1] == 253_402_300_799_999


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        ("22.11.2026", "2026-11-23", "start_date '22.11.2026' is not a date written as YYYY-MM-DD: write it like"),
        ("2026-11-22", "yesterday", "end_date 'yesterday' is not a date"),
        ("2026-1-5", "2026-01-06", "start_date '2026-1-5' is not a date"),
        ("2026-02-30", "2026-03-01", "start_date '2026-02-30' is no day of the calendar"),
        ("", "2026-03-01", "start_date '' is not a date"),
        ("2026-03-02", "2026-03-01", r"start_date \(2026-03-02\) is after end_date \(2026-03-01\)"),
        ("x" * 10_000, "2026-03-01", "start_date 'x{40}' is not a date"),
        ("２０２６-１１-２２", "2026-11-23", "is not a date written as"),  # noqa: RUF001  full-width digits on purpose
    ],
)
def test_dates_that_are_none_get_an_error_that_teaches(start: str, end: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        day_bounds(start, end)


@given(st.text(), st.text(max_size=40), st.integers(40, 200))
def test_an_excerpt_keeps_its_limit_and_is_of_the_text(text: str, query: str, chars: int) -> None:
    shown = excerpt(text, query, chars)
    assert len(shown) <= max(chars, 0)
    assert shown == text or shown.removeprefix("… ").removesuffix(" …") in text


def test_an_excerpt_shows_what_was_asked_for() -> None:
    text = "It begins slowly. " * 20 + "The reactor's code is K-42. " + "It ends slowly. " * 20
    assert excerpt(text, "What is the code of the reactor?", 60).startswith("… The reactor's code is K-42. It ends")
    assert excerpt(text, "nothing of it", 60).startswith("It begins slowly.")
    assert excerpt(text, "", 60).startswith("It begins slowly.")
