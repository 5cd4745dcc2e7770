"""Echoes: a page tells a thing once, the statement before what was asked or said about it, and with its correction."""

from __future__ import annotations

import pytest

from palimpsest.events.passages import DAY_MS, Hit, HitPage, search_page
from palimpsest.store.index.forms import Form, form_of
from palimpsest.store.index.projection import MemoryIndex
from tests.worlds.journal import START_MS, Journal, all_pages, feed, own


def found(index: MemoryIndex, journal: Journal, query: str, page: int = 0) -> HitPage:
    feed(index, journal)
    return index.search(own("ann"), kind="message", query=query, page=page, size=5)


def texts(hits: tuple[Hit, ...]) -> list[str]:
    return [hit.text for hit in hits]


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("My dentist is Dr. Ray.", ""),
        ("What is my dentist called?", "question"),
        ("what's my dentist called", "question"),
        ("Hi! Do you remember where I parked", "question"),
        ("Tell me about my trip", "question"),
        ("I moved to Lisbon. Do you like it?", "asking"),
        ("When I was young I lived in Oslo", ""),
        ("Remind me to call Bob at five", ""),
        ("I found nothing about that.", ""),
        ("Wo wohne ich", "question"),
        ("¿Dónde viven mis hermanos?", "question"),
        ("我的狗叫什么名字", "question"),
        ("", ""),
    ],
)
def test_a_users_message_states_or_asks(text: str, form: Form) -> None:
    assert form_of(text, by_agent=False) == form


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("I found nothing about that.", "nothing"),
        ("I couldn't find anything about your dentist. Do you want to tell me?", "nothing"),
        ("You never mentioned a dentist to me.", "nothing"),
        ("Dazu habe ich leider nichts gefunden.", "nothing"),
        ("I found nothing about a dentist, but your doctor is Dr. Weber in Graz.", ""),
        ("I have no children. I am a program that runs on a computer.", ""),
    ],
)
def test_an_agents_answer_may_be_empty(text: str, form: Form) -> None:
    assert form_of(text, by_agent=True) == form


def test_a_fact_stands_above_all_that_only_echoes_it(index: MemoryIndex, journal: Journal) -> None:
    journal.say("ann", "The spare key lies under the blue flowerpot.", time_ms=START_MS)
    for n in range(1, 4):
        day = START_MS + n * DAY_MS
        journal.say("ann", "Where does the spare key lie?", time_ms=day)
        journal.answer("ann", "I found nothing about a spare key.")
        journal.say("ann", "The spare key, where is it?", time_ms=day)
        journal.answer("ann", "You told me that the spare key lies under the blue flowerpot.")
    for query in ("Where does the spare key lie?", "spare key", "blue flowerpot"):
        assert found(index, journal, query).hits[0].text == "The spare key lies under the blue flowerpot."


def test_of_near_copies_the_earliest_stands_for_all(index: MemoryIndex, journal: Journal) -> None:
    journal.say("ann", "My sister paints boats in Lisbon.", time_ms=START_MS)
    for n in range(1, 4):
        journal.say("ann", "As I said, my sister paints boats in Lisbon!", time_ms=START_MS + n * DAY_MS)
    journal.say("ann", "My sister paints 3 boats in Lisbon.", time_ms=START_MS + 4 * DAY_MS)
    page = found(index, journal, "sister boats")
    assert page.total == len(page.hits) == 2, "another number is no copy"
    first = next(hit for hit in page.hits if hit.seq == 1)
    assert [(told.kind, told.times, told.time_ms) for told in first.beside] == [("repeated", 3, START_MS + 3 * DAY_MS)]
    assert "user (said 4 times, last 2026-11-25 " in search_page(page.hits, page.total, 0, 5)


@pytest.mark.parametrize(
    ("fact", "correction"),
    [
        ("My favourite colour is blue.", "No wait, it's green."),
        ("My flight leaves at 7:15.", "Correction: it leaves at 8:40."),
        ("Mein Flug geht um sieben.", "Nein, um acht."),
    ],
)
def test_a_correction_is_told_with_what_it_corrects(
    index: MemoryIndex, journal: Journal, fact: str, correction: str
) -> None:
    journal.say("ann", fact, time_ms=START_MS)
    journal.answer("ann", "I see.")
    journal.say("ann", correction, time_ms=START_MS + 60_000)
    for n in range(4):
        journal.say("ann", f"A colour, flight, Flug or favourite of number {n}.", time_ms=START_MS + (n + 1) * DAY_MS)
    page = found(index, journal, fact)
    at = texts(page.hits).index(fact)
    assert page.hits[at + 1].text == correction
    assert [told.kind for told in page.hits[at].beside] == ["corrected"]
    assert "see the next result): " in search_page(page.hits, page.total, 0, 5)


@pytest.mark.parametrize(
    ("fact", "later", "related"),
    [
        ("I live in Warsaw.", "I live in Gdansk now.", True),
        ("I have two cats.", "I have three cats.", True),
        ("My sister is called Anna.", "My brother is called Tom.", False),
        ("I like apples.", "I like pears.", False),
        ("The budget for the garden is 2,000 euros.", "The budget for the garden is 3,500 euros.", True),
        ("I eat meat.", "I no longer eat meat.", True),
        ("I drink my coffee black.", "I don't drink my coffee black anymore, I take milk.", True),
        ("I don't eat meat.", "I never eat meat.", False),
    ],
)
def test_a_later_value_stands_behind_the_earlier_one(
    index: MemoryIndex, journal: Journal, fact: str, later: str, related: bool
) -> None:
    journal.say("ann", fact, time_ms=START_MS)
    journal.say("ann", later, time_ms=START_MS + 9 * DAY_MS)
    page = found(index, journal, f"{fact} {later}")
    beside = {hit.text: [told.kind for told in hit.beside] for hit in page.hits}
    assert beside == ({fact: ["corrected"], later: ["corrects"]} if related else {fact: [], later: []})
    if related:
        assert texts(page.hits) == [fact, later]


def test_a_correction_on_the_next_page_is_told_with_its_words(index: MemoryIndex, journal: Journal) -> None:
    journal.say("ann", "I live in Warsaw.", time_ms=START_MS)
    journal.say("ann", "I live in Gdansk now.", time_ms=START_MS + 9 * DAY_MS)
    feed(index, journal)
    one, two = (
        index.search(own("ann"), kind="message", query="Where do I live?", page=page, size=1) for page in (0, 1)
    )
    assert ": I live in Gdansk now.): I live in Warsaw." in search_page(one.hits, one.total, 0, 1)
    assert ": I live in Warsaw.): I live in Gdansk now." in search_page(two.hits, two.total, 1, 1)


def test_pages_are_parts_of_one_order_whatever_is_grouped(index: MemoryIndex, journal: Journal) -> None:
    for n in range(70):
        journal.say("ann", f"The herring number {n % 50} swims.", time_ms=START_MS + n * DAY_MS)
        journal.say("ann", "Does the herring swim?", time_ms=START_MS + n * DAY_MS)
    feed(index, journal)
    pages = all_pages(index, "ann", "herring swims")
    hits = [hit for page in pages for hit in page.hits]
    assert {page.total for page in pages} == {len(hits)}
    assert len({hit.seq for hit in hits}) == len(hits) < 140
