# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""Answering a question: core memory, then what is visible, then the storages page by page, then "nothing".

Two rules. Every answer says where it is from. A page of a search is asked for once, at most PAGES pages, and only
while the answer is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from actors.models.offline_clock import moment, past_days
from actors.models.offline_facts import is_question
from actors.models.offline_lines import spoken
from actors.models.offline_reply import Call, Part
from actors.models.offline_request import Done, View
from actors.models.offline_search import (
    FROM_CORE,
    NOTHING,
    STRONG,
    Hit,
    Item,
    Page,
    Question,
    coverage,
    hits,
    read_page,
    read_question,
    strong,
    told,
)
from actors.models.offline_words import READ_CHARS, clip, sentences, stems

PAGES: Final = 3
SEARCHES: Final = ("conversation_search", "archival_memory_search")
_ABOUT_ME: Final = re.compile(
    r"\bwhat (?:all )?do you (?:still )?(?:know|remember)(?: about me)?\W*$"
    r"|\bwhat(?:['’]s| is) in your (?:core )?memory\b"
    r"|\bwhat (?:have|did) i (?:told|tell) you(?: about (?:me|myself))?(?: so far)?\W*$",
    re.I,
)
_LIST: Final = re.compile(
    r"\b(?:what|which) (?:documents?|files?|sources?)\b.*\b(?:you|there|attached|loaded)\b"
    r"|\blist (?:\w+ ){0,2}(?:documents|files|sources)\b",
    re.I,
)
_TALKED: Final = re.compile(r"\b(?:what|which)\b.*\b(?:say|said|tell|told|talk|discuss|mention|write|happen|do)", re.I)


def ask(view: View, text: str) -> Part:
    """The answer to a question, or the searches that it needs."""
    if _ABOUT_ME.search(text):
        return _about_user(view)
    if "list_documents" in view.tools and _LIST.search(text):
        return _documents(view)
    dated = _dated(view, text)
    if dated is not None:
        return dated
    question = read_question(text)
    if not question.terms:
        return Part("The question names nothing that I could look for.", _unclear(text))
    known = from_core(view, question)
    if known and not question.of_agent:
        return Part("Core memory answers this.", f"{' '.join(map(spoken, known))} {FROM_CORE}")
    return _from_messages(view, question)


def _about_user(view: View) -> Part:
    block = view.blocks.get("human")
    lines = [line for line in block.text.splitlines() if line.strip()] if block else []
    if not lines:
        return Part("Core memory holds nothing about the user.", "My core memory holds nothing about you yet.")
    return Part("Core memory says what I know.", f"From my core memory: {' '.join(map(spoken, lines))}")


def _documents(view: View) -> Part:
    asked = [done for done in view.done if done.name == "list_documents"]
    if not asked:
        return Part("I list what is attached.", calls=(Call("list_documents", {"page": 0}),), waits=True)
    return Part("These are attached.", clip(asked[-1].result, 1000))


def _unclear(text: str) -> str:
    return f"I cannot tell what to look for in “{clip(text, 120)}”. I match words: please name the thing you mean."


def from_core(view: View, question: Question) -> list[str]:
    """The lines of core memory that answer: all of them where all is wanted, else the latest of the best."""
    found: list[tuple[float, str]] = []
    for block in view.blocks.values():
        if block.label == "persona":
            continue
        for line in block.text.splitlines():
            if line.strip() and not is_question(line):
                share = coverage(question, stems(line) | _kinds(line))
                if share >= STRONG:
                    found.append((round(share + _exact(line, question), 2), line.strip()))
    if not found:
        return []
    best = max(share for share, _ in found)
    lines = [line for share, line in found if share == best]
    plural = question.wants_all or _opinions(question) or not any(": " in line for line in lines)
    return lines[-6:] if plural else lines[-1:]


def _exact(line: str, question: Question) -> float:
    """More for a line whose whole key is asked for: "name" asks for "Name: Sam.", not for "Dog's name: Rex."."""
    key, colon, _ = line.partition(": ")
    asked = frozenset().union(*(t.stems for t in question.terms))
    return 0.1 if colon and stems(key) <= asked else 0.0


def _opinions(question: Question) -> bool:
    return len(question.terms) == 1


_KINDS: Final = (
    ("Likes to be called ", "name"), ("Lives in ", "home"), ("Works ", "work"), ("Comes from ", "from"),
    ("Is a ", "work"), ("Is an ", "work"), ("Loves ", "like"), ("Enjoys ", "like"),
)  # fmt: skip


def _kinds(line: str) -> frozenset[str]:
    """What a canonical line also answers to, besides its own words."""
    return frozenset(kind for start, kind in _KINDS if line.startswith(start)) | (
        stems("name") if " called " in line or " named " in line else frozenset()
    )


# --- messages and storages --------------------------------------------------------------------------------------


def visible(view: View, question: Question) -> Iterator[Item]:
    """What was said in the queue that may answer, and the summary's sentences."""
    starts = tuple(dict.fromkeys(start for t in question.terms for start in t.starts))
    for said in view.said(*starts):
        yield Item(said.who, said.text, said.time)
    for sentence in sentences(view.summary[:READ_CHARS]):
        yield Item("summary", sentence)


def _from_messages(view: View, question: Question) -> Part:
    near = hits(question, visible(view, question))
    found = strong(near)
    if found and not any(d.name in SEARCHES for d in view.done):
        return Part("The visible conversation answers this.", _quoted(found, question))
    pages = {name: [d for d in view.done if d.name == name] for name in SEARCHES}
    stored = hits(question, [item for asked in pages.values() for d in asked if d.ok for item in _read(d).items])
    found = strong(hits_merged(found, stored))
    if found:
        return Part("A search found the answer.", _quoted(found, question))
    calls = tuple(call for name in SEARCHES for call in _next_page(view, name, pages[name], question))
    if calls:
        return Part("I have to search my memory for this.", calls=calls, waits=True)
    return Part("Neither memory nor conversation has it.", _nothing(question, view, near + stored))


def hits_merged(*lists: list[Hit]) -> list[Hit]:
    return sorted((h for found in lists for h in found), key=lambda h: (h.score, h.item.time), reverse=True)


def _quoted(found: list[Hit], question: Question) -> str:
    if not question.wants_all:
        return told(found[0])
    chosen = sorted(found[:3], key=lambda h: h.item.time)
    return " ".join(map(told, chosen))


def _read(done: Done) -> Page:
    return read_page(done.result)


def _next_page(view: View, name: str, asked: list[Done], question: Question) -> tuple[Call, ...]:
    """The next page of a search, while there is one worth asking for."""
    if name not in view.tools or any(not d.ok for d in asked):
        return ()
    if not asked:
        return () if _is_empty(view, name) else (Call(name, {"query": question.query, "page": 0}),)
    last = max(_read(d).last for d in asked)
    page = 1 + max(_page_asked(d) for d in asked)
    return (Call(name, {"query": question.query, "page": page}),) if page <= min(last, PAGES - 1) else ()


def _is_empty(view: View, name: str) -> bool:
    """Whether a storage holds nothing that could be found."""
    if name == "archival_memory_search":
        return view.status.archival_passages == 0 and not view.status.attached_sources
    return view.status.recall_messages == 0 or view.is_first


def _page_asked(done: Done) -> int:
    page = done.arguments.get("page")
    return page if isinstance(page, int) else 0


def _nothing(question: Question, view: View, weak: list[Hit]) -> str:
    looked = sum(1 for d in view.done if d.name in SEARCHES and d.ok)
    where = " in core memory, the visible conversation, or my recall and archival storage" if looked else ""
    failed = [d for d in view.failures if d.name in SEARCHES]
    said = f"{NOTHING}{where or ' in what I can see'} (I looked for: {question.query})."
    if failed:
        said += f" One search failed: {clip(failed[0].result, 160)}"
    near = hits_merged(weak)[:1]
    return f"{said} The nearest I have: {told(near[0])}" if near and near[0].score > 0.3 else said


# --- days -------------------------------------------------------------------------------------------------------


def _dated(view: View, text: str) -> Part | None:
    """A question of what was said on some day, by the search for dates."""
    now = moment(view.time)
    if now is None or "conversation_search_date" not in view.tools or not _TALKED.search(text):
        return None
    days = past_days(text, now.date())
    if days is None:
        return None
    done = [d for d in view.done if d.name == "conversation_search_date"]
    first, last = (day.isoformat() for day in days)
    span = f"on {first}" if first == last else f"from {first} to {last}"
    if not done:
        call = Call("conversation_search_date", {"start_date": first, "end_date": last, "page": 0})
        return Part(f"I look up what was said {span}.", calls=(call,), waits=True)
    if not done[-1].ok:
        return Part("The search failed.", f"I could not search {span}: {clip(done[-1].result, 200)}")
    page = _read(done[-1])
    said = [i for i in page.items if i.who == "user" and not is_question(i.text)] or list(page.items)
    if not said:
        return Part("Nothing was said then.", f"{NOTHING} {span}.")
    more = " There is more." if page.last > page.number or len(said) > 4 else ""
    quotes = "; ".join(f"“{clip(item.text, 160)}”" for item in said[:4])
    return Part("I found what was said.", f"From my recall storage, {span} you said: {quotes}.{more}")
