"""`state`: what it prints of an agent after any event."""

from __future__ import annotations

import re

import msgspec

from tests.worlds.command_line import Launch
from tests.worlds.kernel import Kernel


def test_the_state_is_laid_out(launched: Launch, kernel: Kernel) -> None:
    last = kernel.log.read("ada")[-1].seq
    text = launched("state", "ada").text
    assert f"after event  {last} of 2025-11-22" in text
    assert "25 turns ended" in text
    assert "now          at rest" in text
    assert re.search(r"settings     window_tokens 4,096 \(else 8,192\), reserve_tokens 400 \(else 1,024\)", text)
    assert re.search(r"\n    human  \d+ of 2,000 characters \(\d+ %\)\n", text)
    assert re.search(r"summary +event \d+, author model, \d+ tokens; it stands for \d+ messages \(2, ", text)
    assert re.search(r"\n +\d+ +\d+  user      Message 24: the weather", text)
    assert "recall       50 messages (--recall lists them)" in text

    started = next(each.seq for each in kernel.log.read("ada") if each.kind == "EvictionStarted")
    text = launched("state", "ada", "--at", str(started + 1)).text
    assert "waits for a summary for the eviction of" in text
    assert re.search(r"\n +\d+ +\S+  evicts  user ", text)

    kernel.ask("ada", "Are you there?")
    text = launched("state", "ada").text
    assert "it waits for the model's answer (event " in text
    assert launched("state", "ada", "--at", "1").code == 0


def test_a_fork_knows_what_was_asked_before_it(launched: Launch, kernel: Kernel) -> None:
    asked = [each.seq for each in kernel.log.read("ada") if each.kind == "InferenceRequested"][-1]
    launched("fork", "ada", "--as", "fay")
    for agent in ("ada", "fay"):
        state = msgspec.json.decode(launched("state", agent, "--at", str(asked), "--json").out)
        assert state["running"]["asked"] == asked


def test_external_storage_is_listed_page_by_page(launched: Launch) -> None:
    first, *listed = launched("state", "ada", "--recall").lines
    assert "50 messages" in first
    assert "older ones: --page 1" in first
    assert len(listed) == 20
    assert '"Heard you."' in listed[0]
    assert len(launched("state", "ada", "--recall", "--page", "2").lines) == 11
    assert "nothing on this page" in launched("state", "ada", "--archival", "--page", "9").text


def test_as_json_it_is_one_object(launched: Launch) -> None:
    seen = msgspec.json.decode(launched("state", "ada", "--at", "9", "--json").out)
    assert (seen["agent"], seen["seq"], seen["turns"]) == ("ada", 9, 1)
    assert {"blocks", "queue", "running", "timers", "summary", "window"} <= set(seen)
    assert msgspec.json.decode(launched("state", "ada", "--recall", "--json").out)[0]["who"] == "agent"


def test_what_cannot_be_shown_is_refused(launched: Launch) -> None:
    for arguments, said in (
        (("ada", "--at", "100000"), "has events 1 to"),
        (("ada", "--at", "0"), "has events 1 to"),
        (("nobody",), "There is no agent 'nobody'"),
        (("ada", "--recall", "--archival"), "Give one of"),
        (("ada", "--page", "1"), "give --recall or --archival with it"),
    ):
        printed = launched("state", *arguments)
        assert (printed.code, printed.out) == (2, b"")
        assert said in printed.err


def test_without_a_count_a_context_says_so(launched: Launch, kernel: Kernel) -> None:
    last = kernel.log.read("ada")[-1].seq
    text = launched("context", "ada", "--at", str(last)).text
    assert re.search(r"memory status +1 +uncounted", text)
    assert re.search(r"total +\d+ +[\d,]+ \+ \d uncounted", text)
    assert "uncounted" not in launched("context", "ada", "--at", str(last), "--count").text
