"""Storage's functions without the storage actor: for a rerun, which has a log and an index of its own.

Rule: the index is opened when the first search is asked, and brought up to the log before each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import PalimpsestError
from palimpsest.events.types import Event, FunctionCalled, FunctionFailed
from palimpsest.store.library.functions import look_up, reads_documents, returned, search, sight_at, unavailable
from palimpsest.store.library.reading import Library
from palimpsest.store.logs.contract import LogReader

if TYPE_CHECKING:
    from palimpsest.store.index.projection import MemoryIndex


class Functions(Protocol):
    """What carries out searches and the functions on documents: as of the call's seq, and the sources as they were at
    its position."""

    def carry_out(self, asked: Envelope, call: FunctionCalled) -> Event: ...


class DirectFunctions:
    """Carries out calls on a log. `opened` gives the index; `catch_up` applies to it what the log has gained."""

    def __init__(
        self, log: LogReader, opened: Callable[[], MemoryIndex], catch_up: Callable[[MemoryIndex, LogReader], None]
    ) -> None:
        self._log = log
        self._library = Library(log)
        self._opened = opened
        self._catch_up = catch_up
        self._index: MemoryIndex | None = None

    def carry_out(self, asked: Envelope, call: FunctionCalled) -> Event:
        """The call's result; what is wrong with the call, or with the index, is a FunctionFailed."""
        try:
            if reads_documents(call):
                return look_up(self._library, asked, call, self._log)
            if self._index is None:
                self._index = self._opened()
            self._catch_up(self._index, self._log)
            page = search(self._index, call, sight_at(call, asked, self._log))
            return returned(asked.stream, call, page)
        except ValueError as error:
            return FunctionFailed(call=call.call, name=call.name, error=str(error))
        except PalimpsestError as error:
            return unavailable(call, error)

    def close(self) -> None:
        if self._index is not None:
            self._index.close()
