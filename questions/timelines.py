"""An agent's history out of a log, from as near as can be to what is wanted: the story's parts, and single events."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from msgspec.structs import replace

from palimpsest.events.debug.choice import EventChoice
from palimpsest.events.debug.moments import Item, TurnBegan, TurnClosed, moment
from palimpsest.events.debug.timeline import Timeline, under_way
from palimpsest.events.envelope import Envelope
from palimpsest.events.state import State
from palimpsest.questions.streams import find, stretches
from palimpsest.questions.stretch import Excerpt, first_of_last
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.states import load


def state_before(log: LogReader, agent: str, first: int) -> State | None:
    """An agent as it was before its event `first`; None: that is its first."""
    return load(log, agent, first - 1) if first > 1 else None


def timeline_from(log: LogReader, agent: str, first: int, before: State | None) -> Timeline:
    """A timeline that begins at event `first`, with what was open `before`."""
    opened = [find(log, agent, key, first) for key in (under_way(before) if before else ())]
    return Timeline(before, [each for each in opened if each])


def parts_of(timeline: Timeline, envelopes: Iterable[Envelope], *, turn: int = 0, rest: bool = True) -> Iterator[Item]:
    """What these events complete; and the `rest`, what is open after them. The end of the `turn` ends it."""
    for envelope in envelopes:
        for part in timeline.feed(moment(envelope)):
            yield part
            if isinstance(part, TurnClosed) and part.turn == turn:
                return
    if rest:
        yield from timeline.rest()


def story_of(log: LogReader, stretch: Excerpt, pause: Callable[[], None]) -> Iterator[Item]:
    """The story of a stretch, or of its newest turns what is wanted; where it is followed, with what comes later, and a
    pause before each look."""
    if stretch.newest and stretch.wanted == EventChoice():
        stretch = replace(stretch, first=first_of_last(log, stretch), newest=0)
    agent, first, turn = stretch.agent, stretch.first, stretch.wanted.turn
    timeline = timeline_from(log, agent, first, state_before(log, agent, first))
    parts = parts_of(timeline, stretches(log, agent, first, stretch.last), turn=turn, rest=not stretch.follow)
    yield from newest(parts, stretch.wanted, stretch.newest) if stretch.newest else parts
    if stretch.follow:
        yield from parts_of(timeline, later(log, agent, stretch.last, pause), turn=turn, rest=False)


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


def wanted_events(log: LogReader, stretch: Excerpt, pause: Callable[[], None]) -> Iterator[Envelope]:
    """The events of a stretch that are wanted, or the newest of them; where it is followed, what comes later too."""
    first, last, wanted = stretch.first, stretch.last, stretch.wanted
    if stretch.newest and wanted == EventChoice():
        first = max(first, last - stretch.newest + 1)
    found = (each for each in stretches(log, stretch.agent, first, last) if wanted.takes_event(moment(each)))
    yield from deque(found, maxlen=stretch.newest) if stretch.newest else found
    if stretch.follow:
        coming = later(log, stretch.agent, last, pause)
        yield from (each for each in coming if wanted.takes_event(moment(each)))
