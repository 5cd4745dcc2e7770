"""Memory pressure: what is to leave the queue, and what stands in its place.

Rules. (1) A call and its results leave together. (2) The input that the turn answers stays, and so does the turn's
last step while that fits. (3) Whatever a summary's model does, the ladder ends in a context that is smaller: the
model's summary, a second try, an extract, a bare note.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from palimpsest.events.context import (
    PRIMING,
    Count,
    Measure,
    fingerprint,
    message_tokens,
    pressure_warning,
    summary_cap_tokens,
    summary_message,
    summary_request,
    transcript,
    with_margin,
)
from palimpsest.events.formats import BRIEF
from palimpsest.events.servers import summarizer
from palimpsest.events.state import Entry, Eviction, State, Summary
from palimpsest.events.texts import clip
from palimpsest.events.times import now
from palimpsest.events.types import (
    Event,
    EvictionStarted,
    InferenceRequested,
    MemoryPressureWarned,
    MessagesEvicted,
    Settings,
    SummaryWritten,
)
from palimpsest.events.vocabulary import Author, EntryKind, Pressure

SUMMARY_ATTEMPTS: Final = 2
OVERFLOW_ATTEMPTS: Final = 3
CLIPS_CHARS: Final = (2000, 1000, 500, 250, 120, 60)
EXTRACTS: Final = ((12, 1000), (12, 500), (12, 250), (12, 120), (12, 60), (6, 60), (3, 40))
"""How many lines an extract has, and of how many characters: the first that fits is taken."""
_EMPTY: Final = "the model's summary was empty or too long"
_NO_ROOM: Final = "what was to be summed up does not fit the summariser's window"
STATUS_TOKENS: Final = 128
"""Kept free for the status line and the framing of a request."""
CONVERSATION_TOKENS: Final = 512
"""The least room for messages in which an agent can be talked with; `BRIEF_CONVERSATION_TOKENS` in a small window."""
BRIEF_CONVERSATION_TOKENS: Final = 320


def budget_tokens(settings: Settings) -> int:
    """The most that a request may hold: the window less what is kept for the answer."""
    return settings.window_tokens - settings.reserve_tokens


def is_cramped(state: State, head_tokens: int) -> bool:
    """Whether system text, core memory and functions leave no room to talk, and would take less in few words."""
    if BRIEF in state.format:
        return False
    others = PRIMING + STATUS_TOKENS + summary_cap_tokens(state.settings) + CONVERSATION_TOKENS
    return with_margin(head_tokens + others, state.settings) > budget_tokens(state.settings)


def mark_tokens(settings: Settings) -> int:
    """A context above this is cut before the request is made."""
    return min(budget_tokens(settings), int(settings.evict_at * settings.window_tokens))


def warn(state: State, tokens: int, count: Count) -> MemoryPressureWarned | None:
    """The warning, once until the next cut: at its share of the mark, and only where it brings no cut about itself."""
    settings = state.settings
    mark = mark_tokens(settings)
    if state.warned or state.turn is None or tokens < mark * settings.warn_at / max(settings.evict_at, 0.01):
        return None
    with_warning = tokens + with_margin(message_tokens(pressure_warning(now(state)), settings, count), settings)
    return MemoryPressureWarned(tokens=tokens, window_tokens=settings.window_tokens) if with_warning <= mark else None


_BEGINS: Final[frozenset[EntryKind]] = frozenset({"input", "assistant"})


def pieces(queue: tuple[Entry, ...]) -> Iterator[tuple[Entry, ...]]:
    """The queue in pieces that leave as one: an input, or an answer with its results; each with the notes behind it."""
    piece: list[Entry] = []
    for entry in queue:
        if piece and entry.kind in _BEGINS:
            yield tuple(piece)
            piece = []
        piece.append(entry)
    if piece:
        yield tuple(piece)


def start(state: State, measured: Measure, reason: Pressure) -> EvictionStarted | None:
    """Cut the oldest pieces until the rest fits the target (with a summary of full size). None: nothing can go.

    The turn's last step holds the results that the model waits for: it goes only where no context fits with it.
    """
    settings = state.settings
    stays = state.turn.input if state.turn else 0
    tokens = {entry.seq: n for entry, n in zip(state.queue, measured.entries, strict=True)}
    total = measured.total - measured.summary + summary_cap_tokens(settings)
    target_tokens = _target_tokens(settings, measured, reason)
    all_pieces = [[entry.seq for entry in piece] for piece in pieces(state.queue)]
    last_step = all_pieces[-1] if all_pieces and stays not in all_pieces[-1] else []
    gone: list[int] = []
    for piece in all_pieces:
        fits = with_margin(total, settings) <= budget_tokens(settings) if reason == "pressure" else bool(gone)
        if with_margin(total, settings) <= target_tokens or (piece is last_step and fits):
            break
        going = [seq for seq in piece if seq != stays]
        gone += going
        total -= sum(tokens[seq] for seq in going)
    if not gone:
        return None
    tokens_before = with_margin(measured.total, settings)
    return EvictionStarted(seqs=tuple(gone), reason=reason, tokens=tokens_before, target_tokens=target_tokens)


def _target_tokens(settings: Settings, measured: Measure, reason: Pressure) -> int:
    """What to shrink to. Where the provider says that the window is smaller than we hold it to be: a share of this."""
    if reason == "overflow":
        return int(with_margin(measured.total, settings) * min(settings.evict_to, settings.evict_at))
    return min(int(settings.evict_to * settings.window_tokens), mark_tokens(settings))


def proceed(state: State, count: Count) -> tuple[Event, ...]:
    """The next step of the eviction under way: ask for a summary, or take what came and cut."""
    eviction = state.eviction
    if eviction is None:
        return ()
    if eviction.gone:  # a fork from between the cut and its summary
        uncut = replace(state, queue=(*eviction.gone, *state.queue))
        return (_of_model(uncut, eviction, count) or _extract(uncut, eviction, count),)
    written = _of_model(state, eviction, count)
    if written:
        return _cut(written)
    if eviction.attempts < SUMMARY_ATTEMPTS:
        request = _request(state, eviction.seqs, eviction.attempts, count)
        if request:
            return (request,)
    return _cut(_extract(state, eviction, count))


def _of_model(state: State, eviction: Eviction, count: Count) -> SummaryWritten | None:
    """The summary that the model gave, if it is one."""
    text = eviction.text.strip()
    written = _written(state, text, "model", count) if eviction.answered and text else None
    return written if written and written.tokens <= summary_cap_tokens(state.settings) else None


def _request(state: State, seqs: tuple[int, ...], attempts: int, count: Count) -> InferenceRequested | None:
    """A request for a summary that fits the window of whoever writes it, each line clipped as far as that takes; harder
    the second time."""
    asked = summarizer(state.settings)
    for clip_chars in CLIPS_CHARS[2 * attempts :]:
        request = summary_request(state, seqs, clip_chars)
        tokens = with_margin(_request_tokens(request, asked, count), asked)
        if tokens <= budget_tokens(asked):
            return InferenceRequested(
                purpose="summary", fingerprint=fingerprint(request), tokens=tokens, clip_chars=clip_chars
            )
    return None


def _request_tokens(request: bytes, settings: Settings, count: Count) -> int:
    messages = msgspec.json.decode(request, type=_Messages).messages
    return PRIMING + sum(message_tokens(bytes(wire), settings, count) for wire in messages)


class _Messages(msgspec.Struct):
    messages: list[msgspec.Raw]


def _written(state: State, text: str, author: Author, count: Count, note: str = "") -> SummaryWritten:
    """The summary's event, counted as it will stand in the context."""
    seqs = state.eviction.seqs if state.eviction else ()
    hidden = len(seqs) + (state.summary.hidden if state.summary else 0)
    total = hidden + len(state.queue) - len(seqs)
    time_ms, offset_s = now(state)
    summary = Summary(seq=0, text=text, hidden=hidden, total=total, tokens=0, time_ms=time_ms, offset_s=offset_s)
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


def _extract(state: State, eviction: Eviction, count: Count) -> SummaryWritten:
    """A summary without a model: what was said, clipped until it fits; at the worst a bare note."""
    gone = set(eviction.seqs)
    note = eviction.note or (_EMPTY if eviction.attempts else _NO_ROOM)
    lines = [line for entry in state.queue if entry.seq in gone for line in transcript(entry.wire, 2000)]
    spoken = [line for line in lines if not line.startswith(("result:", "assistant"))] or lines
    previous = [state.summary.text] if state.summary and state.summary.text else []
    for lines_kept, clip_chars in EXTRACTS:
        text = "\n".join(clip(line, clip_chars) for line in (*previous, *spoken[-lines_kept:]))
        written = _written(state, text, "extractive", count, note)
        if written.tokens <= summary_cap_tokens(state.settings):
            return written
    return _written(state, "Search recall storage for them.", "bare", count, note)
