"""Bisecting a history: the event after which a check on the agent's state or context turns from good to bad.

Rules. (1) Both ends are checked first: between a good one and a bad one there is such an event, whatever the check does
meanwhile. (2) A check that turns bad once and stays so has exactly one, which is found; of one that comes and goes (a
text in the window) one of them is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from palimpsest.events.context import reply_request
from palimpsest.events.errors import BadInput, NoBoundary
from palimpsest.events.own_fields import unseen
from palimpsest.events.state import State

CONTEXT: Final = "context"
STATE: Final = "state"
SUMMARY: Final = "summary"
CORE: Final = "core"
PLACES: Final = (CONTEXT, STATE, SUMMARY, CORE)
"""What a text can be looked for in: the whole window, all of the state, the recursive summary, core memory."""

_DEPTH: Final = 8


class Boundary(msgspec.Struct, frozen=True, kw_only=True):
    """The check is good after event `good`, and bad after event `bad`, the next. `checks` were made."""

    good: int
    bad: int
    checks: int


def bisect(good: int, bad: int, check: Callable[[int], bool]) -> Boundary:
    """The boundary between two events, good < bad; `check` says whether the agent is good after an event. Raises
    NoBoundary."""
    if not check(good):
        raise NoBoundary(good, good=False)
    if check(bad):
        raise NoBoundary(bad, good=True)
    checks = 2
    while bad - good > 1:
        middle = (good + bad) // 2
        checks += 1
        if check(middle):
            good = middle
        else:
            bad = middle
    return Boundary(good=good, bad=bad, checks=checks)


# --- texts --------------------------------------------------------------------------------------------------------


def says(state: State, text: str, place: str = CONTEXT) -> bool:
    """Whether a text stands in a part of the state: as it was said, or as JSON has it where it was packed."""
    return any(text in each for each in texts_in(state, place))


def texts_in(state: State, place: str) -> Iterator[str]:
    """The texts of a part of the state. The context is the window that the next reply would be asked for with."""
    state = unseen(state)
    match place:
        case "context":
            yield from _texts(msgspec.json.decode(reply_request(state))["messages"])
        case "state":
            yield from _texts(described(state))
        case "summary":
            yield state.summary.text if state.summary else ""
        case "core":
            yield from (block.value for block in state.blocks)
        case _:
            raise BadInput(f"There is no '{place}' to look in: it is {', '.join(PLACES[:-1])} or {PLACES[-1]}.")


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """All texts in plain data, and those in the JSON that some of them hold."""
    match value:
        case str():
            yield value
            if value[:1] in ("{", "[") and depth < _DEPTH:
                try:
                    inner = msgspec.json.decode(value)
                except (msgspec.DecodeError, UnicodeError, RecursionError):
                    return
                yield from _texts(inner, depth + 1)
        case dict():
            for each in value.values():
                yield from _texts(each, depth)
        case list():
            for each in value:
                yield from _texts(each, depth)


def described(state: State) -> dict[str, Any]:
    """A state as plain data for a check of one's own: messages as the objects that they are on the wire."""
    plain: dict[str, Any] = _readable(state)
    return plain


def _readable(value: Any) -> Any:
    """Plain data, in which what is on the wire as JSON is an object."""
    match value:
        case msgspec.Struct():
            return {name: _readable(getattr(value, name)) for name in value.__struct_fields__}
        case tuple() | list():
            return [_readable(each) for each in value]
        case dict():
            return {name: _readable(each) for name, each in value.items()}
        case bytes() if value[:1] == b"{":
            return msgspec.json.decode(value)
        case bytes():
            return value.hex()
    return value
