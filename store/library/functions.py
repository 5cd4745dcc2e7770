"""The functions that storage carries out: from the call that stands in the log to the result that the model reads.

Rules. (1) A result is a function of the log up to the call: the agent as of the call's own seq, and each source that
is attached as of its last event before it. (2) It stays within the call's cap. (3) What is wrong with a call is a
ValueError, written for the model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import PalimpsestError
from palimpsest.events.functions import (
    ARCHIVAL_MEMORY_SEARCH,
    CONVERSATION_SEARCH,
    CONVERSATION_SEARCH_DATE,
    GREP_DOCUMENTS,
    LIST_DOCUMENTS,
    OPEN_DOCUMENT,
    function_named,
)
from palimpsest.events.passages import Hit, HitPage, beside, excerpt, label, search_page
from palimpsest.events.sources import Source, stream_of
from palimpsest.events.texts import clip
from palimpsest.events.types import Found, FunctionCalled, FunctionFailed, FunctionReturned, Parent
from palimpsest.store.index.heads import Heads
from palimpsest.store.index.points import View
from palimpsest.store.index.projection import MemoryIndex
from palimpsest.store.library.reading import Library, Reads, ShelvedDocument
from palimpsest.store.logs.contract import parts
from palimpsest.store.times import zones

FIRST_DAY, LAST_DAY = "0001-01-01", "9999-12-31"
LISTED: Final = 20
"""So many documents are listed on a page, at most."""
LISTED_CHARS: Final = 120
"""What one of them takes."""
Code = TypeVar("Code", bound=Callable[..., Any])
_NONE: Final[Mapping[str, int]] = MappingProxyType({})


def reads_documents(call: FunctionCalled) -> bool:
    """Whether a call reads sources in the log, and needs no index."""
    function = function_named(call.name)
    return function is not None and function.carrier == "documents"


class SourceLog(Reads, Heads, Protocol):
    """The part of a log's reader that is needed here."""


def seqs_of(call: FunctionCalled, at: Envelope, log: Heads) -> dict[str, int]:
    """The sources that a call sees, each with the seq that it had then."""
    return {source: log.seq_at(stream_of(source), at.position) for source in call.sources}


class Sight(msgspec.Struct, frozen=True):
    """What an agent's searches see: its `own` stream (as a fork, with those that it goes on from, the nearest first),
    and in archival storage its `sources` too."""

    own: tuple[View, ...]
    sources: tuple[View, ...] = ()

    @property
    def all(self) -> tuple[View, ...]:
        return self.own + self.sources


def sight_of(agent: str, seq: int, lineage: Sequence[Parent], sources: Mapping[str, int] = _NONE) -> Sight:
    """What an agent sees after its event `seq`. Seqs of a source: those that it had then."""
    own = (View(part.stream, min(seq, part.to)) for part in reversed(parts(agent, lineage)) if part.after < seq)
    return Sight(tuple(own), tuple(View(stream_of(source), at) for source, at in sources.items() if at))


def sight_at(call: FunctionCalled, at: Envelope, log: Heads) -> Sight:
    """What a call sees."""
    return sight_of(at.stream, at.seq, log.lineage(at.stream), seqs_of(call, at, log))


# --- searches -------------------------------------------------------------------------------------------------------


def search(index: MemoryIndex, call: FunctionCalled, sight: Sight) -> HitPage:
    """The page that a search asks for: the agent as of the call's own seq, and its sources as of theirs."""
    return _code(SEARCHES, call)(index, call, sight)


def _of_words(index: MemoryIndex, call: FunctionCalled, sight: Sight) -> HitPage:
    page = _page_of(call)
    who, first, last = (str(call.arguments.get(name, "")).strip() for name in ("who", "start_date", "end_date"))
    start_ms, end_ms = bounds_of(first, last, call.zone)
    return index.search(
        sight.own, kind="message", query=str(call.arguments["query"]), page=page, size=call.page_size,
        hidden=frozenset(call.hidden), own=len(sight.own), who=who, start_ms=start_ms, end_ms=end_ms,
    )  # fmt: skip


def _of_days(index: MemoryIndex, call: FunctionCalled, sight: Sight) -> HitPage:
    page, (first_ms, last_ms) = _page_of(call), days(call)
    return index.by_date(
        sight.own, start_ms=first_ms, end_ms=last_ms, page=page, size=call.page_size,
        hidden=frozenset(call.hidden), own=len(sight.own),
    )  # fmt: skip


def _of_passages(index: MemoryIndex, call: FunctionCalled, sight: Sight) -> HitPage:
    return index.search(
        sight.all, kind="passage", query=str(call.arguments["query"]), page=_page_of(call), size=call.page_size,
        hidden=frozenset(call.hidden), own=len(sight.own),
    )  # fmt: skip


SEARCHES: Final[Mapping[str, Callable[[MemoryIndex, FunctionCalled, Sight], HitPage]]] = {
    CONVERSATION_SEARCH.name: _of_words,
    CONVERSATION_SEARCH_DATE.name: _of_days,
    ARCHIVAL_MEMORY_SEARCH.name: _of_passages,
}
"""The code of the functions that storage carries out in its index."""


def _code(of: Mapping[str, Code], call: FunctionCalled) -> Code:
    code = of.get(call.name)
    if code is None:  # a later Palimpsest's
        raise ValueError(f"This Palimpsest has no function '{call.name[:80]}'.")
    return code


def bounds_of(start: str, end: str, zone: str = "") -> tuple[int | None, int | None]:
    """The first and last millisecond of a range of days of a zone, which may be open on either side. Raises ValueError
    with a text for the model."""
    if not (start or end):
        return None, None
    first, last = zones.day_bounds(zone, start or FIRST_DAY, end or LAST_DAY)
    return first if start else None, last if end else None


def days(call: FunctionCalled) -> tuple[int, int]:
    """The first and the last millisecond of the days that a search is for."""
    return zones.day_bounds(call.zone, str(call.arguments["start_date"]), str(call.arguments["end_date"]))


def _page_of(call: FunctionCalled) -> int:
    page = int(call.arguments.get("page", 0))
    if page < 0:
        raise ValueError("Pages are counted from 0.")
    return page


def returned(agent: str, call: FunctionCalled, page: HitPage) -> FunctionReturned:
    """The page as the model reads it: of each hit an excerpt, so that the whole stays under the call's cap."""
    room = max(40, (call.max_chars - 60) // max(1, len(page.hits)) - (53 if call.zone else 50))
    hits = [_clipped(hit, str(call.arguments.get("query", "")), room) for hit in page.hits]
    return FunctionReturned(
        call=call.call,
        result=search_page(hits, page.total, _page_of(call), call.page_size, zone=call.zone, offset=zones.offset_s),
        found=tuple(found(agent, hit) for hit in page.hits),
        total=page.total,
        between=days(call) if call.zone and call.name == CONVERSATION_SEARCH_DATE.name else None,
    )


def unavailable(call: FunctionCalled, why: PalimpsestError | None) -> FunctionFailed:
    """What an agent is told when storage cannot carry a call out; its turn goes on."""
    return FunctionFailed(call=call.call, name=call.name, error=f"Storage cannot answer now: {why}")


def _clipped(hit: Hit, query: str, room: int) -> Hit:
    """A document's hit gives a third of its room, at most, to what it takes to cite it."""
    if not hit.path:
        return replace(hit, text=excerpt(hit.text, query, max(40, room - len(beside(hit)))))
    hit = replace(hit, path=clip(hit.path, max(40, room // 4)), heading=clip(hit.heading, max(20, room // 8)))
    return replace(hit, text=excerpt(hit.text, query, max(40, room - len(label(hit)))))


def found(agent: str, hit: Hit) -> Found:
    stream = "" if hit.stream == agent else hit.stream
    return Found(seq=hit.seq, chunk=hit.chunk, score=round(hit.score, 6), stream=stream)


# --- documents ------------------------------------------------------------------------------------------------------


def look_up(library: Library, asked: Envelope, call: FunctionCalled, log: SourceLog) -> FunctionReturned:
    """The result of a function on documents."""
    sources = library.sources(seqs_of(call, asked, log))
    result = _code(READINGS, call)(library, sources, asked, call)
    return replace(result, result=clip(result.result, call.max_chars))


def _list(_library: Library, sources: list[Source], _asked: Envelope, call: FunctionCalled) -> FunctionReturned:
    return FunctionReturned(call=call.call, result=_listed(sources, call))


def _open(library: Library, sources: list[Source], _asked: Envelope, call: FunctionCalled) -> FunctionReturned:
    return FunctionReturned(call=call.call, result=_opened(library, sources, call))


def _listed(sources: list[Source], call: FunctionCalled) -> str:
    shelves = [ShelvedDocument(source, document) for source in sources for document in source.loaded]
    page, size = _page_of(call), max(1, min(LISTED, (call.page_chars - 160) // LISTED_CHARS))
    heads = ", ".join(_counted(source) for source in sources) or "none"
    if not shelves:
        return clip(f"There is no document yet. Sources: {heads}.", call.max_chars)
    last = (len(shelves) - 1) // size
    if page > last:
        raise ValueError(f"There is no page {page} of the list: it has {_pages(last)}.")
    lines = [_line(shelf) for shelf in shelves[page * size : (page + 1) * size]]
    return f"Documents {page * size + 1} to {page * size + len(lines)} of {len(shelves)} (page {page}/{last}):\n" + (
        "\n".join(lines)
    )


def _counted(source: Source) -> str:
    loading = f", {len(source.loading)} being loaded" if source.loading else ""
    return f"{clip(source.name, 40)} ({len(source.loaded)} documents{loading})"


def _line(shelf: ShelvedDocument) -> str:
    source, document = shelf
    size = f"{document.passages} passages, {document.chars} characters"
    return f"{document.id} {clip(source.name, 20)}: {clip(document.path, 40)}, {size}"


def _pages(last: int) -> str:
    return "page 0 only" if last == 0 else f"pages 0 to {last}"


def _opened(library: Library, sources: list[Source], call: FunctionCalled) -> str:
    """A page of a document under a line that says what it is, and how to read on."""
    shelf = library.find(sources, str(call.arguments["document"]))
    chars = call.page_chars or call.max_chars
    head_chars = min(300, chars // 2)
    place = str(call.arguments.get("place", "")).strip()
    page = library.page_at(shelf, place, chars - head_chars) if place else _page_of(call)
    reading = library.page(shelf, page, chars - head_chars)
    last = reading.pages - 1
    on = f"; page {page + 1} reads on" if page < last else "; this is its end"
    where = f", {reading.place}" if reading.place else ""
    name = clip(f"{shelf.source.name}: {shelf.document.path}", max(20, head_chars - 120))
    head = clip(f"{name} (page {page}/{last}{where}{on})", head_chars - 1)
    if len(head) + 1 + len(reading.text) <= call.max_chars:
        return f"{head}\n{reading.text}"
    cut = "\n[Cut here: other calls stand beside this one. Call open_document alone to read the whole page.]"
    return f"{head}\n{reading.text}"[: max(0, call.max_chars - len(cut))] + cut


def _grep(library: Library, sources: list[Source], asked: Envelope, call: FunctionCalled) -> FunctionReturned:
    page, size = _page_of(call), call.page_size
    wanted = str(call.arguments.get("document", "")).strip()
    only = library.find(sources, wanted) if wanted else None
    matches = library.grep(sources, str(call.arguments["text"]), only, page, size)
    if not matches.total:
        return FunctionReturned(call=call.call, result="No results found.")
    last = (matches.total - 1) // size
    if not matches.hits:
        return FunctionReturned(
            call=call.call,
            result=f"No results on page {page}: there are {matches.total}, on {_pages(last)}.",
            total=matches.total,
        )
    room = max(40, (call.max_chars - 80) // len(matches.hits) - 8)
    lines = []
    for hit in matches.hits:
        where = label(hit, room // 2)
        lines.append(f"{where}: {clip(hit.text, max(30, room - len(where)))}")
    head = f"Showing {len(lines)} of {matches.total} results (page {page}/{last}): "
    return FunctionReturned(
        call=call.call,
        result=head + json.dumps(lines, ensure_ascii=False),
        found=tuple(found(asked.stream, hit) for hit in matches.hits),
        total=matches.total,
    )


READINGS: Final[Mapping[str, Callable[[Library, list[Source], Envelope, FunctionCalled], FunctionReturned]]] = {
    LIST_DOCUMENTS.name: _list,
    OPEN_DOCUMENT.name: _open,
    GREP_DOCUMENTS.name: _grep,
}
"""The code of the functions that read documents."""
