"""The offline model's view of a request: decoded once, and then looked at from its end, only as far as needed.

Two rules. The request is all there is: no clock, no memory of earlier requests. A message's inner JSON is decoded
only when the message is looked at, so that a plain turn costs the same in a long context as in a short one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

import msgspec

from palimpsest.actors.models.offline.words import READ_CHARS
from palimpsest.actors.models.protocol import ModelFailed
from palimpsest.events.functions import HEARTBEAT, SEND_MESSAGE

_SPACES: Final = re.compile(r"[^\S\n]+")
"""A run of spaces says no more than one, and patterns take long for it."""
_arguments: Final = msgspec.json.Decoder(dict[str, Any])
WARNING: Final = "Warning: the conversation history"
TIMED: Final = "timed heartbeat"
HIDDEN: Final = "Note: prior messages"
_USER: Final = '{"type":"user_message"'


class _SentFunction(msgspec.Struct, frozen=True, gc=False):
    name: str
    arguments: str = ""


class _SentCall(msgspec.Struct, frozen=True):
    function: _SentFunction
    id: str = ""


class _SentMessage(msgspec.Struct, frozen=True):
    role: str
    content: str | None = None
    tool_calls: list[_SentCall] | None = None
    tool_call_id: str = ""


class _Tool(msgspec.Struct, frozen=True):
    function: _SentFunction


class _SentRequest(msgspec.Struct, frozen=True):
    messages: list[_SentMessage]
    model: str = "offline"
    tools: list[_Tool] | None = None


class ShownEntry(msgspec.Struct, frozen=True):
    """A packaged input, alert or status of the queue, its fields as rendered."""

    type: str = ""
    message: str = ""
    time: str = ""
    name: str = ""
    reason: str = ""
    timer: str = ""
    note: str = ""
    due: str = ""
    source: str = ""
    detail: str = ""
    last_login: str = ""
    recall_messages: int = -1
    archival_passages: int = -1
    attached_sources: str = ""


class _Result(msgspec.Struct, frozen=True):
    status: str = ""
    message: str = ""


class DoneCall(msgspec.Struct, frozen=True):
    """A call of the present turn and its result. `step` counts the turn's answers from 0."""

    step: int
    name: str
    arguments: dict[str, Any]
    ok: bool
    result: str


class ShownBlock(msgspec.Struct, frozen=True):
    label: str
    text: str
    limit: int


class ShownMessage(msgspec.Struct, frozen=True):
    """Something that was said in the visible queue. `who`: user or assistant."""

    who: str
    text: str
    time: str
    at: int
    """Its place among the messages."""


_requests: Final = msgspec.json.Decoder(_SentRequest)
_entries: Final = msgspec.json.Decoder(ShownEntry)
_results: Final = msgspec.json.Decoder(_Result)


def entry_of(content: str | None) -> ShownEntry:
    """A user-role message unpacked; text that is not a package is a user's message."""
    text = content or ""
    if text.startswith("{"):
        try:
            entry = _entries.decode(text)
        except (msgspec.MsgspecError, RecursionError):
            entry = ShownEntry()
        if entry.type:
            return entry
    return ShownEntry(type="user_message", message=text)


class RequestView:
    """What a request shows. `entry` is the input of the present turn, `done` its calls so far."""

    def __init__(self, request: bytes) -> None:
        try:
            decoded = _requests.decode(request)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            detail = f"The request is not a chat-completions request ({error}). Send `messages` with roles and text."
            raise ModelFailed("bad_request", detail) from error
        if not decoded.messages:
            raise ModelFailed("bad_request", "The request has no messages. Send at least the system message.")
        self.messages = decoded.messages
        self.model = decoded.model
        self.tools = frozenset([tool.function.name for tool in decoded.tools or ()])
        self.status = ShownEntry()
        self.warned = False
        self._walk_turn()

    def _walk_turn(self) -> None:
        """Find the turn's input from the end, its calls on the way, and a warning that no answer followed."""
        answers: list[_SentMessage] = []
        results: dict[str, str] = {}
        self.entry, self.at = ShownEntry(), len(self.messages)
        for at in range(len(self.messages) - 1, -1, -1):
            message = self.messages[at]
            if message.role == "assistant":
                answers.append(message)
            elif message.role == "tool":
                results.setdefault(message.tool_call_id, message.content or "")
            elif message.role == "user" and self._takes(entry_of(message.content), bool(answers)):
                self.at = at
                break
        # A warning may stand right before the input.
        if not answers and self.at < len(self.messages):
            before = self.messages[self.at - 1] if self.at else None
            self.warned |= before is not None and before.role == "user" and WARNING in (before.content or "")[:200]
        answers.reverse()
        self.done = [d for step, answer in enumerate(answers) for d in _done(step, answer, results)]

    def _takes(self, entry: ShownEntry, answered: bool) -> bool:
        """Take note of a queue's entry; True if it is the turn's input."""
        match entry.type:
            case "memory_status":
                self.status = self.status if self.status.type else entry
                return False
            case "system_alert" if entry.message.startswith(WARNING):
                self.warned |= not answered
                return False
            case "system_alert" if entry.message.startswith(HIDDEN):
                return False
            case "heartbeat" if not entry.reason.startswith(TIMED):
                return False
        self.entry = entry
        return True

    @cached_property
    def text(self) -> str:
        """What the user said, as far as it is analysed."""
        return _SPACES.sub(" ", self.entry.message[:READ_CHARS])

    @property
    def time(self) -> str:
        """`YYYY-MM-DD HH:MM:SS UTC`, or an offset for UTC, of the input or else of the status line."""
        return self.entry.time or self.status.time

    @cached_property
    def blocks(self) -> dict[str, ShownBlock]:
        """Core memory, read from the system message."""
        return _blocks(self.messages[0].content or "") if self.messages[0].role == "system" else {}

    @cached_property
    def summary(self) -> str:
        """The recursive summary ("" where nothing was evicted)."""
        for message in self.messages[1:3]:
            if message.role == "user" and message.content and HIDDEN in message.content[:120]:
                return entry_of(message.content).message.partition("\n")[2].partition("\n")[2]
        return ""

    @cached_property
    def is_first(self) -> bool:
        """No answer of the agent's is visible, and none was evicted."""
        return not self.summary and not any(message.role == "assistant" for message in self.messages)

    @property
    def is_due(self) -> bool:
        """A message to the user is due at once."""
        return self.is_first or bool(self.status.note)

    @cached_property
    def answered(self) -> bool:
        """The turn has a message to the user that no further step was asked to follow."""
        going_on = {d.step for d in self.done if d.arguments.get(HEARTBEAT.name) is True}
        return any(d.ok and d.name == SEND_MESSAGE.name and d.step not in going_on for d in self.done)

    @cached_property
    def failures(self) -> list[DoneCall]:
        return [d for d in self.done if not d.ok]

    def said(self, *starts: str) -> Iterator[ShownMessage]:
        """What was said before the present input, latest first; with `starts`, only what holds one of them."""
        for at in range(self.at - 1, 0, -1):
            message = self.messages[at]
            if message.role == "user":
                content = message.content or ""
                if _may_hold(content, starts) and (content.startswith(_USER) or not content.startswith("{")):
                    entry = entry_of(content)
                    yield ShownMessage("user", _SPACES.sub(" ", entry.message[:READ_CHARS]), entry.time, at)
            elif message.role == "assistant":
                for call in message.tool_calls or ():
                    if call.function.name == SEND_MESSAGE.name and _may_hold(call.function.arguments, starts):
                        text = _object(call.function.arguments).get("message")
                        if isinstance(text, str):
                            yield ShownMessage("assistant", text[:READ_CHARS], self._time_near(at), at)

    def spoke_last(self, words: str) -> bool:
        """Whether the agent's last message to the user, before the present input, holds these words."""
        for at in range(self.at - 1, 0, -1):
            for call in self.messages[at].tool_calls or ():
                if call.function.name == SEND_MESSAGE.name:
                    return words in call.function.arguments
        return False

    def last_call(self, name: str, holding: str) -> int:
        """Where the queue's last call of a function stands whose arguments hold a text (0: nowhere)."""
        for at in range(len(self.messages) - 1, 0, -1):
            for call in self.messages[at].tool_calls or ():
                if call.function.name == name and holding in call.function.arguments:
                    return at
        return 0

    def _time_near(self, at: int) -> str:
        """The time of the nearest package at or before a message that has none of its own."""
        before = (self.messages[near] for near in range(at, 0, -1))
        return next((entry_of(message.content).time for message in before if message.role == "user"), "")


def _may_hold(text: str, starts: tuple[str, ...]) -> bool:
    low = text.lower() if starts else ""
    return not starts or any(start in low for start in starts) or "\\u" in low


def _object(arguments: str) -> dict[str, Any]:
    try:
        return _arguments.decode(arguments)
    except (msgspec.MsgspecError, RecursionError):
        return {}


def _done(step: int, answer: _SentMessage, results: dict[str, str]) -> Iterator[DoneCall]:
    for call in answer.tool_calls or ():
        if (content := results.get(call.id)) is None:
            continue
        try:
            result = _results.decode(content)
        except (msgspec.MsgspecError, RecursionError):
            result = _Result("OK", content)
        given = _object(call.function.arguments)
        yield DoneCall(step, call.function.name, given, result.status != "Failed", result.message)


def _blocks(system: str) -> dict[str, ShownBlock]:
    found: dict[str, ShownBlock] = {}
    at = system.find(' characters="')
    while at >= 0:
        label = system[system.rfind("<", 0, at) + 1 : at]
        opened = system.find('">', at)
        closed = system.find(f"</{label}>", opened)
        if opened < 0 or closed < 0:
            break
        limit = system[at + 13 : opened].partition('"')[0].partition("/")[2]
        text = system[opened + 2 : closed].removeprefix("\n").removesuffix("\n")
        found[label] = ShownBlock(label, text, int(limit[:9]) if limit.isascii() and limit.isdigit() else 2000)
        at = system.find(' characters="', closed)
    return found
