# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""Reminders: setting, listing and cancelling timers at a user's word.

Two rules. A time counts from the user's message. What is confirmed is what the timer function returned.
"""

from __future__ import annotations

import re
from typing import Final

from palimpsest.actors.models.offline.clock import When, ahead, moment, span, when
from palimpsest.actors.models.offline.reply import Argument, PlannedCall, ReplyPart
from palimpsest.actors.models.offline.request import DoneCall, RequestView
from palimpsest.actors.models.offline.words import STOP, clip, stems
from palimpsest.events.functions import CANCEL_TIMER, LIST_TIMERS, SET_TIMER

ASK_WHEN: Final = "When should I remind you?"
_NOTE_CHARS: Final = 300

_REMIND: Final = re.compile(
    r"(?i)\bremind (?:me|us)\b|\bwake me\b|\bset (?:a|an|another|the|my) (?:\w+[- ]){0,3}?(?:reminder|timer|alarm)\b"
    r"|\b(?:create|make|add) (?:a|an|another) (?:\w+ )?(?:reminder|timer|alarm)\b|\bping me (?:in|at|tomorrow)\b"
)
_NOT_REMIND: Final = re.compile(r"\bremind me (?:what|where|when|who|which|how|why|of what|about what)\b", re.I)
_ENDS: Final = (
    r"(?=\W*(?:$|\b(?:for|about|at|to|on|that|do|are|is|have|set|i|please|from|in|named|called|with|of|and)\b))"
)
"""A reminder is meant, and no alarm code."""
_LIST: Final = re.compile(
    rf"\b(?:what|which|list|show|any|how many|do i have)\b.{{0,30}}\b(?:reminders?|timers?|alarms?)\b{_ENDS}", re.I
)
_CANCEL: Final = re.compile(
    rf"(?i)\b(?:stop|cancel|delete|remove|drop|turn off|end|forget)\b.{{0,30}}\b(?:reminders?|reminding|timers?"
    rf"|alarms?)\b{_ENDS}"
)
_REQUEST_WORDS: Final = re.compile(
    r"(?i)^(?:(?:please|can you|could you|would you|will you|and|then|also|ok(?:ay)?|hey|hi|hello)[\s,]+)*"
    r"(?:remind (?:me|us)|wake me(?: up)?|ping me|(?:set|create|make|add) (?:a|an|another|the|my) (?:\w+[- ]){0,3}?"
    r"(?:reminder|timer|alarm))\b(?: for me)?"
)
_JOINER: Final = re.compile(r"^[\s,:–-]*(?:(?:to|that|about|of|for|called|named|please|saying)\b[\s,:]*)*", re.I)
_EMPTY: Final = stems(
    "stop cancel delete remove drop turn end forget reminder reminding timer alarm all " + " ".join(STOP)
)
_TIMER_LINE: Final = re.compile(r"([\w.-]{1,80}): (.*)")


def is_reminder(text: str) -> bool:
    return bool(_REMIND.search(text)) and not _NOT_REMIND.search(text) and not is_cancel(text) and not is_list(text)


def is_list(text: str) -> bool:
    return bool(_LIST.search(text)) and not is_cancel(text)


def is_cancel(text: str) -> bool:
    return bool(_CANCEL.search(text))


def note_of(rest: str) -> str:
    """What is left of a request once its time is taken out, without the words that ask."""
    bare = _REQUEST_WORDS.sub("", rest.strip(" ,.!?"), count=1)
    if bare == rest.strip(" ,.!?"):
        bare = re.sub(r"(?i)[\s,]*(?:and\s+)?(?:please\s+)?(?:remind|wake|ping) (?:me|us)\b", " ", bare, count=1)
    return clip(_JOINER.sub("", bare.strip(), count=1).strip(" ,.!?"), _NOTE_CHARS)


def remind(view: RequestView, text: str, *, at_once: bool) -> ReplyPart:
    """Set a timer and confirm it with its result; `at_once`: in one answer, without waiting for the result."""
    zone = ahead(view.time)
    found = when(text, moment(view.time), zone) or span(text)
    if found is None:
        utc = ", all in UTC" if zone is None else ""
        example = f"Say for example “in 10 minutes”, “tomorrow at 9” or “every day at 9”{utc}."
        return ReplyPart("A reminder needs a time.", f"{ASK_WHEN} {example}")
    note = note_of(found.rest) or "Time is up."
    done = [d for d in view.done if d.name == SET_TIMER.name and d.arguments.get("note") == note]
    if not done:
        arguments: dict[str, Argument] = {"note": note, found.argument: found.value}
        promise = _promise(note, found) if at_once else ""
        return ReplyPart(
            "A reminder is asked for.", promise, (PlannedCall(SET_TIMER.name, arguments),), waits=not at_once
        )
    if not done[-1].ok:
        return ReplyPart("The timer was refused.", f"I am sorry, I could not set it: {clip(done[-1].result, 200)}")
    how = "" if done[-1].result in ("", "None") else f" ({clip(done[-1].result, 200)})"
    return ReplyPart("The timer is set.", f"{_promise(note, found)}{how}")


def _promise(note: str, found: When) -> str:
    return f"Done: I will remind you {found.said}: “{note}”."


def list_all(view: RequestView) -> ReplyPart:
    done = _last(view, LIST_TIMERS.name)
    if done is None:
        return ReplyPart("The timers have to be looked up.", calls=(PlannedCall(LIST_TIMERS.name, {}),), waits=True)
    return ReplyPart("The timers are listed.", f"Your reminders: {clip(done.result, 1500)}")


def cancel(view: RequestView, text: str) -> ReplyPart:
    """Find the timer that is meant among all, cancel it, and say how that went."""
    cancelled = [d for d in view.done if d.name == CANCEL_TIMER.name]
    listed = _last(view, LIST_TIMERS.name)
    if cancelled:
        return ReplyPart("The timer function has answered.", _outcome(cancelled, listed))
    if listed is None:
        return ReplyPart(
            "I have to find the timer that is meant.", calls=(PlannedCall(LIST_TIMERS.name, {}),), waits=True
        )
    timers = read_timers(listed.result) if listed.ok else []
    wanted = stems(text) - _EMPTY
    chosen = _chosen(timers, wanted, everything=" all " in f" {text.lower()} ")
    if not chosen:
        hint = f" Your reminders: {clip(listed.result, 600)}" if timers or not listed.ok else ""
        return ReplyPart("No timer matches.", f"I found nothing to cancel.{hint}")
    calls = tuple(PlannedCall(CANCEL_TIMER.name, {"timer": timer}) for timer in chosen)
    return ReplyPart("This is the timer that is meant.", calls=calls, waits=True)


def _outcome(cancelled: list[DoneCall], listed: DoneCall | None) -> str:
    notes = dict(read_timers(listed.result)) if listed else {}
    gone = [notes.get(str(d.arguments.get("timer")), str(d.arguments.get("timer"))) for d in cancelled if d.ok]
    failed = [f"I am sorry, that did not work: {clip(d.result, 200)}" for d in cancelled if not d.ok]
    return " ".join([*(f"Done, cancelled: {clip(note, 300)}." for note in gone), *failed])


def _chosen(timers: list[tuple[str, str]], wanted: frozenset[str], *, everything: bool) -> list[str]:
    if everything and not wanted:
        return [timer for timer, _ in timers]
    if not wanted:
        return [timers[0][0]] if len(timers) == 1 else []
    scored = [(len(wanted & stems(text)), timer) for timer, text in timers]
    best = max((score for score, _ in scored), default=0)
    found = [timer for score, timer in scored if score == best > 0]
    return found if everything else found[:1]


def _last(view: RequestView, name: str) -> DoneCall | None:
    return next((d for d in reversed(view.done) if d.name == name), None)


def read_timers(result: str) -> list[tuple[str, str]]:
    """(id, note and times) of each timer that `list_timers` names, a line each."""
    return [(match[1], match[2]) for match in map(_TIMER_LINE.fullmatch, result.splitlines()) if match and match[2]]
