"""`fork`, and what `agents`, `resume` and `replay` make of forks, on a folder without Ray."""

from __future__ import annotations

import json

import pytest

from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.types import AgentForked, Parent, Timer
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.states import load
from tests.worlds.command_line import Launch, file_of
from tests.worlds.kernel import Kernel


def seq_of(kernel: Kernel, kind: str) -> int:
    """The last event of a kind in ada's stream."""
    return [envelope.seq for envelope in kernel.log.read("ada") if envelope.kind == kind][-1]


def test_a_fork_is_one_event_and_says_what_it_is(kernel: Kernel, launched: Launch) -> None:
    before = kernel.log.read("ada")
    printed = launched("fork", "ada", "--as", "fay")
    assert printed.code == 0, printed.err
    assert printed.lines[0].startswith(f"fay: ada's history up to event {len(before)}, without a copy. Event ")
    assert printed.lines[1] == "Nothing was under way there."
    assert printed.lines[-1] == f"Talk with it: palimpsest chat fay --data {kernel.folder}"
    assert kernel.log.read("fay", to=len(before)) == kernel.log.read("ada") == before
    (begun,) = kernel.log.read("fay", after=len(before))
    assert (begun.kind, begun.stream, begun.seq) == (AgentForked.__name__, "fay", len(before) + 1)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("InferenceRequested", "The model had been asked, and had not answered"),
        ("TurnStarted", "The model was about to be asked."),
        ("InferenceCompleted", "The model's answer was being carried out"),
        ("EvictionStarted", "Messages were leaving the window"),
        ("MessagesEvicted", "Messages were leaving the window"),
    ],
)
def test_what_was_under_way_is_said(kernel: Kernel, launched: Launch, kind: str, says: str) -> None:
    seq = seq_of(kernel, kind)
    printed = launched("fork", "ada", "--at", str(seq), "--as", "fay")
    assert printed.code == 0, printed.err
    assert "A turn was under way there, on event" in printed.lines[1]
    assert says in printed.lines[1]
    assert printed.lines[-1].endswith(f"palimpsest resume fay --data {kernel.folder}")
    proof = launched("replay", "fay", "--verify")
    assert proof.code == 0, proof.text


def test_timers_are_dropped_or_kept_by_name(kernel: Kernel, launched: Launch) -> None:
    kernel.sets("ada", Timer(id="tea", due_ms=1_763_800_900_000, note="Tea."))
    assert "Timers are dropped: tea (due 2025-11-22 08:41 UTC)" in launched("fork", "ada", "--as", "fay").text
    assert "Timers are kept: tea" in launched("fork", "ada", "--as", "gus", "--timers", "keep").text
    dropped, kept = load(kernel.log, "fay"), load(kernel.log, "gus")
    assert dropped is not None
    assert kept is not None
    assert (len(dropped.alarms), len(kept.alarms)) == (0, 1)


def test_what_is_set_is_so_from_the_fork_on(kernel: Kernel, launched: Launch) -> None:
    options = (
        "--set",
        "window=6000",
        "--set",
        "evict-to=0.4",
        "--set",
        "human=Eve.",
        "--set",
        "block.persona=I am Fay.",
    )
    printed = launched("fork", "ada", "--as", "fay", *options, "--set", "page_size=9", "--set", "system=Be brief.")
    assert printed.code == 0, printed.err
    said = next(line for line in printed.lines if line.startswith("Set otherwise"))
    assert "window 4,096 -> 6,000 tokens" in said
    assert 'human "Eve."' in said
    theirs, ours = load(kernel.log, "ada"), load(kernel.log, "fay")
    assert ours is not None
    assert theirs is not None
    settings = ours.settings
    assert (settings.window_tokens, settings.evict_to, settings.page_size) == (6000, 0.4, 9)
    assert {block.label: block.value for block in ours.blocks} == {"human": "Eve.", "persona": "I am Fay."}
    assert (ours.system, theirs.settings.window_tokens) == ("Be brief.", 4096)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("bob", "--as", "fay"), "There is no agent 'bob'. Known agents: ada, ben o'neil."),
        (("ada", "--as", "fay", "--at", "9999"), "there is none at 9999. Nothing was changed."),
        (("ada", "--as", "fay", "--at", "0"), "there is none at 0"),
        (("ada", "--as", "fay", "--at", "-3"), "there is none at -3"),
        (("ada", "--as", "ada"), "There is an agent 'ada' already."),
        (("ada", "--as", "-x"), "cannot be an agent's name"),
        (("ada", "--as", "source:x"), "cannot be an agent's name"),
        (("ada", "--as", ""), "cannot be an agent's name"),
        (("source:x", "--as", "fay"), "is a source"),
        (("ada", "--as", "fay", "--set", "wndow=5"), "Did you mean window?"),
        (("ada", "--as", "fay", "--set", "window"), "sets nothing: give KEY=VALUE"),
        (("ada", "--as", "fay", "--set", "window=big"), "window is a whole number"),
        (("ada", "--as", "fay", "--set", "window=600"), "A window of 600 tokens is too small"),
        (("ada", "--as", "fay", "--set", "window=9" + "9" * 20), "it can be 1000000000 at most"),
        (("ada", "--as", "fay", "--set", "model="), "names no model"),
        (("ada", "--as", "fay", "--set", "system=@/"), "'/': Is a directory"),
        (("ada", "--as", "fay", "--set", f"system=@{__file__}\0"), "cannot be read"),
        (("ada", "--as", "fay", "--set", "human=\udcff"), "is not UTF-8"),
        (("ada", "--as", "ben o'neil"), "use it: `palimpsest chat 'ben o'\"'\"'neil'`"),
        (("ada", "--as", "fay", "--set", "warn=2"), "it is a fraction of the window"),
        (("ada", "--as", "fay", "--set", "evict-to=0.95"), "must be below evict_at"),
        (("ada", "--as", "fay", "--set", f"human={'x' * 3000}"), "The section 'human' holds 2,000 characters"),
        (("ada", "--as", "fay", "--set", "system=@/no/such/file"), "cannot be read"),
        (("ada", "--as", "ada", "--count", "2", "--at", "5000"), "there is none at 5000"),
    ],
)
def test_what_cannot_be_forked_changes_nothing(
    kernel: Kernel, launched: Launch, arguments: tuple[str, ...], says: str
) -> None:
    before = kernel.log.position(FIRST_PARTITION)
    printed = launched("fork", *arguments)
    assert printed.code == 2
    assert says in printed.said
    assert printed.err.count("\n") == 1
    assert kernel.log.position(FIRST_PARTITION) == before


def test_of_many_forks_none_is_made_where_one_cannot_be(kernel: Kernel, launched: Launch) -> None:
    kernel.create("fay-3")
    before = kernel.log.position(FIRST_PARTITION)
    printed = launched("fork", "ada", "--as", "fay", "--count", "5")
    assert (printed.code, kernel.log.position(FIRST_PARTITION)) == (2, before)
    assert "There is an agent 'fay-3' already" in printed.err
    printed = launched("fork", "ada", "--as", "gus", "--count", "5", "--json")
    assert json.loads(printed.text)["forks"] == [f"gus-{n}" for n in range(1, 6)]
    assert kernel.log.position(FIRST_PARTITION) == before.moved(5)


def test_a_folder_that_is_in_use_is_left_alone(kernel: Kernel, launched: Launch) -> None:
    before = kernel.log.position(FIRST_PARTITION)
    with DataFolder(kernel.folder).lock("chat ada", how="alone"):
        printed = launched("fork", "ada", "--as", "fay")
    assert printed.code == 2
    assert "is in use by pid" in printed.err
    assert kernel.log.position(FIRST_PARTITION) == before


def test_a_folder_without_a_log_has_no_agents(call: Launch, kernel: Kernel) -> None:
    printed = call("--data", str(kernel.folder / "nowhere"), "fork", "ada", "--as", "fay")
    assert printed.code == 2
    assert "There is no agent 'ada'" in printed.err


def test_json_says_it_all(kernel: Kernel, launched: Launch) -> None:
    seq = seq_of(kernel, "InferenceRequested")
    row = json.loads(launched("fork", "ada", "--as", "fay", "--at", str(seq), "--set", "human=Eve.", "--json").text)
    assert (row["forks"], row["agent"], row["at"], row["timers"]) == (["fay"], "ada", seq, "dropped")
    assert row["under_way"]["step"] in {"inferring", "summarising"}
    assert row["set"] == ['human "Eve."']


def test_agents_shows_what_forks_hang_on(kernel: Kernel, launched: Launch) -> None:
    launched("fork", "ada", "--as", "fay", "--at", "20")
    launched("fork", "fay", "--as", "gus")
    lines = {line.split()[0]: line for line in launched("agents").lines}
    assert lines["fay"].endswith("fork of ada at 20")
    assert lines["gus"].endswith("fork of fay at 21")
    assert "fork" not in lines["ada"]
    rows = [json.loads(line) for line in launched("agents", "--json").lines]
    assert {row["agent"]: row.get("parent") for row in rows}["fay"] == {"agent": "ada", "seq": 20}
    assert kernel.log.lineage("fay") == [Parent(agent="ada", seq=20)]


def test_an_agent_at_rest_is_not_resumed(kernel: Kernel, launched: Launch) -> None:
    printed = launched("resume", "ada")
    talk = f"Talk with it: palimpsest chat ada --data {kernel.folder}"
    assert (printed.code, printed.lines) == (0, [f"ada is at rest: nothing is under way. {talk}"])
    assert launched("resume", "bob").code == 2


def test_every_fork_is_proved(kernel: Kernel, launched: Launch) -> None:
    stream = kernel.log.read("ada")
    for envelope in stream[::7]:
        launched("fork", "ada", "--as", f"fay-{envelope.seq}", "--at", str(envelope.seq))
    last = f"fay-{stream[::7][-1].seq}"
    kernel.log.open_epoch()
    kernel.talk(last, ["And you?"])
    launched("fork", last, "--as", "gus")
    printed = launched("replay", "--all", "--verify", "--json")
    assert printed.code == 0, printed.text
    found = json.loads(printed.text)
    assert found["ok"]
    assert {row["agent"] for row in found["agents"]} == {head.stream for head in kernel.log.heads()}
    own = {row["agent"]: row["events"] for row in found["agents"]}
    assert own["ada"] == len(stream)
    assert own["gus"] == 1
    assert sum(own.values()) == kernel.log.position(FIRST_PARTITION).number, "each event is folded once"


def test_a_fork_whose_parent_was_altered_is_not_proved(kernel: Kernel, launched: Launch) -> None:
    for name, at in (("early", "20"), ("late", "60")):
        launched("fork", "ada", "--as", name, "--at", at)
    _alter(kernel, 40)
    rows = {row["agent"]: row for row in json.loads(launched("replay", "--all", "--verify", "--json").text)["agents"]}
    assert rows["early"]["difference"] == ""
    assert rows["ada"]["seq"] == rows["late"]["seq"] == 40
    assert "was altered" in rows["late"]["difference"]


def _alter(kernel: Kernel, seq: int) -> None:
    with file_of(kernel) as connection:
        query = (
            "UPDATE events SET time = time + 1 WHERE seq = ? AND stream = (SELECT id FROM streams WHERE agent = 'ada')"
        )
        connection.execute(query, (seq,))
