"""`diff`: what is different between two events of an agent, or between two agents (forks of each other, or not)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

import click

from palimpsest.console.context import counted
from palimpsest.console.inspect import reading
from palimpsest.console.options import bundle_option, json_option
from palimpsest.console.show import Page, Part, many, print_json, took
from palimpsest.events.debug.diff import BlockEdit, DiffSide, Moved, StateDiff, pieces
from palimpsest.events.debug.window import PARTS, Share, gist
from palimpsest.events.errors import BadInput
from palimpsest.events.state import Summary, Turn
from palimpsest.questions.descriptions import seqs, timer_text, value_text
from palimpsest.questions.differences import difference
from palimpsest.questions.plain import plain
from palimpsest.questions.streams import agent_head
from palimpsest.questions.texts import one_line, printable, utc
from palimpsest.store.logs.contract import LogReader

USAGE: Final = "Write `diff AGENT SEQ [SEQ]`, `diff AGENT AGENT`, or `diff AGENT SEQ AGENT SEQ`."


def places(log: LogReader, given: tuple[str, ...]) -> tuple[DiffSide, DiffSide]:
    """The two places that are meant; where a seq is left out, an agent's end. Raises BadInput, UnknownAgent."""
    match given:
        case (agent, other) if not _is_seq(other):
            return _place(log, agent), _place(log, other)
        case (agent, first):
            return _place(log, agent, first), _place(log, agent)
        case (agent, first, second) if _is_seq(first) and _is_seq(second):
            return _place(log, agent, first), _place(log, agent, second)
        case (agent, first, other, second) if _is_seq(first) and _is_seq(second):
            return _place(log, agent, first), _place(log, other, second)
    raise BadInput(USAGE)


def _is_seq(text: str) -> bool:
    return re.fullmatch(r"\d{1,40}", text) is not None


def _place(log: LogReader, agent: str, seq: str = "") -> DiffSide:
    return DiffSide(agent=agent, seq=int(seq) if seq else agent_head(log, agent).seq)


@click.command("diff")
@click.argument("what", nargs=-1, required=True, metavar="AGENT SEQ [AGENT] [SEQ]")
@bundle_option
@json_option
def command(what: tuple[str, ...], as_json: bool) -> None:
    """Show what changed between two events: what entered the window, what left it and where it went, core memory, the
    summary, settings, timers, sources, and the tokens by part.

    \b
    diff ada 120 180            of one agent; 180 120 shows it backwards
    diff ada 120                from event 120 to now
    diff ada 180 ada-2 175      of two agents: of forks, from where they parted
    diff ada ada-2              the same, as both are now
    """
    with reading() as log:
        found = difference(log, *places(log, what))
    if as_json:
        print_json(as_object(found))
    else:
        print_diff(Page(), found)


def as_object(found: StateDiff) -> dict[str, Any]:
    """The difference as plain data, its messages in words."""
    fields: dict[str, Any] = plain(found)
    return fields | {"left": [_message(each) for each in found.left], "entered": [_message(e) for e in found.entered]}


def _message(moved: Moved) -> dict[str, Any]:
    who, text = gist(moved.entry)
    row = {"seq": moved.entry.seq, "kind": moved.entry.kind, "who": who, "tokens": moved.entry.tokens, "text": text}
    return row | {"evicted": moved.evicted, "summary": moved.summary, "rejected": moved.rejected}


# --- printing -----------------------------------------------------------------------------------------------------


def print_diff(page: Page, found: StateDiff) -> None:
    """The difference, in sections; those in which nothing changed are left out."""
    for name, text in _facts(found):
        page.line((f"{name:<14}", "dim"), text)
    page.line()
    page.table(("part", "before", "after", "change"), list(_tokens(found)), right=frozenset({1, 2, 3}))
    _print_moved(page, found, found.left, "left", "-")
    _print_moved(page, found, found.entered, "entered", "+")
    if found.passing:
        _heading(page, "came and went", f"{many(len(found.passing), 'message')}: events {seqs(found.passing, 100)}")
    for block in found.blocks:
        _print_block(page, block)
    _print_summary(page, found)
    _print_rest(page, found)


def _facts(found: StateDiff) -> Iterator[tuple[str, str]]:
    a, b = found.a, found.b
    yield "from", f"{printable(a.agent)}, event {a.seq} of {utc(a.time_ms)[:19]} UTC"
    yield "to", f"{printable(b.agent)}, event {b.seq} of {utc(b.time_ms)[:19]} UTC"
    if found.parted is None:
        yield "between", "nothing: the two have no event in common"
    elif found.parted.seq not in {a.seq, b.seq} or a.agent != b.agent:
        ways = f"{many(a.seq - found.parted.seq, 'event')} before, {many(b.seq - found.parted.seq, 'event')} after"
        yield "parted", f"after event {found.parted.seq} of {printable(found.parted.agent)}: since then {ways}"
    else:
        way = "later" if b.seq > a.seq else "back"
        yield "between", f"{many(abs(b.seq - a.seq), 'event')} {way}, {took(abs(b.time_ms - a.time_ms))}"


def _tokens(found: StateDiff) -> Iterator[tuple[str, str, str, str]]:
    before = {share.name: share for share in found.window_before.shares}
    after = {share.name: share for share in found.window_after.shares}
    nothing = Share("", 0, 0)
    for name in sorted({**before, **after}, key=_ORDER.__getitem__):
        yield _row(name, before.get(name, nothing), after.get(name, nothing))
    totals = [Share("", 0, each.total_tokens, each.uncounted) for each in (found.window_before, found.window_after)]
    yield _row("total, with the margin", *totals)


_ORDER: Final = {name: at for at, name in enumerate(("", *PARTS))}


def _row(name: str, old: Share, new: Share) -> tuple[str, str, str, str]:
    change = f"{new.tokens - old.tokens:+,}" if new.tokens != old.tokens else ""
    if old.uncounted or new.uncounted:
        change = f"about {change}" if old.tokens and new.tokens and change else ""
    return name, counted(old.tokens, old.uncounted), counted(new.tokens, new.uncounted), change


def _print_moved(page: Page, found: StateDiff, moved: tuple[Moved, ...], name: str, sign: str) -> None:
    if not moved:
        return
    tokens = sum(max(0, each.entry.tokens) for each in moved)
    _heading(page, name, f"{many(len(moved), 'message')}, {tokens:,} tokens")
    for why, group in groupby(moved, key=lambda each: _why(found, each, entered=sign == "+")):
        if why:
            page.line((f"    {why}", "magenta"))
        for each in group:
            who, text = gist(each.entry)
            first: tuple[Part, ...] = (
                (f"  {sign}", "green" if sign == "+" else "red"),
                (f"{each.entry.seq:>6}  ", "bold"),
            )
            page.fitted(*first, (f"{one_line(who, 12):<9} ", "cyan"), one_line(text, 400))


def _why(found: StateDiff, moved: Moved, *, entered: bool) -> str:
    """Where a message went that left (or, on the way back, had gone)."""
    of = f" of {one_line(found.a.agent if entered else found.b.agent, 60)}" if found.a.agent != found.b.agent else ""
    had = "had been " if entered else ""
    if moved.evicted:
        by = f", and event {moved.summary} wrote the summary that stands for it" if moved.summary else ""
        return f"{had}evicted to recall by event {moved.evicted}{of}{by}"
    if moved.rejected:
        return f"{had}struck out by event {moved.rejected}{of}: the answer was rejected"
    if entered:
        return ""
    if found.a.agent == found.b.agent:
        return f"not there yet after event {found.b.seq}"
    return f"only {one_line(found.a.agent, 60)} has it{', since the two parted' * bool(found.parted)}"


def _print_block(page: Page, block: BlockEdit) -> None:
    by = f"by {_events(block.by)}" if block.by else ""
    undone = f"without {_events(block.undone)}" if block.undone else ""
    made = "is new" if block.before is None else "is gone" if block.after is None else ""
    size = f"{len(block.before or ''):,} -> {len(block.after or ''):,} characters"
    text = ", ".join(part for part in (one_line(block.label, 40), made, size, by, undone) if part)
    _heading(page, "core memory", text)
    _print_pieces(page, [(piece.sign, piece.text) for piece in block.pieces])


def _events(numbers: tuple[int, ...]) -> str:
    return f"event{'s' * (len(numbers) != 1)} {seqs(numbers, 100)}"


def _print_pieces(page: Page, told: list[tuple[str, str]]) -> None:
    styles = {"-": "red", "+": "green"}
    for sign, text in told:
        for line in printable(text).split("\n"):
            page.line((f"    {sign} {line}", styles.get(sign, "dim")))


def _print_summary(page: Page, found: StateDiff) -> None:
    change = next((each for each in found.changed if each.name == "summary"), None)
    if change is None:
        return
    old: Summary | None = change.before
    new: Summary | None = change.after
    where = f"event {old.seq} -> " if old else "none -> "
    where += f"event {new.seq}, for {many(new.hidden, 'message')}" if new else "none"
    written = [each.seq for each in (found.summaries or found.summaries_undone)]
    through = f" ({len(written)} were written: events {seqs(tuple(written), 100)})" if len(written) > 1 else ""
    _heading(page, "summary", where + through)
    told = pieces(old.text if old else "", new.text if new else "")
    _print_pieces(page, [(piece.sign, piece.text) for piece in told])


def _print_rest(page: Page, found: StateDiff) -> None:
    if found.settings:
        text = ", ".join(f"{each.name} {value_text(each.before)} -> {value_text(each.after)}"
                         for each in found.settings)  # fmt: skip
        _heading(page, "settings", text)
    if found.timers_gone or found.timers_set:
        _heading(page, "timers")
        rows = [("-", timer_text(each)) for each in found.timers_gone]
        _print_pieces(page, rows + [("+", timer_text(each)) for each in found.timers_set])
    if found.sources_gone or found.sources_new:
        _heading(page, "sources")
        rows = [("-", one_line(each)) for each in found.sources_gone]
        _print_pieces(page, rows + [("+", one_line(each)) for each in found.sources_new])
    counts = {each.name: each for each in found.changed if each.name in _COUNTS}
    if counts:
        _heading(page, "counts", ", ".join(f"{_COUNTS[name]} {each.before:,} -> {each.after:,}"
                                            for name, each in counts.items()))  # fmt: skip
    for each in found.changed:
        if each.name == "turn":
            _heading(page, "turn", f"{_turn(each.before)} -> {_turn(each.after)}")
        if each.name == "pending":
            waited = tuple(pending.seq for pending in each.before), tuple(pending.seq for pending in each.after)
            _heading(page, "waiting", f"{seqs(waited[0])} -> {seqs(waited[1])}")


_COUNTS: Final = {
    "recall_messages": "messages in recall",
    "archival_passages": "passages in archival",
    "turns": "turns",
}


def _turn(turn: Turn | None) -> str:
    return f"turn {turn.input}, step {turn.steps}, {turn.phase}" if turn else "at rest"


def _heading(page: Page, name: str, text: str = "") -> None:
    page.line()
    page.line(*(((f"{name:<14}", "bold"), text) if text else ((name, "bold"),)))
