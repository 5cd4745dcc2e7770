"""The agents of a log, a page at a time: what each is called and runs on, how full its window is, what it does, and
what was said last. It takes a reader and prints nothing.

Rules. (1) What stands beside the events (heads, open requests) is read of all agents, since it costs next to nothing; a
state is folded, from its newest snapshot, only of those that are shown, or that a filter has to look into: one by one
until the page is full, and of them those alone whose stream has an event that the filter could be about. (2) An agent
that cannot be read is one of the list, as set aside, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import chain, islice
from typing import Any, Final, Literal, get_args

import msgspec

from palimpsest.events.codec import decode
from palimpsest.events.debug.window import window
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import LogDamaged, NewerFormat
from palimpsest.events.kinds import Kind, kinds_of
from palimpsest.events.servers import chosen
from palimpsest.events.state import UNCOUNTED, State
from palimpsest.events.texts import clip
from palimpsest.events.types import (
    AgentCreated,
    AgentForked,
    Event,
    InferenceRequested,
    MessageSent,
    Parent,
    ServerSwitched,
    SettingsChanged,
    SourceAttached,
    TitleChanged,
    UserMessageReceived,
)
from palimpsest.store.logs.contract import LogReader, StreamHead, agents_of, open_everywhere
from palimpsest.store.logs.states import load

Doing = Literal["idle", "in a turn", "waiting", "at rest", "set aside", "retired"]
"""What an agent does: nothing; it waits for a model or a function; its inputs wait; what is under way goes on nowhere
(a fork, an import); it cannot be read; it takes no inputs."""
DOINGS: Final[tuple[Doing, ...]] = get_args(Doing)

_KNOWN: Final = ("in a turn", "waiting", "retired")
"""What is known of an agent without its state."""

Sort = Literal["name", "created", "updated", "events", "waiting"]
SORTS: Final[tuple[Sort, ...]] = get_args(Sort)

LOOKED_BACK: Final = (60, 600, 6_000)
"""So many events are read for the last words; more, only where these have none."""
WORDS_CHARS: Final = 2_000
_TITLES: Final = kinds_of(TitleChanged)
_MODELS: Final = kinds_of(AgentCreated, AgentForked, SettingsChanged, ServerSwitched)
_SOURCES: Final = kinds_of(SourceAttached)
_REQUESTS: Final = kinds_of(InferenceRequested)
_SPOKEN: Final = kinds_of(UserMessageReceived, MessageSent)


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What was said last, its beginning. `who`: "agent", or the user's name, or "user"."""

    seq: int
    time_ms: int
    who: str
    text: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An agent of the list. `filled_tokens`: what its window holds, or held at its last request where system text and
    core memory were not counted since (0: they never were). `problem` says why it is set aside; what its stream would
    say is empty then."""

    agent: str
    events: int
    created_ms: int
    updated_ms: int
    waiting: int
    timers: int
    state: Doing
    title: str = ""
    model: str = ""
    base_url: str = ""
    window_tokens: int = 0
    filled_tokens: int = 0
    sources: tuple[str, ...] = ()
    parent: Parent | None = None
    words: Words | None = None
    problem: str = ""


class RosterQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which agents, in which order. Empty: all. `names` is a pattern as a shell has it (`support-*`), or a part of a
    name; `title` and `model` are parts of theirs, `source` is one that is attached. Retired ones are left out, unless
    they are asked for by `state`, or `retired`."""

    names: str = ""
    title: str = ""
    model: str = ""
    source: str = ""
    state: Doing | Literal[""] = ""
    retired: bool = False
    sort: Sort = "name"
    reverse: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether no state has to be looked into to tell who is wanted."""
        return not (self.title or self.model or self.source) and self.state in ("", *_KNOWN)


class Roster:
    """The agents of a log as it is now."""

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._heads = agents_of(log.heads())
        self._owed = _counts(open_everywhere(log, "turn"))
        asked = chain.from_iterable(open_everywhere(log, topic) for topic in ("inference", "storage", "timer"))
        self._asked = {envelope.stream: envelope for envelope in asked}
        self._timers = _counts(open_everywhere(log, "alarm"))
        self._retired = {envelope.stream for envelope in open_everywhere(log, "retirement")}

    @property
    def agents(self) -> int:
        return len(self._heads)

    @property
    def retired(self) -> int:
        return len(self._retired)

    def rows(self, wanted: RosterQuery, skip: int = 0) -> Iterator[Row]:
        """The agents that are wanted but the first `skip`, each looked into when it is its turn."""
        heads = (head for head in self._sorted(wanted) if self._may_be(head, wanted))
        if wanted.is_plain:
            yield from (self.row(head) for head in islice(heads, skip, None))
            return
        looked_into = (self._row(head, wanted) for head in heads if self._can_be(head, wanted))
        yield from islice((row for row in looked_into if row), skip, None)

    def row(self, head: StreamHead) -> Row:
        """One agent, whatever it is."""
        row = self._row(head, RosterQuery(retired=True))
        assert row is not None, "nothing is left out"
        return row

    def _sorted(self, wanted: RosterQuery) -> list[StreamHead]:
        keys: Mapping[Sort, Callable[[StreamHead], Any]] = {
            "name": lambda head: head.stream,
            "created": lambda head: head.created_ms,
            "updated": lambda head: -head.updated_ms,
            "events": lambda head: -head.seq,
            "waiting": lambda head: -self._owed[head.stream],
        }
        return sorted(self._heads, key=keys[wanted.sort], reverse=wanted.reverse)

    # --- filters, the cheap ones first

    def _may_be(self, head: StreamHead, wanted: RosterQuery) -> bool:
        """Whether an agent can be wanted, by what is known of it without its state."""
        agent = head.stream
        if wanted.names and not _is_named(agent, wanted.names):
            return False
        if wanted.state in _KNOWN:
            return self._doing(agent, None) == wanted.state
        return wanted.retired or agent not in self._retired

    def _can_be(self, head: StreamHead, wanted: RosterQuery) -> bool:
        """Whether a title, a model or a source that is asked for was ever the agent's. One that cannot be read, can."""
        asked = ((_TITLES, wanted.title), (_MODELS, wanted.model), (_SOURCES, wanted.source))
        try:
            return all(self._had(head.stream, kinds, text.casefold()) for kinds, text in asked if text)
        except (LogDamaged, NewerFormat):
            return True

    def _had(self, agent: str, kinds: frozenset[Kind], text: str) -> bool:
        events = map(decode, self._log.read(agent, kinds=kinds))
        return any(text in said.casefold() for event in events for said in _said(event))

    def _row(self, head: StreamHead, wanted: RosterQuery) -> Row | None:
        """The agent's row; None where it is not wanted after all."""
        agent = head.stream
        try:
            state = load(self._log, agent)
        except (LogDamaged, NewerFormat) as error:
            row = self._bare(head, "set aside", str(error))
            looked_into = wanted.title or wanted.model or wanted.source
            return row if not looked_into and wanted.state in ("", row.state) else None
        if state is None or not _is_wanted(state, wanted):
            return None
        doing = self._doing(agent, state)
        if wanted.state not in ("", doing):
            return None
        return self._whole(head, state, doing)

    def _doing(self, agent: str, state: State | None) -> Doing:
        if agent in self._retired:
            return "retired"
        if agent in self._owed:
            return "in a turn" if agent in self._asked else "waiting"
        return "at rest" if state and (state.turn or state.pending) else "idle"

    # --- rows

    def _bare(self, head: StreamHead, doing: Doing, problem: str = "") -> Row:
        return Row(
            agent=head.stream,
            events=head.seq,
            created_ms=head.created_ms,
            updated_ms=head.updated_ms,
            waiting=self._owed[head.stream],
            timers=self._timers[head.stream],
            state=doing,
            problem=problem,
        )

    def _whole(self, head: StreamHead, state: State, doing: Doing) -> Row:
        settings, lineage = state.settings, self._log.lineage(head.stream)
        return msgspec.structs.replace(
            self._bare(head, doing),
            title=state.title,
            model=settings.model,
            base_url=settings.base_url,
            window_tokens=settings.window_tokens,
            filled_tokens=self._filled(head, state),
            sources=state.sources if state.next_sources is None else state.next_sources,
            parent=lineage[0] if lineage else None,
            words=last_words(self._log, head),
        )

    def _filled(self, head: StreamHead, state: State) -> int:
        """What the window holds, margin included."""
        opened = self._asked.get(head.stream)
        event = decode(opened) if opened and opened.kind in _REQUESTS else None
        asked = event if isinstance(event, InferenceRequested) else None
        if asked is None and state.head_tokens == UNCOUNTED:
            last = _last(self._log, head, _REQUESTS)
            event = decode(last) if last else None
            return event.tokens if isinstance(event, InferenceRequested) else 0
        return window(state, asked).total_tokens


def _said(event: Event) -> Iterator[str]:
    """What an event says of titles, models and sources."""
    match event:
        case TitleChanged(title=title):
            yield title
        case SourceAttached(source=source):
            yield source
        case AgentCreated(settings=settings) | SettingsChanged(settings=settings) | ServerSwitched(settings=settings):
            yield settings.model
        case AgentForked(settings=settings) if settings is not None:
            yield settings.model
        case _:
            pass


def _counts(opened: list[Envelope]) -> Counter[str]:
    return Counter(envelope.stream for envelope in opened)


def _is_named(agent: str, pattern: str) -> bool:
    name, wanted = agent.casefold(), pattern.casefold()
    return fnmatchcase(name, wanted) if any(each in pattern for each in "*?[") else wanted in name


def _is_wanted(state: State, wanted: RosterQuery) -> bool:
    models = {state.settings.model.casefold(), chosen(state).model.casefold()}
    sources = {*state.sources, *(state.next_sources or ())}
    return (
        wanted.title.casefold() in state.title.casefold()
        and any(wanted.model.casefold() in model for model in models)
        and (not wanted.source or wanted.source in sources)
    )


def last_words(log: LogReader, head: StreamHead) -> Words | None:
    """What was said last in a stream, by its user or by the agent."""
    last = _last(log, head, _SPOKEN)
    return _words(last) if last else None


def _last(log: LogReader, head: StreamHead, kinds: frozenset[Kind]) -> Envelope | None:
    """The last event of these kinds, as far as is looked back."""
    for events in LOOKED_BACK:
        found = log.read(head.stream, max(0, head.seq - events), head.seq, None, kinds)
        if found or events >= head.seq:
            return found[-1] if found else None
    return None


def _words(envelope: Envelope) -> Words:
    try:
        event = decode(envelope)
    except (LogDamaged, NewerFormat):
        return Words(seq=envelope.seq, time_ms=envelope.time, who="?", text="")
    who = "agent" if isinstance(event, MessageSent) else getattr(event, "name", "") or "user"
    text = clip(str(getattr(event, "text", "")), WORDS_CHARS)
    return Words(seq=envelope.seq, time_ms=envelope.time, who=who, text=text)
