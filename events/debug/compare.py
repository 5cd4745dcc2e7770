"""Two runs of one agent held against each other: what was said to the same inputs, and what that took.

A run is a stretch of a stream; its turns are paired by what they answered. Pure, and one pass over each run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from palimpsest.events.codec import decode
from palimpsest.events.debug.recording import timer_content
from palimpsest.events.envelope import Envelope
from palimpsest.events.functions import function_named
from palimpsest.events.passages import input_text
from palimpsest.events.types import (
    INPUTS,
    Event,
    FunctionCalled,
    FunctionFailed,
    InferenceCompleted,
    InferenceFailed,
    InferenceRequested,
    MessageSent,
    MessagesEvicted,
    TimerSet,
    TurnEnded,
    Usage,
)
from palimpsest.events.vocabulary import End

_TIMER: Final = re.compile(r"\btimer-\d+\b")


class TurnRun(msgspec.Struct, kw_only=True):
    """One turn as it went. `seq` is that of its input; `context_tokens` the largest context of its requests, by our
    count; `usage` what the provider counted; `searches` name and query of each; `ended` "" while it is open. `meant` is
    what was said with each timer that the agent has set named by what it is: its id is made of a seq."""

    seq: int
    input: str = ""
    said: list[str] = []
    meant: list[str] = []
    searches: list[str] = []
    evicted: int = 0
    inferences: int = 0
    failures: int = 0
    context_tokens: int = 0
    usage: Usage = Usage()
    ended: End | Literal[""] = ""
    ended_seq: int = 0


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What a run took as a whole."""

    turns: int = 0
    inferences: int = 0
    largest_context_tokens: int = 0
    evicted: int = 0
    evictions: int = 0
    searches: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None
    """At the prices given, if any were; in their currency."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One input's turn in both runs; None where a run has none."""

    first: TurnRun | None
    second: TurnRun | None

    @property
    def same_answer(self) -> bool:
        return self.first is not None and self.second is not None and self.first.meant == self.second.meant


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two runs, turn by turn and as a whole."""

    pairs: tuple[Pair, ...]
    first: Totals
    second: Totals

    @property
    def other_answers(self) -> tuple[Pair, ...]:
        return tuple(pair for pair in self.pairs if not pair.same_answer)


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """What a million tokens cost."""

    prompt: float
    completion: float


def turns(envelopes: Iterable[Envelope], inputs: Mapping[int, Event] | None = None) -> dict[int, TurnRun]:
    """The turns of a stretch by their inputs' seqs, in order. `inputs`: those that stand before the stretch."""
    texts = {seq: said(event) for seq, event in (inputs or {}).items()}
    runs: dict[int, TurnRun] = {}
    timers: dict[str, str] = {}
    for envelope in envelopes:
        event = decode(envelope)
        if isinstance(event, TimerSet):
            timers[event.timer.id] = f"the timer of {timer_content(event.timer)}"
        if isinstance(event, INPUTS):
            texts[envelope.seq] = said(event)
        if not envelope.turn or isinstance(event, INPUTS):
            continue
        run = runs.get(envelope.turn)
        if run is None:
            run = runs[envelope.turn] = TurnRun(seq=envelope.turn, input=texts.get(envelope.turn, ""))
        _note(run, envelope, event, timers)
    return runs


def said(event: Event) -> str:
    """An input's text, or what it is."""
    return input_text(event) or type(event).__name__


def _note(run: TurnRun, envelope: Envelope, event: Event, timers: Mapping[str, str]) -> None:
    match event:
        case InferenceRequested():
            run.inferences += 1
            run.context_tokens = max(run.context_tokens, event.tokens)
        case InferenceCompleted():
            run.usage = _sum(run.usage, event.usage)
        case InferenceFailed() | FunctionFailed():
            run.failures += 1
        case MessageSent():
            run.said.append(event.text)
            run.meant.append(_TIMER.sub(lambda found: timers.get(found[0], found[0]), event.text))
        case FunctionCalled() if is_search(event.name):
            run.searches.append(f"{event.name}({_asked(event)})")
        case MessagesEvicted():
            run.evicted += len(event.seqs)
        case TurnEnded():
            run.ended, run.ended_seq = event.reason, envelope.seq
        case _:
            pass


def is_search(name: str) -> bool:
    """Whether a function gives a page of hits."""
    function = function_named(name)
    return bool(function and function.finds)


def _asked(call: FunctionCalled) -> str:
    named = (call.arguments.get(name) for name in ("query", "text", "start_date"))
    return str(next((value for value in named if value), ""))


def _sum(a: Usage, b: Usage) -> Usage:
    return Usage(prompt=a.prompt + b.prompt, completion=a.completion + b.completion, cached=a.cached + b.cached)


def compare(
    first: Mapping[int, TurnRun],
    second: Mapping[int, TurnRun],
    paired: Mapping[int, int],
    *,
    first_prices: Prices | None = None,
    second_prices: Prices | None = None,
) -> Comparison:
    """Hold two runs against each other. `paired` maps an input's seq in the first to that in the second; the turn of
    one that it does not name stands alone."""
    pairs = []
    left = dict(second)
    for seq, run in first.items():
        other = left.pop(paired.get(seq, 0), None)
        pairs.append(Pair(first=run, second=other))
    pairs += [Pair(first=None, second=run) for run in left.values()]
    return Comparison(
        pairs=tuple(pairs), first=_totals(first.values(), first_prices), second=_totals(second.values(), second_prices)
    )


def _totals(runs: Iterable[TurnRun], prices: Prices | None) -> Totals:
    runs = list(runs)
    usage = Usage()
    for run in runs:
        usage = _sum(usage, run.usage)
    cost = (usage.prompt * prices.prompt + usage.completion * prices.completion) / 1e6 if prices else None
    return Totals(
        turns=len(runs),
        inferences=sum(run.inferences for run in runs),
        largest_context_tokens=max((run.context_tokens for run in runs), default=0),
        evicted=sum(run.evicted for run in runs),
        evictions=sum(bool(run.evicted) for run in runs),
        searches=sum(len(run.searches) for run in runs),
        failures=sum(run.failures for run in runs),
        prompt_tokens=usage.prompt,
        completion_tokens=usage.completion,
        cost=cost,
    )
