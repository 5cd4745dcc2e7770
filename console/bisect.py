"""`bisect`: the event after which a check on an agent's context or state turns bad."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from math import isnan
from typing import Any, Final

import click
import msgspec

from palimpsest.console.called import given_bundle, typed
from palimpsest.console.inspect import reading
from palimpsest.console.options import bundle_option, data_folder, json_option
from palimpsest.console.show import Page, many, print_json
from palimpsest.console.story import event_line
from palimpsest.events.codec import decode
from palimpsest.events.context import reply_request
from palimpsest.events.debug.bisect import CONTEXT, PLACES, Boundary, described, says
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import BadInput
from palimpsest.events.state import State
from palimpsest.questions.bisection import first_bad
from palimpsest.questions.plain import as_object
from palimpsest.questions.texts import one_line, utc

TIMEOUT_S: Final = 30.0
LONGEST_S: Final = 86_400.0
NOT_RUN: Final = (126, 127)
"""How a shell ends that could not run a command."""


class CommandCheck:
    """A command of the user's: exit code 0 is good. It gets the state as JSON on its standard input, and which agent,
    event and log it is of in its environment; what it prints on standard error is shown."""

    def __init__(self, command: str, timeout_s: float) -> None:
        self._command = command
        self._timeout_s = timeout_s

    def __call__(self, state: State) -> bool:
        """Raises BadInput where the command cannot be run, hangs, or dies of a signal."""
        code = self._run(state)
        what = f"The check command, asked about event {state.seq},"
        if code in NOT_RUN:
            raise BadInput(f"{what} could not be run (exit code {code}): {one_line(self._command)}. Check its name.")
        if code < 0:
            raise BadInput(f"{what} died of {signal.Signals(-code).name}: {one_line(self._command)}. Mend it first.")
        return code == 0

    def _run(self, state: State) -> int:
        running = subprocess.Popen(
            self._command,
            shell=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, **_environment(state)},
            start_new_session=True,  # so that all of it can be ended
        )
        try:
            running.communicate(_stdin(state), self._timeout_s)
        except subprocess.TimeoutExpired:
            raise BadInput(
                f"The check command did not end within {self._timeout_s:g} s, asked about event {state.seq}, and was "
                f"killed: {one_line(self._command)}. Mend it, or give it more time: --timeout S."
            ) from None
        finally:
            _end(running)
        return running.returncode


def _end(running: subprocess.Popen[bytes]) -> None:
    """Kill the command and what it started, also what it left behind in the background: it is one group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def _environment(state: State) -> dict[str, str]:
    bundle = given_bundle()
    folder = data_folder()
    home = folder.database or str(folder.path)
    place = {"PALIMPSEST_BUNDLE": str(bundle.absolute())} if bundle else {"PALIMPSEST_HOME": home}
    return {"PALIMPSEST_AGENT": state.agent, "PALIMPSEST_SEQ": str(state.seq), **place}


def _stdin(state: State) -> bytes:
    request = msgspec.Raw(reply_request(state))
    return msgspec.json.encode({"agent": state.agent, "seq": state.seq, "state": described(state), "context": request})


# --- the command --------------------------------------------------------------------------------------------------


@click.command("bisect")
@click.argument("agent")
@click.option(
    "--bad", type=click.IntRange(min=1), metavar="SEQ", help="It is bad after this event (default: the last)."
)
@click.option(
    "--good", type=click.IntRange(min=1), metavar="SEQ", help="It is good after this one (default: the first)."
)
@click.option("--check", "text", metavar="TEXT", help="Good is where this text stands.")
@click.option(
    "--check-command", "shell", metavar="CMD", help="Good is where this command ends with exit code 0; see below."
)
@click.option("--not", "inverted", is_flag=True, help="The other way round: the text is what should not be there.")
@click.option(
    "--on",
    "place",
    type=click.Choice(PLACES),
    default=CONTEXT,
    help="Where the text is looked for: the window (default), all of the state, the summary, or core memory.",
)
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(0.001, LONGEST_S), default=TIMEOUT_S, metavar="S",
    help=f"A check command that takes longer is killed, and is an error (default: {TIMEOUT_S:g}).",
)  # fmt: skip
@bundle_option
@json_option
def command(
    agent: str,
    *,
    bad: int | None,
    good: int | None,
    text: str | None,
    shell: str | None,
    inverted: bool,
    place: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Find the first event after which a check on AGENT turns bad, in a dozen looks for thousands of events.

    The check is a text that should stand in the window (--check), or a command line of your own (--check-command). The
    command gets {"agent", "seq", "state", "context"} as JSON on its standard input, and PALIMPSEST_AGENT,
    PALIMPSEST_SEQ, and PALIMPSEST_HOME or PALIMPSEST_BUNDLE in its environment.

    Both ends are checked first. A text may come and go: then this finds one place between them where it goes.
    """
    text, shell = text or None, (shell or "").strip() or None
    if (text is None) == (shell is None):
        raise BadInput("Say what to check: a text by --check TEXT, or a command by --check-command CMD (one of them).")
    if isnan(timeout_s):
        raise BadInput("--timeout nan cannot be: give seconds, as --timeout 30.")
    with reading() as log:
        run = CommandCheck(shell, timeout_s) if shell else None

        def is_good(state: State) -> bool:
            return (run(state) if run else says(state, text or "", place)) != inverted

        found = first_bad(log, agent, is_good, good=good, bad=bad, text=text or "")
        (turned,) = log.read(agent, found.bad - 1, found.bad)
        began = log.read(agent, turned.turn - 1, turned.turn) if turned.turn else []
    if as_json:
        row: dict[str, Any] = {"agent": agent, **msgspec.to_builtins(found), "event": as_object(turned, decode(turned))}
        print_json(row)
    else:
        _print(found, turned, began, _meaning(text, shell, place, inverted))
        _print_next(agent, found)


def _meaning(text: str | None, shell: str | None, place: str, inverted: bool) -> str:
    if shell:
        return f"`{one_line(shell)}` ends {'otherwise than' if inverted else 'with'} exit code 0"
    return f'"{one_line(text or "")}" is {"not " * inverted}in the {place}'


def _print(found: Boundary, at: Envelope, began: list[Envelope], meaning: str) -> None:
    page = Page()
    page.line(("good  ", "green"), f"after event {found.good}: {meaning}")
    page.line(("bad   ", "bold red"), f"after event {found.bad}, and this is what happened there:")
    where = (f"{at.seq:>6}  ", "bold"), (f"{utc(at.time)}  ", "dim"), (f"{at.kind}  ", "bold")
    page.line(*where, event_line(decode(at)))
    for each in began:
        page.line(("in the turn of event ", "dim"), f"{each.seq}, {each.kind}: {event_line(decode(each))}")
    page.line((f"({many(found.checks, 'check')}.)", "dim"))
    page.line()


def _print_next(agent: str, found: Boundary) -> None:
    page, good, bad = Page(), str(found.good), str(found.bad)
    page.line(("What changed: ", "dim"), typed("diff", agent, good, bad))
    page.line(("Before:       ", "dim"), typed("context", agent, "--at", good))
    page.line(("Who wrote it: ", "dim"), typed("blame", agent, "--at", bad))
