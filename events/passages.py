"""Text in pieces, and pages of what a search found, as the model reads them.

Rules. (1) Pure: tokens are counted by the caller's function. (2) Pieces are end offsets, so that joining them gives the
text again, exactly. (3) A page says how many there are in all, and an error says how to mend the call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from palimpsest.events.texts import clip
from palimpsest.events.times import Offset, no_zones, stamp
from palimpsest.events.types import AlertRaised, Event, TimerFired, UploadFinished, UserLoggedIn, UserMessageReceived

DAY_MS: Final = 86_400_000
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

BREAK: Final = re.compile("\\n+\\s*|(?<=[.!?\u2026])[\"')\\]\u201d\u2019]*\\s+|(?<=[\u3002\uff01\uff1f])")
"""Where a paragraph, a line or a sentence ends (the last: full stops of Chinese and Japanese)."""

_WORD: Final = re.compile(r"\w+")

BESIDE_CHARS: Final = 80
"""What is shown of a correction, or of what it corrects, beside a hit."""

PASSAGE_TOKENS: Final = 300
"""What an agent keeps, and an input too large for its window, is cut into passages of so many tokens, at most."""

EXCERPTS: Final = 200
"""So many places where an excerpt might begin are looked at."""
EXCERPT_CHARS: Final = 400
"""So much of the query is looked for in it."""

_WINDOW_CHARS_PER_TOKEN: Final = 8
"""No piece of more characters a token is counted at once: it would not fit, and tokenisers are slow on giant words."""


BesideHit: TypeAlias = Literal[
    "repeated",  # it was said again so many `times`, last at `time_ms`
    "corrected",  # by what was said at `time_ms` (`text` "": that is the hit behind)
    "corrects",  # what was said at `time_ms` (`text` "": that is the hit before)
]


class ToldBeside(msgspec.Struct, frozen=True, array_like=True):
    """What is told beside a hit."""

    kind: BesideHit
    time_ms: int
    text: str = ""
    times: int = 0


class Hit(msgspec.Struct, frozen=True, array_like=True):
    """One thing found: chunk `chunk` of the event at `seq` of `stream`. `time_ms` is the event's time, `speaker` who
    said it ("memory": a passage of archival storage). The rest says where in a document it stands, as far as known
    (lines and pages count from 1)."""

    seq: int
    chunk: int
    score: float
    time_ms: int
    speaker: str
    text: str
    stream: str = ""
    document: str = ""
    path: str = ""
    page: int = 0
    first_line: int = 0
    last_line: int = 0
    heading: str = ""
    beside: tuple[ToldBeside, ...] = ()


class HitPage(msgspec.Struct, frozen=True, array_like=True):
    """A page of hits, and how many hits there are on all pages."""

    hits: tuple[Hit, ...]
    total: int


# --- excerpts ---------------------------------------------------------------------------------------------------


def excerpt(text: str, query: str, chars: int) -> str:
    """At most so many characters of a text: from its beginning or from where a line or sentence begins, whichever
    shows the most of the query's words. What is left out on either side is marked."""
    if len(text) <= chars:
        return text
    low = text.lower()
    long = (word for word in _WORD.findall(query[:EXCERPT_CHARS].lower()) if len(word) > 2)
    starts = {word[: max(4, len(word) - 2)] for word in long}
    begins = [0, *(found.end() for found in BREAK.finditer(text))][:EXCERPTS]
    shown = [sum(start in low[begin : begin + chars - 4] for start in starts) for begin in begins]
    at = shown.index(max(shown))
    while at and at + 1 < len(begins) and shown[at + 1] == shown[at]:
        at += 1  # as near to the words as may be
    best = begins[at]
    # No later than where the rest of the text has room: nothing is left empty.
    begin = min(best, next((begin for begin in begins if len(text) - begin <= chars - 2), best))
    return "… " + clip(text[begin:], chars - 2) if begin else clip(text, chars)


# --- inputs -----------------------------------------------------------------------------------------------------


def input_text(event: Event) -> str:
    """An input's text: what recall storage keeps of it, and what the offsets of InputArchived cut."""
    match event:
        case UserMessageReceived() | AlertRaised():
            return event.text
        case UploadFinished():
            return event.detail
        case TimerFired():
            return event.timer.note
        case UserLoggedIn():
            return ""
    raise ValueError(f"{type(event).__name__} is no input.")


def chunks(text: str, ends: Sequence[int]) -> list[str]:
    """The pieces of a text that end at these offsets."""
    return [text[start:end] for start, end in zip((0, *ends), ends, strict=False)]


# --- splitting --------------------------------------------------------------------------------------------------


class _PassagePiece(NamedTuple):
    end: int
    tokens: int
    paragraph: bool


def split(text: str, count: Callable[[str], int], limit_tokens: int = PASSAGE_TOKENS) -> tuple[int, ...]:
    """The end offsets of chunks of at most `limit_tokens`, cut after paragraphs, else sentences, words, characters.

    Each part of the text is counted two or three times whatever the text's length. Only a single character that alone
    counts more than the limit makes a chunk over it.
    """
    pieces = list(_pieces(text, count, limit_tokens))
    ends: list[int] = []
    first = start = 0
    while first < len(pieces):
        last = _fill(pieces, first, limit_tokens)
        # A joint can count more than its parts: what is over goes to the next chunk.
        while last > first and count(text[start : pieces[last].end]) > limit_tokens:
            last -= 1
        start = pieces[last].end
        ends.append(start)
        first = last + 1
    return tuple(ends)


def _fill(pieces: list[_PassagePiece], first: int, limit: int) -> int:
    """The last piece of the chunk that begins with `first`: a paragraph's last if the chunk is half full by then."""
    tokens, paragraph, last = pieces[first].tokens, -1, first
    while last + 1 < len(pieces) and tokens + pieces[last + 1].tokens <= limit:
        if pieces[last].paragraph and tokens * 2 >= limit:
            paragraph = last
        last += 1
        tokens += pieces[last].tokens
    at_end = last + 1 == len(pieces) or pieces[last].paragraph
    return last if at_end or paragraph < 0 else paragraph


def _pieces(text: str, count: Callable[[str], int], limit: int) -> Iterator[_PassagePiece]:
    """Sentences and the like, counted; short ones together, those over the limit cut."""
    start = 0
    shortest = max(1, limit // 4)
    for found in BREAK.finditer(text):
        end, paragraph = found.end(), found.group().count("\n") > 1
        if end - start >= shortest or (paragraph and end > start):
            yield from _fitting(text, start, end, count, limit, paragraph=paragraph)
            start = end
    if start < len(text):
        yield from _fitting(text, start, len(text), count, limit, paragraph=True)


def _fitting(
    text: str, start: int, end: int, count: Callable[[str], int], limit: int, *, paragraph: bool
) -> Iterator[_PassagePiece]:
    """text[start:end] in pieces that fit: by windows at word boundaries, each halved until it does."""
    window = max(1, limit * _WINDOW_CHARS_PER_TOKEN)
    todo = [end]
    while todo:
        stop = todo[-1]
        if stop - start > window:
            todo.append(_word_end(text, start, start + window))
            continue
        tokens = count(text[start:stop])
        if tokens > limit and stop - start > 1:
            todo.append(_word_end(text, start, start + (stop - start + 1) // 2))
            continue
        yield _PassagePiece(stop, tokens, paragraph and stop == end)
        start = todo.pop()


def _word_end(text: str, start: int, at: int) -> int:
    """The last word boundary in the second half of text[start:at], else `at` itself."""
    for found in range(at, start + (at - start) // 2, -1):
        if text[found - 1].isspace() and found - start > 0:
            return found
    return at


# --- pages ------------------------------------------------------------------------------------------------------


def search_page(
    hits: Sequence[Hit], total: int, page: int, size: int, *, zone: str = "", offset: Offset = no_zones
) -> str:
    """A page of results as the model reads it, with their times on the clock of a zone ("": in UTC)."""
    if total == 0:
        return "No results found."
    last = (total - 1) // size
    if not hits:
        there = "is 1 result" if total == 1 else f"are {total} results"
        pages = "on page 0" if last == 0 else f"on pages 0 to {last}"
        return f"No results on page {page}: there {there}, {pages}."

    def at(time_ms: int) -> str:
        return stamp(time_ms, offset(zone, time_ms) if zone else None)

    lines = [f"timestamp: {at(hit.time_ms)}, {label(hit)}{beside(hit, at)}: {hit.text}" for hit in hits]
    return f"Showing {len(hits)} of {total} results (page {page}/{last}): {json.dumps(lines, ensure_ascii=False)}"


def beside(hit: Hit, at: Callable[[int], str] = stamp) -> str:
    """What is told beside a hit, in brackets behind who said it ("": nothing), with times as `at` has them."""
    told = "; ".join(_told(each, at(each.time_ms)) for each in hit.beside)
    return f" ({told})" if told else ""


def _told(told: ToldBeside, when: str) -> str:
    if told.kind == "repeated":
        return f"said {told.times + 1} times, last {when}"
    text = clip(" ".join(told.text.replace(")", "]").split()), BESIDE_CHARS)
    if told.kind == "corrected":
        return f"corrected {when}: {text}" if text else f"corrected {when}, see the next result"
    return f"corrects what was said {when}: {text}" if text else "corrects the result before"


def label(hit: Hit, chars: int = 400) -> str:
    """Who said it; of a document, all that it takes to cite it, in about so many characters at most."""
    if not hit.path:
        return hit.speaker
    parts = [f"source: {clip(hit.speaker, chars // 4)}", f"document: {clip(hit.path, chars // 2)}"]
    where = place_text(hit.page, hit.first_line, hit.last_line)
    parts += [where] * bool(where)
    heading = clip(hit.heading.replace("”", '"'), chars // 4)
    parts += [f"under “{heading}”"] * bool(heading)
    return ", ".join(parts)


def place_text(page: int, first_line: int, last_line: int) -> str:
    """A place in a document: "page 3", "lines 10-24", or both ("": not known)."""
    lines = f"lines {first_line}-{last_line}" if last_line > first_line else f"line {first_line}"
    return ", ".join([f"page {page}"] * bool(page) + [lines] * bool(first_line))


def day_bounds(start_date: str, end_date: str) -> tuple[int, int]:
    """The first and the last millisecond of a range of days, both inclusive, in UTC.

    Raises ValueError with a text for the model.
    """
    start, end = (day.toordinal() - _EPOCH_DAY for day in days_of(start_date, end_date))
    return start * DAY_MS, (end + 1) * DAY_MS - 1


def days_of(start_date: str, end_date: str) -> tuple[date, date]:
    """The first and the last of a range of days. Raises ValueError with a text for the model."""
    start, end = _day("start_date", start_date), _day("end_date", end_date)
    if start > end:
        raise ValueError(
            f"start_date ({start_date.strip()}) is after end_date ({end_date.strip()}): give the earlier day as "
            "start_date. For one day, give it as both."
        )
    return start, end


def _day(name: str, text: str) -> date:
    text = text.strip()
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        why = "is not a date written as YYYY-MM-DD"
    except ValueError:
        why = "is no day of the calendar"
    raise ValueError(f"{name} '{text[:40]}' {why}: write it like 2026-11-22.")
