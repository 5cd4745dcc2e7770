"""The event that wrote a text, explained: its turn, the model's reasons, and the window that it was written from.

Rule: a hint says which texts of that window share words with what was written: where the model may have it from, not
where it had it from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from palimpsest.events.answers import named
from palimpsest.events.codec import decode
from palimpsest.events.debug.phrases import Terms
from palimpsest.events.debug.provenance import Over
from palimpsest.events.debug.told import INPUT_KINDS
from palimpsest.events.debug.windows import held
from palimpsest.events.envelope import Envelope
from palimpsest.events.functions import function_named
from palimpsest.events.kinds import Kind, kind_of, kinds_of
from palimpsest.events.passages import input_text
from palimpsest.events.state import State
from palimpsest.events.types import (
    Event,
    InferenceCompleted,
    InferenceRequested,
    SummaryWritten,
    ToolCall,
)

TURN_KINDS: Final = INPUT_KINDS | kinds_of(InferenceRequested, InferenceCompleted)
"""What `writer` needs of a turn."""
HINTS: Final = 3
_ANSWERED: Final = kind_of(InferenceCompleted)


class TurnInput(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a turn."""

    seq: int
    kind: Kind
    text: str


class AskedWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The request that a model was asked with; `messages` of the queue stood in it."""

    seq: int
    fingerprint: str
    tokens: int
    messages: int = 0


class Writer(msgspec.Struct, frozen=True, kw_only=True):
    """An event that wrote a sentence. `reasons` is what the model said to itself as it made the `call`; `over` what the
    event put its text in the place of. Without `window` no model wrote it: it was given."""

    seq: int
    kind: Kind
    time_ms: int
    input: TurnInput | None = None
    answer: int = 0
    reasons: str = ""
    call: ToolCall | None = None
    window: AskedWindow | None = None
    over: Over | None = None


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """A text of a writer's window (that of the request at `window`), and the words that it shares with what was
    written."""

    window: int
    seq: int
    what: str
    text: str
    words: tuple[str, ...]


def writer(at: Envelope, event: Event, turn: Iterable[Envelope], over: Over | None = None) -> Writer:
    """The event, explained by the events of its turn (TURN_KINDS) that came before it."""
    before = [envelope for envelope in turn if envelope.seq < at.seq]
    answer = next((e for e in reversed(before) if e.kind == _ANSWERED and e.turn == at.turn), None)
    explained = Writer(seq=at.seq, kind=at.kind, time_ms=at.time, over=over, input=_input(at, event, before))
    if answer is None or at.kind in INPUT_KINDS or isinstance(event, SummaryWritten):
        return explained
    completed = decode(answer)
    assert isinstance(completed, InferenceCompleted), "it is of this kind"
    asked = next((e for e in before if e.key == answer.closes), None)
    return msgspec.structs.replace(
        explained,
        answer=answer.seq,
        reasons=completed.content,
        call=_call(at, completed, getattr(event, "call", ""), answer.seq),
        window=_window(asked) if asked else None,
    )


def _input(at: Envelope, event: Event, before: Iterable[Envelope]) -> TurnInput | None:
    if at.kind in INPUT_KINDS:
        return TurnInput(seq=at.seq, kind=at.kind, text=input_text(event))
    found = next((e for e in before if e.seq == at.turn and e.kind in INPUT_KINDS), None)
    return TurnInput(seq=found.seq, kind=found.kind, text=input_text(decode(found))) if found else None


def _call(at: Envelope, completed: InferenceCompleted, id: str, answer: int) -> ToolCall | None:
    """The call that led to an event, by its id; where a fork has numbered them anew, the only one that can be meant."""
    calls = list(named(completed.calls, answer))
    by_name = [call for call in calls if _writes(call.name, at.kind)]
    return next((call for call in calls if id and call.id == id), by_name[0] if len(by_name) == 1 else None)


def _writes(name: str, kind: Kind) -> bool:
    """Whether events of this kind come of a function."""
    function = function_named(name)
    return bool(function and function.remembers and kind_of(function.remembers) == kind)


def _window(asked: Envelope) -> AskedWindow:
    event = decode(asked)
    assert isinstance(event, InferenceRequested), "an answer closes a request"
    return AskedWindow(seq=asked.seq, fingerprint=event.fingerprint.hex(), tokens=event.tokens)


def hints(text: str, state: State, terms: Terms, covers: Collection[int] | None = None) -> list[Hint]:
    """The texts of a window that share the most words with a sentence, the latest first among equals; those that share
    few beside the best are left out. `covers`: only these messages, and the summary: what a summary was made of."""
    words = {word.strip(_MARKS): frozenset(terms(word)) for word in text.split()}
    words = {word: each for word, each in words.items() if each}
    found = []
    for order, each in enumerate(held(state)):
        if covers is not None and each.place != "summary" and each.seq not in covers:
            continue
        there = frozenset(terms(each.text))
        shared = tuple(word for word, needed in words.items() if needed <= there)
        if shared:
            found.append(
                (len(shared), order, Hint(window=state.seq, seq=each.seq, what=each.what, text=each.text, words=shared))
            )
    found.sort(key=lambda item: (-item[0], -item[1]))
    return [hint for shared, _, hint in found[:HINTS] if 2 * shared >= found[0][0]]


_MARKS: Final = ".,;:!?\"'()[]{}\u201c\u201d\u2018\u2019\u2026"
