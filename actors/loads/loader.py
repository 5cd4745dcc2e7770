"""The loader: files, cut into passages, into a source's stream; a few appends in flight, and never twice.

Rules. (1) Every passage of a document has its number, and what the log has of them is asked first: so a load that was
killed goes on where it stopped. (2) A document counts once it is there whole; only then the one that it replaces goes.
(3) One bad file stops no other. (4) Reading, cutting and packing run in a thread; memory is bounded. (5) Nothing is
left half: a load that finds its document unloaded under it buries what it wrote of it since, and the next load does so
for one that was killed.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Final, TypeVar

from palimpsest.actors.links.calls import StreamLog
from palimpsest.actors.loads.cutter import BATCH_PASSAGES, CutDiffers, Cutter, LoggedStretch, stretch_of
from palimpsest.actors.loads.loading import (
    Loaded,
    OnProgress,
    Progress,
    Report,
    check_sizes,
    same_bytes,
    sizes_of_new,
    told_of,
)
from palimpsest.actors.loads.pace import Pace
from palimpsest.actors.parts.door import NEVER
from palimpsest.actors.parts.process import now_ms
from palimpsest.actors.requests.sources import (
    AGENTS_AT_ONCE,
    attach_to,
    check_agents,
    check_source,
    check_windows,
    fold,
    remove,
)
from palimpsest.events.codec import decode, draft
from palimpsest.events.documents import Passage
from palimpsest.events.envelope import Draft
from palimpsest.events.errors import ActorLost, DocumentUnreadable, LogUnavailable
from palimpsest.events.kinds import kinds_of
from palimpsest.events.position import Position
from palimpsest.events.sources import (
    Document,
    Source,
    loaded_key,
    opened_key,
    passages_key,
    removed_key,
    stream_of,
)
from palimpsest.events.texts import clip
from palimpsest.events.types import (
    DocumentLoaded,
    DocumentOpened,
    DocumentRefused,
    DocumentRemoved,
    Event,
    PassagesLoaded,
    SourceCreated,
    UploadFinished,
)
from palimpsest.store.documents import FoundFile, Refused, digest, find, open_document
from palimpsest.store.documents.files import origin_of, reason_of
from palimpsest.store.logs.contract import MUST_EXIST, Append, Appended

T = TypeVar("T")

IN_FLIGHT: Final = 3
LOOKS_AFTER: Final = 20
"""After so many stretches a load looks whether its document was unloaded meanwhile."""
PATIENCE_S: Final = 60.0
"""So long the log may be away, or full, before a load gives up."""
UNLOADED: Final = "It was unloaded while it was loaded. Load it again if it is to be there."
_PASSAGES: Final = kinds_of(PassagesLoaded)


class _Unloaded(Exception):
    """The document that is being loaded was removed."""


class Loader:
    """One load of one source."""

    def __init__(
        self, log: StreamLog, name: str, *, on_progress: OnProgress | None = None, pace: Pace | None = None
    ) -> None:
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
        self._done_bytes = self._total_bytes = self._passages = self._written = 0
        self._position: Position | None = None

    async def load(
        self, paths: Sequence[Path], *, agents: Sequence[str] = (), passage_tokens: int = 0, overlap_tokens: int = -1
    ) -> Report:
        """Load the files at and under these paths (sizes 0 and -1: the source's own, or the usual).

        Raises BadInput where the sizes or a name cannot be, UnknownAgent, WindowTooSmall; LogUnavailable where the log
        stays away.
        """
        started = time.monotonic()
        await check_agents(self._log, agents)
        await check_windows(self._log, self._name, agents)
        await self._begin(passage_tokens, overlap_tokens)
        attached = await attach_to(self._log, self._source, agents)
        found = await asyncio.to_thread(lambda: list(find(paths)))
        self._total_bytes = sum(each.size_bytes for each in found if isinstance(each, FoundFile))
        for each in found:
            if isinstance(each, Refused):
                await self._refuse(each.path, each.reason)
            else:
                before = self._done_bytes
                await self._file(each)
                self._done_bytes = before + each.size_bytes
            self._report(each.path)
        await self._look_again()
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
            same=same_bytes(self._source, {each.path for each in self._loaded}),
        )

    async def _begin(self, passage_tokens: int, overlap_tokens: int) -> None:
        """The source, made where there is none; what loads that were cut off left in it is buried."""
        source = await fold(self._log, self._name)
        if source is None:
            tokens, overlap = sizes_of_new(passage_tokens, overlap_tokens)
            created = SourceCreated(passage_tokens=tokens, overlap_tokens=overlap)
            await self._append([self._draft(created, "create")], {self._stream: 0})
            source = await fold(self._log, self._name)
            assert source is not None, "it was made, and streams do not vanish"
        check_sizes(source, passage_tokens, overlap_tokens)
        self._source = source
        for document in source.cut_off:
            await self._remove(document, "its load was cut off")

    async def _look_again(self) -> None:
        """Fold what came into the source meanwhile, from here and from others."""
        source = await self._patiently(lambda: fold(self._log, self._name, self._source))
        assert source is not None, "streams do not vanish"
        self._source = source

    # --- files

    async def _file(self, found: FoundFile) -> None:
        """Load one file, unless it is there; refuse it where it cannot be read."""
        try:
            sha256, _ = await asyncio.to_thread(digest, found.real)
        except (OSError, ValueError) as error:
            await self._refuse(found.path, reason_of(error, found.real))
            return
        document = self._source.documents.get(self._source.free_id(found.path, sha256))
        if document is not None and document.status == "loaded":
            self._skipped.append(found.path)
            await self._replace(document)
            return
        try:
            document = await self._document(found, sha256)
        except DocumentUnreadable as error:
            await self._refuse(found.path, error.reason, sha256)
        except _Unloaded:
            self._refused.append(Refused(found.path, UNLOADED))
        else:
            replaced = await self._replace(document)
            elsewhere = [each.origin for each in replaced if each.origin not in ("", document.origin)]
            instead_of = elsewhere[0] if elsewhere else ""
            loaded = Loaded(found.path, document.passages, document.notes, bool(replaced), instead_of)
            self._loaded.append(loaded)

    async def _document(self, found: FoundFile, sha256: str) -> Document:
        """Bring a document in whole, from where an earlier load left it; anew, where that one has cut it otherwise.

        Raises DocumentUnreadable, and _Unloaded; nothing of it is left then.
        """
        id = self._source.free_id(found.path, sha256)
        self._written = 0
        try:
            return await self._attempt(found, id, sha256)
        except CutDiffers:
            await self._bury(id, "cut anew, by another version than began it")
            return await self._document(found, sha256)
        except DocumentUnreadable as error:
            await self._bury(id, clip(error.reason, 200))
            raise
        except _Unloaded:
            await self._bury(id, "unloaded")
            raise

    async def _attempt(self, found: FoundFile, id: str, sha256: str) -> Document:
        opened = await asyncio.to_thread(open_document, found.real, sha256=sha256)
        passages = opened.passages(self._source.passage_tokens, self._source.overlap_tokens)
        head = await asyncio.to_thread(lambda: list(islice(passages, BATCH_PASSAGES)))  # most bad files show here
        before = self._source.documents.get(id)
        removals = before.removals if before else 0
        there = await self._there(before) if before else {}
        event = DocumentOpened(
            document=id,
            path=found.path,
            media_type=opened.media_type,
            size_bytes=found.size_bytes,
            sha256=sha256,
            origin=await asyncio.to_thread(origin_of, found.real),
        )
        await self._write(event, opened_key(id, removals))
        await self._look_again()
        document = self._living(id)
        count, chars = await self._stretches(document, chain(head, passages), there, found.size_bytes)
        notes = tuple(clip(note, 300) for note in opened.notes[:20])
        loaded = DocumentLoaded(document=id, passages=count, chars=chars, notes=notes)
        await self._write(loaded, loaded_key(id, removals))
        await self._look_again()
        return self._living(id)

    def _living(self, id: str) -> Document:
        """The document, as it was when the source was looked at. Raises _Unloaded."""
        document = self._source.documents[id]
        if document.status == "removed":
            raise _Unloaded
        return document

    async def _bury(self, id: str, reason: str) -> None:
        """Let all die that this load wrote of a document, also what came after others had removed it.

        What another load has made whole meanwhile stays: then nothing of this load's is in the log.
        """
        while True:
            await self._look_again()
            document = self._source.documents.get(id)
            if document is None or document.status == "loaded":
                return
            if document.status == "removed" and document.closed > self._written:
                return
            await self._remove(document, reason)

    async def _remove(self, document: Document, reason: str) -> None:
        event = DocumentRemoved(document=document.id, reason=reason, last=True)
        await self._append([self._draft(event, removed_key(document.id, document.removals))])

    async def _write(self, event: Event, key: str) -> Appended:
        """Append an event to the source's stream; the last seq that a document took is remembered."""
        (answer,) = await self._append([self._draft(event, key)])
        if answer.outcome == "appended":
            self._written = max(self._written, answer.seq)
        return answer

    async def _there(self, document: Document) -> dict[int, LoggedStretch]:
        """The stretches that the log has of a document under way, by their first passage."""
        there: dict[int, LoggedStretch] = {}
        after = document.opened
        while chunk := await self._log.read(self._stream, after, None, 50, _PASSAGES):
            for envelope in chunk:
                event = decode(envelope)
                if isinstance(event, PassagesLoaded) and event.document == document.id:
                    there[event.first] = stretch_of(envelope, event)
            after = chunk[-1].seq
        return there

    async def _stretches(
        self, document: Document, passages: Iterator[Passage], there: Mapping[int, LoggedStretch], size_bytes: int
    ) -> tuple[int, int]:
        """Append what the log does not have, a few calls in flight; the document's passages and characters."""
        before, cutter, written = self._done_bytes, Cutter(document, passages, there), 0
        flying: deque[asyncio.Task[Appended]] = deque()
        cutting = asyncio.create_task(asyncio.to_thread(cutter.next))
        try:
            while (stretch := await cutting) is not None:
                cutting = asyncio.create_task(asyncio.to_thread(cutter.next))  # while this one is written
                if isinstance(stretch, PassagesLoaded):
                    key = passages_key(document.id, document.removals, stretch.first)
                    flying.append(asyncio.create_task(self._write(stretch, key)))
                    self._passages += stretch.count
                    written += 1
                    if written % LOOKS_AFTER == 0:
                        await self._look_again()
                        self._living(document.id)
                if len(flying) >= IN_FLIGHT:
                    await asyncio.wait([flying[0]])
                    await self._wrote(flying.popleft().result())
                self._done_bytes = before + min(size_bytes, cutter.text_bytes)
                self._report(document.path)
        finally:
            settled = await asyncio.gather(cutting, *flying, return_exceptions=True)
        for outcome in settled:
            if isinstance(outcome, BaseException):
                raise outcome
        return cutter.count, cutter.chars

    async def _wrote(self, answer: Appended) -> None:
        if self._pace is not None and answer.position is not None:
            await self._pace.wrote(answer.position)

    async def _replace(self, document: Document) -> list[Document]:
        """Let go what else stands at the document's path; the whole ones among them."""
        others = [other for other in self._source.at_path(document.path) if other.id != document.id]
        if others:
            await self._patiently(lambda: remove(self._log, self._name, others, f"replaced by {document.id}"))
            await self._look_again()
        return [other for other in others if other.status == "loaded"]

    async def _refuse(self, path: str, reason: str, sha256: str = "") -> None:
        """Note that a file was not loaded, and take back what was loaded of it before that showed."""
        self._refused.append(Refused(path, reason))
        begun = [document for document in self._source.at_path(path) if document.status == "loading"]
        await self._patiently(lambda: remove(self._log, self._name, begun, clip(reason, 200)))
        known = self._source.refused.get(path)
        if known is None or (known.reason, known.sha256) != (reason, sha256):
            refused = DocumentRefused(path=path, reason=reason, sha256=sha256)
            await self._append([self._draft(refused, f"refused:{self._source.seq}:{len(self._refused)}:{sha256[:16]}")])
            await self._look_again()

    # --- the end

    async def _tell(self) -> list[str]:
        """One upload event for each agent that has the source, of what it holds now; those that had not got it yet. One
        that is retired hears of nothing."""
        told: list[str] = []
        if not self._source.loaded:
            return told
        event = UploadFinished(source=self._name, detail=told_of(self._source))
        waiting = list(self._source.agents)
        key = f"in:load:{self._name}:{self._source.changed}"
        while waiting:
            part, waiting = waiting[:AGENTS_AT_ONCE], waiting[AGENTS_AT_ONCE:]
            drafts = [draft(agent, now_ms(), event, key=key, opens="turn") for agent in part]
            answers = await self._append(drafts, dict.fromkeys(part, MUST_EXIST))
            told += [agent for agent, answer in zip(part, answers, strict=True) if answer.outcome == "appended"]
            refused = [(agent, a.again_ms) for agent, a in zip(part, answers, strict=True) if a.outcome == "refused"]
            later = [agent for agent, wait_ms in refused if wait_ms != NEVER]
            if later:
                await asyncio.sleep(max(wait_ms for _, wait_ms in refused) / 1000)
                waiting += later
        return told

    # --- the log

    def _draft(self, event: Event, key: str) -> Draft:
        return draft(self._stream, now_ms(), event, key=key)

    async def _append(self, drafts: Sequence[Draft], expected: Mapping[str, int] | None = None) -> list[Appended]:
        append = Append(tuple(drafts), expected or {})
        answers = await self._patiently(lambda: self._log.append(append))
        there = (self._position, *(answer.position for answer in answers))
        self._position = max((each for each in there if each), default=None)
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
