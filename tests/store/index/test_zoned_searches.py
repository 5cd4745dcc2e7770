"""Searches of an agent that has a zone: the days that they are for, the times that they show, and the day
that is a word of what was said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from palimpsest.events.envelope import Envelope
from palimpsest.events.formats import NAMED, ZONED
from palimpsest.events.kinds import Kind
from palimpsest.events.passages import Hit, HitPage
from palimpsest.events.types import (
    AgentCreated,
    ArchivalMemoryInserted,
    Event,
    FormatChanged,
    FunctionCalled,
    Settings,
    TimeZoneSet,
    UserMessageReceived,
)
from palimpsest.store.index.clocks import Clocks
from palimpsest.store.index.projection import MemoryIndex
from palimpsest.store.library.functions import Sight, returned, search
from tests.store.times.test_zones import NEW_YORK, utc
from tests.worlds.journal import Journal, feed, open_index, own


class Index:
    """Notes what it is asked for, and finds what was said in the evening of the 22nd in New York."""

    def __init__(self) -> None:
        self.asked: Mapping[str, Any] = {}

    def by_date(self, _views: object, **asked: Any) -> HitPage:
        self.asked = asked
        return HitPage((Hit(7, 0, 1.0, utc("2026-11-23 02:30"), "user", "Good night."),), 1)


def by_date(zone: str, first: str, last: str) -> FunctionCalled:
    given: dict[str, str | int | float | bool] = {"start_date": first, "end_date": last}
    return FunctionCalled(call="c1", name="conversation_search_date", arguments=given, zone=zone)


@pytest.mark.parametrize(
    ("zone", "begins", "ends", "shown"),
    [
        (NEW_YORK, "2026-11-22 05:00", "2026-11-23 05:00", "2026-11-22 21:30:00 -05:00"),
        ("Asia/Kolkata", "2026-11-21 18:30", "2026-11-22 18:30", "2026-11-23 08:00:00 +05:30"),
        ("", "2026-11-22 00:00", "2026-11-23 00:00", "2026-11-23 02:30:00 UTC"),
    ],
)
def test_a_day_is_a_day_of_the_zone_and_what_is_found_is_told_on_its_clock(
    zone: str, begins: str, ends: str, shown: str
) -> None:
    index, call = Index(), by_date(zone, "2026-11-22", "2026-11-22")
    page = search(cast("MemoryIndex", index), call, Sight(()))
    days = (utc(begins), utc(ends) - 1)
    assert (index.asked["start_ms"], index.asked["end_ms"]) == days
    event = returned("ada", call, page)
    assert f"timestamp: {shown}, user: Good night." in event.result
    assert event.between == (days if zone else None), "what was reckoned with zone data is written down"


def test_a_range_over_a_change_of_the_clocks_has_its_hours() -> None:
    index = Index()
    search(cast("MemoryIndex", index), by_date(NEW_YORK, "2026-03-07", "2026-03-08"), Sight(()))
    assert index.asked["end_ms"] + 1 - index.asked["start_ms"] == 47 * 3_600_000


def test_a_bad_date_is_told_to_the_model_as_ever() -> None:
    with pytest.raises(ValueError, match="is after end_date"):
        search(cast("MemoryIndex", Index()), by_date(NEW_YORK, "2026-03-08", "2026-03-07"), Sight(()))


# --- the day as a word ------------------------------------------------------------------------------------------------

SUNDAY_EVENING = utc("2026-11-23 02:00")
"""In New York; it is Monday by UTC."""


def born(zone: str, *parts: str) -> AgentCreated:
    return AgentCreated(system="", blocks=(), settings=Settings(), format=NAMED, parts=parts, zone=zone)


def tell(journal: Journal, agent: str, *before: Event) -> None:
    for event in before:
        journal.add(agent, event, time_ms=utc("2026-11-01 00:00"))
    journal.say(agent, "The kettle is broken.", time_ms=SUNDAY_EVENING)
    journal.add(agent, ArchivalMemoryInserted(call="c", text="Kettles break.", ends=(14,)), time_ms=SUNDAY_EVENING)


AGENTS: Mapping[str, tuple[tuple[Event, ...], str]] = {
    "zoned": ((born(NEW_YORK, ZONED),), "Sunday 22"),
    "utc": ((born("UTC", ZONED),), "Monday 23"),
    "old": ((AgentCreated(system="", blocks=(), settings=Settings()),), "Monday 23"),
    "unzoned": ((born(NEW_YORK),), "Monday 23"),
    "moved": ((born("Asia/Tokyo", ZONED), TimeZoneSet(zone=NEW_YORK)), "Sunday 22"),
    "modern": ((born("UTC"), TimeZoneSet(zone=NEW_YORK), FormatChanged(parts=(ZONED,))), "Sunday 22"),
}


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("restarted", [False, True])
def test_a_message_is_found_by_the_day_that_its_agents_clock_showed(
    tmp_path: Path, agent: str, restarted: bool
) -> None:
    journal, (before, day) = Journal(), AGENTS[agent]
    tell(journal, agent, *before)
    index = open_index(tmp_path / "index", journal)
    if restarted:
        feed(index, journal, to=len(before))
        index.close()
        index = open_index(tmp_path / "index", journal)
    feed(index, journal)
    for kind in ("message", "passage"):
        for asked in ("Sunday 22", "Monday 23"):
            found = index.search(own(agent), kind=kind, query=asked, page=0, size=5)
            assert (found.total == 1) == (asked == day)
    index.close()


def test_clocks_of_so_many_streams_are_held_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palimpsest.store.index.clocks.STREAMS", 3)
    journal, read = Journal(), list[str]()
    for number in range(9):
        tell(journal, f"a{number}", born(NEW_YORK, ZONED))

    def reading(stream: str, after: int, to: int, *, kinds: frozenset[Kind] | None = None) -> Sequence[Envelope]:
        read.append(stream)
        return journal.read(stream, after, to, kinds=kinds)

    clocks = Clocks(reading)
    said = {agent: journal.read(agent, 0, 99)[-1] for agent in ("a0", "a1", "a7", "a8")}
    for number in range(9):
        clocks.note(journal.read(f"a{number}", 0, 1)[0])
    used = ("a8", "a7", "a8", "a7", "a0", "a1", "a7", "a0")
    assert {clocks.day(said[agent]) for agent in used} == {clocks.day(said["a0"])}
    assert read == ["a0", "a1"], "what was used last stays"


def test_what_was_said_before_a_move_keeps_its_day(tmp_path: Path) -> None:
    journal = Journal()
    tell(journal, "ada", born(NEW_YORK, ZONED))
    journal.add("ada", TimeZoneSet(zone="Asia/Tokyo"), time_ms=SUNDAY_EVENING + 1)
    journal.say("ada", "The toaster is broken.", time_ms=SUNDAY_EVENING + 2)
    index = open_index(tmp_path / "index", journal)
    feed(index, journal)
    (hit, *_) = index.search(own("ada"), kind="message", query="Sunday", page=0, size=5).hits
    assert hit.text == "The kettle is broken.", "of the next one Sunday is only the context's day"
    (hit, *_) = index.search(own("ada"), kind="message", query="Monday", page=0, size=5).hits
    assert hit.text == "The toaster is broken."
    index.close()


def test_a_fork_goes_by_its_parents_clock(tmp_path: Path) -> None:
    class Forked(Journal):
        def read(self, stream: str, after: int, to: int, /, *, kinds: frozenset[Kind] | None = None) -> list[Envelope]:
            before = super().read("ada", after, min(to, 1), kinds=kinds) if stream == "fay" else []
            return before + super().read(stream, after, to, kinds=kinds)

    journal = Forked()
    journal.add("ada", born(NEW_YORK, ZONED))
    journal.add("ada", TimeZoneSet(zone="Asia/Tokyo"))
    journal.add("fay", UserMessageReceived(text="The kettle is broken."), seq=2, time_ms=SUNDAY_EVENING)
    index = open_index(tmp_path / "index", journal)
    feed(index, journal)
    assert index.search(own("fay"), kind="message", query="Sunday", page=0, size=5).total == 1
    index.close()
