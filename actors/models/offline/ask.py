# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""Answering a question: core memory, then what is visible, then the storages page by page, then "nothing".

Two rules. Every answer says where it is from. A page of a search is asked for once, at most PAGES pages, and only
while the answer is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec.structs import replace

from palimpsest.actors.models.offline.asks import is_question
from palimpsest.actors.models.offline.clock import moment, past_days
from palimpsest.actors.models.offline.documents import answer
from palimpsest.actors.models.offline.hush import Hushed, asked_to_forget, hushed
from palimpsest.actors.models.offline.lines import UNTIL, content, ended_by, ends, holds, modern, spoken
from palimpsest.actors.models.offline.pages import Item, read_page
from palimpsest.actors.models.offline.question import (
    NUMBERED,
    STRONG,
    Question,
    coverage,
    fitness,
    is_strong,
    read_question,
)
from palimpsest.actors.models.offline.reply import PlannedCall, ReplyPart
from palimpsest.actors.models.offline.request import DoneCall, RequestView
from palimpsest.actors.models.offline.search import (
    FROM_CORE,
    ShownHit,
    corrected,
    hits,
    refers,
    source,
    strong,
    told,
    with_later,
)
from palimpsest.actors.models.offline.words import KIN, READ_CHARS, clip, sentences, stem, stems
from palimpsest.events.functions import (
    ARCHIVAL_MEMORY_SEARCH,
    CONVERSATION_SEARCH,
    CONVERSATION_SEARCH_DATE,
    LIST_DOCUMENTS,
)

PAGES: Final = 3
NOTHING: Final = "I found nothing about that"
_PAUSE_S: Final = 180
_SURE: Final = 0.8
"""What covers so much of a question needs no search for something better."""
SEARCHES: Final = (CONVERSATION_SEARCH.name, ARCHIVAL_MEMORY_SEARCH.name)
_ABOUT_ME: Final = re.compile(
    r"(?i)\bwhat (?:all |else )?do you (?:still )?(?:know|remember)(?: about (?:me|us|myself))?(?: so far)?\W*$"
    r"|\bwhat(?:['’]s| is) in your (?:core )?memory\b|\bwhat (?:have|did) i (?:told|tell) you(?: about (?:me"
    r"|myself))?(?: so far)?\W*$|(?:summari[sz]e|recap|list|tell me|describe|give me|sum up)\b.{0,40}\b(?:about me"
    r"|know of me|(?:i|you)(?: have|['’]ve)? (?:told you|know|said))\b|^\W*(?:please )?(?:summari[sz]e me|describe me"
    r"|who am i|summari[sz]e(?: (?:this|our|the) (?:chat|conversation))?)\W*$"
)
_NO_NUMBERS: Final = ("often", "many", "much", "when", "where", "who", "why", "long", "old")
"""Kinds of questions that no number such as a telephone's answers."""
_LIST: Final = re.compile(
    r"(?i)\b(?:what|which) (?:documents?|files?|sources?)\b.*\b(?:you|there|attached|loaded)\b"
    r"|\blist (?:\w+ ){0,2}(?:documents|files|sources)\b"
)
_TALKED: Final = re.compile(r"\b(?:what|which)\b.*\b(?:say|said|tell|told|talk|discuss|mention|write|happen|do)", re.I)
_SO_NAMED: Final = re.compile(
    r"\b(\w+)(?:['’]s name)?(?: (?:is|are))?(?: (?:called|named)| (?:in|from|at) \w+,)?[,:]? ((?:Dr\. |Mr\. |Mrs\. "
    r"|Ms\. )?[A-Z][\w'’-]+(?:(?:,| and|, and)? [A-Z][\w'’-]+)*)"
)
_A_JOB: Final = re.compile(r"They (?:are|were|used to be) (?:now )?(?:an?|the) ")
_DID: Final = re.compile(r"They used to (?:be|work|drive|teach|run|sell|fix|do|have an?)\b")
_BEFORE_THAT: Final = re.compile(r"\b(?:before (?:that|this)|previously)\b", re.I)


def ask(view: RequestView, text: str) -> ReplyPart:
    """The answer to a question, or the searches that it needs."""
    if _ABOUT_ME.search(text):
        return _about_user(view)
    if LIST_DOCUMENTS.name in view.tools and _LIST.search(text):
        return _documents(view)
    dated = _dated(view, text)
    if dated is not None:
        return dated
    lines = _lines(view)
    question = read_question(text, aliases(lines))
    if not question.terms:
        said = f"I cannot tell what to look for in “{clip(text, 120)}”. I match words: please name the thing you mean."
        return ReplyPart("The question names nothing that I could look for.", said)
    share, score, known = from_core(lines, question)
    heard = _heard(view)
    texts = [item.text for item in heard.users]
    near = [h for h in hits(question, _said(view, question, heard)) if question.past or not _ended(h, lines)]
    beaten = max((h.score for h in strong(question, near)), default=0.0) > score + 0.1
    bare = question.kind == "why" and not question.fits(known)  # the reason may have been told with it
    share, beaten = (0.0, True) if bare else (share, beaten)
    if known:
        below = max((at for at, line in enumerate(lines) if spoken(line) in known), default=len(lines))
        since = [*texts, *(spoken(line) for line in lines[below + 1 :] if holds(line))]
        known = with_later(question, known, since, source(known, texts))
    core = ReplyPart("Core memory answers this.", f"{known} {FROM_CORE}") if known and not question.of_agent else None
    unsure = view.summary and not any(_pages(view).values())
    if core and (question.past or question.wants_all or (share >= _SURE and not beaten and not unsure)):
        return core
    stated = frozenset(t.stem for t in question.terms)
    forgotten = asked_to_forget(view, stated, for_number=question.kind not in _NO_NUMBERS)
    if forgotten and not (core and forgotten.covers(known)):  # what was told since is told
        said = f"You asked me to forget “{forgotten.label}” on {forgotten.time[:10]}, so I no longer say or quote it."
        return ReplyPart("The user wanted this forgotten.", said)
    found = [h for h in strong(question, near) if beaten or h.coverage > share]
    said = _quoted(found, question, texts, lines) if found else ""
    return _of_messages(view, question, None if bare else core, found, said) or core or _nothing(question, view, heard)


def _pages(view: RequestView) -> dict[str, list[DoneCall]]:
    """What was searched in this turn."""
    return {name: [d for d in view.done if d.name == name] for name in SEARCHES}


class _Heard(NamedTuple):
    """What users said, oldest first, and what the searches of this turn found, as far as it may be quoted."""

    users: list[Item]
    found: list[Item]
    quiet: Hushed


def _heard(view: RequestView) -> _Heard:
    quiet = hushed(view)
    items = (item for asked in _pages(view).values() for d in asked if d.ok for item in read_page(d.result).items)
    found = [item for item in items if item.who == "document" or not quiet(item.text, item.time)]
    return _Heard(_told(view, found, quiet), found, quiet)


def _told(view: RequestView, found: list[Item], quiet: Hushed) -> list[Item]:
    """What users said, oldest first: what searches found, then what is visible; without what is not to be quoted."""
    seen = [Item("user", one.text, one.time) for one in view.said() if one.who == "user"]
    older = sorted((i for i in found if i.who == "user" and i not in seen), key=lambda item: item.time)
    apart: list[Item] = []
    last = None
    for item in older:
        now = moment(item.time)
        if last is None or now is None or (now - last).total_seconds() > _PAUSE_S:
            apart.append(Item("user", ""))  # what was said between is not known
        apart.append(item)
        last = now
    apart += [Item("user", "")] * bool(apart)
    return [*apart, *(item for item in seen[::-1] if not quiet(item.text, item.time))]


def _said(view: RequestView, question: Question, heard: _Heard) -> Iterator[Item]:
    """What was said and kept that may answer, latest first, and the summary's sentences."""
    starts = tuple(dict.fromkeys(start for t in question.terms for start in t.starts))
    users, found, quiet = heard
    for at in range(len(users) - 1, -1, -1):
        yield users[at]
        if at and refers(users[at].text):  # to what the message before it names
            yield Item("user", f"{users[at - 1].text}\n{users[at].text}", users[at].time, users[at].text)
    for said in view.said(*starts):
        if said.who == "assistant" and not quiet(said.text, said.time):
            yield Item(said.who, said.text, said.time)
    for sentence in sentences(view.summary[:READ_CHARS]):
        if not quiet(sentence, ""):
            yield Item("summary", sentence)
    yield from (item for item in found if item.who not in ("user", "document"))


def _ended(one: ShownHit, lines: list[str]) -> bool:
    """Whether core memory knows that what was said no longer holds."""
    return any(content(match[2]) <= content(one.quote) for match in map(UNTIL.match, lines) if match)


def _lines(view: RequestView) -> list[str]:
    """What core memory holds about the user, line by line."""
    blocks = (block for block in view.blocks.values() if block.label != "persona")
    return [line.strip() for block in blocks for line in block.text.splitlines() if line.strip()]


def _about_user(view: RequestView) -> ReplyPart:
    lines = [line for line in _lines(view) if holds(line)]
    said = f"From my core memory: {' '.join(map(spoken, lines))}"
    return ReplyPart("Core memory says what I know.", said if lines else "My core memory holds nothing about you yet.")


def _documents(view: RequestView) -> ReplyPart:
    asked = [done for done in view.done if done.name == LIST_DOCUMENTS.name]
    if not asked:
        return ReplyPart("I list what is attached.", calls=(PlannedCall(LIST_DOCUMENTS.name, {"page": 0}),), waits=True)
    return ReplyPart("These are attached.", clip(asked[-1].result, 1000))


@lru_cache(maxsize=8192)
def _so_named(line: str) -> tuple[tuple[str, str], ...]:
    return tuple(_SO_NAMED.findall(line))


def aliases(lines: list[str]) -> dict[str, frozenset[str]]:
    """By which names those go whom core memory names, and the other way round: "sister" and "Ana"."""
    found: dict[str, frozenset[str]] = {}
    for line in filter(holds, lines):
        for whose, named in _so_named(line):
            if whose.lower() in KIN:
                names, kin = stems(named) - {"and", "dr", "mr", "mrs", "ms"}, stem(whose.lower())
                for each, other in ((kin, names), *((name, frozenset({kin})) for name in names)):
                    found[each] = found.get(each, frozenset()) | other
    return found


def from_core(lines: list[str], question: Question) -> tuple[float, float, str]:
    """How much of the question the lines of core memory cover, how well, and what they answer ("" nothing)."""
    scored, most, own = [], 0.0, 0.0
    for at, line in enumerate(lines):
        share = coverage(question, stems(line)) if (holds(line) or UNTIL.match(line)) and not is_question(line) else 0.0
        if question.job and _A_JOB.match(line):
            share = 1.0
        counted = question.kind == "many" and share >= STRONG and not (NUMBERED.search(line) or ends(line))
        share *= 0.75 if counted else 1.0  # a number that was said is better
        if share and (counted or is_strong(question, share, line)):
            own = 0.1 if question.of_user and modern(line).startswith(("They ", "Their ", "Name: ", "Likes ")) else 0.0
            scored.append((round(share + own + fitness(question, line), 2), at, line))
            most = max(most, share)
    best = max((score for score, _, line in scored if holds(line)), default=max(scored, default=(0.0,))[0])
    return most, best, _answer(lines, scored, question)


def _answer(lines: list[str], scored: list[tuple[float, int, str]], question: Question) -> str:
    if question.past:
        return _earlier(lines, scored, question)
    now = [one for one in scored if holds(one[2])]
    if not now:
        return " ".join(_gone(lines, line) for _, _, line in scored[:1])
    best = max(score for score, _, _ in now)
    if question.wants_all:
        return " ".join(spoken(line) for _, _, line in now[:8])
    one = sum(t.weight >= 1 for t in question.terms) == 1
    top = [line for score, _, line in now if score >= best - (0.05 if one else 0.0)]
    if question.kind == "many" and not question.fits(top[-1]) and not ends(top[-1]):
        meant = frozenset(t.stem for t in question.terms).union(*(t.near for t in question.terms))
        return f"I count {sum(len(meant & stems(line)) for line in top)}: {' '.join(map(spoken, top))}"
    many = one and question.kind in ("what", "who", "work", "")
    more = 2 if re.search(r"\b(?:too|also|as well)\b", top[-1]) else 1
    return " ".join(map(spoken, top[-6:] if many else top[-more:]))


def _earlier(all_lines: list[str], scored: list[tuple[float, int, str]], question: Question) -> str:
    """What was before: the line that says so, best first, and of several the one right before what is named."""
    if question.after and not any(question.after in stems(line) for _, _, line in scored):
        return _before(all_lines, question) or (spoken(max(scored)[2]) if scored else "")
    if not scored:
        return ""
    best = max(score for score, _, _ in scored)
    lines = [line for score, _, line in sorted(scored, key=lambda one: one[1]) if score >= best - 0.15]
    named = next((at for at, line in enumerate(lines) if UNTIL.match(line) and question.after in stems(line)), -1)
    return spoken(lines[named + 1]) if named + 1 < len(lines) else ""


def _before(lines: list[str], question: Question) -> str:
    """What was told before the line that has what is named, where both hold: the line after it may say what was."""
    named = [at for at, line in enumerate(lines) if holds(line) and question.after in stems(line)]
    if not named:
        return ""
    for line in lines[named[0] + 1 : named[0] + 3]:
        if _BEFORE_THAT.search(line) or (question.job and _DID.match(line)):
            return spoken(line)
    now = replace(question, past=False, terms=tuple(t for t in question.terms if t.weight > 0.3))
    held = [line for line in lines[: named[-1]] if holds(line) and question.after not in stems(line)]
    held = [line for line in held if not _BEFORE_THAT.search(line)]
    told = [line for line in held if coverage(now, stems(line)) >= STRONG or (question.job and _A_JOB.match(line))]
    told = [line for line in told if question.fits(line)] or told
    return f"Before that: {spoken(told[-1])}" if told else ""


def _gone(lines: list[str], line: str) -> str:
    """What is no more, after what ended it."""
    was = line.partition(": ")[2]
    took = next((spoken(other) for other in lines if holds(other) and ended_by(other, was)), "")
    return f"{took} {spoken(line)}".strip()


def _of_messages(
    view: RequestView, question: Question, core: ReplyPart | None, found: list[ShownHit], said: str
) -> ReplyPart | None:
    """The answer of what was said (`said`, of the hits `found`), of a document, or of core memory after all."""
    pages = _pages(view)
    searched = any(pages.values())
    sure = found and found[0].coverage >= _SURE and found[0].item.who != "summary"
    if found and not searched and (sure or not view.summary):
        return ReplyPart("The visible conversation answers this.", said)
    passage = answer(question, [read_page(d.result).items for d in pages[ARCHIVAL_MEMORY_SEARCH.name] if d.ok])
    if passage and (not found or found[0].coverage < passage.coverage):
        return ReplyPart("A document has the answer.", told(passage))
    if found and searched:
        return ReplyPart("A search found the answer.", said)
    if not core or not searched:
        calls = tuple(call for name in SEARCHES for call in _next_page(view, name, pages[name], question))
        if calls:
            return ReplyPart("I have to search my memory for this.", calls=calls, waits=True)
    return ReplyPart("The visible conversation answers this.", said) if found else core


def _quoted(found: list[ShownHit], question: Question, texts: list[str], lines: list[str]) -> str:
    if question.wants_all:
        return " ".join(map(told, sorted(found[:3], key=lambda h: h.item.time)))
    best = found[0]
    if best.item.who not in ("user", "summary"):
        return told(best)
    at = max((at for at, text in enumerate(texts) if text and best.item.text.endswith(text)), default=-1)
    kept = " ".join(spoken(line) for line in lines if holds(line) and corrected(line, best.quote))
    now = f"What I keep now: {kept} " if kept and not question.past else ""
    return now + with_later(question, told(best), texts, at, best.quote)


def _next_page(view: RequestView, name: str, asked: list[DoneCall], question: Question) -> tuple[PlannedCall, ...]:
    """The next page of a search, while there is one worth asking for."""
    if name not in view.tools or any(not d.ok for d in asked):
        return ()
    if not asked:
        return () if _is_empty(view, name) else (PlannedCall(name, {"query": question.query, "page": 0}),)
    last = max(read_page(d.result).last for d in asked)
    page = 1 + max(int(d.arguments.get("page") or 0) for d in asked)
    return (PlannedCall(name, {"query": question.query, "page": page}),) if page <= min(last, PAGES - 1) else ()


def _is_empty(view: RequestView, name: str) -> bool:
    """Whether a storage holds nothing that could be found."""
    if name == ARCHIVAL_MEMORY_SEARCH.name:
        return view.status.archival_passages == 0 and not view.status.attached_sources
    return view.status.recall_messages == 0 or view.is_first


def _nothing(question: Question, view: RequestView, heard: _Heard) -> ReplyPart:
    now = replace(question, past=False)
    before = strong(now, hits(now, _said(view, now, heard))) if question.past else []
    if len(before) > 1:
        first = min((h for h in before if h.item.time), default=before[0], key=lambda h: h.item.time)
        return ReplyPart("What was told first was before.", f"Earlier: {told(first)}")
    looked = sum(1 for d in view.done if d.name in SEARCHES and d.ok)
    where = " in core memory, the visible conversation, or my recall and archival storage" if looked else ""
    failed = [d for d in view.failures if d.name in SEARCHES]
    said = f"I don't know that yet: {NOTHING}{where or ' in what I can see'} (I looked for: {question.query})."
    if failed:
        said += f" One search failed: {clip(failed[0].result, 160)}"
    documents = hits(question, [item for item in heard.found if item.who == "document"])[:1]
    said += f" The nearest I have: {told(documents[0])}" if documents and documents[0].score > 0.3 else ""
    return ReplyPart("Neither memory nor conversation has it.", said)


def _dated(view: RequestView, text: str) -> ReplyPart | None:
    """A question of what was said on some day, by the search for dates."""
    now = moment(view.time)
    if now is None or CONVERSATION_SEARCH_DATE.name not in view.tools or not _TALKED.search(text):
        return None
    days = past_days(text, now.date())
    if days is None:
        return None
    done = [d for d in view.done if d.name == CONVERSATION_SEARCH_DATE.name]
    first, last = (day.isoformat() for day in days)
    span = f"on {first}" if first == last else f"from {first} to {last}"
    if not done:
        call = PlannedCall(CONVERSATION_SEARCH_DATE.name, {"start_date": first, "end_date": last, "page": 0})
        return ReplyPart(f"I look up what was said {span}.", calls=(call,), waits=True)
    if not done[-1].ok:
        return ReplyPart("The search failed.", f"I could not search {span}: {clip(done[-1].result, 200)}")
    page = read_page(done[-1].result)
    quiet = hushed(view)
    items = [i for i in page.items if not quiet(i.text, i.time)]
    said = [i for i in items if i.who == "user" and not is_question(i.text)] or items
    if not said:
        return ReplyPart("Nothing was said then.", f"{NOTHING} {span}.")
    more = " There is more." if page.last > page.number or len(said) > 4 else ""
    quotes = "; ".join(f"“{clip(item.text, 160)}”" for item in said[:4])
    return ReplyPart("I found what was said.", f"From my recall storage, {span} you said: {quotes}.{more}")
