"""Who wrote each character of core memory, and which messages a summary covers: at every seq of any session."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.events.codec import decode, draft
from palimpsest.events.debug.phrases import sentences
from palimpsest.events.debug.provenance import Provenance, Written, WrittenRun, cut, writers_of
from palimpsest.events.debug.summaries import Chain, stretches
from palimpsest.events.envelope import GENESIS, Envelope, place
from palimpsest.events.evolve import evolve
from palimpsest.events.state import State
from palimpsest.events.types import AgentCreated, AgentForked, Block, Event, MessagesEvicted, Parent, Settings
from tests.worlds.positions import nth
from tests.worlds.simulated import World


def letters(text: str) -> set[int]:
    """Terms of the test's own: a letter each."""
    return {ord(letter) for letter in text.lower() if letter.isalnum()}


# --- any session


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.integers(min_value=0, max_value=10_000))
def test_at_every_seq_the_runs_are_the_blocks_and_the_chain_covers_what_was_evicted(seed: int) -> None:
    world = World(seed, agents=1, inputs=14)
    world.run()
    state: State | None = None
    provenance, chain = Provenance(), Chain(letters)
    evicted: list[int] = []
    for envelope in world.log.read("agent-0"):
        event = decode(envelope)
        state = evolve(state, envelope, event)
        provenance.take(envelope, event)
        chain.take(envelope, event)
        assert provenance.values() == {block.label: block.value for block in state.blocks}
        for written in provenance.blocks.values():
            check(written, envelope)
        if isinstance(event, MessagesEvicted):
            evicted += event.seqs
            continue  # its summary is the next event, of the same append
        assert chain.covered == evicted
        assert chain.text == (state.summary.text if state.summary else "")


def check(written: Written, at: Envelope) -> None:
    assert "".join(run.text for run in written.runs) == written.value
    assert all(1 <= run.seq <= at.seq for run in written.runs)
    assert all(a.seq != b.seq for a, b in zip(written.runs, written.runs[1:], strict=False)), "neighbours are joined"


def test_sessions_have_edits_and_evictions() -> None:
    """Guards the test above."""
    world = World(7, agents=1, inputs=24)
    world.run()
    kinds = [envelope.kind for envelope in world.log.read("agent-0")]
    assert kinds.count("SummaryWritten") >= 2
    assert kinds.count("CoreMemoryAppended") + kinds.count("CoreMemoryReplaced") >= 1


# --- any edits

EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.text("ab \n", max_size=5)),
        st.tuples(st.just("replace"), st.integers(0, 30), st.integers(0, 8), st.text("ab \n", max_size=5)),
    ),
    max_size=12,
)


@given(st.text("ab \n", max_size=8), EDITS)
def test_each_character_has_the_event_that_wrote_it(initial: str, edits: list[tuple[object, ...]]) -> None:
    """Against a model of one (character, seq) each."""
    written = Written(initial, 1)
    model = [(character, 1) for character in initial]
    for seq, edit in enumerate(edits, 2):
        value = "".join(character for character, _ in model)
        if edit[0] == "append":
            text = str(edit[1])
            model += [(character, seq) for character in (("\n" + text) if value else text)]
            written.append(text, seq)
        else:
            _, start, size, new = edit
            assert isinstance(start, int) and isinstance(size, int)
            old = value[start : start + size]
            at = value.find(old)
            model[at : at + len(old)] = [(character, seq) for character in str(new)]
            written.replace(old, str(new), seq)
        assert [(character, run.seq) for run in written.runs for character in run.text] == model


def test_a_replace_in_the_middle_of_a_sentence_leaves_it_with_several_writers() -> None:
    written = Written("Name: Ben. Lives in Oslo with Ana.", 1)
    written.append("Likes tea.", 5)
    written.replace("Oslo", "Bergen", 9)
    pieces = cut(written.runs, sentences(written.value)[1])
    assert pieces == [WrittenRun("Lives in ", 1), WrittenRun("Bergen", 9), WrittenRun(" with Ana.", 1)]
    assert writers_of(pieces) == (1, 9)
    assert written.over[9].text == "Oslo"
    assert written.over[9].writers == (1,)


def test_what_a_replace_wrote_is_forgotten_with_its_last_character() -> None:
    written = Written("a b", 1)
    written.replace("b", "c", 2)
    written.replace("c", "d", 3)
    assert set(written.over) == {3}
    assert written.over[3].writers == (2,)


def test_a_replace_of_what_is_not_there_changes_nothing() -> None:
    written = Written("a b", 1)
    written.replace("c", "d", 2)
    assert written.runs == [WrittenRun("a b", 1)]


def test_a_fork_that_is_given_other_blocks_has_written_what_is_new_in_them() -> None:
    provenance = Provenance()
    human, persona = Block(label="human", value="Ben."), Block(label="persona", value="I am Ada.")
    born = AgentCreated(system="", blocks=(human, persona), settings=Settings())
    parent = Parent(agent="ada", seq=1)
    events: list[Event] = [
        born,
        AgentForked(parent=parent, hash=b""),
        AgentForked(parent=parent, hash=b"", blocks=(Block(label="human", value="Eve."), persona)),
    ]
    for seq, event in enumerate(events, 1):
        provenance.take(place(draft("ada", 0, event, key=f"k{seq}"), seq, nth(seq), GENESIS), event)
    assert {label: written.runs for label, written in provenance.blocks.items()} == {
        "human": [WrittenRun("Eve.", 3)],
        "persona": [WrittenRun("I am Ada.", 1)],
    }


# --- stretches


@pytest.mark.parametrize(
    ("covered", "others", "expected"),
    [
        ((), (), ()),
        ((2, 5, 9), (), ((2, 9),)),
        ((2, 5, 9), (7, 12), ((2, 5), (9, 9))),
        ((9, 2), (1, 3), ((2, 2), (9, 9))),
    ],
)
def test_a_stretch_has_no_message_that_is_not_covered(
    covered: tuple[int, ...], others: tuple[int, ...], expected: tuple[tuple[int, int], ...]
) -> None:
    assert stretches(covered, others) == expected
