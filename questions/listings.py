"""What there is in a log: its agents, each with what it waits for, and its sources with their documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

import msgspec

from palimpsest.actors.links.calls import KNOWN
from palimpsest.events.errors import UnknownSource
from palimpsest.events.sources import PREFIX, Source, is_source, source_of
from palimpsest.events.types import Parent
from palimpsest.store.library.reading import folded
from palimpsest.store.logs.contract import LogReader, StreamHead, agents_of, open_everywhere

HEADS = 500
"""So many streams are read at once."""


class AgentListed(msgspec.Struct, frozen=True, kw_only=True):
    """An agent: where its stream stands, how many inputs and timers wait, and what it was forked from."""

    head: StreamHead
    waiting: int
    timers: int
    parent: Parent | None


def all_agents(log: LogReader) -> list[AgentListed]:
    """The agents of a log, by name."""
    waiting = Counter(each.stream for each in open_everywhere(log, "turn"))
    timers = Counter(each.stream for each in open_everywhere(log, "alarm"))
    return [
        AgentListed(
            head=head,
            waiting=waiting[head.stream],
            timers=timers[head.stream],
            parent=next(iter(log.lineage(head.stream)), None),
        )
        for head in agents_of(log.heads())
    ]


def all_sources(log: LogReader) -> Iterator[Source]:
    """The sources of a log, by name; not those that were unloaded."""
    after = PREFIX
    while heads := [head for head in log.heads(after, HEADS) if is_source(head.stream)]:
        for head in heads:
            found = folded(log, source_of(head.stream))
            if found and not found.gone:
                yield found
        after = heads[-1].stream


def source_named(log: LogReader, name: str) -> Source:
    """The source of this name. Raises UnknownSource."""
    source = folded(log, name)
    if source is None or source.gone:
        raise UnknownSource(name, tuple(each.name for each in islice(all_sources(log), KNOWN)))
    return source
