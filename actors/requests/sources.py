"""Sources on a log: which there are, and which agents have them attached.

Rules. (1) A source's stream and its agents' streams tell the same of an attachment, in one append. (2) What is done
already is not done again: every call here may be made twice.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Final

from msgspec.structs import replace

from palimpsest.actors.links.calls import KNOWN, StreamLog, unknown
from palimpsest.actors.parts.process import now_ms
from palimpsest.events.codec import draft
from palimpsest.events.envelope import Draft
from palimpsest.events.errors import BadInput, NoSuchDocument, UnknownSource, WindowTooSmall
from palimpsest.events.kinds import kinds_of
from palimpsest.events.prompts import least_window_of, most_reserve_tokens
from palimpsest.events.servers import chosen
from palimpsest.events.sources import (
    OUTLINE,
    PREFIX,
    Document,
    Source,
    fold_source,
    is_source,
    removed_key,
    source_of,
    stream_of,
)
from palimpsest.events.state import State
from palimpsest.events.texts import clip
from palimpsest.events.types import (
    AgentAttached,
    AgentDetached,
    DocumentRemoved,
    Event,
    SourceAttached,
    SourceDetached,
    SourceUnloaded,
)
from palimpsest.store.logs.contract import MUST_EXIST, Append
from palimpsest.store.tokens.counting import count

MAX_NAME_CHARS: Final = 64
READ_EVENTS: Final = 1000
AGENTS_AT_ONCE: Final = 100
HEADS_AT_ONCE: Final = 500
UNLOADED: Final = kinds_of(SourceUnloaded)


def check_source(name: str) -> None:
    """Raises BadInput where a name cannot be a source's."""
    if not name.strip() or name != name.strip() or len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise BadInput(
            f"'{clip(name, 40)}' cannot be a source's name: give 1 to {MAX_NAME_CHARS} printable characters, "
            "none of them blank at either end."
        )
    if name.startswith("-") or is_source(name):
        raise BadInput(f"'{clip(name, 40)}' cannot be a source's name: leave '-' and 'source:' at its beginning out.")


async def fold(log: StreamLog, name: str, source: Source | None = None) -> Source | None:
    """The source as it is now, folded on from what is given (None: there is none)."""
    after = source.seq if source else 0
    while chunk := await log.read(stream_of(name), after, None, READ_EVENTS, OUTLINE):
        source = fold_source(chunk, source)
        after = chunk[-1].seq
    return source


async def known(log: StreamLog, name: str, *, gone: bool = False) -> Source:
    """The source of this name; one that was unloaded as a whole only if so asked. Raises UnknownSource."""
    check_source(name)
    source = await fold(log, name)
    if source is None or (source.gone and not gone):
        raise UnknownSource(name, tuple([each async for each in names(log, KNOWN)]))
    return source


async def names(log: StreamLog, limit: int | None = None) -> AsyncIterator[str]:
    """The names of the sources, in order."""
    after, left = PREFIX, limit
    while heads := await log.heads(after, HEADS_AT_ONCE):
        for head in heads:
            if not is_source(head.stream) or left == 0:
                return
            name = source_of(head.stream)
            if await _is_there(log, name):
                yield name
                left = None if left is None else left - 1
        after = heads[-1].stream


async def _is_there(log: StreamLog, name: str) -> bool:
    """Whether a source was not unloaded as a whole; its outline is read only where it ever was."""
    if not await log.read(stream_of(name), limit=1, kinds=UNLOADED):
        return True
    source = await fold(log, name)
    return source is not None and not source.gone


async def attach(log: StreamLog, name: str, agents: Sequence[str]) -> list[str]:
    """Attach a source to agents; those that did not have it yet. Raises UnknownSource, UnknownAgent,
    WindowTooSmall."""
    source = await known(log, name)
    await check_agents(log, agents)
    return await attach_to(log, source, agents)


async def attach_to(log: StreamLog, source: Source, agents: Sequence[str]) -> list[str]:
    """Attach a source to agents that there are. Raises WindowTooSmall."""
    fresh = [agent for agent in dict.fromkeys(agents) if agent not in source.agents]
    await check_windows(log, source.name, fresh)
    pairs = [(agent, SourceAttached(source=source.name), AgentAttached(agent=agent)) for agent in fresh]
    await _append_pairs(log, source.name, pairs, "attach")
    return fresh


async def detach(log: StreamLog, name: str, agents: Sequence[str]) -> list[str]:
    """Detach a source from agents; those that had it. Raises UnknownSource, UnknownAgent."""
    source = await known(log, name)
    await check_agents(log, agents)
    inherited = await _having(log, name, [agent for agent in agents if agent not in source.agents])
    theirs = [agent for agent in dict.fromkeys(agents) if agent in source.agents or agent in inherited]
    await _detach(log, name, theirs)
    return theirs


async def _having(log: StreamLog, name: str, agents: Iterable[str]) -> set[str]:
    """Those of these agents that have a source which does not know of them: forks, whose parent was given it."""
    found: set[str] = set()
    left = iter(dict.fromkeys(agents))
    while part := list(islice(left, AGENTS_AT_ONCE)):
        for agent, state in (await log.states(dict.fromkeys(part))).items():
            if name in (state.sources if state.next_sources is None else state.next_sources):
                found.add(agent)
    return found


async def _detach(log: StreamLog, name: str, agents: Sequence[str]) -> None:
    pairs = [(agent, SourceDetached(source=name), AgentDetached(agent=agent)) for agent in agents]
    await _append_pairs(log, name, pairs, "detach")


async def check_agents(log: StreamLog, agents: Iterable[str]) -> None:
    """Raises UnknownAgent for the first that there is not."""
    left = iter(dict.fromkeys(agents))
    while part := list(islice(left, AGENTS_AT_ONCE)):
        firsts = await asyncio.gather(*(log.read(agent, limit=1) for agent in part))
        for agent, first in zip(part, firsts, strict=True):
            if is_source(agent) or not first:
                raise await unknown(log, agent)


async def check_windows(log: StreamLog, name: str, agents: Iterable[str]) -> None:
    """Raises WindowTooSmall for the first agent whose window cannot hold the functions on documents."""
    left = iter(dict.fromkeys(agents))
    while part := list(islice(left, AGENTS_AT_ONCE)):
        for state in (await log.states(dict.fromkeys(part))).values():
            await asyncio.to_thread(check_window, state, name)  # it counts tokens


def check_window(state: State, name: str) -> None:
    """Raises WindowTooSmall where an agent could not talk with this source attached, beside those that it has."""
    settings, had = chosen(state), state.sources
    with_it = replace(state, settings=settings, sources=had if name in had else (*had, name), next_sources=None)
    least = least_window_of(with_it, count, most_reserve_tokens(settings.model))
    if settings.window_tokens < least:
        raise WindowTooSmall(state.agent, settings.window_tokens, least, name)


async def _append_pairs(log: StreamLog, name: str, pairs: Sequence[tuple[str, Event, Event]], what: str) -> None:
    """What an agent's stream and the source's are told together, some agents at once."""
    left = iter(pairs)
    while part := list(islice(left, AGENTS_AT_ONCE)):
        # A key of this call's own: made again after the log's process died, it is known for what it is.
        key = f"{what}:{uuid.uuid4().hex}"
        drafts: list[Draft] = []
        for number, (agent, theirs, ours) in enumerate(part):
            drafts.append(draft(agent, now_ms(), theirs, key=f"{key}:{name}"))
            drafts.append(draft(stream_of(name), now_ms(), ours, key=f"{key}:{number}"))
        await log.append(Append(tuple(drafts), {agent: MUST_EXIST for agent, _, _ in part}))


async def unload(log: StreamLog, name: str, documents: Sequence[str] = ()) -> list[Document]:
    """Remove documents (paths or ids) from a source; or with none named all of them, and the source, which is detached
    from its agents.

    What was removed. Raises UnknownSource, and BadInput where a document is not there.
    """
    source = await known(log, name, gone=not documents)
    if documents:
        chosen = [_named(source, wanted) for wanted in dict.fromkeys(documents)]
        await remove(log, name, chosen, "unloaded")
        return chosen
    there = [*source.loaded, *source.loading]
    await _detach(log, name, list(source.agents))
    if not source.gone or source.cut_off:
        made = draft(stream_of(name), now_ms(), SourceUnloaded(), key=f"unload:{source.seq}")
        await log.append(Append((made,)))
    return there


def _named(source: Source, wanted: str) -> Document:
    found = source.named(wanted) or [document for document in source.loading if wanted in (document.path, document.id)]
    if len(found) == 1:
        return found[0]
    if found:
        each = ", ".join(f"{document.path} ({document.id})" for document in found[:5])
        raise BadInput(f"'{clip(wanted, 80)}' can be {len(found)} documents: {each}. Name one by its id.")
    near = get_close_matches(wanted, [document.path for document in source.loaded][:5000], n=3)
    raise NoSuchDocument(clip(wanted, 80), source.name, tuple(near))


async def remove(log: StreamLog, name: str, documents: Sequence[Document], reason: str) -> None:
    """Let documents die."""
    made = tuple(
        draft(
            stream_of(name),
            now_ms(),
            DocumentRemoved(document=document.id, reason=reason),
            key=removed_key(document.id, document.removals),
        )
        for document in documents
    )
    if made:
        await log.append(Append(made))
