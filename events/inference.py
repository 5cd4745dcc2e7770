"""The LLM processor without its shell: which inferences to run, on which bytes, and what their answers make in the log.

It folds the log itself: the request is rendered from its own fold, not handed over; so each inference proves, before
it is sent, that two folds of the log gave the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from palimpsest.events.body import headers
from palimpsest.events.cache import StateCache
from palimpsest.events.context import fingerprint, open_request, without_margin
from palimpsest.events.counting import CountedPart, parts
from palimpsest.events.decide import advance, placed
from palimpsest.events.envelope import Draft, Envelope
from palimpsest.events.errors import PalimpsestError
from palimpsest.events.eviction import budget_tokens
from palimpsest.events.evolve import evolve
from palimpsest.events.formats import Format
from palimpsest.events.memory_manager import OWN
from palimpsest.events.own_fields import at_server
from palimpsest.events.servers import next_server, summarizer
from palimpsest.events.state import State
from palimpsest.events.types import (
    Event,
    InferenceCancelled,
    InferenceRequested,
)
from palimpsest.events.vocabulary import Purpose


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """An inference to run: `request` are the bytes to send, `asked` the fingerprint that the memory manager gave."""

    agent: str
    key: str
    turn: int
    purpose: Purpose
    model: str
    base_url: str
    request: bytes
    asked: bytes
    in_flight: int = 0
    timeout_s: float = 0.0
    idle_s: float = 0.0
    """See `Settings`."""
    elsewhere: bool = False
    """Another server is asked where this one fails."""
    headers: dict[str, str] = {}
    format: Format = ()
    """The parts that the request was rendered with."""
    tokens: int = 0
    """The request's count by `encoding`, with the margin; `held_tokens` is without."""
    held_tokens: int = 0
    encoding: str = ""
    parts: tuple[CountedPart, ...] = ()
    """What the server is to count before the request is sent."""
    margin: float = 1.0
    budget_tokens: int = 0
    """The most that the request may hold, margin included; its server is sent nothing that has more."""
    plain: bool = False
    """The model's last answer was plain text: this one is likely to be a message too."""

    @property
    def stream(self) -> str:
        """Where its answer belongs."""
        return self.agent


class InferenceDesk:
    """Folds the log, and finds the inferences that are asked for and those that are called off."""

    def __init__(self, *, capacity: int = 4096) -> None:
        self.states = StateCache(capacity)
        self.broken: dict[str, Exception] = {}
        """Agents whose events could not be folded, and why; for the shell to take away."""

    def missing(self, envelopes: Iterable[Envelope]) -> dict[str, int]:
        return self.states.missing(envelopes)

    def take(self, envelopes: Iterable[Envelope]) -> tuple[list[Job], list[tuple[str, str]]]:
        """The jobs that these events ask for, and the (agent, request key) of those that were cancelled."""
        jobs: list[Job] = []
        cancelled: list[tuple[str, str]] = []
        for envelope in envelopes:
            if envelope.stream in self.broken:
                continue
            try:
                taken = self.states.take(envelope)
            except PalimpsestError as error:
                self.broken[envelope.stream] = error
                self.states.drop(envelope.stream)
                continue
            if taken is None:
                continue
            state, event = taken
            if isinstance(event, InferenceRequested):
                jobs.append(job(state, envelope, event))
            elif isinstance(event, InferenceCancelled):
                cancelled.append((envelope.stream, envelope.closes))
        self.states.trim()
        return jobs, cancelled

    def followed(self, answer: Draft, event: Event, now_ms: int) -> tuple[tuple[Draft, ...], int | None]:
        """An answer with all that follows from it, to be appended as one with the seq that the stream must have then.

        The memory manager decides the same from the same state; what is decided here saves its commit, and the calls
        there and back. Where something must be counted for it, or the state here is not that of the open request, the
        answer stands alone (None), and the memory manager goes on from it.
        """
        state = self.states.get(answer.stream)
        if state is None or state.turn is None or state.turn.request_key != answer.closes:
            return (answer,), None
        try:
            _, more = advance(evolve(state, placed(answer, state.seq + 1), event), _uncounted, now_ms)
        except Exception:  # noqa: BLE001 - what cannot be decided is the memory manager's to say; the answer must come
            return (answer,), None
        if not more or any(draft.kind in OWN for draft in more):
            return (answer,), None
        return (answer, *more), state.seq


class Uncounted(Exception):
    """Something would have to be counted."""


def _uncounted(_encoding: str, _text: str) -> int:
    raise Uncounted


def job(state: State, envelope: Envelope, event: InferenceRequested) -> Job:
    """The job of an open inference; `state` is the fold up to and with its request."""
    is_summary = event.purpose == "summary"
    settings = summarizer(state.settings) if is_summary else state.settings
    return Job(
        agent=envelope.stream,
        key=envelope.key,
        turn=envelope.turn,
        purpose=event.purpose,
        model=settings.model,
        base_url=settings.base_url,
        request=open_request(state),
        asked=event.fingerprint,
        in_flight=settings.in_flight,
        timeout_s=settings.timeout_s,
        elsewhere=not (is_summary and settings.summarizer_at) and next_server(state) is not None,
        idle_s=settings.idle_s,
        tokens=event.tokens,
        held_tokens=without_margin(event.tokens, settings),
        encoding=settings.encoding,
        parts=() if is_summary else parts(state),
        margin=settings.margin,
        budget_tokens=budget_tokens(settings),
        plain=_is_plain(state),
        headers=headers(settings),
        format=at_server(state),
    )


def _is_plain(state: State) -> bool:
    """Whether the last answer in the queue makes no call."""
    last = next((entry.wire for entry in reversed(state.queue) if entry.kind == "assistant"), b'"tool_calls"')
    return b'"tool_calls"' not in last


def sent(done: Job) -> bytes:
    """The fingerprint of what is really handed to the model."""
    return fingerprint(done.request)
