"""How `rerun` prints what it found: where the runs part, the turns with other answers, the sums, what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from palimpsest.console.called import PROGRAM, typed
from palimpsest.console.show import Page, many
from palimpsest.events.debug.compare import Comparison, Pair, Totals
from palimpsest.events.vocabulary import End
from palimpsest.questions.texts import one_line

if TYPE_CHECKING:
    from palimpsest.actors.reruns.counterfactual import Outcome
    from palimpsest.actors.reruns.rerun import RerunPlan

SHOWN: Final = 12
"""As many turns with other answers are shown; --json has all."""
ANSWER_CHARS: Final = 300


def print_outcome(page: Page, plan: RerunPlan, outcome: Outcome, compared: Comparison) -> None:
    """Where the runs part, the turns with other answers side by side, and the sums."""
    fork = one_line(outcome.fork)
    otherwise = "; ".join(plan.said) or "nothing is otherwise"
    page.line(
        (f"{one_line(plan.agent)} run again from event {plan.first} as ", "dim"), (fork, "bold"), f": {otherwise}"
    )
    for line in _parting(outcome):
        page.line(line)
    others = compared.other_answers
    page.line()
    page.line(
        f"{many(len(compared.pairs), 'turn')}: {len(compared.pairs) - len(others)} with the same answers, "
        f"{len(others)} with others."
    )
    for pair in others[:SHOWN]:
        _print_pair(page, pair)
    if len(others) > SHOWN:
        page.line((f"… and {len(others) - SHOWN} more: --json has all.", "dim"))
    page.line()
    page.table(("", "recorded", "rerun"), list(_rows(compared.first, compared.second)), right=frozenset({1, 2}))
    if outcome.stopped:
        page.line((f"It ended early, since the model cannot be had: {outcome.stopped}", "bold red"))
    for seq, why in sorted(outcome.skipped.items()):
        page.line((f"Not given: event {seq}, {why}.", "yellow"))


def print_next(page: Page, plan: RerunPlan, *, kept: bool, file: Path | None) -> None:
    """What to type next to look at the fork, where it is in the data folder (`kept`) or in a bundle."""
    if kept:
        page.line(("Look at it: ", "dim"), typed("events", plan.fork))
        page.line(("What differs: ", "dim"), typed("diff", plan.agent, plan.fork))
    elif file is not None:
        look = shlex.join(("events", plan.fork, "--bundle", str(file)))
        page.line(("Look at it: ", "dim"), f"{PROGRAM} {look}")


def _parting(outcome: Outcome) -> Iterator[str]:
    apart = outcome.divergence
    asked = (
        f"{many(outcome.model_answers, 'answer')} of the model, {many(outcome.recorded_answers, 'recorded answer')}."
    )
    if apart is None:
        yield f"The runs never part: every context and every answer is as recorded. {asked}"
        return
    there = f"{apart.recorded_kind} (event {apart.recorded_seq})"
    here = f"{apart.kind} (event {apart.seq})" if apart.kind else "nothing of the kind"
    if apart.recorded_kind == apart.kind:
        how = f": {one_line(apart.otherwise, 200)}" if apart.otherwise else ""
        other = f"another {apart.kind} (event {apart.seq} of the rerun){how}"
        yield f"They part at event {apart.recorded_seq}: {other}. {asked}"
    else:
        yield f"They part where {there} was recorded: the rerun has {here}. {asked}"


def _print_pair(page: Page, pair: Pair) -> None:
    run = pair.first or pair.second
    assert run is not None, "a pair has a turn"
    page.line()
    page.line((f"  {run.seq:>6}  ", "dim"), (one_line(run.input, ANSWER_CHARS), "cyan"))
    for label, side, style in (("recorded", pair.first, "red"), ("rerun", pair.second, "green")):
        said = _said(side.said, side.ended) if side else "(no such turn)"
        page.line((f"  {label:>8}: ", "dim"), (said, style))


def _said(said: list[str], ended: End | Literal[""]) -> str:
    if said:
        return one_line(" / ".join(said), ANSWER_CHARS)
    return "(said nothing)" if ended == "yielded" or not ended else f"(said nothing: {ended})"


def _rows(first: Totals, second: Totals) -> Iterator[tuple[str, str, str]]:
    for name, label in _LABELS.items():
        a, b = getattr(first, name), getattr(second, name)
        if a is not None or b is not None:
            yield label, _figure(a), _figure(b)


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4f}"


_LABELS: Final = {
    "turns": "turns",
    "inferences": "inferences",
    "largest_context_tokens": "largest context, tokens",
    "evictions": "turns with an eviction",
    "evicted": "messages evicted",
    "searches": "searches",
    "failures": "failures",
    "prompt_tokens": "prompt tokens (the provider's count)",
    "completion_tokens": "completion tokens",
    "cost": "cost, at the prices given",
}
