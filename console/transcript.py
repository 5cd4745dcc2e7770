"""`transcript`: what was said, by whom and when, as text, Markdown or JSON; on standard output or in a file.

Rule: it is written as it is read, so that a long history takes no more memory than a short one.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from palimpsest.console.inspect import reading
from palimpsest.console.meant import bounds
from palimpsest.console.options import bundle_option
from palimpsest.events.errors import BadInput
from palimpsest.questions.plain import plain
from palimpsest.questions.streams import agent_head
from palimpsest.questions.stretch import Excerpt, bounded
from palimpsest.questions.texts import one_line, printable
from palimpsest.questions.utterances import Extras, Heading, Utterance, heading, spoken
from palimpsest.store.folder import expanded
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.output import check_place, whole

Write = Callable[[str], object]


@click.command("transcript")
@click.argument("agent")
@bundle_option
@click.option("--since", "--from", "since", metavar="WHEN", help="From this event on, or this time (UTC).")
@click.option("--until", "--to", "until", metavar="WHEN", help="Up to and with this event, or this time (UTC).")
@click.option("--thoughts", is_flag=True, help="The agent's inner thoughts, too.")
@click.option("--calls", is_flag=True, help="Its calls of functions and their results, too.")
@click.option("--markdown", is_flag=True, help="As Markdown.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; the first says whose transcript it is.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it to this file.")
@click.option("--force", is_flag=True, help="Write over FILE if it is there.")
def command(
    agent: str,
    *,
    since: str | None,
    until: str | None,
    thoughts: bool,
    calls: bool,
    markdown: bool,
    as_json: bool,
    output: Path | None,
    force: bool,
) -> None:
    """Write down what was said with AGENT: by whom and when, on the agent's clock.

    What interrupted it (timers, alerts, uploads) stands between, shortly. A fork's transcript begins with its parent's,
    up to where it was forked. WHEN is a seq or a time, as in `events`.
    """
    if markdown and as_json:
        raise BadInput("--markdown and --json are two ways to write it: give one.")
    place = expanded(output) if output else None
    if place:
        check_place(place, force=force)
    with reading() as log:
        agent_head(log, agent)
        stretch = bounded(log, agent, *bounds(since, until))
        with _to(place, force=force) as write:
            form = _json if as_json else _markdown if markdown else _text
            told = _written(log, stretch, Extras(thoughts, calls), form, write)
    if place:
        click.echo(f"{told:,} entries of {one_line(agent)} are in {place}.")
    elif not told:
        click.echo(f"Nothing was said in events {stretch.first} to {stretch.last}.", err=True)


@contextlib.contextmanager
def _to(place: Path | None, *, force: bool) -> Iterator[Write]:
    if place is None:
        yield sys.stdout.write
        return
    try:
        with whole(place, force=force) as file:
            yield lambda text: file.write(text.encode())
    except OSError as error:
        raise BadInput(f"{place} cannot be written: {error.strerror}. Nothing was left there: make room.") from None


Form = Callable[[Heading | Utterance], str]
"""How an entry is written, or what stands over all."""


def _written(log: LogReader, stretch: Excerpt, choice: Extras, form: Form, write: Write) -> int:
    """Write the transcript; how many entries it has."""
    write(form(heading(log, stretch)))
    number = 0
    for number, each in enumerate(spoken(log, stretch, choice), 1):  # noqa: B007 - it is the count afterwards
        write(form(each))
    return number


def _json(told: Heading | Utterance) -> str:
    import msgspec

    kind = {"type": "transcript"} if isinstance(told, Heading) else {}
    return msgspec.json.encode({**kind, **plain(told)}).decode() + "\n"


def _text(told: Heading | Utterance) -> str:
    if isinstance(told, Heading):
        return "\n".join(_headlines(told)) + "\n\n"
    first, *rest = printable(told.text).split("\n")
    lines = (f"[{told.time}] {_name(told)}: {first}", *(f"    {line}" if line else "" for line in rest))
    return "\n".join(lines) + "\n"


def _name(told: Utterance) -> str:
    return f"({told.who})" if told.who in ("thought", "call", "interrupt", "note") else one_line(told.name)


def _headlines(told: Heading) -> Iterator[str]:
    """What a reader is to know first."""
    yield f"Transcript of {one_line(told.agent)}, events {told.first} to {told.last}, on its own clock."
    for parent in told.forked_from:
        yield f"Up to event {parent.seq} it is {one_line(parent.agent)}'s, which it was forked from."
    if told.masked:
        yield "Texts in it were masked before this log had them."


def _markdown(told: Heading | Utterance) -> str:
    if isinstance(told, Heading):
        title, *rest = _headlines(told)
        return f"# {_plain(title.removesuffix('.'))}\n\n" + "".join(f"{_plain(line)}\n\n" for line in rest)
    about = f"{told.time} · event {told.seq}"
    if told.who in ("user", "agent"):
        quoted = "\n".join(f"> {line}".rstrip() for line in _unmarked(printable(told.text)))
        return f"**{_plain(one_line(told.name))}** · {about}\n\n{quoted}\n\n"
    return f"*{told.who}*: {_plain(' '.join(printable(told.text).split()))} · {about}\n\n"


_MARKS: Final = re.compile(r"([\\`*_{}\[\]<>#|~])")
_TAG: Final = re.compile(r"<(?=[A-Za-z/!?])")


def _plain(text: str) -> str:
    """A text as Markdown that means nothing but itself."""
    return _MARKS.sub(r"\\\1", text)


def _unmarked(text: str) -> Iterator[str]:
    """The lines of a text that may be Markdown, and stays so, but for HTML: that is shown. In code too, since each
    program that reads it has its own way to tell where code ends."""
    yield from _TAG.sub("&lt;", text).split("\n")
