"""`agents` and `events`: what is in the log, read from its file while others may write to it. Nothing starts Ray."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

import click
import msgspec

from console.describe import as_object, describe
from console.options import bundle_option, data_folder, given_bundle
from console.progress import bar
from console.show import Page, one_line, utc
from events.codec import KINDS, decode
from events.envelope import Envelope, Topic
from events.errors import BadInput, LogDamaged, NewerFormat, UnknownAgent
from events.sources import is_source, source_of
from events.types import INPUTS, Event
from store.log import LogReader, StreamHead
from store.sqlite_log import SqliteLog

CHUNK: Final = 2000
KNOWN: Final = 12
"""As many agents are named where one is not known."""

_INPUTS: Final = frozenset(kind.__name__ for kind in INPUTS)
_TROUBLE: Final = frozenset({"InferenceFailed", "FunctionFailed", "AnswerRejected", "StopRequested", "InputSkipped"})
_MEMORY: Final = frozenset({"MemoryPressureWarned", "EvictionStarted", "MessagesEvicted", "SummaryWritten"})


@contextlib.contextmanager
def reading() -> Iterator[LogReader]:
    """The log of the data folder, or of the bundle that is given, for reading. Raises BadInput where there is none."""
    bundle = given_bundle()
    if bundle is None:
        with SqliteLog.open_readonly(data_folder().log_path()) as log:
            yield log
        return
    from store.bundle_log import read_bundle

    with bar(f"Reading {one_line(bundle.name)}") as step:
        bundled = read_bundle(bundle, step)
    yield bundled


def head_of(log: LogReader, agent: str) -> StreamHead:
    """Where the agent's stream stands. Raises UnknownAgent."""
    head = log.head(agent)
    if head is None:
        raise UnknownAgent(agent, tuple(head.agent for head in log.heads(limit=KNOWN) if not is_source(head.agent)))
    return head


def agent_head(log: LogReader, agent: str) -> StreamHead:
    """The same where only an agent will do. Raises BadInput for a source's stream."""
    head = head_of(log, agent)
    if is_source(agent):
        raise BadInput(
            f"'{agent}' is a source, which has no context and no memory of its own: name an agent. "
            f"`sources {source_of(agent)}` and `events {agent}` show what it has."
        )
    return head


def stretches(
    log: LogReader, agent: str, first: int, last: int, kinds: frozenset[str] | None = None
) -> Iterator[Envelope]:
    """Events first … last of a stream, of the wanted kinds, read in chunks, so that memory stays bounded."""
    after = first - 1
    while after < last:
        chunk = log.read(agent, after=after, to=last, limit=CHUNK, kinds=kinds)
        if not chunk:
            return
        yield from chunk
        after = chunk[-1].seq


# --- agents -------------------------------------------------------------------------------------------------------


@click.command("agents")
@bundle_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def agents_command(as_json: bool) -> None:
    """List the agents: how many events each has, since when, and what it still waits for."""
    with reading() as log:
        heads = [head for head in log.heads() if not is_source(head.agent)]
        owed = _counts(log.open_requests(Topic.TURN))
        timers = _counts(log.open_requests(Topic.ALARM))
    if as_json:
        for head in heads:
            row = {"agent": head.agent, "events": head.seq, "created_ms": head.created_ms}
            row |= {"updated_ms": head.updated_ms, "waiting": owed.get(head.agent, 0)}
            _write_json({**row, "timers": timers.get(head.agent, 0)})
        return
    if not heads:
        click.echo("There is no agent yet: `chat NAME` makes one.", err=True)
        return
    rows = [(head, str(owed.get(head.agent, 0)), str(timers.get(head.agent, 0))) for head in heads]
    Page().table(
        ("agent", "events", "created (UTC)", "last event (UTC)", "waiting", "timers"),
        [
            (one_line(head.agent), str(head.seq), _minute(head.created_ms), _minute(head.updated_ms), waiting, timers)
            for head, waiting, timers in rows
        ],
        right=frozenset({1, 4, 5}),
        labels={1: "events", 4: "waiting", 5: "timers"},
    )


def _counts(opened: list[Envelope]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for envelope in opened:
        counts[envelope.agent] = counts.get(envelope.agent, 0) + 1
    return counts


def _minute(time_ms: int) -> str:
    return utc(time_ms)[:16]


def _write_json(row: object) -> None:
    sys.stdout.write(msgspec.json.encode(row).decode() + "\n")


# --- events -------------------------------------------------------------------------------------------------------


@click.command("events")
@click.argument("agent")
@bundle_option
@click.option("--from", "first", type=click.IntRange(min=1), default=1, metavar="N", help="From this event on.")
@click.option("--to", "last", type=click.IntRange(min=1), metavar="N", help="Up to and with this event.")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only events of this kind; may be given again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line: the envelope and its event.")
def events_command(agent: str, first: int, last: int | None, kinds: tuple[str, ...], as_json: bool) -> None:
    """List an agent's events: everything that ever happened to it, in order.

    A line has the event's seq, its time (UTC), the turn that it belongs to (the seq of the turn's input), its kind, and
    what it says.
    """
    wanted = frozenset(_kind(kind) for kind in kinds)
    unreadable: LogDamaged | NewerFormat | None = None
    with reading() as log:
        head = head_of(log, agent)
        if first > head.seq:
            raise BadInput(f"Agent '{agent}' has events 1 to {head.seq}: there is none from {first} on.")
        page = Page()
        for envelope in stretches(log, agent, first, min(last or head.seq, head.seq)):
            if wanted and envelope.kind not in wanted:
                continue
            event, problem = _decoded(envelope)
            unreadable = unreadable or problem
            if as_json:
                _write_json(as_object(envelope, event))
            else:
                print_event(page, envelope, describe(event) if event else str(problem))
    if unreadable:
        raise unreadable


def print_event(page: Page, envelope: Envelope, text: str) -> None:
    """One event as a line."""
    page.line(
        (f"{envelope.seq:>6}  ", "bold"),
        (f"{utc(envelope.time)}  ", "dim"),
        f"{envelope.turn or '-':>6}  ",
        (f"{one_line(envelope.kind, 40):<21}  ", _style(envelope.kind)),
        text,
    )


def _decoded(envelope: Envelope) -> tuple[Event | None, LogDamaged | NewerFormat | None]:
    """The event, or why there is none: the list goes on, and the first such error is raised at its end."""
    try:
        return decode(envelope), None
    except (LogDamaged, NewerFormat) as error:
        return None, error


def _kind(given: str) -> str:
    """The kind that was meant, in whatever case. Raises BadInput with what it may have meant."""
    found = {kind.lower(): kind for kind in KINDS}
    if given.lower() in found:
        return found[given.lower()]
    part = [kind for name, kind in found.items() if given.lower() in name]
    near = part[:6] or [found[name] for name in get_close_matches(given.lower(), found, n=3)]
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(KINDS)}."
    raise BadInput(f"There is no kind of event '{given}'. {hint}")


def _style(kind: str) -> str:
    if kind in _INPUTS:
        return "bold cyan"
    if kind in _TROUBLE:
        return "red"
    if kind in _MEMORY:
        return "magenta"
    return "green" if kind == "MessageSent" else "yellow" if kind.startswith("Core") else "blue"
