"""What a model wrote in its text, told apart: what it says, what it thinks, and the functions that it calls.

Rules. (1) Wherever the text is cut, the pieces join to the same whole: `read` is a `Splitter` that is fed once. (2) No
markup is ever said: a call that cannot be read is a call that fails, with its own text, so that the model is told. (3)
A text that only talks of markup stays a text: what stands in a block or span of code or in quotation marks, and JSON
that names no function of the agent's.

A library could have read these: agent-tool-parser 0.1.3 (PyPI) knows most of the forms, but closes what was cut off,
repairs JSON by guessing, and renames functions and parameters (`query` becomes `pattern`); openai-harmony reads
harmony's tokens, not their text, and fetches its vocabulary; vLLM's and SGLang's parsers come only with their servers.
"""

from __future__ import annotations

import re
from typing import Final, assert_never

import msgspec

from palimpsest.events.functions import UNREAD
from palimpsest.events.markup_calls import Functions, Unreadable, calls_in
from palimpsest.events.markup_forms import BY_TEXT, TAGS, Tag
from palimpsest.events.markup_given import Given, TextPiece
from palimpsest.events.markup_places import (
    ENDS_TRIED,
    LONGEST,
    are_broken_calls,
    are_calls,
    bare_end,
    beginning,
    ends,
    first_of,
    is_begun,
    may_be_calls,
    named_in,
    opening,
    skip,
)
from palimpsest.events.types import ToolCall

_TAG: Final = re.compile("|".join(re.escape(tag.text) for tag in sorted(TAGS, key=lambda tag: -len(tag.text))))
_NEXT: Final = re.compile(f"{_TAG.pattern}|[`{{\\[]")
_CALL_TAGS: Final = ("<tool_call>", *(tag.text for tag in TAGS if tag.kind == "call" and tag.token))
_THOUGHT_ENDS: Final = tuple(tag.text for tag in TAGS if tag.kind == "thought")
_QUOTES: Final = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb", "\u201e": "\u201c"}
_FENCE: Final = re.compile(r"```+[ \t]*([\w+-]*)[ \t]*")
_FENCES_OF_CALLS: Final = frozenset({"", "json", "tool_call", "tool_calls", "tool_code", "python", "tool"})
_HEADER: Final = re.compile(r"(?:<\|start\|>|<\|channel\|>|<\|constrain\|>|[^<]){1,200}")
_HARMONY_END: Final = re.compile(r"<\|(?:end|call|return|start|channel)\|>")
_MAY_BEGIN_TO: Final = re.compile(r"\s*(?:to?|to=[\w.:-]{0,80}\s*)?")
_BEGINS_TO: Final = re.compile(r"\s*to=[\w.:-]*\s*(<\|(?:channel|constrain|message)\|>)?")
_RECIPIENT: Final = re.compile(r"\bto=([\w.:-]+)")


class MarkupReading(msgspec.Struct, frozen=True):
    """`calls` holds those that could not be read too, as calls that fail; `unread` are their texts."""

    text: str = ""
    thoughts: str = ""
    calls: tuple[ToolCall, ...] = ()
    unread: tuple[str, ...] = ()


def read(content: str, functions: Functions) -> MarkupReading:
    """A whole text, read."""
    splitter = Splitter(functions)
    splitter.feed(content)
    splitter.end()
    return splitter.reading()


class Splitter:
    """Reads a text as it arrives. `thinking`: it is known that the model begins with a thought and no tag for it.

    From the first call on it waits for the end: nothing that follows is said before it is known what it is.
    """

    def __init__(self, functions: Functions, *, thinking: bool = False) -> None:
        self._functions = functions
        self._rest = ""  # what is not decided yet
        self._given = Given()
        self._calls: list[ToolCall] = []
        self._unread: list[str] = []
        self._closes: tuple[str, ...] = _THOUGHT_ENDS if thinking else ()  # inside a thought: what ends it
        self._assumed = thinking
        self._waits = False
        self._held: list[str] = []
        self._code = False
        self._plain = False  # harmony says that this is for the user: no JSON in it is a call
        self.withdrew = False
        """Whether a thought ended that no tag had begun."""

    def feed(self, text: str) -> list[TextPiece]:
        """The pieces that are sure now."""
        if self._waits:
            self._held.append(text)
            return []
        self._rest += text
        return self._pieces(final=False)

    def end(self) -> list[TextPiece]:
        """The pieces of what was held back."""
        self._rest += "".join(self._held)
        self._held, self._waits = [], False
        pieces = self._pieces(final=True)
        if self._assumed and self._closes:  # it did not think after all
            self._assumed, self._closes = False, ()
            self._rest = self._given.take_thoughts()
            pieces += self._pieces(final=True)
        self._given.end()
        return pieces + self._given.pieces()

    def reading(self) -> MarkupReading:
        """All that was read, after `end`."""
        return MarkupReading(self._given.text, self._given.thoughts, tuple(self._calls), tuple(self._unread))

    def _pieces(self, *, final: bool) -> list[TextPiece]:
        at = 0
        while at < len(self._rest) and not (self._waits and not final):
            step = self._think if self._closes else self._in_code if self._code else self._text
            end = step(at, final)
            if end == at:
                break
            at = end
        self._rest = self._rest[at:]
        return self._given.pieces()

    # --- outside of thoughts

    def _text(self, at: int, final: bool) -> int:
        rest = self._rest
        if self._given.is_empty:
            if not final and _MAY_BEGIN_TO.fullmatch(rest, at):
                return at
            recipient = _BEGINS_TO.match(rest, at)
            if recipient and not final and recipient.end() > len(rest) - LONGEST:
                return at
            if recipient and recipient[1]:
                return self._channel(at, final)
        found = _NEXT.search(rest, at)
        if found is None:
            end = len(rest) if final else len(rest) - beginning(rest, at)
            self._given.say(rest[at:end])
            return end
        if found.start() > at:
            self._given.say(rest[at : found.start()])
            return found.start()
        sign = found[0]
        if not final and is_begun(rest[at:]):
            return at
        if sign == "`":
            return self._backticks(at, final)
        if sign in "{[":
            return self._bare(at, final)
        return self._tag(BY_TEXT[sign], at, final)

    def _tag(self, tag: Tag, at: int, final: bool) -> int:
        rest, end = self._rest, at + len(tag.text)
        if not final and end == len(rest):
            return at  # a quotation mark may follow
        if self._is_quoted(tag, end):
            self._given.say(tag.text)
            return end
        match tag.kind:
            case "thinks":
                return self._begin_thought(tag, at, end, final)
            case "thought":
                self._given.withdraw()
                self.withdrew = True
                return end
            case "channel":
                return self._channel(at, final)
            case "call":
                return self._wait(at) if not final else self._block(tag, at)
            case "stray":
                self._given.mark()
                return end
            case _:
                assert_never(tag.kind)

    def _is_quoted(self, tag: Tag, end: int) -> bool:
        """Whether a quotation mark stands before the tag, and for a token its like behind it too."""
        close = _QUOTES.get(self._given.before)
        if close is None:
            return False
        return not tag.token or self._rest[end : end + 1] == close

    def _begin_thought(self, tag: Tag, at: int, end: int, final: bool) -> int:
        """A token, or at a line's beginning, it is a thought whatever comes; else once its end is there."""
        if not tag.token and not self._given.line_begins and not any(close in self._rest[end:] for close in tag.closes):
            if not final:
                return at
            self._given.say(tag.text)
            return end
        self._given.mark()
        self._closes = tag.closes
        return end

    def _wait(self, at: int) -> int:
        self._waits = True
        return at

    def _backticks(self, at: int, final: bool) -> int:
        """A span of code in a line, or a block of it."""
        rest = self._rest
        run = re.compile("`+").match(rest, at)
        assert run is not None, "it was found by its first sign"
        if not final and run.end() == len(rest):
            return at
        if len(run[0]) >= 3 and self._given.line_begins:
            return self._fence(at, final)
        line = rest.find("\n", run.end())
        close = rest.find(run[0], run.end(), line if line >= 0 else len(rest))
        if close < 0 and line < 0 and not final:
            return at
        end = close + len(run[0]) if close >= 0 else run.end()
        self._given.say(rest[at:end])
        return end

    def _fence(self, at: int, final: bool) -> int:
        """A block of code; one that is nothing but calls of the agent's functions is those."""
        rest = self._rest
        begin = _FENCE.match(rest, at)
        assert begin is not None, "it begins with backticks"
        start = skip(rest, begin.end())
        if self._plain or (begin[1] not in _FENCES_OF_CALLS and begin.end() < len(rest)):
            return self._open_code(at, begin.end())
        if not final:
            body = rest[start:]
            return self._wait(at) if not body or may_be_calls(body, self._functions) else self._open_code(at, start)
        close = rest.find("```", start)
        body = rest[start : close if close >= 0 else len(rest)]
        cut = close < 0 and may_be_calls(body, self._functions) and named_in(body, self._functions)
        if cut or are_calls(body, self._functions) or are_broken_calls(body, self._functions):
            self._take(body, closed=close >= 0)
            return close + 3 if close >= 0 else len(rest)
        return self._open_code(at, begin.end())

    def _open_code(self, at: int, end: int) -> int:
        self._given.say(self._rest[at:end])
        self._code = True
        return end

    def _in_code(self, at: int, final: bool) -> int:
        rest = self._rest
        close = rest.find("```", at)
        if close >= 0:
            self._code = False
            self._given.say(rest[at : close + 3])
            return close + 3
        end = len(rest) if final else len(rest) - (len(rest) - len(rest.rstrip("`")))
        self._given.say(rest[at:end])
        return end

    # --- calls without a tag

    def _bare(self, at: int, final: bool) -> int:
        """JSON or Python at a line's beginning: a call, if it names a function of the agent's."""
        rest = self._rest
        if self._given.line_begins and not self._plain:
            if not final and may_be_calls(rest[at:], self._functions):
                return self._wait(at)
            end = bare_end(rest, at, self._functions) if final else at
            if end > at:
                self._take(rest[at:end])
                return end
        self._given.say(rest[at])
        return at + 1

    # --- calls in tags

    def _block(self, tag: Tag, at: int) -> int:
        """The calls between a tag and its end; where they cannot be read, one call that fails."""
        self._given.mark()
        rest = self._rest
        start = at if tag.inner else at + len(tag.text)
        places = ends(rest, tag, start, at + len(tag.text))
        for body_end, end in places:
            try:
                calls = calls_in(rest[start:body_end], self._functions, closed=end > body_end or tag.inner)
            except Unreadable:
                continue
            self._calls += calls
            return end
        body_end, end = places[0] if tag.closes else places[-1]
        self._fail(rest[start:body_end])
        return end

    def _take(self, body: str, *, closed: bool = True) -> None:
        """Calls of the agent's functions, or one that fails."""
        self._given.mark()
        try:
            self._calls += calls_in(body if closed else "", self._functions)
        except Unreadable:
            self._fail(body)

    def _fail(self, body: str) -> None:
        self._unread.append(body)
        name = named_in(body, self._functions)
        known = name if name and body.lstrip().startswith("{") else UNREAD
        self._calls.append(ToolCall(id="", name=known, arguments=body or "(empty)"))

    # --- harmony

    def _channel(self, at: int, final: bool) -> int:
        """`<|start|>assistant to=functions.f<|channel|>commentary<|constrain|>json<|message|>` and what follows."""
        rest = self._rest
        message = rest.find("<|message|>", at)
        header = _HEADER.match(rest, at)
        if message < 0 and not final and header and header.end() > len(rest) - LONGEST:
            return at
        assert header is not None, "it begins with one of its tokens"
        recipient = _RECIPIENT.search(header[0])
        if recipient and not final:
            return self._wait(at)
        self._given.mark()
        if message < 0 or header.end() < message:
            if recipient:
                self._fail(header[0])
            return header.end()
        start = message + len("<|message|>")
        if recipient:
            return self._harmony_call(recipient[1], start)
        if "<|channel|>analysis" in header[0]:
            self._closes = BY_TEXT["<|channel|>"].closes
        self._plain = "<|channel|>final" in header[0]
        return start

    def _harmony_call(self, name: str, start: int) -> int:
        rest = self._rest
        places = [*[start + found.start() for found in _HARMONY_END.finditer(rest[start:])][:ENDS_TRIED], len(rest)]
        for end in places:
            try:
                self._calls += calls_in(f"{name}<|message|>{rest[start:end]}", self._functions)
            except Unreadable:
                continue
            return end
        self._fail(rest[start : places[0]])
        return places[0]

    # --- inside a thought

    def _think(self, at: int, final: bool) -> int:
        rest = self._rest
        if self._assumed and (begun := opening(rest, at)):  # it does begin with a tag
            return begun
        found = [(rest.find(close, at), close) for close in self._closes]
        first = min((each for each in found if each[0] >= 0), default=None)
        call = first_of(_CALL_TAGS, rest, at)
        if first is not None:
            self._given.think(rest[at : first[0]])
            self._given.end_thought()
            self._closes = ()
            self._given.mark()
            opens = BY_TEXT[first[1]].kind == "channel"
            return first[0] if opens else first[0] + len(first[1])
        if final and call >= 0:  # the thought was never closed: the call ends it
            self._given.think(rest[at:call])
            self._closes = ()
            self._given.mark()
            return call
        end = len(rest) if final else len(rest) - beginning(rest, at)
        end = min(end, call) if call >= 0 else end
        self._given.think(rest[at:end])
        return end
