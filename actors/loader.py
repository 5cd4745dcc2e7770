"""The loader: files, cut into passages, into a source's stream; a few appends in flight, and never twice.

Rules. (1) Every passage of a document has its number, and what the log has of them is asked first: so a load that was
killed goes on where it stopped. (2) A document counts once it is there whole; only then the one that it replaces goes.
(3) One bad file stops no other. (4) Reading, cutting and packing run in a thread; memory is bounded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from actors.pace import Pace
from actors.process import now_ms
from actors.sources import AGENTS_AT_ONCE, Log, attach, check_agents, check_source, fold, remove
from events.codec import decode, draft
from events.context import clip
from events.documents import Passage, pack_passages
from events.envelope import Draft, Topic
from events.errors import ActorLost, BadInput, DocumentUnreadable, LogUnavailable
from events.sources import (
    Document,
    Source,
    Status,
    document_id,
    loaded_key,
    opened_key,
    passages_key,
    removed_key,
    stream_of,
)
from events.types import (
    DocumentLoaded,
    DocumentOpened,
    DocumentRefused,
    DocumentRemoved,
    Event,
    PassagesLoaded,
    SourceCreated,
    UploadFinished,
)
from store.documents import OVERLAP_TOKENS, PASSAGE_TOKENS, Found, Refused, digest, find, open_document
from store.documents.document import LEAST_TOKENS
from store.documents.files import reason_of
from store.log import MUST_EXIST, Append, Appended

T = TypeVar("T")

BATCH_PASSAGES: Final = 200
BATCH_BYTES: Final = 96_000
"""Of text: packed it is a third of that, so that a call stays below what goes through Ray's object store."""
IN_FLIGHT: Final = 3
PATIENCE_S: Final = 60.0
"""So long the log may be away, or full, before a load gives up."""
MOST_TOKENS: Final = 2000
SHOWN_PATHS: Final = 5
_PASSAGES: Final = frozenset({PassagesLoaded.__name__})


class Loaded(msgspec.Struct, frozen=True):
    """A document that this load brought in. `notes` say what was mended on the way."""

    path: str
    passages: int
    notes: tuple[str, ...] = ()
    replaced: bool = False


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a load did. `position`: of the log, once all of it was there. `told`: agents that got an upload event."""

    source: str
    loaded: tuple[Loaded, ...]
    skipped: tuple[str, ...]
    refused: tuple[Refused, ...]
    attached: tuple[str, ...]
    told: tuple[str, ...]
    passages: int
    seconds: float
    position: int


class Progress(msgspec.Struct, frozen=True):
    """How far a load is. The bytes of what was skipped or refused count as done."""

    path: str
    done_bytes: int
    total_bytes: int
    documents: int
    passages: int


OnProgress = Callable[[Progress], None]


class Loader:
    """One load of one source."""

    def __init__(self, log: Log, name: str, *, on_progress: OnProgress | None = None, pace: Pace | None = None) -> None:
        check_source(name)
        self._log = log
        self._name = name
        self._stream = stream_of(name)
        self._on_progress = on_progress
        self._pace = pace
        self._source: Source
        self._loaded: list[Loaded] = []
        self._skipped: list[str] = []
        self._refused: list[Refused] = []
        self._done_bytes = self._total_bytes = self._passages = self._position = 0

    async def load(
        self, paths: Sequence[Path], *, agents: Sequence[str] = (), passage_tokens: int = 0, overlap_tokens: int = -1
    ) -> Report:
        """Load the files at and under these paths (sizes 0 and -1: the source's own, or the usual).

        Raises BadInput where the sizes or a name cannot be, UnknownAgent; LogUnavailable where the log stays away.
        """
        started = time.monotonic()
        await check_agents(self._log, agents)
        await self._begin(passage_tokens, overlap_tokens)
        attached = await attach(self._log, self._name, agents)
        found = await asyncio.to_thread(lambda: list(find(paths)))
        self._total_bytes = sum(each.size_bytes for each in found if isinstance(each, Found))
        for each in found:
            if isinstance(each, Refused):
                await self._refuse(each.path, each.reason)
            else:
                before = self._done_bytes
                await self._file(each)
                self._done_bytes = before + each.size_bytes
            self._report(each.path)
        self._source = await self._folded()
        told = await self._tell()
        return Report(
            source=self._name,
            loaded=tuple(self._loaded),
            skipped=tuple(self._skipped),
            refused=tuple(self._refused),
            attached=tuple(attached),
            told=tuple(told),
            passages=self._passages,
            seconds=time.monotonic() - started,
            position=self._position,
        )

    async def _begin(self, passage_tokens: int, overlap_tokens: int) -> None:
        """The source, made where there is none."""
        source = await fold(self._log, self._name)
        if source is None:
            tokens = passage_tokens or PASSAGE_TOKENS
            overlap = min(OVERLAP_TOKENS, tokens // 2) if overlap_tokens < 0 else overlap_tokens
            check_sizes(tokens, overlap)
            created = SourceCreated(passage_tokens=tokens, overlap_tokens=overlap)
            made = draft(self._stream, now_ms(), created, key="create")
            await self._append([made], {self._stream: 0})
            source = await self._folded()
        given = passage_tokens or source.passage_tokens, source.overlap_tokens if overlap_tokens < 0 else overlap_tokens
        if given != (source.passage_tokens, source.overlap_tokens):
            raise BadInput(
                f"Source '{self._name}' has passages of {source.passage_tokens} tokens with an overlap of "
                f"{source.overlap_tokens}, for good. Leave --passage-tokens and --overlap-tokens out, or load into a "
                "source of another name."
            )
        self._source = source

    async def _folded(self) -> Source:
        source = await fold(self._log, self._name)
        assert source is not None, "it was made, and streams do not vanish"
        return source

    # --- files

    async def _file(self, found: Found) -> None:
        """Load one file, unless it is there; refuse it where it cannot be read."""
        try:
            sha256, _ = await asyncio.to_thread(digest, found.real)
        except (OSError, ValueError) as error:
            await self._refuse(found.path, reason_of(error, found.real))
            return
        id = document_id(found.path, sha256)
        document = self._source.documents.get(id)
        if document is not None and document.status == Status.LOADED:
            self._skipped.append(found.path)
            await self._replace(document)
            return
        try:
            document = await self._document(found, id, sha256, document)
        except DocumentUnreadable as error:
            await self._refuse(found.path, error.reason, sha256)
            return
        replaced = await self._replace(document)
        self._loaded.append(Loaded(found.path, document.passages, document.notes, replaced))

    async def _document(self, found: Found, id: str, sha256: str, before: Document | None) -> Document:
        """Bring a document in whole, from where an earlier load left it. Raises DocumentUnreadable."""
        opened = await asyncio.to_thread(open_document, found.real, sha256=sha256)
        removals = before.removals if before else 0
        there = await self._there(before) if before and before.status == Status.LOADING else {}
        event = DocumentOpened(
            document=id, path=found.path, media_type=opened.media_type, size_bytes=found.size_bytes, sha256=sha256
        )
        await self._append([self._draft(event, opened_key(id, removals))])
        document = Document(id=id, path=found.path, status=Status.LOADING, removals=removals)
        self._source.documents[id] = document
        passages = opened.passages(self._source.passage_tokens, self._source.overlap_tokens)
        count, chars = await self._stretches(document, passages, there, found.size_bytes)
        notes = tuple(clip(note, 300) for note in opened.notes[:20])
        loaded = DocumentLoaded(document=id, passages=count, chars=chars, notes=notes)
        await self._append([self._draft(loaded, loaded_key(id, removals))])
        document = msgspec.structs.replace(document, status=Status.LOADED, passages=count, chars=chars, notes=notes)
        self._source.documents[id] = document
        return document

    async def _there(self, document: Document) -> dict[int, int]:
        """The stretches that the log has of a document under way: first passage -> how many."""
        there: dict[int, int] = {}
        after = document.opened
        while chunk := await self._log.read(self._stream, after, None, 50, _PASSAGES):
            for event in map(decode, chunk):
                if isinstance(event, PassagesLoaded) and event.document == document.id:
                    there[event.first] = event.count
            after = chunk[-1].seq
        return there

    async def _stretches(
        self, document: Document, passages: Iterator[Passage], there: Mapping[int, int], size_bytes: int
    ) -> tuple[int, int]:
        """Append what the log does not have, a few calls in flight; the document's passages and characters."""
        before, cutter = self._done_bytes, _Cutter(document, passages, there)
        flying: set[asyncio.Task[list[Appended]]] = set()
        try:
            while (stretch := await asyncio.to_thread(cutter.next)) is not None:
                if isinstance(stretch, PassagesLoaded):
                    made = self._draft(stretch, passages_key(document.id, document.removals, stretch.first))
                    flying.add(asyncio.create_task(self._append([made])))
                    self._passages += stretch.count
                if len(flying) >= IN_FLIGHT:
                    done, flying = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        await self._wrote(task.result())
                self._done_bytes = before + min(size_bytes, cutter.text_bytes)
                self._report(document.path)
        finally:
            settled = await asyncio.gather(*flying, return_exceptions=True)
        for outcome in settled:
            if isinstance(outcome, BaseException):
                raise outcome
        return cutter.count, cutter.chars

    async def _wrote(self, answers: Sequence[Appended]) -> None:
        if self._pace is not None:
            await self._pace.wrote(answers[0].position)

    async def _replace(self, document: Document) -> bool:
        """Let go what else stands at the document's path; whether a whole one did."""
        others = [other for other in self._source.at_path(document.path) if other.id != document.id]
        await self._patiently(lambda: remove(self._log, self._name, others, f"replaced by {document.id}"))
        for other in others:
            self._source.documents.pop(other.id)
        return any(other.status == Status.LOADED for other in others)

    async def _refuse(self, path: str, reason: str, sha256: str = "") -> None:
        """Note that a file was not loaded, and take back what was loaded of it before that showed."""
        self._refused.append(Refused(path, reason))
        drafts: list[Draft] = []
        for begun in self._source.at_path(path):
            if begun.status == Status.LOADING:
                removed = DocumentRemoved(document=begun.id, reason=clip(reason, 200))
                drafts.append(self._draft(removed, removed_key(begun.id, begun.removals)))
                gone = msgspec.structs.replace(begun, status=Status.REMOVED, removals=begun.removals + 1)
                self._source.documents[begun.id] = gone
        known = self._source.refused.get(path)
        if known is None or (known.reason, known.sha256) != (reason, sha256):
            refused = DocumentRefused(path=path, reason=reason, sha256=sha256)
            drafts.append(self._draft(refused, f"refused:{self._source.seq}:{len(self._refused)}:{sha256[:16]}"))
        if drafts:
            await self._append(drafts)

    # --- the end

    async def _tell(self) -> list[str]:
        """One upload event for each agent that has the source, of what it holds now; those that had not got it yet."""
        told: list[str] = []
        if not self._source.loaded:
            return told
        event = UploadFinished(source=self._name, detail=_detail(self._source))
        waiting = list(self._source.agents)
        key = f"in:load:{self._name}:{self._source.changed}"
        while waiting:
            part, waiting = waiting[:AGENTS_AT_ONCE], waiting[AGENTS_AT_ONCE:]
            drafts = [draft(agent, now_ms(), event, key=key, opens=Topic.TURN) for agent in part]
            answers = await self._append(drafts, dict.fromkeys(part, MUST_EXIST))
            told += [agent for agent, answer in zip(part, answers, strict=True) if answer.outcome == "appended"]
            refused = [(agent, a.position) for agent, a in zip(part, answers, strict=True) if a.outcome == "refused"]
            if refused:
                await asyncio.sleep(max(wait_ms for _, wait_ms in refused) / 1000)
                waiting += [agent for agent, _ in refused]
        return told

    # --- the log

    def _draft(self, event: Event, key: str) -> Draft:
        return draft(self._stream, now_ms(), event, key=key)

    async def _append(self, drafts: Sequence[Draft], expected: Mapping[str, int] | None = None) -> list[Appended]:
        append = Append(tuple(drafts), expected or {})
        answers = await self._patiently(lambda: self._log.append(append))
        self._position = max(self._position, *(answer.position for answer in answers if answer.outcome != "refused"), 0)
        return answers

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try again while the log is being started anew, or its disk is full: every append here may be made twice."""
        deadline, delay_s = time.monotonic() + PATIENCE_S, 0.1
        while True:
            try:
                return await attempt()
            except (LogUnavailable, ActorLost) as error:
                if (isinstance(error, ActorLost) and error.for_good) or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, 5.0)

    def _report(self, path: str) -> None:
        if self._on_progress:
            documents = len(self._loaded) + len(self._skipped) + len(self._refused)
            self._on_progress(Progress(path, self._done_bytes, self._total_bytes, documents, self._passages))


class _Cutter:
    """Cuts a document's passages into stretches, those left out that the log has. Runs in a thread."""

    def __init__(self, document: Document, passages: Iterator[Passage], there: Mapping[int, int]) -> None:
        self.count = 0
        self.chars = 0
        self.text_bytes = 0
        self._document = document
        self._passages = passages
        self._there = there
        self._starts = sorted(there)
        self._next: Passage | None = None

    def next(self) -> PassagesLoaded | int | None:
        """The next stretch, or how many passages the log has here already; None at the end."""
        first = self.count
        if first in self._there:
            return self._take(list(islice(self._passages, self._there[first])))
        following = next((start for start in self._starts if start > first), first + BATCH_PASSAGES)
        stretch: list[Passage] = []
        size = 0
        for passage in islice(self._passages, min(BATCH_PASSAGES, following - first)):
            stretch.append(passage)
            size += len(passage.text.encode("utf-8", "replace"))
            if size >= BATCH_BYTES:
                break
        chars = self.chars
        if self._take(stretch) is None:
            return None
        return PassagesLoaded(
            document=self._document.id,
            path=self._document.path,
            first=first,
            count=len(stretch),
            chars=self.chars - chars,
            packed=pack_passages(stretch),
            page=stretch[0].page,
            line=stretch[0].first_line,
        )

    def _take(self, passages: Sequence[Passage]) -> int | None:
        self.count += len(passages)
        self.chars += sum(len(passage.fresh) for passage in passages)
        self.text_bytes += sum(len(passage.text) for passage in passages)
        return len(passages) or None


def check_sizes(passage_tokens: int, overlap_tokens: int) -> None:
    """Raises BadInput where passages cannot be cut so."""
    if not LEAST_TOKENS <= passage_tokens <= MOST_TOKENS or not 0 <= overlap_tokens <= passage_tokens // 2:
        raise BadInput(
            f"Passages of {passage_tokens} tokens with an overlap of {overlap_tokens} cannot be made: give "
            f"{LEAST_TOKENS} to {MOST_TOKENS} tokens, and an overlap of at most half of that."
        )


def _detail(source: Source) -> str:
    paths = [document.path for document in source.loaded]
    more = f" and {len(paths) - SHOWN_PATHS} more" if len(paths) > SHOWN_PATHS else ""
    shown = ", ".join(clip(path, 60) for path in paths[:SHOWN_PATHS])
    return (
        f"{len(paths)} document{'s' * (len(paths) != 1)}, {source.passages} passages: {shown}{more}. "
        "Search them with archival_memory_search; list_documents, open_document and grep_documents read them."
    )
