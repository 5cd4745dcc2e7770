"""Searches of an agent that has a zone: the days that they are for, and the times that they show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from events.passages import Hit, Page
from events.types import FunctionCalled
from store.functions import Sight, returned, search
from store.projection import MemoryIndex
from tests.unit.test_zones import NEW_YORK, utc


class Index:
    """Notes what it is asked for, and finds what was said in the evening of the 22nd in New York."""

    def __init__(self) -> None:
        self.asked: Mapping[str, Any] = {}

    def by_date(self, _views: object, **asked: Any) -> Page:
        self.asked = asked
        return Page((Hit(7, 0, 1.0, utc("2026-11-23 02:30"), "user", "Good night."),), 1)


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
