"""How well an agent finds what it was told, on the sets of `bench.agent_sets`: a part of `bench.retrieval`.

What is counted beside recall: in how many searches a fact stands above all that only echoes it; in how many a
correction is on the first page with what it corrects; and, in small talks of one language, what share of the messages
a search says that it matches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from bench.agent_sets import Asked, Talk
from palimpsest.events.types import AgentCreated, MessageSent, Settings, UserMessageReceived

if TYPE_CHECKING:
    from bench.retrieval import Journal

LOOKED: Final = 10
HALVES: Final = ("tuned on", "kept aside")
ABOVE: Final = "above its echoes"
TOGETHER: Final = "all on the first page"
ORDER: Final = (ABOVE, TOGETHER)


class Tally:
    """Of one kind of questions in one half."""

    def __init__(self) -> None:
        self.count = 0
        self._sums: dict[str, float] = defaultdict(float)

    def add(self, **values: float) -> None:
        self.count += 1
        for name, value in values.items():
            self._sums[name] += value

    def means(self) -> dict[str, float]:
        return {name: total / self.count for name, total in self._sums.items()}


class Row(msgspec.Struct, frozen=True):
    kind: str
    half: str
    count: int
    means: dict[str, float]


def measure(journal: Journal, talks: Iterable[Talk]) -> list[Row]:
    """By kind and half; "all" pools the kinds."""
    tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)
    for number, talk in enumerate(talks):
        agent, half = f"{talk.name} {number}", HALVES[talk.aside]
        seqs = _tell(journal, agent, talk)
        for asked in talk.questions:
            found = journal.found(agent, "conversation_search", asked.text, LOOKED)
            values = _values(asked, found.seqs, seqs)
            tallies[asked.kind, half].add(**values, matched=found.total / len(talk.lines))
            tallies["all", half].add(**{name: values[name] for name in ("recall@5", "recall@10")})
    return [Row(kind, half, tally.count, tally.means()) for (kind, half), tally in sorted(tallies.items())]


def _tell(journal: Journal, agent: str, talk: Talk) -> list[int]:
    """The talk as the log of an agent; each line's seq."""
    journal.add(agent, AgentCreated(system="", blocks=(), settings=Settings()), talk.lines[0].time_ms)
    said = (UserMessageReceived(text=line.text) if line.user else MessageSent(text=line.text) for line in talk.lines)
    seqs = [journal.add(agent, event, line.time_ms) for event, line in zip(said, talk.lines, strict=True)]
    journal.catch_up()
    return seqs


def _values(asked: Asked, found: Sequence[int], seqs: Sequence[int]) -> dict[str, float]:
    wanted, echoes = {seqs[n] for n in asked.evidence}, {seqs[n] for n in asked.echoes}
    values = {f"recall@{cut}": len(wanted & set(found[:cut])) / len(wanted) for cut in (1, 5, 10)}
    if echoes:
        first = next((seq for seq in found if seq in wanted | echoes), 0)
        values[ABOVE] = float(first in wanted)
    if asked.kind == "corrected":
        values[TOGETHER] = float(wanted <= set(found[:5]))
    return values


def lines(rows: Iterable[Row], shown: Sequence[str]) -> Iterator[str]:
    for row in rows:
        told = "   ".join(f"{name} {row.means[name]:.4f}" for name in shown if name in row.means)
        yield f"{row.kind:<12} {row.half:<11} n {row.count:>5}   {told}"


def plain(rows: Iterable[Row]) -> dict[str, dict[str, dict[str, float]]]:
    """By half and kind, as `--json` prints them."""
    found: dict[str, dict[str, dict[str, float]]] = {half: {} for half in HALVES}
    for row in rows:
        found[row.half][row.kind] = {"questions": row.count, **row.means}
    return found
