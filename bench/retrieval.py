"""What recall and archival search find, without a model: LoCoMo, NQ passages, key-value records, agents' chats.

    python -m bench.retrieval --data DIR [--json] [--locomo FILE] [--nq FILE] [--kv FILE] [--embedder NAME]

Every turn, passage and record becomes the event that it would be in an agent's log. The events go through the memory
index on the embedded engine, and the questions through `actors.storage.search`, page after page, with the settings that
an agent has by default. Recall@k is the share of a question's evidence among the first k results, averaged over the
questions; of passages and records there is one that answers. The chats are made from LoCoMo and NQ, by
`bench.agent_sets`: look at the half that is kept aside when nothing is tuned any more. `--json` prints one object as
the last line.
What weights find that were chosen without the question is `bench.cross_validation`'s.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bench import agent_recall, agent_sets
from bench.figures import add_json_option
from bench.retrieval_sets import LOCOMO_CATEGORIES, BadData, Conversation, Lookup, Turn, find, kv, locomo, nq
from palimpsest.events.codec import draft
from palimpsest.events.envelope import GENESIS, Envelope, place
from palimpsest.events.errors import BadInput
from palimpsest.events.kinds import Kind
from palimpsest.events.passages import Hit
from palimpsest.events.position import FIRST_PARTITION, beginning
from palimpsest.events.types import (
    AgentCreated,
    ArchivalMemoryInserted,
    Event,
    FunctionCalled,
    Settings,
    UserMessageReceived,
)
from palimpsest.store.index.embeddings import EMBEDDERS, Embedder, embedder_named
from palimpsest.store.index.engine_edge import EdgeHome
from palimpsest.store.index.points import Home
from palimpsest.store.index.projection import MemoryIndex
from palimpsest.store.library.functions import search, sight_of

START_MS = 1_795_000_000_000
PAGE_SIZE = Settings().page_size
POOLED = (1, 2, 3, 4)
"""LoCoMo's categories behind its headline figure; the fifth asks for what was never said."""

Recalls = dict[str, float]


class Results(msgspec.Struct, frozen=True):
    """The seqs of the first results of a search, and how many it has."""

    seqs: list[int]
    total: int


class Journal:
    """A log in this process: envelopes in order, and the index that follows them."""

    def __init__(self, home: Home, embedder: Embedder) -> None:
        self._streams: dict[str, list[Envelope]] = defaultdict(list)
        self._new: list[Envelope] = []
        self._position = beginning(FIRST_PARTITION)
        self.embedder = embedder
        self.index = MemoryIndex.at(home, embedder, self.read)

    def add(self, agent: str, event: Event, time_ms: int) -> int:
        """The seq of the event in its stream."""
        self._position = self._position.moved(1)
        seq = len(self._streams[agent]) + 1
        envelope = place(draft(agent, time_ms, event, key=f"k{seq}"), seq, self._position, GENESIS)
        self._streams[agent].append(envelope)
        self._new.append(envelope)
        return seq

    def catch_up(self, batch: int = 500) -> None:
        for start in range(0, len(self._new), batch):
            events = self._new[start : start + batch]
            self.index.apply(events, events[-1].position)
        self._new = []

    def first(self, agent: str, function: str, query: str, count: int, page_size: int = PAGE_SIZE) -> list[int]:
        """The seqs of the first `count` results, as an agent gets them that asks now and turns the pages."""
        return self.found(agent, function, query, count, page_size).seqs

    def found(self, agent: str, function: str, query: str, count: int, page_size: int = PAGE_SIZE) -> Results:
        seq, total = len(self._streams[agent]), 0
        hits: list[Hit] = []
        for page in range(-(-count // page_size)):
            call = FunctionCalled(
                call="c", name=function, arguments={"query": query, "page": page}, page_size=page_size
            )
            asked = place(draft(agent, START_MS, call, key="call"), seq, self._position.moved(1), GENESIS)
            shown = search(self.index, call, sight_of(asked.stream, asked.seq, ()))
            hits, total = [*hits, *shown.hits], shown.total
        return Results([hit.seq for hit in hits][:count], total)

    def read(self, stream: str, after: int, to: int, /, *, kinds: frozenset[Kind] | None = None) -> Sequence[Envelope]:
        found = self._streams[stream][after:to]
        return [each for each in found if kinds is None or each.kind in kinds]


class Score:
    """Recall at some cuts, averaged over questions."""

    def __init__(self, *cuts: int) -> None:
        self.cuts = cuts
        self._sums = [0.0 for _ in cuts]
        self.count = 0

    def add(self, wanted: set[int], found: Sequence[int]) -> None:
        self.count += 1
        for number, cut in enumerate(self.cuts):
            self._sums[number] += len(wanted & set(found[:cut])) / len(wanted)

    def recalls(self) -> Recalls:
        return {f"recall@{cut}": total / max(1, self.count) for cut, total in zip(self.cuts, self._sums, strict=True)}


def measure_locomo(journal: Journal, conversations: Sequence[Conversation]) -> dict[int, Score]:
    """Scores by category; 0 pools those of the headline. One agent a conversation: a search sees one alone."""
    scores = {category: Score(5, 10) for category in (*sorted(LOCOMO_CATEGORIES), 0)}
    for number, conversation in enumerate(conversations):
        agent = f"conversation {number}"
        seqs = tell(journal, agent, conversation.turns)
        for question in conversation.questions:
            wanted = {seqs[turn] for turn in question.evidence}
            found = journal.first(agent, "conversation_search", question.text, 10)
            scores[question.category].add(wanted, found)
            if question.category in POOLED:
                scores[0].add(wanted, found)
    return scores


def tell(journal: Journal, agent: str, turns: Sequence[Turn]) -> dict[tuple[int, int], int]:
    """The turns as messages of named users, in the order and at the time they were said."""
    journal.add(agent, AgentCreated(system="", blocks=(), settings=Settings()), turns[0].time_ms)
    said = ((turn, UserMessageReceived(text=turn.text, name=turn.speaker)) for turn in turns)
    seqs = {turn.id: journal.add(agent, event, turn.time_ms) for turn, event in said}
    journal.catch_up()
    return seqs


def store(journal: Journal, agent: str, lookup: Lookup) -> list[int]:
    """Each text a passage of archival memory, put there by itself; the seqs."""
    events = (ArchivalMemoryInserted(call="c", text=text, ends=(len(text),)) for text in lookup.texts)
    seqs = [journal.add(agent, event, START_MS) for event in events]
    journal.catch_up()
    return seqs


def measure_lookup(journal: Journal, agent: str, lookup: Lookup, *cuts: int) -> Score:
    seqs = store(journal, agent, lookup)
    score = Score(*cuts)
    for question, gold in lookup.questions:
        score.add({seqs[gold]}, journal.first(agent, "archival_memory_search", question, max(cuts)))
    return score


# --- the command --------------------------------------------------------------------------------------------------


class Sets(msgspec.Struct, frozen=True):
    locomo: list[Conversation]
    nq: Lookup
    kv: Lookup


def load(options: argparse.Namespace) -> Sets:
    return Sets(locomo(path_of(options, "locomo")), nq(path_of(options, "nq")), kv(path_of(options, "kv")))


def path_of(options: argparse.Namespace, kind: str) -> Path:
    named: Path | None = getattr(options, kind)
    if named is None and options.data is None:
        raise BadData(f"Where is the data? Give --data DIR, or --{kind} FILE.")
    return named or find(options.data, kind)


def take_sets(parser: argparse.ArgumentParser, *kinds: str) -> None:
    names = ", ".join(f"{kind}*" for kind in kinds)
    parser.add_argument("--data", type=Path, help=f"folder with {names} (.json or .jsonl, gzipped or not)")
    for kind in kinds:
        parser.add_argument(f"--{kind}", type=Path, metavar="FILE", help=f"the {kind} file, instead of the folder's")
    parser.add_argument("--embedder", default="wordllama", metavar="NAME", help=f"one of: {', '.join(EMBEDDERS)}")


def rows(scores: dict[int, Score], passages: Score, records: Score) -> Iterator[tuple[str, Score]]:
    for category, name in sorted(LOCOMO_CATEGORIES.items()):
        yield f"LoCoMo {category}, {name}", scores[category]
    yield "LoCoMo 1 to 4 pooled", scores[0]
    yield "NQ passages", passages
    yield "key-value records", records


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_json_option(parser)
    take_sets(parser, "locomo", "nq", "kv")
    options = parser.parse_args()
    try:
        sets, embedder = load(options), embedder_named(options.embedder)
    except (BadData, BadInput) as error:
        print(f"bench.retrieval: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        run(sets, Path(folder), embedder, as_json=options.json)
    return 0


def run(sets: Sets, folder: Path, embedder: Embedder, *, as_json: bool) -> None:
    began = time.process_time()
    journal = Journal(EdgeHome(folder / "index"), embedder)
    scores = measure_locomo(journal, sets.locomo)
    passages = measure_lookup(journal, "passages", sets.nq, 1, 10)
    records = measure_lookup(journal, "records", sets.kv, 1)
    chats = agent_recall.measure(journal, agent_sets.talks(sets.locomo, sets.nq))
    languages = agent_recall.measure(journal, agent_sets.languages(START_MS))
    journal.index.close()
    print(
        f"Embedder {embedder.name}; {time.process_time() - began:.0f} s of CPU. Questions without evidence: not asked."
    )
    for name, score in rows(scores, passages, records):
        cuts = "   ".join(f"{cut:>9} {value:.4f}" for cut, value in score.recalls().items())
        print(f"{name:<24} n {score.count:>5}   {cuts}")
    print("Category 5 has evidence too, and is not in the pooled figure.")
    print("Chats with an unnamed user, made from LoCoMo and NQ:")
    for line in agent_recall.lines(chats, ("recall@5", "recall@10", *agent_recall.ORDER)):
        print(f"  {line}")
    print("Small talks in one language; matched: the share of the messages that a search says it matches:")
    for line in agent_recall.lines(languages, ("recall@1", "recall@5", "matched")):
        print(f"  {line}")
    if as_json:
        found = {"locomo": scores[0].recalls(), "nq": passages.recalls(), "kv": records.recalls()}
        print(json.dumps({**found, "agents": agent_recall.plain(chats), "languages": agent_recall.plain(languages)}))


if __name__ == "__main__":
    sys.exit(main())
