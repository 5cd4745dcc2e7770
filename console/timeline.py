"""`events`: an agent's history as a story of its turns, or event by event; filtered, and followed while it goes on.

Rules. (1) It reads the log's file only, from as near as it can to what is wanted, in chunks. (2) Filters choose parts
of the story, and each part stands under the header of its turn. (3) `--flat` and `--json` have a line an event.
"""

from __future__ import annotations

import sys
import time
from typing import Final

import click
from msgspec.structs import replace

from palimpsest.console.called import given_bundle
from palimpsest.console.inspect import reading
from palimpsest.console.meant import bounds, kind_named, turn_named
from palimpsest.console.options import bundle_option
from palimpsest.console.show import Page, print_json
from palimpsest.console.story import LABELS, StoryPage, event_line
from palimpsest.events.codec import decode
from palimpsest.events.debug.choice import EventChoice
from palimpsest.events.debug.moments import Item, TurnBegan, moment
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import BadInput
from palimpsest.events.sources import is_source
from palimpsest.questions.plain import as_object
from palimpsest.questions.stretch import Excerpt, bounded
from palimpsest.questions.texts import one_line, utc
from palimpsest.questions.timelines import story_of, wanted_events
from palimpsest.store.logs.contract import LogReader

POLL_S: Final = 0.2


@click.command("events")
@click.argument("agent")
@bundle_option
@click.option("--since", "--from", "since", metavar="WHEN", help="From this event on, or this time (UTC).")
@click.option("--until", "--to", "until", metavar="WHEN", help="Up to and with this event, or this time (UTC).")
@click.option("--turn", metavar="N", help="One turn: the seq of its input or of any event in it; or 12th.")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only events of this kind; may be given again.")
@click.option("--text", default="", metavar="T", help="Only what says this, in upper or lower case.")
@click.option("--last", "newest", type=click.IntRange(min=1), metavar="N", help="Only the last N turns that are left.")
@click.option("--follow", is_flag=True, help="Go on with what happens from now on, until Ctrl-C.")
@click.option("--full", is_flag=True, help="Texts whole, not clipped to a line.")
@click.option("--flat", is_flag=True, help="A line an event. (--last then counts events.)")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: the envelope and its event.")
def command(
    agent: str,
    *,
    since: str | None,
    until: str | None,
    turn: str | None,
    kinds: tuple[str, ...],
    text: str,
    newest: int | None,
    follow: bool,
    full: bool,
    flat: bool,
    as_json: bool,
) -> None:
    """Tell what ever happened to an agent: its turns, what the model was asked and did, what was kept and evicted.

    Each line has the seq of the event to look at: `context AGENT --at SEQ` shows what the model saw at a step. A turn
    is named by the seq of its input. WHEN is a seq or a time: 1234, 2026-11-22, "2026-11-22 21:51".
    """
    if follow and until is not None:
        raise BadInput("--follow has no end: leave out --until.")
    if follow and given_bundle():
        raise BadInput("A bundle does not change: --follow is for an agent in a data folder.")
    chosen = frozenset(map(kind_named, kinds))
    with reading() as log:
        stretch = bounded(log, agent, *bounds(since, until))
        if turn is not None:
            stretch = turn_named(log, stretch, turn)
        wanted = replace(stretch.wanted, kinds=chosen, text=text)
        stretch = replace(stretch, wanted=wanted, newest=newest or 0, follow=follow)
        flat = flat or as_json or is_source(agent)
        bad = _show_events(log, stretch, as_json=as_json) if flat else _show_story(log, stretch, full=full)
        if bad:
            decode(log.read(agent, bad - 1, bad)[0])  # raises what is wrong with it, after all else was shown


# --- the story ----------------------------------------------------------------------------------------------------


class _Teller:
    """Prints the wanted parts of a story, and remembers the first event that cannot be read."""

    def __init__(self, wanted: EventChoice, *, full: bool) -> None:
        self._wanted = wanted
        self._page = StoryPage(Page(), full=full)
        self.bad = 0
        self.told = 0

    def tell(self, part: Item) -> None:
        self.bad = self.bad or next((each.seq for each in part.events if each.problem), 0)
        if isinstance(part, TurnBegan):
            self._page.began(part)
        if self._wanted.takes(part):
            self._page.part(part)
            self.told += 1


def _show_story(log: LogReader, stretch: Excerpt, *, full: bool) -> int:
    """Print the story; the seq of the first event that cannot be read (0: none)."""
    teller = _Teller(stretch.wanted, full=full)
    for part in story_of(log, stretch, _pause):
        teller.tell(part)
    _say_if_none(teller.told, stretch)
    return teller.bad


def _say_if_none(told: int, stretch: Excerpt) -> None:
    if not told and not stretch.follow:
        click.echo(f"None of events {stretch.first} to {stretch.last} is what was asked for.", err=True)


def _pause() -> None:
    sys.stdout.flush()
    time.sleep(POLL_S)


# --- event by event -----------------------------------------------------------------------------------------------


def _show_events(log: LogReader, stretch: Excerpt, *, as_json: bool) -> int:
    """Print a line an event; the seq of the first that cannot be read (0: none)."""
    page, bad, number = Page(), 0, 0
    for number, envelope in enumerate(wanted_events(log, stretch, _pause), 1):  # noqa: B007 - it is looked at after the loop
        told = moment(envelope)
        bad = bad or (envelope.seq if told.problem else 0)
        if as_json:
            print_json(as_object(envelope, told.event))
        else:
            print_event(page, envelope, event_line(told.event) if told.event else told.problem)
    _say_if_none(number, stretch)
    return bad


def print_event(page: Page, envelope: Envelope, text: str) -> None:
    """One event as a line: its seq, time, turn (the seq of its input), kind, and what it says."""
    page.line(
        (f"{envelope.seq:>6}  ", "bold"),
        (f"{utc(envelope.time)}  ", "dim"),
        f"{envelope.turn or '-':>6}  ",
        (f"{one_line(envelope.kind, 40):<21}  ", LABELS.get(envelope.kind, ("", "blue"))[1]),
        text,
    )
