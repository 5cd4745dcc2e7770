"""`rerun`: a counterfactual. What an agent was given is given again to a fork of it, under other settings and in
virtual time; then both runs are held against each other.

Rule: the original is only read. The fork is kept in the data folder where nothing else has it; where a running system
has it, or the agent is in a bundle, the rerun works on a copy in memory, and only what is asked for is kept of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from console.options import index_options
from console.show import Page, many, one_line
from events.debug.compare import Comparison, Pair, Totals

if TYPE_CHECKING:
    from actors.rerun import Outcome

SHOWN: Final = 12
"""As many turns with other answers are shown; --json has all."""
ANSWER_CHARS: Final = 300


@click.command("rerun")
@click.argument("agent")
@click.option("--from", "first", type=click.IntRange(min=1), metavar="SEQ", help="Fork after this event (default: 1).")
@click.option("--to", type=click.IntRange(min=1), metavar="SEQ", help="Give what came up to this event (default: all).")
@click.option("--as", "name", metavar="NAME", help="The fork's name (default: AGENT.rerun-1, -2, …).")
@click.option("--model", metavar="M", help="Another model.")
@click.option("--base-url", metavar="URL", help="The server that has the model.")
@click.option("--window", type=click.IntRange(min=1), metavar="N", help="Another context window, in tokens.")
@click.option("--warn", type=float, metavar="F", help="Warn of memory pressure at this fraction of the window.")
@click.option("--evict", type=float, metavar="F", help="Evict at this fraction of the window.")
@click.option("--summarizer", metavar="M", help="Another model for the summaries.")
@click.option("--page-size", type=click.IntRange(min=1), metavar="K", help="Results on a page of a search.")
@click.option("--prompt", type=click.Path(path_type=Path), metavar="FILE", help="Another system text.")
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="Any other setting, or a core-memory block.")
@click.option("--recorded", is_flag=True, help="Use the recorded answers until the two runs part; then the model.")
@click.option("--price", metavar="P/C", help="Cost of a million prompt and completion tokens, as 0.15/0.60.")
@index_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(agent: str, **options: Any) -> int:
    """Run AGENT again as it would have gone under other settings, and compare.

    What it was given (messages, uploads, timers, …) is given to a fork of it, in virtual time: a week replays in seconds.
    The original is not touched. With --recorded no model is asked until a context differs from the recorded one.
    """


# --- printing -----------------------------------------------------------------------------------------------------


def print_outcome(page: Page, agent: str, outcome: Outcome, compared: Comparison) -> None:
    """Where the runs part, the turns with other answers side by side, the sums, and what to type next."""
    fork = one_line(outcome.fork)
    page.line((f"{one_line(agent)} run again as ", "dim"), (fork, "bold"))
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
    for seq, why in sorted(outcome.skipped.items()):
        page.line((f"Not given: event {seq}, {why}.", "yellow"))


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
        yield f"They part at event {apart.recorded_seq}: another {apart.kind} (event {apart.seq} of the rerun). {asked}"
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


def _said(said: list[str], ended: str) -> str:
    if said:
        return one_line(" / ".join(said), ANSWER_CHARS)
    return "(said nothing)" if ended in ("yielded", "") else f"(said nothing: {ended})"


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
