"""`bisect` on the command line: texts, and commands of the user's own."""

from __future__ import annotations

import os
import select
import shlex
import sys
from pathlib import Path

import msgspec
import pytest

from palimpsest.events.codec import decode
from palimpsest.events.types import MessagesEvicted
from tests.worlds.command_line import Launch
from tests.worlds.kernel import Kernel


@pytest.fixture
def evicted(kernel: Kernel) -> int:
    """The event by which ada's first messages left her window."""
    return next(e.seq for e in kernel.log.read("ada") if isinstance(decode(e), MessagesEvicted))


def python(program: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}"


def test_the_event_that_took_a_text_from_the_window_is_found(launched: Launch, evicted: int) -> None:
    printed = launched("bisect", "ada", "--good", "30", "--check", "Message 3")
    assert printed.code == 0
    assert printed.lines[0] == f'good  after event {evicted - 1}: "Message 3" is in the context'
    assert f"after event {evicted}, " in printed.lines[1]
    assert "MessagesEvicted" in printed.lines[2]
    assert printed.lines[3].startswith("in the turn of event ")
    assert f"diff ada {evicted - 1} {evicted}" in printed.text
    assert f"context ada --at {evicted - 1}" in printed.text


def test_what_should_not_be_there(launched: Launch, evicted: int) -> None:
    printed = launched("bisect", "ada", "--check", "many things", "--not", "--on", "summary", "--json")
    found = msgspec.json.decode(printed.out)
    assert (found["bad"], found["event"]["kind"]) == (evicted + 1, "SummaryWritten")
    assert found["good"] == evicted


def test_a_command_gets_the_state_and_where_it_is(launched: Launch, evicted: int, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = (
        "import json, os, sys; given = json.load(sys.stdin); "
        f"open({str(seen)!r}, 'a').write(os.environ['PALIMPSEST_SEQ'] + ' '); "
        "assert given['seq'] == given['state']['seq'] == int(os.environ['PALIMPSEST_SEQ']); "
        "assert given['agent'] == os.environ['PALIMPSEST_AGENT'] and os.environ['PALIMPSEST_HOME']; "
        "assert given['context']['messages'][0]['role'] == 'system'; "
        "sys.exit(given['state']['summary'] is not None)"
    )
    printed = launched("bisect", "ada", "--check-command", python(program))
    assert printed.code == 0
    assert f"after event {evicted + 1}, " in printed.lines[1]
    assert seen.read_text().split()[0] == "1"


def test_it_works_on_a_bundle(launched: Launch, call: Launch, evicted: int, tmp_path: Path) -> None:
    bundle = tmp_path / "ada bundle"
    launched("export", "ada", str(bundle))
    printed = call("bisect", "ada", "--good", "30", "--check", "Message 3", "--bundle", str(bundle))
    assert f"after event {evicted}, " in printed.lines[1]
    assert printed.lines[-1].endswith(f"--bundle '{bundle}'")
    command = 'test -f "$PALIMPSEST_BUNDLE" && test $PALIMPSEST_SEQ -lt 40'
    assert "after event 40, " in call("bisect", "ada", "--check-command", command, "--bundle", str(bundle)).text


def test_a_command_that_hangs_is_killed_with_all_that_it_started(launched: Launch, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    printed = launched("bisect", "ada", "--check-command", f"sleep 600 & echo $! > {pid}; wait", "--timeout", "0.5")
    assert printed.code == 2
    assert "did not end within 0.5 s, asked about event 1, and was killed" in printed.err
    assert "--timeout S" in printed.err
    assert _has_ended(int(pid.read_text())), "what it started is dead too"


def test_what_a_command_leaves_behind_is_ended(launched: Launch, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    printed = launched("bisect", "ada", "--check-command", f"sleep 600 & echo $! > {pid}; test $PALIMPSEST_SEQ -lt 9")
    assert printed.code == 0, printed.err
    assert _has_ended(int(pid.read_text()))


def _has_ended(pid: int) -> bool:
    """Whether a process ends, at the latest in a moment: a signal takes its time on a busy machine."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], 20)[0])
    finally:
        os.close(watched)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("eve", "--check", "x"), "There is no agent 'eve'"),
        (("ada",), "Say what to check"),
        (("ada", "--check", "x", "--check-command", "true"), "Say what to check"),
        (("ada", "--check", "x", "--bad", "9999"), "there is no event 9999 (--bad SEQ)"),
        (("ada", "--check", "x", "--good", "9", "--bad", "9"), "must come before the bad end"),
        (("ada", "--check", "Message 3"), "bad after event 1, the good end"),
        (("ada", "--check", "core memory", "--on", "core"), "bad after event 1"),
        (("ada", "--check-command", "true"), "the bad end"),
        (("ada", "--check-command", " "), "Say what to check"),
        (("ada", "--check-command", "true", "--timeout", "nan"), "give seconds"),
        (("ada", "--check-command", "true", "--timeout", "inf"), "not in the range"),
        (("ada", "--check-command", "no-such-command-here"), "could not be run (exit code 127)"),
        (("ada", "--check-command", "kill -SEGV $$"), "died of SIGSEGV"),
    ],
)
def test_what_cannot_be_is_refused(launched: Launch, arguments: tuple[str, ...], why: str) -> None:
    printed = launched("bisect", *arguments)
    assert printed.code == 2
    assert why in printed.err
    assert printed.out == b""


def test_a_good_end_is_proposed_for_a_text_that_came_up_later(launched: Launch, evicted: int) -> None:
    printed = launched("bisect", "ada", "--check", "Message 3")
    seq = printed.err.split("--good ")[-1].rstrip(".\n")
    assert f"after event {evicted}, " in launched("bisect", "ada", "--check", "Message 3", "--good", seq).lines[1]


def test_a_command_that_reads_nothing_is_fine(launched: Launch) -> None:
    printed = launched("bisect", "ada", "--check-command", "test $PALIMPSEST_SEQ -lt 12")
    assert "after event 12, " in printed.lines[1]
    assert "PALIMPSEST_SEQ" not in os.environ
