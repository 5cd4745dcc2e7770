"""Which index a log gets: the one that lies there, unless it is ahead of the log."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from palimpsest.actors.parts.index import open_index
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.types import UserMessageReceived
from palimpsest.store.index.bearing import BEARING
from palimpsest.store.index.points import View
from palimpsest.store.index.settings import IndexSettings
from tests.worlds.library import Desk
from tests.worlds.positions import nth


def test_an_index_that_is_ahead_of_its_log_is_built_again(tmp_path: Path) -> None:
    """As where a log was put back from a copy: what comes next would stand at positions that the index has passed."""
    desk = Desk()
    desk.add("ann", UserMessageReceived(text="the heron stalks"))
    index = open_index(tmp_path, FIRST_PARTITION, IndexSettings(), desk)
    index.apply(*desk.tail(nth(0), 100, BEARING))
    index.close()
    index = open_index(tmp_path, FIRST_PARTITION, IndexSettings(), desk)
    assert index.position == desk.position(FIRST_PARTITION), "one that is not ahead is kept"
    index.apply([], desk.position(FIRST_PARTITION).moved(3))
    index.close()
    with capture_logs() as lines:
        index = open_index(tmp_path, FIRST_PARTITION, IndexSettings(), desk)
    assert index.position == nth(0)
    assert [line["position"] for line in lines if "ahead of the log" in line["event"]] == [
        desk.position(FIRST_PARTITION).number + 3
    ]
    index.apply(*desk.tail(nth(0), 100, BEARING))
    page = index.search((View("ann", 9),), kind="message", query="heron", page=0, size=5)
    assert [hit.text for hit in page.hits] == ["the heron stalks"]
    index.close()
