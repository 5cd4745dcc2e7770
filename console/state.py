"""`state`: what an agent was after any event: its memory, its queue, what it waited for, and what waited for it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from palimpsest.console.context import counted
from palimpsest.console.inspect import reading
from palimpsest.console.options import bundle_option, json_option
from palimpsest.console.show import Page, Part, many, print_json, took
from palimpsest.events.debug.overview import Covering, Overview, Running
from palimpsest.events.errors import BadInput
from palimpsest.questions.descriptions import call_text, quoted, seqs, timer_text, value_text
from palimpsest.questions.overviews import ARCHIVAL, RECALL, Kept, kept, overview_at
from palimpsest.questions.plain import plain
from palimpsest.questions.streams import agent_head
from palimpsest.questions.texts import one_line, printable, utc

PAGE_SIZE = 20


@click.command("state")
@click.argument("agent")
@bundle_option
@click.option("--at", type=int, metavar="SEQ", help="After this event (default: now).")
@click.option("--recall", is_flag=True, help="List what recall storage held, the newest first.")
@click.option("--archival", is_flag=True, help="List what archival storage held, the newest first.")
@click.option("--page", default=0, type=click.IntRange(min=0), metavar="P", help="Page of these lists, from 0.")
@json_option
def command(agent: str, *, at: int | None, recall: bool, archival: bool, page: int, as_json: bool) -> None:
    """Show what an agent was after any event: core memory, queue, summary, timers, and what was open or waited.

    `context AGENT --at SEQ` shows the same moment as the model sees it.
    """
    if recall and archival:
        raise BadInput("Give one of --recall and --archival.")
    if page and not (recall or archival):
        raise BadInput("--page is of a list: give --recall or --archival with it.")
    with reading() as log:
        seq = at if at is not None else agent_head(log, agent).seq
        seen = overview_at(log, agent, seq)
        listed = _page(kept(log, agent, seq, RECALL if recall else ARCHIVAL), page) if recall or archival else None
    if as_json:
        found = listed if listed is not None else seen
        print_json(plain(found))
    elif listed is not None:
        _print_kept(Page(), seen, listed, page, recall=recall)
    else:
        print_overview(Page(), seen)


def _page(found: Iterator[Kept], number: int) -> list[Kept]:
    listed: list[Kept] = []
    for index, each in enumerate(found):
        if index >= (number + 1) * PAGE_SIZE:
            break
        if index >= number * PAGE_SIZE:
            listed.append(each)
    return listed


def _print_kept(page: Page, seen: Overview, listed: list[Kept], number: int, *, recall: bool) -> None:
    total = many(seen.recall_messages, "message") if recall else many(seen.archival_passages, "passage")
    name = "recall" if recall else "archival"
    more = f"; older ones: --page {number + 1}" if len(listed) == PAGE_SIZE else ""
    page.line((f"{name}: ", "bold"), f"{total} after event {seen.seq}, page {number}, the newest first{more}")
    for each in listed:
        count = f"{many(each.passages, 'passage')}: " if each.passages else ""
        page.fitted(
            (f"{each.seq:>6}  ", "bold"),
            (f"{utc(each.time_ms)[:19]}  ", "dim"),
            (f"{each.who:<6} ", "cyan"),
            count + quoted(each.text, 400),
        )
    if not listed:
        page.line("  nothing on this page")


# --- the overview -------------------------------------------------------------------------------------------------


def print_overview(page: Page, seen: Overview) -> None:
    """The overview, in sections."""
    for name, text in _facts(seen):
        page.line((f"{name:<13}", "dim"), text)
    _print_memory(page, seen)
    if seen.summary:
        _print_summary(page, seen.summary)
    known = [each.tokens for each in seen.queue if each.tokens is not None]
    tokens = counted(sum(known), len(seen.queue) - len(known))
    _heading(page, "queue", f"{many(len(seen.queue), 'message')}, {tokens} tokens")
    for each in seen.queue:
        count = "-" if each.tokens is None else f"{each.tokens:,}"
        going = ("evicts  ", "magenta") if each.seq in seen.evicting else "        " if seen.evicting else ""
        page.fitted(
            (f"{each.seq:>6}  ", "bold"), (f"{count:>6}  ", "dim"), going, (f"{one_line(each.who, 12):<9} ", "cyan"),
            one_line(each.text, 400),
        )  # fmt: skip
    if seen.waiting:
        _heading(page, "waiting", many(len(seen.waiting), "input"))
        for waits in seen.waiting:
            stop = f" (stopped: {one_line(waits.stopped)})" if waits.stopped is not None else ""
            page.fitted(
                (f"{waits.seq:>6}  ", "bold"), (f"{utc(waits.time_ms)[:19]}  ", "dim"),
                (f"{one_line(waits.who, 12):<9} ", "cyan"), one_line(waits.text, 400) + stop,
            )  # fmt: skip
    if seen.timers:
        _heading(page, "timers", many(len(seen.timers), "timer"))
        for timer in seen.timers:
            page.fitted(f"    {timer_text(timer)}")


def _facts(seen: Overview) -> Iterator[tuple[str, str]]:
    parent = f", forked from {one_line(seen.parent.agent, 60)} at event {seen.parent.seq}" if seen.parent else ""
    yield "agent", printable(seen.agent)
    yield "after event", f"{seen.seq} of {utc(seen.time_ms)[:19]} UTC; {many(seen.turns, 'turn')} ended"
    yield "made", f"{utc(seen.created_ms)[:19]} UTC{parent}"
    settings = ", ".join(
        f"{each.name} {value_text(each.after)} (else {value_text(each.before)})" for each in seen.settings
    )
    yield "settings", settings or "the defaults"
    if seen.server:
        back = f"the first is tried again from {utc(seen.back_ms)[:19]} UTC on"
        at = f" at {one_line(seen.base_url)}" if seen.base_url else ""
        yield "asks", f"fallback {seen.server}, {one_line(seen.model, 60)}{at}; {back}"
    yield "window", _window(seen)
    yield "now", _now(seen)
    if seen.time_zone:
        yield "time zone", one_line(seen.time_zone, 60)
    if seen.heartbeats_paused_until_ms > seen.time_ms:
        yield "heartbeats", f"paused until {utc(seen.heartbeats_paused_until_ms)[:19]} UTC"
    yield "recall", f"{many(seen.recall_messages, 'message')} (--recall lists them)"
    yield "archival", f"{many(seen.archival_passages, 'passage')} (--archival lists them)"
    yield "sources", ", ".join(map(one_line, seen.sources)) or "none"
    if seen.next_sources is not None:
        yield "", f"from the next turn on: {', '.join(map(one_line, seen.next_sources)) or 'none'}"


def _window(seen: Overview) -> str:
    tokens = counted(seen.window.total_tokens, seen.window.uncounted)
    share = 100 * seen.window.total_tokens / seen.window_tokens
    warned = "; the agent was warned" if seen.warned else ""
    return (
        f"{tokens} of {seen.window_tokens:,} tokens ({share:.0f} %{' at least' * bool(seen.window.uncounted)}){warned}"
    )


def _now(seen: Overview) -> str:
    """What the agent does, or waits for."""
    if seen.not_taken_up:
        return f"a fork at rest, in the middle of what its parent did: `resume` takes up {_inputs(seen.not_taken_up)}"
    if seen.running is None:
        return "about to begin a turn" if seen.waiting else "at rest"
    running = seen.running
    parts = [f"turn {running.input}, step {running.steps}, {running.tokens:,} tokens so far", _phase(seen, running)]
    if running.failures:
        parts.append(many(running.failures, "failure") + " in a row")
    if running.stopped is not None:
        parts.append("asked to stop" + f" ({one_line(running.stopped)})" * bool(running.stopped))
    return "; ".join(parts)


def _inputs(numbers: tuple[int, ...]) -> str:
    return f"input{'s' * (len(numbers) != 1)} {seqs(numbers)}"


def _phase(seen: Overview, running: Running) -> str:
    since = f" (event {running.asked}, {took(max(0, seen.time_ms - running.asked_ms))} before)" if running.asked else ""
    calls = " | ".join(call_text(call.name, call.arguments, 60) for call in running.open_calls)
    evicting = f" for the eviction of {many(len(seen.evicting), 'message')}" if seen.evicting else ""
    return {
        "ready": f"the model is to be asked next{evicting}",
        "inferring": f"it waits for the model's answer{since}",
        "summarising": f"it waits for a summary{evicting}{since}",
        "calling": f"it waits for {calls or 'a function'}{since}",
        "acting": f"to be done next: {calls or 'what follows from the answer'}",
        "failed": "the last inference failed",
    }.get(running.phase, running.phase)


def _print_memory(page: Page, seen: Overview) -> None:
    _heading(page, "core memory", many(len(seen.blocks), "block"))
    for block in seen.blocks:
        share = f"{100 * block.chars / block.limit:.0f} %" if block.limit else "no limit"
        use = f"{block.chars:,} of {block.limit:,} characters ({share})"
        page.line((f"    {one_line(block.label, 40)}", "bold yellow"), (f"  {use}", "dim"))
        for line in printable(block.value).split("\n"):
            page.line(f"        {line}" if line else "")


def _print_summary(page: Page, covering: Covering) -> None:
    chain = [str(each.seq) for each in covering.generations]
    more = f" and {len(chain) - 8} before" if len(chain) > 8 else ""
    author = covering.generations[0].author if chain else "?"
    stands = f"for {many(covering.messages, 'message')} ({seqs(covering.seqs)})"
    through = f", through those of events {', '.join(chain[1:8])}{more}" if chain[1:] else ""
    text = f"event {covering.seq}, author {author}, {covering.tokens:,} tokens; it stands {stands}{through}"
    _heading(page, "summary", text)
    for line in printable(covering.text).split("\n"):
        page.line(f"        {line}" if line else "")


def _heading(page: Page, name: str, text: str) -> None:
    parts: tuple[Part, ...] = ((f"{name:<13}", "bold"), text)
    page.line()
    page.line(*parts)
