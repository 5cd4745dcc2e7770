"""A session as one HTML page: no script, nothing from elsewhere, every text escaped.

Rules. (1) The page may load nothing at all (its policy says so); its one style sheet is named there by its hash. (2) A
message stands in it once, and windows name it. (3) What happened stays below the size that it is given: the newest
turns with their messages, changes of core memory, and evictions are kept, and it says what is left out. Core memory as
it is, and settings, stand whole.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Final, TypeVar

import msgspec

from palimpsest.console.elements import Html, details, element, joined, link, row, table, text
from palimpsest.console.show import many
from palimpsest.console.story import Line, header, lines
from palimpsest.events.addresses import public_url
from palimpsest.events.debug.moments import Item
from palimpsest.events.types import Settings
from palimpsest.questions.descriptions import seqs, value_text
from palimpsest.questions.sessions import EvictionSeen, MemoryChange, Scene, Session, WindowMessage, WindowSeen
from palimpsest.questions.texts import utc

T = TypeVar("T")

MOST_CHARS: Final = 20_000
"""Of one text; what is longer is clipped, and says so."""
A_PART: Final = 4
"""Changes of core memory have at most this part of a page, and evictions; turns have the rest."""
OPEN_TURNS: Final = 3
"""The last so many turns are unfolded."""

_STYLE: Final = """
:root{color-scheme:light dark;--dim:#666;--line:#ddd;--mark:#0b57d0;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--dim:#aaa;--line:#444;--mark:#a8c7fa;--bad:#f2b8b5}}
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:0 auto;padding:1rem}
h1{font-size:1.4rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid var(--line)}
nav a{margin-right:1rem}a{color:var(--mark)}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.15rem .6rem .15rem 0;border-bottom:1px solid var(--line)}
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.s{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:plaintext}
.d{color:var(--dim)}.b{color:var(--bad);font-weight:bold}
summary{cursor:pointer;padding:.15rem 0}details details{margin-left:1rem}
summary:focus-visible,a:focus-visible{outline:2px solid var(--mark)}
:target{outline:2px solid var(--mark)}
@media print{details::details-content{content-visibility:visible;display:block}}
"""


class PageFacts(msgspec.Struct, frozen=True):
    """Who wrote the page, and when; how large it may be."""

    version: str
    at: str
    most_bytes: int


def page(told: Session, written: PageFacts) -> Iterator[str]:
    """The page in pieces."""
    whole, (told, rest_bytes) = told, _shortened(told, written.most_bytes)
    turns, named, left_turns = _fitting(told, rest_bytes)
    yield _head(told.head.stream)
    yield element("h1", f"{told.head.stream}: a session of {many(told.head.seq, 'event')}")
    yield _nav()
    yield _about(told, written, tuple(_left_out(whole, told, left_turns)))
    yield element("h2", "The story", id="story")
    yield _hint(told.left_out + _turns(told.scenes) - left_turns)
    yield from turns
    yield element("h2", "Messages of the windows", id="messages")
    yield element("p", "Each as the model read it, in the order in which they entered a window.", class_="d")
    yield table(("message", "event", "whose", "text"), [_message(each) for each in named])
    yield _memory(told)
    yield _evictions(told.evictions)
    yield _settings(told)
    yield "</main></body></html>\n"


def _head(agent: str) -> str:
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="referrer" content="no-referrer">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{element('title', f'{agent} (Palimpsest)')}<style>{_STYLE}</style></head><body><main>\n"
    )


def _nav() -> Html:
    places = ("story", "messages", "memory", "evictions", "settings")
    words = ("Story", "Messages", "Core memory", "Evictions and summaries", "Settings")
    return element("nav", *(link(*each) for each in zip(places, words, strict=True)), **{"aria-label": "Parts"})


# --- what it is ---------------------------------------------------------------------------------------------------


def _left_out(whole: Session, told: Session, turns: int) -> Iterator[str]:
    """What of the session is not on the page."""
    left = {
        "turn": turns,
        "change": len(whole.memory) - len(told.memory),
        "eviction": len(whole.evictions) - len(told.evictions),
    }
    where = {"change": " of core memory"}
    yield from (f"the first {many(number, what)}{where.get(what, '')}" for what, number in left.items() if number)


def _about(told: Session, written: PageFacts, left_out: tuple[str, ...]) -> Html:
    head, proof = told.head, told.proof
    facts: list[tuple[str, str]] = [
        ("agent", head.stream),
        ("events", f"1 to {head.seq:,}, {utc(head.created_ms)[:19]} to {utc(head.updated_ms)[:19]} UTC"),
        ("its clock", told.zone),
        ("model", told.settings.model + (f" at {public_url(told.settings.base_url)}" * bool(told.settings.base_url))),
        ("the log", _proved(told)),
    ]
    facts += [("forked", f"from {one.agent} at event {one.seq}: up to there it is that one's") for one in told.lineage]
    if told.redacted:
        facts.append(("masked", f"texts, before this log had them; {many(proof.masked, 'context')} had some"))
    if left_out:
        said = ", ".join(left_out)
        facts.append(("left out", f"{said[0].upper()}{said[1:]}, so that the page stays small"))
    facts.append(("written", f"{written.at} UTC by Palimpsest {written.version}; times below are UTC"))
    bad = "b" if proof.difference else ""
    rows = [row(element("b", name), element("span", said, class_=bad * (name == "the log"))) for name, said in facts]
    return element("table", element("tbody", *rows))


def _proved(told: Session) -> str:
    proof = told.proof
    if proof.difference:
        return f"NOT proved when this page was written: {proof.difference}"
    masked = f"; {many(proof.masked, 'context')} with masked texts cannot be" if proof.masked else ""
    return (
        f"proved when this page was written: {many(proof.events, 'event')} by the hash chain, and "
        f"{many(proof.contexts, 'context')} byte for byte{masked}"
    )


# --- what there is room for ---------------------------------------------------------------------------------------


def _shortened(told: Session, most_bytes: int) -> tuple[Session, int]:
    """The session with the newest changes of core memory and evictions, and the bytes that are left for its turns."""
    part = most_bytes // A_PART
    memory, memory_bytes = _newest(told.memory, _change, part)
    evictions, evictions_bytes = _newest(told.evictions, _eviction, part)
    shortened = msgspec.structs.replace(told, memory=memory, evictions=evictions)
    return shortened, most_bytes - memory_bytes - evictions_bytes


def _newest(given: tuple[T, ...], row: Callable[[T], Html], most_bytes: int) -> tuple[tuple[T, ...], int]:
    """The last of them whose rows fit, and the rows' bytes."""
    size = 0
    for at in range(len(given), 0, -1):
        more = len(row(given[at - 1]).encode())
        if size + more > most_bytes:
            return given[at:], size
        size += more
    return given, size


def _fitting(told: Session, most_bytes: int) -> tuple[list[Html], list[WindowMessage], int]:
    """The newest turns that fit, the messages that their windows name, and how many turns are left out in all."""
    kept: list[Html] = []
    named: set[int] = set()
    size, around = 0, _Around(_before(told), _places(told))
    for at in range(len(told.scenes) - 1, -1, -1):
        scene = told.scenes[at]
        made = _scene(scene, around, open=at >= len(told.scenes) - OPEN_TURNS)
        more = {number for _, seen in scene.told if seen for number in around.linked(seen)} - named
        size += len(made.encode()) + sum(len(_message(told.messages[number]).encode()) for number in more)
        if size > most_bytes and kept:
            left = told.left_out + _turns(told.scenes[: at + 1])
            return kept[::-1], _messages(told, named), left
        kept.append(made)
        named |= more
    return kept[::-1], _messages(told, named), told.left_out


def _turns(scenes: Iterable[Scene]) -> int:
    return sum(each.began is not None for each in scenes)


def _messages(told: Session, named: set[int]) -> list[WindowMessage]:
    return [told.messages[number] for number in sorted(named)]


# --- the story ----------------------------------------------------------------------------------------------------


def _hint(shown: int) -> Html:
    what = f"{many(shown, 'turn')}; a line has the number of its event. A step unfolds to the window that it had."
    return element("p", what, class_="d")


class _Around(msgspec.Struct, frozen=True):
    """What a window is told with: the windows before requests, and which changes and evictions are on the page."""

    before: dict[int, WindowSeen]
    places: frozenset[str]

    def linked(self, seen: WindowSeen) -> Iterator[int]:
        """The messages that a window links to: those in it, and those that went since the window before."""
        yield from seen.messages
        if seen.seq in self.before:
            yield from self.before[seen.seq].messages

    def link(self, place: str, said: str) -> str:
        return link(place, said) if place in self.places else said


def _places(told: Session) -> frozenset[str]:
    return frozenset(f"c{each.seq}" for each in told.memory) | {f"v{each.seq}" for each in told.evictions}


def _before(told: Session) -> dict[int, WindowSeen]:
    """The window before each request for a reply, by the request's seq."""
    windows = [seen for scene in told.scenes for _, seen in scene.told if seen and seen.purpose == "reply"]
    return {after.seq: before for before, after in pairwise(windows)}


def _scene(scene: Scene, around: _Around, *, open: bool) -> Html:
    rows = [each for item, seen in scene.told for each in _rows(item, seen, around)]
    body = element("table", element("tbody", *rows))
    title = header(scene.began) if scene.began else "Before the first turn"
    place = f"t{scene.began.turn if scene.began else 1}"
    return joined(details(title, body, open=open, id=place), Html("\n"))


def _rows(item: Item, seen: WindowSeen | None, around: _Around) -> Iterator[Html]:
    """The lines of an item; the first of a request's unfolds to its window."""
    for line in lines(item):
        yield _line(line, seen, around)
        seen = None


def _line(line: Line, seen: WindowSeen | None, around: _Around) -> Html:
    said = element("span", _clipped(line.text), class_="s d" if line.dim else "s", dir="auto")
    inside = joined(said, _window(seen, around)) if seen else said
    style = "b" if "red" in line.style else "d"
    place = element("span", str(line.seq), class_="d", title=f"{utc(line.time_ms)} UTC")
    when = element("span", utc(line.time_ms)[11:19], class_="d")
    return row(place, when, element("span", line.label, class_=style), inside)


def _clipped(said: str) -> str:
    if len(said) <= MOST_CHARS:
        return said
    return f"{said[:MOST_CHARS]} … ({len(said) - MOST_CHARS:,} characters more are left out here)"


def _window(seen: WindowSeen, around: _Around) -> Html:
    """The window of a request: its tokens by part, what it held, and what came and went since the last one."""
    share = f"{100 * seen.tokens / seen.window_tokens:.0f} % of {seen.window_tokens:,}" if seen.window_tokens else ""
    title = f"window of event {seen.seq}: {seen.tokens:,} tokens, {share}, {many(len(seen.messages), 'message')}"
    proof = {"masked": " (masked: cannot be proved)", "differs": " (NOT the one that was asked for)", "proved": ""}
    rows = [
        row(each.name, str(each.messages or ""), f"{each.tokens:,}", numbers=frozenset({1, 2})) for each in seen.shares
    ]
    parts = [table(("part", "messages", "tokens"), rows), element("p", *_held(seen, around))]
    parts.append(element("p", f"SHA-256 of the request: {seen.fingerprint}", class_="d"))
    return details(title + proof[seen.proof], *parts)


def _held(seen: WindowSeen, around: _Around) -> Iterator[str]:
    if seen.memory:
        yield joined("Core memory as of ", around.link(f"c{seen.memory}", f"event {seen.memory}"), ". ")
    if seen.summary:
        yield joined("The summary of ", around.link(f"v{seen.summary}", f"event {seen.summary}"), ". ")
    yield joined("Messages: ", _ranges(seen.messages), ". ")
    before = around.before.get(seen.seq)
    if before is not None and seen.purpose == "reply":
        had, has = set(before.messages), set(seen.messages)
        came, went = sorted(has - had), sorted(had - has)
        yield joined(
            "Since the window before came ", _ranges(came), *((" and went ", _ranges(went)) if went else ()), ". "
        )
    if seen.status:
        yield f"Status: {seen.status}"


def _ranges(numbers: Iterable[int]) -> Html:
    """Messages as links: m3 to m9, m12."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    made: list[str] = []
    for at, run in enumerate(runs):
        made += [", "] * bool(at) + [link(f"m{run[0]}", f"m{run[0]}")]
        made += [" to ", link(f"m{run[-1]}", f"m{run[-1]}")] if len(run) > 1 else []
    return joined(*made) if made else text("none")


def _message(told: WindowMessage) -> Html:
    said = element("span", _clipped(told.text), class_="s", dir="auto")
    return joined(row(f"m{told.number}", str(told.seq), told.who, said, id=f"m{told.number}"), Html("\n"))


# --- memory, evictions, settings ----------------------------------------------------------------------------------


def _memory(told: Session) -> Html:
    now = [row(each.label, element("span", _clipped(each.value), class_="s", dir="auto")) for each in told.blocks]
    first = {each.seq: each for each in reversed(told.memory)}
    then = [_change(each, f"c{each.seq}" if first[each.seq] is each else "") for each in told.memory]
    changes = table(("event", "when", "block", "", "text"), then)
    return joined(
        element("h2", "Core memory", id="memory"),
        element("h3", "As it was at the end"),
        table(("block", "text"), now),
        element("h3", "How it came to that"),
        changes,
    )


def _change(each: MemoryChange, id: str = "") -> Html:
    old = [element("del", _clipped(each.old), class_="s d", dir="auto"), " "] if each.old else []
    said = joined(*old, element("ins" if each.old else "span", _clipped(each.new), class_="s", dir="auto"))
    return row(str(each.seq), utc(each.time_ms)[:19], each.label, each.how, said, id=id)


def _evictions(evictions: tuple[EvictionSeen, ...]) -> Html:
    heading = element("h2", "Evictions and summaries", id="evictions")
    if not evictions:
        return joined(heading, element("p", "Nothing was evicted."))
    rows = [_eviction(each) for each in evictions]
    return joined(heading, table(("event", "when", "left the window", "why", "the summary that stands for it"), rows))


def _eviction(each: EvictionSeen) -> Html:
    went = f"{many(len(each.seqs), 'message')} (events {seqs(each.seqs, 400)})"
    why = f"{each.reason}: {each.tokens:,} tokens, to at most {each.target_tokens:,}" if each.reason else ""
    note = f" ({each.note})" if each.note else ""
    by = f"by {each.author}{note}, {each.summary_tokens:,} tokens"
    said = joined(element("span", by, class_="d"), element("div", _clipped(each.text), class_="s", dir="auto"))
    return row(str(each.seq), utc(each.time_ms)[:19], went, why, said, id=f"v{each.seq}")


def _settings(told: Session) -> Html:
    usual, now = msgspec.structs.asdict(Settings()), msgspec.structs.asdict(told.settings)
    always = ("model", "window_tokens", "reserve_tokens")
    shown = [(name, value) for name, value in now.items() if name in always or value != usual[name]]
    rows = [row(name.replace("_", " "), value_text(value)) for name, value in shown]
    system = details("The system text", element("div", told.system, class_="s"))
    return joined(element("h2", "Settings", id="settings"), table(("setting", "value"), rows), system)
