"""Where a recorded search had something: the same search as of then, page after page, on an index.

Rule: the data folder's index is used where it can be had, else one of just what the agent saw is built for this; where
that would take long (a long stream, and no index at hand) the rank stays unknown, with the reason.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from palimpsest.console.options import data_folder, given_bundle, index_settings
from palimpsest.events.debug.told import Told
from palimpsest.events.debug.turns import Search
from palimpsest.events.debug.verdict import Ranked
from palimpsest.events.errors import BadInput, PalimpsestError, StorageUnavailable
from palimpsest.events.sources import is_source
from palimpsest.store.logs.contract import LogReader

if TYPE_CHECKING:
    from palimpsest.store.index.points import View
    from palimpsest.store.index.projection import MemoryIndex
    from palimpsest.store.library.functions import Sight

PAGE: Final = 200
MOST: Final = 2000
"""So many results are looked through."""
BUILT_EVENTS: Final = 20_000
"""No more events are indexed just to know a rank (some seconds), unless that is asked for."""


def rank(log: LogReader, search: Search, told: Collection[Told], *, patient: bool = False) -> Ranked:
    """The best rank of what was told among a search's results. An index that cannot be had makes it unknown."""
    from palimpsest.store.library.functions import sight_at

    sight = sight_at(search.call, search.asked, log)
    try:
        with _index(log, sight.all, patient=patient) as index:
            return _ranked(index, search, sight, told)
    except (PalimpsestError, ValueError) as error:
        return Ranked(unknown=str(error))


def _ranked(index: MemoryIndex, search: Search, sight: Sight, told: Collection[Told]) -> Ranked:
    from palimpsest.store.library.functions import search as searched

    wanted = {(each.stream, each.seq, each.chunk) for each in told}
    looked = 0
    while True:
        arguments = {**search.call.arguments, "page": looked // PAGE}
        page = searched(index, replace(search.call, arguments=arguments, page_size=PAGE), sight)
        for number, hit in enumerate(page.hits, looked + 1):
            stream = hit.stream if is_source(hit.stream) else ""  # what a fork has of its parent's is its own
            if {(stream, hit.seq, hit.chunk), (stream, hit.seq, -1)} & wanted:
                return Ranked(rank=number, total=page.total, looked=number)
        looked += len(page.hits)
        if len(page.hits) < PAGE or looked >= MOST:
            return Ranked(total=page.total, looked=looked)


@contextlib.contextmanager
def _index(log: LogReader, views: tuple[View, ...], *, patient: bool) -> Iterator[MemoryIndex]:
    """The data folder's index, brought up to the log; else a private one. Raises BadInput where that takes long."""
    from palimpsest.questions.searches import catch_up, private_index

    index = _at_hand(log)
    if index is not None:
        with contextlib.closing(index):
            if patient or log.position() - index.position <= BUILT_EVENTS:
                catch_up(index, log)
                yield index
                return
    events = sum(view.as_of for view in views)
    if events > BUILT_EVENTS and not patient:
        raise BadInput(f"no index is at hand, and to build one of {events:,} events takes a while: --rank does it")
    with private_index(log, views) as private:
        yield private


def _at_hand(log: LogReader) -> MemoryIndex | None:
    """The data folder's index, if it has one that nobody else has open. A bundle has none."""
    from palimpsest.actors.parts.index import open_index

    path = data_folder().index_path()
    if given_bundle() or not path.exists():
        return None
    try:
        return open_index(path, index_settings(), log)
    except StorageUnavailable:
        return None
