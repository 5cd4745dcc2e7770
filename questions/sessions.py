"""A session as a whole: its story by turns, the window of each request, evictions, core memory over time, and whether
the log was proved. One pass over the stream.

Rules. (1) A window names its messages by number, and each message is held once, as the model read it. (2) The proof is
that of `replay --verify`, from the first event on, however few turns are wanted. (3) Behind a break in the log the
story goes on and windows end: nothing that was not folded from good events is shown as a window.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

import msgspec

from palimpsest.events.context import status_message
from palimpsest.events.debug.moments import Evicted, EvictionBegan, Item, Moment, Step, TurnBegan, moment
from palimpsest.events.debug.timeline import Timeline
from palimpsest.events.debug.window import Share, gist, in_words, window
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import NoSession
from palimpsest.events.replay import Replayer
from palimpsest.events.servers import chosen, summarizer
from palimpsest.events.state import Entry, State
from palimpsest.events.types import (
    AgentCreated,
    AgentForked,
    Block,
    CoreMemoryAppended,
    CoreMemoryReplaced,
    InferenceRequested,
    Parent,
    Settings,
)
from palimpsest.questions.streams import agent_head, is_masked, stretches, unprovable
from palimpsest.store.logs.contract import LogReader, StreamHead

WindowProof = Literal["proved", "masked", "differs"]
"""Whether a window's bytes are those that were sent; masked: text in it was masked, so that nobody can say."""


class WindowMessage(msgspec.Struct, frozen=True):
    """A message of a window, once: its number, the seq of the event that bore it, whose it is, what the model read."""

    number: int
    seq: int
    who: str
    text: str


class WindowSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The window of the request at `seq`: its tokens by part, its messages by number, and what of it is elsewhere: the
    seq since when core memory is so (`memory`), the seq of the summary (0: none)."""

    seq: int
    purpose: str
    tokens: int
    window_tokens: int
    shares: tuple[Share, ...]
    messages: tuple[int, ...]
    memory: int
    summary: int
    status: str
    fingerprint: str
    proof: WindowProof


class Scene(msgspec.Struct, frozen=True):
    """A turn, or what happened before the first (`began` None): what was done in it, a request's with its window."""

    began: TurnBegan | None
    told: list[tuple[Item, WindowSeen | None]]


class MemoryChange(msgspec.Struct, frozen=True):
    """`old` is what a replace took away; `how`: begins, adds, replaces, or deletes."""

    seq: int
    time_ms: int
    label: str
    how: str
    old: str
    new: str


class EvictionSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What left the window, and the summary that stands for it."""

    seq: int
    time_ms: int
    seqs: tuple[int, ...]
    reason: str
    tokens: int
    target_tokens: int
    author: str
    text: str
    summary_tokens: int
    note: str


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What a verified replay showed; `difference` "": nothing differs."""

    events: int
    contexts: int
    masked: int
    difference: str = ""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `left_out` turns came before the first scene that is here."""

    head: StreamHead
    lineage: tuple[Parent, ...]
    redacted: bool
    settings: Settings
    system: str
    blocks: tuple[Block, ...]
    zone: str
    scenes: tuple[Scene, ...]
    left_out: int
    messages: dict[int, WindowMessage]
    memory: tuple[MemoryChange, ...]
    evictions: tuple[EvictionSeen, ...]
    proof: Verified


def session(log: LogReader, agent: str, *, last: int = 0) -> Session:
    """The session of an agent; of its turns the last so many (0: all). Raises UnknownAgent, NotAnAgent, NoSession."""
    head = agent_head(log, agent)
    made = _Maker(log, head, last)
    for envelope in stretches(log, agent, 1, head.seq):
        made.feed(envelope)
    return made.made()


_Place = tuple[int, bytes]
"""An entry of the queue: its event's seq, and its bytes."""


class _Maker:
    """Folds, proves and tells a stream at once."""

    def __init__(self, log: LogReader, head: StreamHead, last: int) -> None:
        self._head = head
        self._lineage = tuple(log.lineage(head.stream))
        self._redacted = is_masked(log, head.stream)
        self._excused = unprovable(log, head.stream)
        self._replayer = Replayer(head.stream)
        self._timeline = Timeline()
        self._scenes = deque([Scene(None, [])], maxlen=last + 1 if last else None)
        self._turns = 0
        self._numbers: dict[_Place, int] = {}
        self._messages: dict[int, WindowMessage] = {}
        self._windows: dict[int, WindowSeen] = {}
        self._memory: list[MemoryChange] = []
        self._evictions: list[EvictionSeen] = []
        self._begun: EvictionBegan | None = None
        self._masked = 0
        self._difference = ""
        self._broken = False

    def feed(self, envelope: Envelope) -> None:
        at = moment(envelope)
        if not self._broken:
            self._fold(envelope, at)
        self._remember(at)
        for part in self._timeline.feed(at):
            self._tell(part)

    def _fold(self, envelope: Envelope, at: Moment) -> None:
        found = self._replayer.feed(envelope)
        masked = found is not None and found.context and envelope.seq in self._excused
        if found and not masked:
            self._difference = self._difference or f"event {found.seq}: {found.what}"
            self._broken = self._replayer.seq < envelope.seq
        self._masked += masked
        state = self._replayer.state
        if state and not self._broken and isinstance(at.event, InferenceRequested):
            proof: WindowProof = "masked" if masked else "differs" if found else "proved"
            self._windows[at.seq] = self._window(state, at.seq, at.event, proof)

    def _window(self, state: State, seq: int, event: InferenceRequested, proof: WindowProof) -> WindowSeen:
        summary = event.purpose == "summary"
        settings = summarizer(state.settings) if summary else state.settings
        leaving = state.eviction.seqs if summary and state.eviction else ()
        entries = [each for each in state.queue if not summary or each.seq in leaving]
        status = msgspec.json.decode(status_message(state))["content"]
        return WindowSeen(
            seq=seq,
            purpose=event.purpose,
            tokens=event.tokens,
            window_tokens=settings.window_tokens,
            shares=window(state, event).shares,
            messages=tuple(map(self._number, entries)),
            memory=0 if summary or not self._memory else self._memory[-1].seq,
            summary=state.summary.seq if state.summary else 0,
            status="" if summary else in_words(status)[1],
            fingerprint=event.fingerprint.hex(),
            proof=proof,
        )

    def _number(self, entry: Entry) -> int:
        """The number of a message, which it has from its first window on."""
        place = (entry.seq, entry.wire)
        if place not in self._numbers:
            number = self._numbers[place] = len(self._numbers) + 1
            self._messages[number] = WindowMessage(number, entry.seq, *gist(entry))
        return self._numbers[place]

    def _remember(self, at: Moment) -> None:
        """What the event does to core memory."""

        def change(label: str, how: str, old: str, new: str) -> None:
            self._memory.append(MemoryChange(at.seq, at.time_ms, label, how, old, new))

        match at.event:
            case AgentCreated(blocks=blocks) | AgentForked(blocks=tuple(blocks)):
                for block in blocks:
                    change(block.label, "begins", "", block.value)
            case CoreMemoryAppended(label=label, text=text):
                change(label, "adds", "", text)
            case CoreMemoryReplaced(label=label, old=old, new=new):
                change(label, "replaces" if new else "deletes", old, new)

    def _tell(self, part: Item) -> None:
        if isinstance(part, TurnBegan):
            self._turns += 1
            self._scenes.append(Scene(part, []))
        elif isinstance(part, EvictionBegan):
            self._begun = part
        elif isinstance(part, Evicted):
            self._evictions.append(_evicted(part, self._begun))
        seen = self._windows.pop(part.seq, None) if isinstance(part, Step) else None
        self._scenes[-1].told.append((part, seen))

    def made(self) -> Session:
        for part in self._timeline.rest():
            self._tell(part)
        state = self._replayer.state
        if state is None:
            raise NoSession(self._head.stream, self._difference)
        scenes = tuple(each for each in self._scenes if each.told)
        if self._scenes.maxlen and self._turns > self._scenes.maxlen - 1:
            scenes = scenes[-(self._scenes.maxlen - 1) :]
        return Session(
            head=self._head,
            lineage=self._lineage,
            redacted=self._redacted,
            settings=chosen(state),
            system=state.system,
            blocks=state.blocks,
            zone=state.zone or "UTC",
            scenes=scenes,
            left_out=self._turns - sum(each.began is not None for each in scenes),
            messages=self._messages,
            memory=tuple(self._memory),
            evictions=tuple(self._evictions),
            proof=self._proof(),
        )

    def _proof(self) -> Verified:
        replayed, difference = self._replayer, self._difference
        if not difference and (replayed.seq, replayed.hash) != (self._head.seq, self._head.hash):
            difference = f"the stream's end, event {self._head.seq}, is not the one that its log says"
        return Verified(events=replayed.events, contexts=replayed.contexts, masked=self._masked, difference=difference)


def _evicted(part: Evicted, begun: EvictionBegan | None) -> EvictionSeen:
    return EvictionSeen(
        seq=part.seq,
        time_ms=part.time_ms,
        seqs=part.seqs,
        reason=begun.reason if begun else "",
        tokens=begun.tokens if begun else 0,
        target_tokens=begun.target_tokens if begun else 0,
        author=part.author,
        text=part.text,
        summary_tokens=part.tokens,
        note=part.note,
    )
