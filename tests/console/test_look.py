"""`agents`, `events` and `context`: what they print, for people and for programs."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec
import pytest

from palimpsest.events.codec import decode
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.types import InferenceRequested
from palimpsest.questions.windows import lazy_count, view_at
from palimpsest.store.logs.contract import Append
from tests.worlds.command_line import Launch, file_of
from tests.worlds.kernel import Kernel
from tests.worlds.positions import nth

EVENT_LINE = re.compile(r" *\d+  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  +(\d+|-)  (\w+) +\S.*")


def rows(out: bytes) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in out.splitlines()]


# --- agents


def test_agents_are_listed_by_name(launched: Launch, kernel: Kernel) -> None:
    head = kernel.log.head("ada")
    assert head is not None
    printed = launched("agents")
    assert printed.code == 0
    assert [line.split("  ")[0] for line in printed.lines] == ["ada", "ben o'neil"]
    assert f"  events {head.seq}  2025-11-22 08:26  timers 0  agent: Heard you." in printed.text
    assert "  idle  offline  window " in printed.text


def test_agents_as_json_tell_what_waits(launched: Launch, kernel: Kernel) -> None:
    kernel.ask("ada", "Are you there?")
    first, second = rows(launched("agents", "--json").out)
    assert (first["agent"], first["waiting"], second["waiting"]) == ("ada", 1, 0)


def test_a_log_without_agents_says_what_to_do(tmp_path: Path, call: Launch) -> None:
    Kernel(tmp_path).close()
    printed = call("agents", "--data", str(tmp_path))
    assert printed.code == 0
    assert "chat NAME" in printed.err


# --- events


def test_each_event_is_one_plain_line(launched: Launch, kernel: Kernel) -> None:
    printed = launched("events", "ada", "--flat")
    assert printed.code == 0
    assert len(printed.lines) == len(kernel.log.read("ada"))
    assert all(EVENT_LINE.fullmatch(line) for line in printed.lines)
    assert "\t" not in printed.text
    assert "\x1b" not in printed.text


def test_control_characters_of_a_message_are_made_visible(launched: Launch) -> None:
    printed = launched("events", "ben o'neil", "--flat", "--kind", "usermessagereceived", "--from", "8")
    assert printed.lines[0].endswith('"My name is \\x1b[31mBen\\x1b[0m."')


def test_events_can_be_bounded_and_chosen(launched: Launch, kernel: Kernel) -> None:
    printed = launched("events", "ada", "--flat", "--from", "3", "--to", "7")
    assert [int(line.split()[0]) for line in printed.lines] == [3, 4, 5, 6, 7]
    wanted = {"MessageSent", "TurnEnded"}
    printed = launched("events", "ada", "--flat", "--kind", "MessageSent", "--kind", "turnended")
    expected = [envelope.seq for envelope in kernel.log.read("ada") if envelope.kind in wanted]
    assert [int(line.split()[0]) for line in printed.lines] == expected


def test_events_as_json_hold_the_envelope_and_the_whole_event(launched: Launch, kernel: Kernel) -> None:
    envelopes = kernel.log.read("ada")
    printed = rows(launched("events", "ada", "--json").out)
    assert [row["seq"] for row in printed] == [envelope.seq for envelope in envelopes]
    assert [row["hash"] for row in printed] == [envelope.hash.hex() for envelope in envelopes]
    asked = next(row for row in printed if row["kind"] == "InferenceRequested")
    event = decode(envelopes[int(str(asked["seq"])) - 1])
    assert isinstance(event, InferenceRequested)
    body = asked["event"]
    assert isinstance(body, dict)
    assert body["fingerprint"] == event.fingerprint.hex()
    assert set(body) == set(InferenceRequested.__struct_fields__), "also the fields that have their defaults"
    assert "body" not in asked


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("events", "ada", "--kind", "MesageSent"), "Did you mean MessageSent"),
        (("events", "ada", "--kind", "inference"), "InferenceRequested or InferenceCompleted"),
        (("events", "ada", "--kind", "zzz"), "There are: AgentCreated"),
        (("events", "ada", "--from", "100000"), "has events 1 to"),
        (("load", "src", __file__, "--passage-tokens", "0"), "0 is not in the range"),
        (("events", "nobody"), "There is no agent 'nobody'. Known agents: ada, ben o'neil."),
        (("context", "nobody"), "There is no agent 'nobody'"),
        (("replay", "nobody"), "There is no agent 'nobody'"),
        (("context", "ada", "--at", "0"), "has events 1 to"),
        (("context", "ada", "--at", "100000"), "has events 1 to"),
        (("replay",), "--all"),
        (("replay", "ada", "--all"), "--all"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(launched: Launch, arguments: tuple[str, ...], said: str) -> None:
    printed = launched(*arguments)
    assert printed.code == 2
    assert printed.out == b""
    assert said in printed.err
    assert printed.err.startswith("Error: ")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("command", [("agents",), ("events", "a"), ("context", "a"), ("replay", "--all")])
def test_without_a_log_nothing_is_made(tmp_path: Path, call: Launch, command: tuple[str, ...]) -> None:
    printed = call(*command, "--data", str(tmp_path / "none"))
    assert printed.code == 2
    assert "There is no log at" in printed.err
    assert "chat" in printed.err
    assert not (tmp_path / "none").exists()


def test_an_event_that_cannot_be_read_is_shown_and_reported(launched: Launch, kernel: Kernel) -> None:
    with file_of(kernel) as file:
        file.execute("UPDATE events SET version = 9 WHERE kind = 'MessageSent' AND stream = 2")
    printed = launched("events", "ben o'neil", "--flat")
    assert printed.code == 2
    assert len(printed.lines) == len(kernel.log.read("ben o'neil"))
    assert "written by a newer Palimpsest" in printed.text
    assert "upgrade this installation" in printed.err


# --- context


def fingerprints(kernel: Kernel, agent: str) -> dict[int, InferenceRequested]:
    decoded = ((envelope.seq, decode(envelope)) for envelope in kernel.log.read(agent))
    return {seq: event for seq, event in decoded if isinstance(event, InferenceRequested)}


def test_the_printed_request_has_the_fingerprint_that_was_recorded(launched: Launch, kernel: Kernel) -> None:
    asked = fingerprints(kernel, "ada")
    assert {event.purpose for event in asked.values()} == {"reply", "summary"}
    for seq, event in asked.items():
        printed = launched("context", "ada", "--at", str(seq), "--json")
        assert printed.out.endswith(b"\n")
        assert hashlib.sha256(printed.out[:-1]).digest() == event.fingerprint, seq


def test_without_at_it_is_the_last_inference(launched: Launch, kernel: Kernel) -> None:
    seq, event = max(fingerprints(kernel, "ada").items())
    printed = launched("context", "ada")
    assert f"at event     {seq}; event {seq} asked the model for a reply, with this" in printed.text
    assert f"fingerprint  {event.fingerprint.hex()}  (the one that the log recorded)" in printed.text


def test_between_inferences_it_says_what_would_be_asked(launched: Launch, kernel: Kernel) -> None:
    last = kernel.log.read("ada")[-1]
    printed = launched("context", "ada", "--at", str(last.seq), "--count")
    assert "no inference is open" in printed.text
    seen = view_at(kernel.log, "ada", last.seq, lazy_count)
    assert (seen.asked, seen.proved) == (0, None)
    total = next(line for line in printed.lines if line.startswith("total")).split()
    assert int(total[2].replace(",", "")) == seen.total_tokens


def test_the_messages_are_readable(launched: Launch, kernel: Kernel) -> None:
    kernel.talk("ada", ["A last word."])
    text = launched("context", "ada").text
    assert "[1] system\n    You are an agent" in text
    assert "] user_message: A last word." in text
    assert "] system_alert: Note: prior messages (" in text
    assert '    (thinks) I listen.\n    send_message(message="Heard you.")' in text
    assert "] OK: None" in text
    assert "functions: send_message, pause_heartbeats" in text
    assert "\\x1b" in launched("context", "ben o'neil").text


def test_a_newborn_agent_has_a_context_too(launched: Launch, kernel: Kernel) -> None:
    kernel.create("eve")
    printed = launched("context", "eve")
    assert printed.code == 0
    assert "at event     1; no inference is open" in printed.text


def test_a_context_that_does_not_match_is_called_out(launched: Launch, kernel: Kernel) -> None:
    seq, _ = max(fingerprints(kernel, "ada").items())
    with file_of(kernel) as file:
        (body,) = file.execute("SELECT body FROM events WHERE seq = ? AND stream = 1", (seq,)).fetchone()
        event = msgspec.msgpack.decode(body)
        event["fingerprint"] = bytes(32)
        altered = msgspec.msgpack.encode(event)
        file.execute("UPDATE events SET body = ? WHERE seq = ? AND stream = 1", (altered, seq))
    assert "NOT the one that the log recorded" in launched("context", "ada").text


def test_a_reader_sees_what_a_writer_has_committed_meanwhile(launched: Launch, kernel: Kernel) -> None:
    before = len(launched("events", "ada").lines)
    kernel.log.append([Append((), cursor=("reader", nth(1)))])
    kernel.ask("ada", "One more thing.")
    assert len(launched("events", "ada").lines) > before
    assert kernel.log.open_requests("inference", FIRST_PARTITION), "the writer is in the middle of a turn"
