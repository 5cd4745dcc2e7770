"""`show`: one agent on one page. Starts nothing, and works while a chat runs."""

from __future__ import annotations

from collections.abc import Iterator

import click

from palimpsest.console.agents import share
from palimpsest.console.called import typed
from palimpsest.console.inspect import reading
from palimpsest.console.options import bundle_option, json_option
from palimpsest.console.show import Page, many, names_of, print_json
from palimpsest.questions.descriptions import quoted, server_text, timer_text
from palimpsest.questions.plain import plain
from palimpsest.questions.profile import Profile, profile
from palimpsest.questions.roster import Row
from palimpsest.questions.streams import agent_head
from palimpsest.questions.texts import one_line, utc

BLOCK_CHARS = 400
"""So much of a section is shown; `state` shows it whole."""


@click.command("show")
@click.argument("agent")
@bundle_option
@json_option
def command(agent: str, as_json: bool) -> None:
    """Show AGENT on one page: what it is called and runs on, how full its window is, what it knows, its sources and
    timers, what it does, and what was said last.

    \b
    show sam
    show sam --json
    """
    with reading() as log:
        found = profile(log, agent_head(log, agent))
    if as_json:
        print_json(plain(found))
        return
    page = Page()
    lines = _broken(found) if isinstance(found, Row) else _lines(found)
    for name, text in lines:
        page.line((f"{name:<12}", "dim"), text)
    for command_ in (("events", agent, "--last", "3"), ("state", agent), ("set", agent)):
        click.echo(f"More: {typed(*command_)}", err=True)


def _broken(row: Row) -> Iterator[tuple[str, str]]:
    yield "agent", one_line(row.agent)
    yield "state", "set aside"
    yield "why", one_line(row.problem, 400)
    yield "events", f"{row.events:,}"


def _lines(found: Profile) -> Iterator[tuple[str, str]]:
    row, settings, counts = found.row, found.settings, found.counts
    yield "agent", one_line(row.agent)
    if row.title:
        yield "title", one_line(row.title)
    yield "state", _state(found)
    at = f" at {one_line(settings.base_url)}" if settings.base_url else ""
    yield "model", f"{one_line(settings.model)}{at}"
    for number, fallback in enumerate(settings.fallbacks, 1):
        yield f"fallback {number}", one_line(server_text(fallback), 200) + " (asked now)" * (found.server == number)
    filled = f"{row.filled_tokens:,} ({share(row)})" if row.filled_tokens else "not counted yet how many"
    yield "window", f"{row.window_tokens:,} tokens, {filled} filled"
    yield "system", many(found.system_chars, "character")
    for block in found.blocks:
        yield one_line(block.label, 40), f"{quoted(block.value, BLOCK_CHARS)} ({len(block.value):,} of {block.limit:,})"
    yield "sources", names_of(row.sources) or "none"
    for timer in found.timers:
        yield "timer", timer_text(timer)
    yield "time zone", found.time_zone
    recall, archival = many(counts.recall_messages, "message"), many(counts.archival_passages, "passage")
    turns, events = many(counts.turns, "turn"), many(counts.events, "event")
    yield "counts", f"{turns}, {recall} in recall, {archival} archived, {events}"
    yield "made", f"{utc(row.created_ms)[:16]} UTC; last event {utc(row.updated_ms)[:16]} UTC"
    if row.parent:
        yield "fork of", f"{one_line(row.parent.agent)} at {row.parent.seq}"
    if row.words:
        yield "last words", f"{one_line(row.words.who, 40)}: {quoted(row.words.text, 300)} (event {row.words.seq})"


def _state(found: Profile) -> str:
    row, out = found.row, found.retired
    if out:
        timers = f"; {many(len(out.timers), 'timer')} off" if out.timers else ""
        reason = f" ({one_line(out.reason, 200)})" if out.reason else ""
        return f"retired since {utc(out.since_ms)[:16]} UTC{reason}{timers}"
    waiting = f", {many(row.waiting, 'input')} open" if row.waiting else ""
    return f"{row.state}{waiting}"
