# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""One answer of the offline agent: what the present input asks for, and what is left to do about it.

Rules. (1) The answer is a pure function of the request: what the turn has done is read from its calls and results.
(2) A turn ends: each part asks for a bounded number of calls, a failed call is not repeated, and two failures are told
to the user. (3) It does not pretend: what it did not understand it quotes back, and it says that it is no LLM.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

from palimpsest.actors.models.offline.ask import ask
from palimpsest.actors.models.offline.asks import is_question
from palimpsest.actors.models.offline.clock import moment, when
from palimpsest.actors.models.offline.facts import facts_in
from palimpsest.actors.models.offline.forget import forget
from palimpsest.actors.models.offline.keep import keep, save
from palimpsest.actors.models.offline.remind import ASK_WHEN, cancel, is_cancel, is_list, is_reminder, list_all, remind
from palimpsest.actors.models.offline.reply import DraftReply, ReplyPart, compose, quiet, spoken
from palimpsest.actors.models.offline.request import RequestView
from palimpsest.actors.models.offline.unsay import ForgetRequest, request_of
from palimpsest.actors.models.offline.words import clip, sentences
from palimpsest.events.functions import SEND_MESSAGE

WHO_I_AM: Final = (
    "I am Palimpsest's built-in offline model, not an LLM: I match words, keep what you tell me, and quote it."
)
_HELP: Final = (
    "Tell me facts (“I live in Oslo”), ask about them (“where do I live?”), or say “remind me in 10 minutes to "
    "stretch”."
)
_QUOTE_CHARS: Final = 160
_QUESTION_CHARS: Final = 600
_SENTENCES: Final = 100

_IDENTITY: Final = re.compile(
    r"\b(?:who|what) (?:exactly )?are you\b|\bare you (?:really )?(?:an? )?(?:real |large )?(?:ai|a\.i\.|llm|bot|robot"
    r"|human|person|people|chatgpt|gpt\S*|claude|gemini|language model|machine|program|computer|palimpsest)\b"
    r"|\b(?:what|which) (?:language |ai )?(?:model|llm|ai) (?:are|is|do|am)\b|\bwhat can you do\b|\bhow do you work\b"
    r"|\bwhat do you do\b|^(?:please )?help(?: me)?\W*$",
    re.I,
)
_OWN_NAME: Final = re.compile(
    r"\bwhat(?:['’]s| is) your name\b|\bwhat (?:are you|do i|should i|can i) call(?:ed| you)?\b", re.I
)
_HOW: Final = re.compile(r"^(?:\w+[ ,!]+){0,2}how(?: are|['’]re) (?:you|things)\b", re.I)
_GREETING: Final = re.compile(
    r"(?i)(?:hi|hello|hey|hiya|howdy|greetings|good (?:morning|evening|afternoon|day)|yo)(?: there| again| \w+)?"
    r"[\s!,.👋😀-🙏]*$"
)
_THANKS: Final = re.compile(r"(?:many )?(?:thanks|thank you|thx|cheers|ta)\b.{0,30}$", re.I)
_BYE: Final = re.compile(r"(?:bye|goodbye|good night|see you|see ya|ciao|later)\b.{0,20}$", re.I)
_SHORT: Final = re.compile(
    r"(?:ok(?:ay)?|yes|no|yep|nope|sure|fine|great|cool|nice|good|right|perfect|alright)[\s!.,]*$", re.I
)
_TIMER_WORDS: Final = ("remind", "timer", "alarm", "wake", "ping")


def reply(view: RequestView) -> DraftReply:
    """The answer to a request that offers functions."""
    must_send = view.is_due
    if view.warned:
        calls = save(view)
        said = "My memory is nearly full, so I save what matters first."
        if calls:
            return compose(view, [ReplyPart(said, calls=calls, waits=not view.answered)], must_send=must_send)
    if len(view.failures) >= 2:
        return _apology(view)
    match view.entry.type:
        case "user_message":
            return compose(view, _introduced(view, list(_parts(view))), must_send=must_send)
        case "":
            return compose(view, [ReplyPart("There is no new message.", "I am here.")], must_send=must_send)
        case _:
            return compose(view, [_interrupt(view)], must_send=must_send)


def _apology(view: RequestView) -> DraftReply:
    if any(d.ok and d.name == SEND_MESSAGE.name and d.step > view.failures[1].step for d in view.done):
        return quiet(view)
    error = clip(view.failures[-1].result, 300)
    return spoken(view, "Two calls failed; I tell the user.", f"I am sorry, that did not work: {error}")


def _introduced(view: RequestView, parts: list[ReplyPart]) -> list[ReplyPart]:
    """The parts, after a word on what this is in the first message of a conversation."""
    if not view.is_first or any(part.say.startswith(WHO_I_AM) for part in parts):
        return parts
    return [ReplyPart("This is our first message.", WHO_I_AM), *parts]


def _interrupt(view: RequestView) -> ReplyPart:
    entry = view.entry
    match entry.type:
        case "timer":
            return ReplyPart("A timer fired.", f"Reminder: {clip(entry.note, 500) or 'it is time.'}")
        case "login":
            return ReplyPart("The user logged in.", f"Hello{_called(view)}. I am here; ask me what I have kept.")
        case "upload":
            what = clip(" ".join(s for s in (entry.source, entry.detail) if s), 300) or "a document"
            return ReplyPart("A document arrived.", f"I have received {what}. You can ask me about it: I search it.")
        case "heartbeat":
            count = view.status.recall_messages
            kept = f" I keep {count} messages." if count >= 0 else ""
            return ReplyPart("This is a timed heartbeat.", f"Checking in: nothing is due.{kept}")
        case _:
            what = clip(entry.message or entry.detail or entry.note or entry.type, 300)
            return ReplyPart("The system raised an alert.", f"A notice from the system: {what}")


def _called(view: RequestView) -> str:
    """The user's name after a space, as core memory has it."""
    block = view.blocks.get("human")
    lines = block.text.splitlines() if block else []
    starts = ("Likes to be called ", "Name: ")
    named = (line.removeprefix(start) for start in starts for line in reversed(lines) if line.startswith(start))
    return next((f" {name.strip(' .')}" for name in named), "")


def _parts(view: RequestView) -> Iterator[ReplyPart]:
    """What the message asks for, one part each, in its order; at the least an acknowledgement."""
    text = view.text.strip()
    if not text:
        yield ReplyPart("The message is empty.", "Your message is empty. " + _HELP)
        return
    followed = _time_for_earlier(view, text)
    if followed:
        yield remind(view, followed, at_once=view.is_due)
        return
    stated: list[str] = []
    asked: list[str] = []
    done = forgot = False
    said = sentences(text)[:_SENTENCES]
    for sentence in said:
        part = _request(view, sentence)
        request = None if part else request_of(sentence)
        if request and forgot:
            continue
        if request:
            part = forget(view, _all_of(said) if request.topics else request)
            forgot = bool(part)
        if part:
            yield part
            done = True
        elif is_question(sentence):
            asked.append(sentence)
        else:
            stated.append(sentence)
    earlier = islice((said.text for said in view.said() if said.who == "user"), 3)
    kept = keep(view, facts_in("\n".join(stated), list(earlier)))
    if kept.say:
        yield kept
    for question in asked[:2]:
        yield _answer(view, question[:_QUESTION_CHARS])
    if not kept.say and not asked and not done:
        yield _small_talk(view, text)


def _all_of(said: list[str]) -> ForgetRequest:
    """All that a message asks to forget: one edit of core memory does it."""
    requests = [request for sentence in said if (request := request_of(sentence)) and request.topics]
    topics = dict.fromkeys(topic for request in requests for topic in request.topics)
    return ForgetRequest(tuple(topics), all(request.certain for request in requests))


def _time_for_earlier(view: RequestView, text: str) -> str:
    """The request for a reminder that lacked a time, completed by this message; "" where there is none."""
    if len(text) > 80 or not view.spoke_last(ASK_WHEN):
        return ""
    theirs = next((said for said in view.said() if said.who == "user"), None)
    if theirs is None or is_reminder(text) or when(text, moment(view.time)) is None:
        return ""
    return f"{theirs.text} {text}"


def _request(view: RequestView, sentence: str) -> ReplyPart | None:
    """A reminder to set, list or cancel."""
    low = sentence.lower()
    if not any(word in low for word in _TIMER_WORDS):
        return None
    if is_cancel(sentence):
        return cancel(view, sentence)
    if is_list(sentence):
        return list_all(view)
    return remind(view, sentence, at_once=view.is_due) if is_reminder(sentence) else None


def _answer(view: RequestView, question: str) -> ReplyPart:
    if _OWN_NAME.search(question):
        persona = view.blocks.get("persona")
        lines = persona.text.splitlines()[::-1] if persona else []
        name = next((f"{line} " for line in lines if line.startswith("My name is ")), "")
        return ReplyPart("The user asks for my name.", f"{name}{WHO_I_AM}")
    if _IDENTITY.search(question):
        return ReplyPart("The user asks what I am.", f"{WHO_I_AM} {_HELP}")
    if _HOW.match(question):
        return ReplyPart("The user is polite.", "All is well here, thank you.")
    return ask(view, question)


def _small_talk(view: RequestView, text: str) -> ReplyPart:
    if len(text) < 60:
        if _GREETING.match(text):
            return ReplyPart("The user greets me.", f"Hello{_called(view)}. What shall I keep or look up for you?")
        if _THANKS.match(text):
            return ReplyPart("The user thanks me.", "You are welcome.")
        if _BYE.match(text):
            return ReplyPart("The user leaves.", f"Goodbye{_called(view)}. I keep everything for next time.")
        if _SHORT.match(text):
            return ReplyPart("The user agrees.", "All right.")
        if _IDENTITY.search(text):
            return ReplyPart("The user asks what I am.", f"{WHO_I_AM} {_HELP}")
    return ReplyPart("I keep this without understanding it.", f"Noted: “{clip(text, _QUOTE_CHARS)}”")
