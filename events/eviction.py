"""Memory pressure: what is to leave the queue, and what stands in its place.

Rules. (1) A call and its results leave together. (2) The input that the turn answers stays. (3) Whatever a summary's
model does, the ladder ends in a context that is smaller: the model's summary, a second try, an extract, a bare note.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from events.context import (
    Count,
    Measure,
    clip,
    fingerprint,
    measure,
    message_tokens,
    summary_cap_tokens,
    summary_message,
    summary_request,
    transcript,
    with_margin,
)
from events.state import Entry, State, Summary
from events.types import (
    Event,
    EvictionStarted,
    InferenceRequested,
    MessagesEvicted,
    Settings,
    SummaryWritten,
)

SUMMARY_ATTEMPTS: Final = 2
OVERFLOW_ATTEMPTS: Final = 3
CLIPS_CHARS: Final = (2000, 1000, 500, 250, 120, 60)


def budget_tokens(settings: Settings) -> int:
    """The most that a request may hold: the window less what is kept for the answer."""
    return settings.window_tokens - settings.reserve_tokens


def mark_tokens(settings: Settings) -> int:
    """A context above this is cut before the request is made."""
    return min(budget_tokens(settings), int(settings.evict_at * settings.window_tokens))


def warning_tokens(settings: Settings) -> int:
    """From here on the agent is warned, once until the next cut; always some way below the mark."""
    return int(
        min(settings.warn_at * settings.window_tokens, mark_tokens(settings) * settings.warn_at / settings.evict_at)
    )


def groups(queue: tuple[Entry, ...]) -> Iterator[tuple[Entry, ...]]:
    """The queue in pieces that must not be parted: a message, or a call with its results."""
    group: list[Entry] = []
    for entry in queue:
        if group and entry.kind != "tool":
            yield tuple(group)
            group = []
        group.append(entry)
    if group:
        yield tuple(group)


def start(state: State, measured: Measure, reason: str, target_tokens: int) -> EvictionStarted | None:
    """Cut the oldest groups until the rest fits the target (with a summary of full size). None: nothing can go.

    The last group stays while there is another one to give: it holds the results that the model waits for.
    """
    stays = state.turn.input if state.turn else 0
    tokens = {entry.seq: n for entry, n in zip(state.queue, measured.entries, strict=True)}
    total = measured.total - measured.summary + summary_cap_tokens(state.settings)
    pieces = [[e.seq for e in group if e.seq != stays] for group in groups(state.queue)]
    pieces = [piece for piece in pieces if piece]
    gone: list[int] = []
    for index, piece in enumerate(pieces):
        if with_margin(total, state.settings) <= target_tokens or (index == len(pieces) - 1 and gone):
            break
        gone += piece
        total -= sum(tokens[seq] for seq in piece)
    if not gone:
        return None
    tokens_before = with_margin(measured.total, state.settings)
    return EvictionStarted(seqs=tuple(gone), reason=reason, tokens=tokens_before, target_tokens=target_tokens)


def proceed(state: State, count: Count) -> tuple[Event, ...]:
    """The next step of the eviction under way: ask for a summary, or take what came and cut."""
    eviction = state.eviction
    if eviction is None:
        return ()
    if eviction.answered:
        written = _written(state, eviction.text.strip(), "model", count)
        if eviction.text.strip() and written.tokens <= summary_cap_tokens(state.settings):
            return _cut(written)
    if eviction.attempts < SUMMARY_ATTEMPTS:
        request = _request(state, eviction.seqs, eviction.attempts, count)
        if request:
            return (request,)
    return _cut(_extract(state, eviction.note or "the model's summary was empty or too long", count))


def _request(state: State, seqs: tuple[int, ...], attempts: int, count: Count) -> InferenceRequested | None:
    """A request for a summary that fits the window, each line clipped as far as that takes; harder the second time."""
    for clip_chars in CLIPS_CHARS[2 * attempts :]:
        request = summary_request(state, seqs, clip_chars)
        tokens = with_margin(_request_tokens(request, state.settings, count), state.settings)
        if tokens <= budget_tokens(state.settings):
            return InferenceRequested(
                purpose="summary", fingerprint=fingerprint(request), tokens=tokens, clip_chars=clip_chars
            )
    return None


def _request_tokens(request: bytes, settings: Settings, count: Count) -> int:
    messages = msgspec.json.decode(request, type=_Messages).messages
    return sum(message_tokens(bytes(wire), settings, count) for wire in messages)


class _Messages(msgspec.Struct):
    messages: list[msgspec.Raw]


def _written(state: State, text: str, author: str, count: Count, note: str = "") -> SummaryWritten:
    """The summary's event, counted as it will stand in the context."""
    seqs = state.eviction.seqs if state.eviction else ()
    hidden = len(seqs) + (state.summary.hidden if state.summary else 0)
    total = hidden + len(state.queue)
    summary = Summary(seq=0, text=text, hidden=hidden, total=total, generation=0, tokens=0, time_ms=0)
    return SummaryWritten(
        text=text,
        covers=seqs,
        previous=state.summary.seq if state.summary else 0,
        author=author,
        tokens=message_tokens(summary_message(summary), state.settings, count),
        note=note,
    )


def _cut(written: SummaryWritten) -> tuple[Event, ...]:
    return (MessagesEvicted(seqs=written.covers), written)


def _extract(state: State, note: str, count: Count) -> SummaryWritten:
    """A summary without a model: what was said, clipped until it fits; at the worst a bare note."""
    gone = set(state.eviction.seqs if state.eviction else ())
    lines = [line for entry in state.queue if entry.seq in gone for line in transcript(entry.wire, 2000)]
    spoken = [line for line in lines if not line.startswith(("result:", "assistant"))] or lines
    previous = [state.summary.text] if state.summary and state.summary.text else []
    for clip_chars in CLIPS_CHARS[1:]:
        text = "\n".join(clip(line, clip_chars) for line in (*previous, *spoken[-12:]))
        written = _written(state, text, "extractive", count, note)
        if written.tokens <= summary_cap_tokens(state.settings):
            return written
    return _written(state, "Search recall storage for them.", "bare", count, note)


def fits(state: State, count: Count) -> bool:
    """Whether the context fits the window with its answer."""
    return with_margin(measure(state, count).total, state.settings) <= budget_tokens(state.settings)
