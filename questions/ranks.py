"""Where a recorded search had something: the same search as of then, page after page, on an index.

Rule: the log's own index is used where it can be had, else one of just what the agent saw is built for this; where
that would take long (a long stream, and no index at hand) the rank stays unknown, with the reason.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from palimpsest.events.debug.told import Told
from palimpsest.events.debug.turns import Search
from palimpsest.events.debug.verdict import Ranked
from palimpsest.events.errors import NoIndexAtHand, PalimpsestError, StorageUnavailable
from palimpsest.events.position import Partition
from palimpsest.events.sources import is_source
from palimpsest.store.logs.contract import LogReader, partition_of

if TYPE_CHECKING:
    from palimpsest.store.index.points import View
    from palimpsest.store.index.projection import MemoryIndex
    from palimpsest.store.index.settings import IndexSettings
    from palimpsest.store.library.functions import Sight

CatchUp = Callable[["MemoryIndex", LogReader], None]

PAGE: Final = 200
MOST: Final = 2000
"""So many results are looked through."""
BUILT_EVENTS: Final = 20_000
"""No more events are indexed just to know a rank (some seconds), unless that is asked for."""


class Ranks:
    """The best rank of what was told among a search's results. An index that cannot be had makes it unknown.

    `path` says where a partition's index lies (None: there is none, as for a bundle), `settings` gives what it is
    opened with, and `catch_up` brings it up to the log. With `patient` one is built however long it takes. `said` words
    an error.
    """

    def __init__(
        self, log: LogReader, settings: Callable[[], IndexSettings], path: Callable[[Partition], Path] | None, *,
        patient: bool = False, catch_up: CatchUp | None = None, said: Callable[[Exception], str] = str,
    ) -> None:  # fmt: skip
        self._log, self._settings, self._path = log, settings, path
        self._patient, self._catch_up, self._said = patient, catch_up, said

    def __call__(self, search: Search, told: Collection[Told]) -> Ranked:
        from palimpsest.store.library.functions import sight_at

        sight = sight_at(search.call, search.asked, self._log)
        try:
            with self._index(sight.all) as index:
                return _ranked(index, search, sight, told)
        except (PalimpsestError, ValueError) as error:
            return Ranked(unknown=self._said(error))

    @contextlib.contextmanager
    def _index(self, views: tuple[View, ...]) -> Iterator[MemoryIndex]:
        """The log's own index, brought up to the log; else a private one. Raises NoIndexAtHand where it takes long."""
        from palimpsest.questions import searches

        index = self._at_hand(partition_of(self._log, views[0].stream))
        if index is not None:
            with contextlib.closing(index):
                if self._patient or self._log.position(index.partition).since(index.position) <= BUILT_EVENTS:
                    (self._catch_up or searches.catch_up)(index, self._log)
                    yield index
                    return
        events = sum(view.as_of for view in views)
        if events > BUILT_EVENTS and not self._patient:
            raise NoIndexAtHand(events)
        with searches.private_index(self._log, views, self._settings()) as private:
            yield private

    def _at_hand(self, partition: Partition) -> MemoryIndex | None:
        """The partition's own index, if there is one that nobody else has open."""
        from palimpsest.actors.parts.index import open_index

        if self._path is None or not (path := self._path(partition)).exists():
            return None
        try:
            return open_index(path, partition, self._settings(), self._log)
        except StorageUnavailable:
            return None


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
