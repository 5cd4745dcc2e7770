"""`events`: an agent's history as a story of its turns, or event by event; filtered, and followed while it goes on.

Rules. (1) It reads the log's file only, from as near as it can to what is wanted, in chunks. (2) Filters choose parts
of the story, and each part stands under the header of its turn. (3) `--flat` and `--json` have a line an event.
"""

from __future__ import annotations

import itertools
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Final

import click
import msgspec
from msgspec.structs import replace

from console.describe import as_object, describe
from console.inspect import CHUNK, find, head_of, reading, stretches
from console.options import bundle_option, given_bundle
from console.show import Page, many, one_line, print_json, utc
from console.story import LABELS, StoryPage, ordinal
from events.codec import KINDS, decode
from events.debug.choice import Wanted
from events.debug.moments import Item, TurnBegan, TurnClosed, moment
from events.debug.timeline import Timeline, under_way
from events.envelope import Envelope
from events.errors import BadInput
from events.sources import is_source
from events.types import INPUTS, TurnEnded
from store.log import LogReader
from store.states import load

POLL_S: Final = 0.2
SLACK_MS: Final = 3_600_000
"""Clocks may differ: what is sought by its time is sought from an hour before."""


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be shown of a stream: its events first … last, those of them that are wanted, of these the last so
    many turns (events, where it is flat; 0: all); `follow`: and what is still to come."""

    agent: str
    first: int
    last: int
    wanted: Wanted
    newest: int = 0
    follow: bool = False


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
    chosen = frozenset(map(_kind, kinds))
    with reading() as log:
        stretch = _bounded(log, agent, since, until)
        if turn is not None:
            stretch = _of_turn(log, stretch, turn)
        wanted = replace(stretch.wanted, kinds=chosen, text=text)
        stretch = replace(stretch, wanted=wanted, newest=newest or 0, follow=follow)
        flat = flat or as_json or is_source(agent)
        bad = _show_events(log, stretch, as_json=as_json) if flat else _show_story(log, stretch, full=full)
        if bad:
            decode(log.read(agent, bad - 1, bad)[0])  # raises what is wrong with it, after all else was shown


# --- which events -------------------------------------------------------------------------------------------------


def _bounded(log: LogReader, agent: str, since: str | None, until: str | None) -> Stretch:
    """The stretch between two seqs or times, each of which may be left out."""
    end = head_of(log, agent).seq
    first, since_ms = _when(since, "--since", ends=False) if since is not None else (1, None)
    last, until_ms = _when(until, "--until", ends=True) if until is not None else (end, None)
    if since_ms is not None:
        first = seq_before(log, agent, end, since_ms - SLACK_MS)
    if until_ms is not None:
        last = seq_before(log, agent, end, until_ms + SLACK_MS)
    if first > end:
        raise BadInput(f"Agent '{agent}' has events 1 to {end}: there is none from {first} on.")
    if last < first or (since_ms is not None and until_ms is not None and until_ms < since_ms):
        raise BadInput(f"There is nothing from {since} to {until}: the end lies before the beginning.")
    wanted = Wanted(since_ms=since_ms, until_ms=until_ms)
    return Stretch(agent=agent, first=first, last=min(last, end), wanted=wanted)


def seq_before(log: LogReader, agent: str, end: int, time_ms: int) -> int:
    """A seq near the last event at or before a time (at least 1): times rise along a stream, so it is halved."""
    low, high = 1, end
    while low < high:
        middle = (low + high + 1) // 2
        if log.read(agent, middle - 1, middle)[0].time <= time_ms:
            low = middle
        else:
            high = middle - 1
    return low


def _when(given: str, option: str, *, ends: bool) -> tuple[int, int | None]:
    """A seq, or else a time in milliseconds (with a seq of 1): a day's end, where it `ends` and names but a day."""
    if re.fullmatch(r"\d{1,12}", given):
        if int(given) < 1:
            raise BadInput(f"{option} {given}: events are counted from 1.")
        return int(given), None
    try:
        moment_ = datetime.fromisoformat(given.strip())
    except ValueError:
        raise BadInput(
            f"{option} '{one_line(given, 40)}' is neither a seq nor a time: write 1234, 2026-11-22, "
            "2026-11-22T21:51 or 2026-11-22T21:51:11 (UTC)."
        ) from None
    if ends and re.fullmatch(r"\d{4}-\d\d-\d\d|\d{8}", given.strip()):
        moment_ += timedelta(days=1, milliseconds=-1)
    elif ends and not moment_.microsecond:
        moment_ += timedelta(milliseconds=999)
    return 1, round((moment_ if moment_.tzinfo else moment_.replace(tzinfo=UTC)).timestamp() * 1000)


def _of_turn(log: LogReader, stretch: Stretch, given: str) -> Stretch:
    """The stretch from a turn's input to its end."""
    agent, end = stretch.agent, stretch.last
    if is_source(agent):
        raise BadInput(f"'{agent}' is a source, which has no turns: leave out --turn.")
    counted = re.fullmatch(r"(\d+)(?:st|nd|rd|th)", given.strip().lower())
    input = _nth_turn(log, agent, end, int(counted[1])) if counted else _turn_at(log, agent, end, given)
    last = next((each.seq for each in _ends(log, agent, input, end) if _input_of(each) == input), end)
    wanted = replace(stretch.wanted, turn=input)
    return replace(stretch, first=max(stretch.first, input), last=last, wanted=wanted)


def _turn_at(log: LogReader, agent: str, end: int, given: str) -> int:
    """The input of the turn that event `given` is in, or is the input of."""
    seq = int(given) if re.fullmatch(r"\d{1,12}", given) else 0
    if not 1 <= seq <= end:
        raise BadInput(f"--turn '{one_line(given, 20)}': give the seq of an event of 1 to {end}, or the turn as 12th.")
    at = log.read(agent, seq - 1, seq)[0]
    if at.turn or at.kind in _INPUTS:
        return at.turn or seq
    raise BadInput(f"Event {seq} of agent '{agent}' ({at.kind}) belongs to no turn. `events {agent} --from {seq}`")


_INPUTS: Final = frozenset(kind.__name__ for kind in INPUTS)


def _nth_turn(log: LogReader, agent: str, end: int, number: int) -> int:
    """The input of the agent's turn of this number, ended or running."""
    state = load(log, agent, end)
    turns = state.turns if state else 0
    if 0 < number <= turns:
        return _input_of(next(itertools.islice(_ends(log, agent, 0, end), number - 1, None)))
    if state and state.turn and number == turns + 1:
        return state.turn.input
    raise BadInput(f"Agent '{agent}' has had {many(turns, 'turn')} by event {end}: there is no {ordinal(number)}.")


def _ends(log: LogReader, agent: str, after: int, to: int) -> Iterator[Envelope]:
    while chunk := log.read(agent, after, to, CHUNK, frozenset({"TurnEnded"})):
        yield from chunk
        after = chunk[-1].seq


def _input_of(ended: Envelope) -> int:
    event = decode(ended)
    return event.input if isinstance(event, TurnEnded) else 0


def _kind(given: str) -> str:
    """The kind that was meant, in whatever case. Raises BadInput with what it may have meant."""
    found = {kind.lower(): kind for kind in KINDS}
    if given.lower() in found:
        return found[given.lower()]
    part = [kind for name, kind in found.items() if given.lower() in name]
    near = part[:6] or [found[name] for name in get_close_matches(given.lower(), found, n=3)]
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(KINDS)}."
    raise BadInput(f"There is no kind of event '{given}'. {hint}")


# --- the story ----------------------------------------------------------------------------------------------------


class _Teller:
    """Prints the wanted parts of a story, and remembers the first event that cannot be read."""

    def __init__(self, log: LogReader, stretch: Stretch, *, full: bool) -> None:
        before = load(log, stretch.agent, stretch.first - 1) if stretch.first > 1 else None
        keys = under_way(before) if before else ()
        opened = [find(log, stretch.agent, key, stretch.first) for key in keys]
        self._timeline = Timeline(before, [each for each in opened if each])
        self._wanted = stretch.wanted
        self._page = StoryPage(Page(), full=full)
        self.bad = 0
        self.told = 0

    def parts(self, envelopes: Iterable[Envelope], *, rest: bool) -> Iterator[Item]:
        """What these events complete; and the `rest`, what is open after them. The turn that is wanted is the end."""
        for envelope in envelopes:
            for part in self._timeline.feed(moment(envelope)):
                yield part
                if isinstance(part, TurnClosed) and part.turn == self._wanted.turn:
                    return
        if rest:
            yield from self._timeline.rest()

    def tell(self, parts: Iterable[Item]) -> None:
        for part in parts:
            self.bad = self.bad or next((each.seq for each in part.events if each.problem), 0)
            if isinstance(part, TurnBegan):
                self._page.began(part)
            if self._wanted.takes(part):
                self._page.part(part)
                self.told += 1


def _show_story(log: LogReader, stretch: Stretch, *, full: bool) -> int:
    """Print the story; the seq of the first event that cannot be read (0: none)."""
    if stretch.newest and stretch.wanted == Wanted():
        stretch = replace(stretch, first=_first_of_last(log, stretch), newest=0)
    teller = _Teller(log, stretch, full=full)
    now = stretches(log, stretch.agent, stretch.first, stretch.last)
    parts = teller.parts(now, rest=not stretch.follow)
    teller.tell(newest(parts, stretch.wanted, stretch.newest) if stretch.newest else parts)
    _say_if_none(teller.told, stretch)
    if stretch.follow:
        teller.tell(teller.parts(later(log, stretch.agent, stretch.last, _pause), rest=False))
    return teller.bad


def _say_if_none(told: int, stretch: Stretch) -> None:
    if not told and not stretch.follow:
        click.echo(f"None of events {stretch.first} to {stretch.last} is what was asked for.", err=True)


def newest(parts: Iterable[Item], wanted: Wanted, turns: int) -> Iterator[Item]:
    """The wanted parts of the last so many turns that have any, each turn with its beginning. What happened between
    turns goes with the turn before it."""
    groups: deque[list[Item]] = deque(maxlen=turns)
    began: TurnBegan | None = None
    group: list[Item] | None = None
    for part in parts:
        if isinstance(part, TurnBegan):
            began, group = part, None
        if not wanted.takes(part):
            continue
        if group is None:
            group = [began] if began and began is not part else []
            groups.append(group)
        group.append(part)
    return (part for each in groups for part in each)


def _first_of_last(log: LogReader, stretch: Stretch) -> int:
    """Where the last so many turns begin: at the event that starts the first of them."""
    missing, to = stretch.newest, stretch.last
    while to >= stretch.first:
        after = max(stretch.first - 1, to - CHUNK)
        began = log.read(stretch.agent, after, to, kinds=frozenset({"TurnStarted"}))
        if len(began) >= missing:
            return began[-missing].seq
        missing, to = missing - len(began), after
    return stretch.first


def later(log: LogReader, agent: str, last: int, pause: Callable[[], None]) -> Iterator[Envelope]:
    """What comes after event `last`, as it comes; a pause before each look."""
    while True:
        pause()
        head = log.head(agent)
        if head and head.seq > last:
            yield from stretches(log, agent, last + 1, head.seq)
            last = head.seq


def _pause() -> None:
    sys.stdout.flush()
    time.sleep(POLL_S)


# --- event by event -----------------------------------------------------------------------------------------------


def _show_events(log: LogReader, stretch: Stretch, *, as_json: bool) -> int:
    """Print a line an event; the seq of the first that cannot be read (0: none)."""
    found: Iterable[Envelope] = _wanted_events(log, stretch)
    if stretch.newest:
        found = deque(found, maxlen=stretch.newest)
    if stretch.follow:
        coming = later(log, stretch.agent, stretch.last, _pause)
        found = itertools.chain(found, (each for each in coming if stretch.wanted.takes_event(moment(each))))
    page, bad, number = Page(), 0, 0
    for number, envelope in enumerate(found, 1):  # noqa: B007 - it is looked at after the loop
        told = moment(envelope)
        bad = bad or (envelope.seq if told.problem else 0)
        if as_json:
            print_json(as_object(envelope, told.event))
        else:
            print_event(page, envelope, describe(told.event) if told.event else told.problem)
    _say_if_none(number, stretch)
    return bad


def _wanted_events(log: LogReader, stretch: Stretch) -> Iterator[Envelope]:
    first = stretch.first
    if stretch.newest and stretch.wanted == Wanted():
        first = max(first, stretch.last - stretch.newest + 1)
    for envelope in stretches(log, stretch.agent, first, stretch.last):
        if stretch.wanted.takes_event(moment(envelope)):
            yield envelope


def print_event(page: Page, envelope: Envelope, text: str) -> None:
    """One event as a line: its seq, time, turn (the seq of its input), kind, and what it says."""
    page.line(
        (f"{envelope.seq:>6}  ", "bold"),
        (f"{utc(envelope.time)}  ", "dim"),
        f"{envelope.turn or '-':>6}  ",
        (f"{one_line(envelope.kind, 40):<21}  ", LABELS.get(envelope.kind, ("", "blue"))[1]),
        text,
    )
