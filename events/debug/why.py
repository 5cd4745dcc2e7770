"""Why an agent did not say what it should have known: one verdict, with the events that show it.

Rules. (1) Exactly one of the causes, the nearest to the answer first: in the window; seen in this turn and gone before
the answer; searched for and not shown; not searched for; never told. (2) The facts come from the log alone
(`VerdictFacts`), the dear ones only where a verdict needs them. (3) It says how the text was matched; a match is of
words, and whoever reads the verdict is shown the texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from palimpsest.events.debug.phrases import Phrase
from palimpsest.events.debug.told import INPUT_KINDS, Told, states
from palimpsest.events.debug.turns import JudgedTurn, Search
from palimpsest.events.debug.verdict import Cause, Evidence, Next, Verdict, VerdictFacts
from palimpsest.events.debug.windows import Held, held, hits_of
from palimpsest.events.functions import CONVERSATION_SEARCH_DATE
from palimpsest.events.passages import day_bounds
from palimpsest.events.sources import is_source
from palimpsest.events.state import State
from palimpsest.events.types import (
    CoreMemoryReplaced,
    Event,
    FunctionReturned,
    MessageSent,
    MessagesEvicted,
    SummaryWritten,
)

SHOWN: Final = 5
"""So many events of a sort are shown."""


def why(agent: str, wanted: Phrase, turn: JudgedTurn, facts: VerdictFacts) -> Verdict:
    """The verdict on a turn."""
    return _Judge(agent, wanted, turn, facts).verdict()


class _Judge:
    def __init__(self, agent: str, wanted: Phrase, turn: JudgedTurn, facts: VerdictFacts) -> None:
        self._agent, self._wanted, self._turn, self._facts = agent, wanted, turn, facts

    def verdict(self) -> Verdict:
        found = self._answered() or self._ignored() or self._pushed_out() or self._unread()
        if found:
            return found
        known, waiting = self._known()
        if known:
            return self._not_shown(known)
        if waiting:
            says = "It was said, but its input still waited: the agent had not read it when it answered."
            return self._is(Cause.WAITING, says, _of_told(waiting, "said, and still waiting"), self._events(waiting[0]))
        return self._not_told()

    # --- in this turn

    def _answered(self) -> Verdict | None:
        """The answer itself says it."""
        answers = (text for at, text in self._sent() if at == self._turn.answer)
        if not any(states(self._wanted, text).whole for text in answers):
            return None
        holding = [Evidence(seq=e.seq, what=f"in the window: {e.what}", text=self._shown(e.text)) for e in self._held()]
        says = "The answer itself has these words. Read it: was something else missed?"
        return self._is(Cause.ANSWERED, says, holding, self._window())

    def _sent(self) -> Iterator[tuple[int, str]]:
        return ((at.seq, event.text) for at, event in self._turn.events if isinstance(event, MessageSent))

    def _held(self) -> list[Held]:
        return self._holding(self._turn.judged)

    def _ignored(self) -> Verdict | None:
        holding = self._held()
        if not holding:
            return None
        evidence = [
            Evidence(seq=each.seq, what=f"in the window: {each.what}", text=self._shown(each.text)) for each in holding
        ]
        where = _listed(f"{each.what}{f' (event {each.seq})' if each.seq else ''}" for each in holding)
        says = f"It was in the window of the request that led to the answer, and was not used. It stood in {where}."
        if not self._turn.answer:
            says = f"It is in the window, and no answer was given by event {self._turn.end}. It stands in {where}."
        blame = ("blame", self._agent, self._wanted.text, "--at", str(self._turn.end))
        shows = Next(command=blame, shows="who wrote it there, and why")
        written = any(each.place != "queue" for each in holding)
        return self._is(Cause.IGNORED, says, evidence, self._window(), *([shows] if written else []))

    def _pushed_out(self) -> Verdict | None:
        """What an earlier window of the turn had, or a page that came back before the decisive request."""
        seen = [(seq, each) for seq, state in self._turn.windows for each in self._holding(state)]
        seen += [(seq, each) for seq, each in self._pages() if seq < self._turn.until]
        if not seen:
            return None
        first, held_ = seen[0]
        gone = self._taken_by(held_, first)
        what = "on the page that came back" if held_.what == _PAGE else f"in the window: {held_.what}"
        evidence = [Evidence(seq=held_.seq or first, what=what, text=self._shown(held_.text))]
        evidence += [gone] if gone else []
        by = f"event {gone.seq}" if gone else "an event of this turn"
        seq = held_.seq or first
        says = f"The agent had it in this turn (event {seq}), and {by} took it out of the window before the answer."
        diff = Next(
            command=("diff", self._agent, str(first), str(self._turn.until)), shows="what left the window between"
        )
        return self._is(Cause.PUSHED_OUT, says, evidence, diff, self._window())

    def _unread(self) -> Verdict | None:
        pages = [(seq, each) for seq, each in self._pages() if self._turn.answer and seq > self._turn.until]
        if not pages:
            return None
        evidence = [
            Evidence(seq=seq, what="the page that came back", text=self._shown(each.text)) for seq, each in pages
        ]
        says = "A search of this turn found it, but the answer was given before the model was asked with the page."
        return self._is(Cause.UNREAD, says, evidence, self._window())

    def _pages(self) -> Iterator[tuple[int, Held]]:
        for at, event in self._turn.events:
            if isinstance(event, FunctionReturned) and at.turn == self._turn.input:
                for text in hits_of(event.result):
                    if states(self._wanted, text).whole:
                        yield at.seq, Held(place="queue", seq=at.seq, what=_PAGE, text=text)

    def _taken_by(self, seen: Held, after: int) -> Evidence | None:
        """The event that took a text out of the window."""
        for at, event in self._turn.events:
            if after < at.seq <= self._turn.until and _takes(event, seen):
                return Evidence(seq=at.seq, what=f"took it out of the window: {at.kind}")
        return None

    def _holding(self, state: State) -> list[Held]:
        return [each for each in held(state) if states(self._wanted, each.text).whole]

    # --- before it

    def _known(self) -> tuple[list[Told], list[Told]]:
        """What the agent had been told when it was asked, and what waited."""
        until = self._turn.until
        pending = {each.seq for each in self._turn.judged.pending}
        stated = [each for each in self._facts.told() if not each.asks]
        waits = [e for e in stated if not e.stream and e.kind in INPUT_KINDS and (e.seq in pending or e.seq > until)]
        known = [e for e in stated if e not in waits and (e.stream or e.seq <= until)]
        return known, waits

    def _not_shown(self, known: list[Told]) -> Verdict:
        """It was known, and is not in the window: was it looked for?"""
        findable = [each for each in known if each.store]
        if not findable:
            return self._unsearchable(known)
        until = self._turn.until
        searches = [search for search in self._turn.searches if 0 < search.returned <= until]
        fitting = [(s, mine) for s in searches if (mine := [t for t in findable if _sees(s, t)])]
        if not fitting:
            return self._not_searched(findable, searches)
        on_page = [(s, t) for s, mine in fitting for t in mine if _is_on(s, t)]
        if on_page:
            return self._cut_off(*on_page[0])
        looked: list[tuple[Search, str]] = []
        was_for_it = False
        for search, mine in fitting:
            what, ranked = self._outcome(search, mine)
            looked.append((search, what))
            was_for_it = was_for_it or ranked > 0 or _is_for(self._wanted, search, mine)
        if was_for_it:
            return self._not_on_page(findable, looked)
        return self._not_searched(findable, searches)

    def _cut_off(self, search: Search, told: Told) -> Verdict:
        page = Evidence(seq=search.returned, what="the page that came back", text=search.result)
        says = (
            f"Search {search.seq} found event {told.seq}, but the excerpt on its page left these words out: a page has "
            "a limited length, which its hits share."
        )
        return self._is(Cause.CUT_OFF, says, [*self._said([told]), page], self._window())

    def _not_on_page(self, known: list[Told], looked: list[tuple[Search, str]]) -> Verdict:
        pages = [Evidence(seq=search.seq, what=what, text=search.query) for search, what in looked]
        search = looked[-1][0]
        nexts = []
        if search.is_ranked and "query" in search.call.arguments:
            again = ("search", self._agent, str(search.call.arguments["query"]), "--at", str(search.seq))
            nexts.append(Next(command=again, shows="the same search as of then; --page P for further pages"))
        times = "once" if len(looked) == 1 else f"{len(looked)} times"
        says = f"It was said, and had left the window. The agent searched {times}, and no page that came back had it."
        evidence = [*self._said(known), *pages]
        return self._is(Cause.NOT_ON_PAGE, says, evidence, *nexts, self._window(), more=_more(known))

    def _outcome(self, search: Search, mine: list[Told]) -> tuple[str, int]:
        """What became of a search, and the rank that it gave to what was wanted (0: none, or not known)."""
        name = search.call.name
        if search.error:
            return f"{name}: it failed ({search.error})", 0
        if not search.is_ranked:
            return f"{name}: what it gave did not have it", 0
        page, size = int(search.call.arguments.get("page", 0)), search.call.page_size
        asked = f"{name}: page {page} ({len(search.found)} of {search.total} results) did not have it"
        ranked = self._facts.rank(search, mine)
        if ranked.unknown:
            return f"{asked}; its rank is not known: {ranked.unknown}", 0
        if not ranked.rank:
            return f"{asked}, nor has any of the first {ranked.looked} of {ranked.total} that this search finds", 0
        return (
            f"{asked}; it is number {ranked.rank} of {ranked.total}, on page {(ranked.rank - 1) // max(1, size)}",
            ranked.rank,
        )

    def _not_searched(self, known: list[Told], searches: list[Search]) -> Verdict:
        stores = _listed(sorted({_STORES[each.store] for each in known}))
        elsewhere = [
            Evidence(seq=each.seq, what=f"{each.call.name}, which looked {_aside(each, known)}", text=each.query)
            for each in searches
        ]
        gone = self._gone(known)
        left = "had left the window" if gone else "was not in the window"
        says = f"It was said, and {left}. It was in {stores}, and in this turn the agent did not search for it."
        evidence = [*self._said(known), *gone, *elsewhere]
        query = ("search", self._agent, self._wanted.text, "--at", str(self._turn.until))
        find = Next(command=query, shows="what a search would have found then")
        return self._is(Cause.NOT_SEARCHED, says, evidence, find, self._window(), more=_more(known))

    def _unsearchable(self, known: list[Told]) -> Verdict:
        says = (
            "The agent knew it once, but only where no search looks: it had left the window by then, and nothing that "
            "recall or archival storage keeps has it."
        )
        blame = ("blame", self._agent, self._wanted.text, "--at", str(self._turn.end))
        nexts = [Next(command=blame, shows="which event took it away")]
        return self._is(Cause.UNSEARCHABLE, says, [*self._said(known), *self._gone(known)], *nexts, more=_more(known))

    # --- not at all

    def _not_told(self) -> Verdict:
        repeated = [e for e in self._facts.repeated() if not e.asks and e.seq <= self._turn.until]
        if repeated:
            return self._unsearchable(repeated)
        unattached = [each for each in self._facts.unattached() if not each.asks]
        if unattached:
            names = _listed(sorted({each.stream.partition(":")[2] for each in unattached}))
            says = f"It was never said, but a document has it, of a source that the agent did not have then: {names}."
            attach = Next(
                command=("attach", unattached[0].stream.partition(":")[2], self._agent),
                shows="gives the agent this source",
            )
            return self._is(
                Cause.NOT_ATTACHED, says, _of_told(unattached, "in a document"), attach, more=_more(unattached)
            )
        later = [each for each in self._facts.later() if not each.asks]
        if later:
            says = f"Nothing had it by event {self._turn.end}; it was said later, first by event {later[0].seq}."
            return self._is(
                Cause.SAID_LATER, says, _of_told(later, "said later"), self._events(later[0]), more=_more(later)
            )
        return self._never_said()

    def _never_said(self) -> Verdict:
        asked = [each for each in self._facts.told() if each.asks]
        evidence = _of_told(asked, "only asks")
        only = " but questions" if asked else ""
        says = f"No event up to {self._turn.end} has it{only}: no message, core memory, passage or attached document."
        verdict = self._is(Cause.NEVER_SAID, says, evidence, self._window(), more=_more(asked))
        return msgspec.structs.replace(verdict, nearest=self._facts.nearest())

    # --- pieces

    def _is(self, cause: Cause, says: str, evidence: Sequence[Evidence], *nexts: Next, more: int = 0) -> Verdict:
        return Verdict(
            agent=self._agent,
            text=self._wanted.text,
            matched=self._wanted.how,
            at=self._turn.end,
            input=self._turn.input,
            answer=self._turn.answer,
            request=self._turn.request,
            cause=cause,
            says=says,
            evidence=(*evidence, *self._answer()),
            more=more,
            next=nexts,
        )

    def _answer(self) -> Iterator[Evidence]:
        """The answer itself, where it says what was looked for."""
        for seq, text in self._sent():
            if seq == self._turn.answer and self._wanted.holds(text):
                yield Evidence(seq=seq, what="the answer itself has these words", text=self._shown(text))

    def _said(self, known: list[Told]) -> list[Evidence]:
        return _of_told(known, "said")

    def _gone(self, known: list[Told]) -> list[Evidence]:
        """The evictions that took what was said out of the window, and the summaries that kept it for a while."""
        wanted = {each.seq for each in known[:SHOWN] if not each.stream}
        evidence: dict[int, Evidence] = {}
        kept = 0
        for at, event in self._facts.evictions():
            if isinstance(event, MessagesEvicted):
                taken = [seq for seq in event.seqs if seq in wanted]
                if taken:
                    what = f"evicted {_listed(f'event {seq}' for seq in taken)} from the window"
                    evidence[at.seq] = Evidence(seq=at.seq, what=what)
            elif isinstance(event, SummaryWritten):
                has = states(self._wanted, event.text).whole
                if has and not kept:
                    evidence[at.seq] = Evidence(seq=at.seq, what="a summary that had it", text=self._shown(event.text))
                elif kept and not has:
                    evidence[at.seq] = Evidence(seq=at.seq, what="the first summary that left it out")
                kept = at.seq if has else 0
        return list(evidence.values())

    def _shown(self, text: str) -> str:
        """The part of a text that has it."""
        return " … ".join(text[start:end] for start, end in self._wanted.where(text)) or text

    def _window(self) -> Next:
        seq = self._turn.until
        shows = "the window that the answer was made from" if self._turn.answer else "the window as it was then"
        return Next(command=("context", self._agent, "--at", str(seq)), shows=shows)

    def _events(self, told: Told) -> Next:
        command = ("events", self._agent, "--from", str(told.seq), "--to", str(told.seq + 3))
        return Next(command=command, shows="what happened there")


_PAGE: Final = "a page of results"
_STORES: Final = {"recall": "recall storage", "archival": "archival storage", "documents": "the documents"}


def _of_told(told: Sequence[Told], what: str) -> list[Evidence]:
    return [
        Evidence(seq=each.seq, what=f"{what}: {each.who}", text=each.text, stream=each.stream) for each in told[:SHOWN]
    ]


def _more(told: Sequence[Told]) -> int:
    return max(0, len(told) - SHOWN)


def _listed(several: Iterable[str]) -> str:
    """So many of them in a sentence."""
    each = list(dict.fromkeys(several))
    if len(each) <= 1:
        return "".join(each)
    shown = each[:SHOWN]
    rest = f" and {len(each) - SHOWN} more" if len(each) > SHOWN else f" and {shown.pop()}"
    return ", ".join(shown) + rest


def _takes(event: Event, seen: Held) -> bool:
    match event:
        case MessagesEvicted(seqs=seqs):
            return seen.place == "queue" and seen.seq in seqs
        case SummaryWritten():
            return seen.place == "summary"
        case CoreMemoryReplaced(label=label):
            return seen.label == label
    return False


def _sees(search: Search, told: Told) -> bool:
    """Whether a search looks where this is, and was not told to pass it over."""
    if told.store not in search.looks_in:
        return False
    return told.store != "recall" or told.seq not in search.call.hidden


def _is_for(wanted: Phrase, search: Search, known: Iterable[Told]) -> bool:
    """Whether a search was for what is known: by a word of its query, or by the days that it names."""
    if search.call.name != CONVERSATION_SEARCH_DATE.name:
        return any(wanted.shares(search.query, each.text) for each in known)
    given = search.call.arguments
    try:
        start_ms, end_ms = search.between or day_bounds(str(given["start_date"]), str(given["end_date"]))
    except ValueError:
        return False
    return any(start_ms <= each.time_ms <= end_ms for each in known)


def _aside(search: Search, known: Iterable[Told]) -> str:
    return "for something else" if any(_sees(search, each) for each in known) else "elsewhere"


def _is_on(search: Search, told: Told) -> bool:
    """Whether a page has it, by its seq and chunk. What a fork has of its parent's is its own."""
    return any(
        (hit.stream if is_source(hit.stream) else "", hit.seq) == (told.stream, told.seq)
        and told.chunk in (-1, hit.chunk)
        for hit in search.found
    )
