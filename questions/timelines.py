"""An agent's history out of a log, from as near as can be to what is wanted: the story's parts, and single events."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from palimpsest.events.debug.choice import EventChoice
from palimpsest.events.debug.moments import Item, TurnBegan, moment
from palimpsest.events.debug.timeline import Timeline, under_way
from palimpsest.events.envelope import Envelope
from palimpsest.questions.streams import find, stretches
from palimpsest.questions.stretch import Excerpt
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.states import load


def timeline_from(log: LogReader, agent: str, first: int) -> Timeline:
    """A timeline that begins at event `first`, with what was open there."""
    before = load(log, agent, first - 1) if first > 1 else None
    opened = [find(log, agent, key, first) for key in (under_way(before) if before else ())]
    return Timeline(before, [each for each in opened if each])


def newest(parts: Iterable[Item], wanted: EventChoice, turns: int) -> Iterator[Item]:
    """The wanted parts of the last so many turns that have any, each turn with its beginning. What happened between
    turns goes with the turn before it."""
    groups: deque[list[Item]] = deque(maxlen=turns)
    began: TurnBegan | None = None
    group: list[Item] | None = None
    for part in parts:
        if isinstance(part, TurnBegan):
            began, group = part, None
        if not wanted.takes(part):
            continue
        if group is None:
            group = [began] if began and began is not part else []
            groups.append(group)
        group.append(part)
    return (part for each in groups for part in each)


def later(log: LogReader, agent: str, last: int, pause: Callable[[], None]) -> Iterator[Envelope]:
    """What comes after event `last`, as it comes; a pause before each look."""
    while True:
        pause()
        head = log.head(agent)
        if head and head.seq > last:
            yield from stretches(log, agent, last + 1, head.seq)
            last = head.seq


def wanted_events(log: LogReader, stretch: Excerpt) -> Iterator[Envelope]:
    """The events of a stretch that are wanted, one by one."""
    first = stretch.first
    if stretch.newest and stretch.wanted == EventChoice():
        first = max(first, stretch.last - stretch.newest + 1)
    for envelope in stretches(log, stretch.agent, first, stretch.last):
        if stretch.wanted.takes_event(moment(envelope)):
            yield envelope
