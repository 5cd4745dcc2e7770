"""`replay`: what is sound is proved; whatever is altered is found, and named."""

from __future__ import annotations

import msgspec
import pytest

from palimpsest.events.replay import replay
from tests.worlds.command_line import Launch, Printed, file_of
from tests.worlds.kernel import Kernel


def alter(kernel: Kernel, agent: str, seq: int) -> None:
    """Change one byte of an event's body, so that it still decodes."""
    with file_of(kernel) as file:
        where = "stream = (SELECT id FROM streams WHERE agent = ?) AND seq = ?"
        (body,) = file.execute(f"SELECT body FROM events WHERE {where}", (agent, seq)).fetchone()
        at = body.index(b"Heard")
        altered = body[:at] + b"h" + body[at + 1 :]
        file.execute(f"UPDATE events SET body = ? WHERE {where}", (altered, agent, seq))


def said(kernel: Kernel, agent: str) -> int:
    return next(e.seq for e in kernel.log.read(agent) if e.kind == "MessageSent")


def as_json(printed: Printed) -> dict[str, object]:
    found: dict[str, object] = msgspec.json.decode(printed.out)
    return found


def test_a_sound_log_is_proved(launched: Launch, kernel: Kernel) -> None:
    proofs = [replay(agent, kernel.log.read(agent)) for agent in ("ada", "ben o'neil")]
    printed = launched("replay", "--all", "--verify")
    assert printed.code == 0
    assert printed.lines[0] == f"ada: {proofs[0].events} events folded, {proofs[0].contexts} contexts proved"
    assert printed.lines[1].startswith("ben o'neil: ")
    assert f"Proved: {sum(proof.contexts for proof in proofs)} contexts, byte for byte" in printed.text
    assert "events/s" in printed.text
    assert printed.lines[-1] == f"Look at a window: palimpsest context ada --data {kernel.folder}"


def test_without_verify_it_says_that_nothing_was_proved(launched: Launch) -> None:
    printed = launched("replay", "ben o'neil")
    assert printed.code == 0
    assert "Nothing was proved" in printed.text
    assert "--verify" in printed.text
    assert "contexts" not in printed.lines[0]
    assert "context 'ben o'\"'\"'neil' --data " in printed.text, "a name with a quote can be pasted"


@pytest.mark.parametrize("arguments", [("--all",), ("ada",)])
def test_one_altered_byte_is_found(launched: Launch, kernel: Kernel, arguments: tuple[str, ...]) -> None:
    seq = said(kernel, "ada")
    alter(kernel, "ada", seq)
    printed = launched("replay", *arguments, "--verify")
    assert printed.code == 1
    assert f"DIFFERENCE in agent ada, event {seq} (MessageSent): its bytes do not match the hash chain" in printed.text
    assert "Proved" not in printed.text
    assert f"context ada --at {seq - 1}" in printed.lines[-1]


def test_the_other_agents_are_still_proved(launched: Launch, kernel: Kernel) -> None:
    seq = said(kernel, "ada")
    alter(kernel, "ada", seq)
    printed = launched("replay", "--all", "--verify")
    events = len(kernel.log.read("ben o'neil"))
    assert f"ben o'neil: {events} events folded, 2 contexts proved" in printed.lines
    assert printed.lines.index(f"ada differs first at event {seq} (MessageSent).") > 2, "all are listed at the end"


@pytest.mark.parametrize("verify", [True, False])
def test_a_cut_off_end_is_found(launched: Launch, kernel: Kernel, verify: bool) -> None:
    end = len(kernel.log.read("ada"))
    with file_of(kernel) as file:
        file.execute("DELETE FROM events WHERE stream = 1 AND seq > ?", (end - 2,))
    printed = launched("replay", "ada", *(["--verify"] if verify else []))
    assert printed.code == 1
    assert f"the log lacks events {end - 1} to {end}: the end of the stream is cut off" in printed.text


def test_an_event_missing_in_the_middle_is_found(launched: Launch, kernel: Kernel) -> None:
    with file_of(kernel) as file:
        file.execute("DELETE FROM events WHERE stream = 1 AND seq = 20")
    printed = launched("replay", "--all", "--verify")
    assert printed.code == 1
    assert "DIFFERENCE in agent ada, event 21" in printed.text


def test_an_altered_end_is_found(launched: Launch, kernel: Kernel) -> None:
    with file_of(kernel) as file:
        file.execute("UPDATE streams SET hash = zeroblob(32) WHERE agent = 'ada'")
    printed = launched("replay", "ada", "--verify")
    assert printed.code == 1
    assert "the stream's stored end has another hash than its last event" in printed.text


def test_events_beyond_the_end_are_found(launched: Launch, kernel: Kernel) -> None:
    end = len(kernel.log.read("ada"))
    stored = kernel.log.hash_at("ada", end - 1)
    with file_of(kernel) as file:
        file.execute("UPDATE streams SET seq = ?, hash = ? WHERE agent = 'ada'", (end - 1, stored))
    printed = launched("replay", "ada", "--verify")
    assert printed.code == 1
    assert f"there are events after the stream's stored end, {end - 1}" in printed.text


def test_a_good_snapshot_is_proved_too(launched: Launch, kernel: Kernel) -> None:
    kernel.snapshot("ada")
    printed = launched("replay", "ada", "--verify")
    assert printed.code == 0
    assert printed.lines[0].endswith("contexts proved, 1 snapshot good")


def test_a_bad_snapshot_is_reported_and_is_no_difference(launched: Launch, kernel: Kernel) -> None:
    seq = len(kernel.log.read("ada"))
    kernel.snapshot("ada", spoiled=True)
    with file_of(kernel) as file:  # the turn after it was folded from the spoiled state: only the chain matters here
        assert file.execute("SELECT count(*) FROM snapshots").fetchone() == (1,)
    printed = launched("replay", "ada", "--verify")
    assert printed.code == 0
    assert f"1 bad snapshot, to be thrown away (seq {seq})" in printed.text
    assert "nothing is lost" in printed.text


def test_a_log_of_a_newer_version_is_an_error_and_no_difference(launched: Launch, kernel: Kernel) -> None:
    with file_of(kernel) as file:
        file.execute("UPDATE events SET kind = 'DreamDreamt' WHERE stream = 2 AND seq = 5")
    printed = launched("replay", "ben o'neil")
    assert printed.code == 2
    assert "written by a newer Palimpsest: its kind 'DreamDreamt' is unknown" in printed.err
    assert "DIFFERENCE" not in printed.text


def test_json_has_all_of_it(launched: Launch, kernel: Kernel) -> None:
    found = as_json(launched("replay", "--all", "--verify", "--json"))
    assert (found["ok"], found["verified"]) == (True, True)
    assert found["events"] == len(kernel.log.read("ada")) + len(kernel.log.read("ben o'neil"))
    seq = said(kernel, "ada")
    alter(kernel, "ada", seq)
    printed = launched("replay", "--all", "--verify", "--json")
    found = as_json(printed)
    assert (printed.code, found["ok"]) == (1, False)
    agents = found["agents"]
    assert isinstance(agents, list)
    assert (agents[0]["seq"], agents[0]["kind"], agents[1]["difference"]) == (seq, "MessageSent", "")
