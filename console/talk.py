"""What `chat` needs of a client, and how a reply's end is put into words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from palimpsest.console.called import as_typed
from palimpsest.events.vocabulary import CutOrNot
from palimpsest.questions.texts import one_line

if TYPE_CHECKING:
    from palimpsest.actors.client import Reply, Ticket
    from palimpsest.actors.loads.loading import OnProgress, Report
    from palimpsest.actors.models.protocol import Piece
    from palimpsest.actors.requests.forks import Origin, Overrides, Undone
    from palimpsest.actors.requests.turns import Ending
    from palimpsest.actors.requests.zones import ZoneChange
    from palimpsest.events.envelope import Envelope
    from palimpsest.events.formats import Format
    from palimpsest.events.state import State
    from palimpsest.events.types import AgentCreated, Settings, Timer
    from palimpsest.store.logs.contract import StreamHead


class Talker(Protocol):
    """The part of `actors.client.Client` that a chat uses."""

    async def create(self, agent: str, born: AgentCreated) -> None: ...

    async def state(self, agent: str) -> State: ...

    async def change_settings(self, agent: str, settings: Settings) -> None: ...

    async def change_zone(self, agent: str, zone: str) -> ZoneChange: ...

    async def change_format(self, agent: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Format: ...

    def stream(self, agent: str, text: str) -> AsyncIterator[Ticket | Piece | Reply]: ...

    def listen(self, agent: str) -> AsyncIterator[Reply]: ...

    async def stop(self, agent: str, reason: str = "", *, input: int = 0) -> bool: ...

    async def set_timer(self, agent: str, timer: Timer) -> Timer: ...

    async def cancel_timer(self, agent: str, timer_id: str) -> bool: ...

    async def timers(self, agent: str) -> list[Timer]: ...

    async def events(self, agent: str, after: int = 0) -> list[Envelope]: ...

    async def agents(self) -> list[StreamHead]: ...

    async def sources(self) -> list[str]: ...

    async def attach(self, source: str, agents: Sequence[str]) -> list[str]: ...

    async def load_source(
        self, source: str, paths: Sequence[Path], *, agents: Sequence[str] = (), on_progress: OnProgress | None = None
    ) -> Report: ...

    async def indexed(self, *, wait_s: float = 0.0) -> int: ...

    async def free_name(self, agent: str) -> str: ...

    async def fork(
        self, agent: str, name: str, *, at: int | None = None, overrides: Overrides | None = None
    ) -> Origin: ...

    async def undo(self, agent: str) -> Undone: ...


_FAILED: Final[frozenset[Ending]] = frozenset({"inference_failed", "failure_limit", "window_too_small", "repeating"})
"""Reasons of a turn's end that are failures, whatever was said before."""

_WELL: Final[frozenset[Ending]] = frozenset({"yielded", "skipped"})
_ENDS: Final[Mapping[Ending, str]] = {
    "stopped": "The turn was stopped.",
    "inference_failed": "The model gave no answer.",
    "window_too_small": "The window is too small.",
    "step_limit": "The turn was ended at its limit of steps.",
    "token_limit": "The turn was ended at its limit of tokens.",
    "failure_limit": "The turn was ended: the model made no good call.",
    "repeating": "The turn was ended: the model made the same call again and again.",
    "skipped": "The input was skipped.",
}


_CUTS: Final[Mapping[CutOrNot, str]] = {
    "length": "The answer above is not whole: it was cut off at the length limit. Ask the agent to go on.",
    "content_filter": "The answer above is not whole: the server's content filter cut it off.",
    "interrupted": "The answer above is not whole: the server broke it off. Ask the agent to go on.",
}


def is_failed(reply: Reply, *, asked: bool = True) -> bool:
    """Whether this end is a failure. Where the user `asked` something, so is every end without an answer."""
    if reply.reason in _FAILED:
        return True
    return not reply.messages and (asked or reply.reason not in _WELL)


def ending(reply: Reply) -> str:
    """How a turn ended, where it did not end as it should; else ""."""
    cut = _CUTS.get(reply.cut, "")
    if reply.reason == "yielded":
        return cut if reply.messages else "The agent ended its turn without a message."
    said = _ENDS.get(reply.reason, f"The turn ended: {reply.reason}.")
    said = said if reply.reason == "stopped" else f"{said} {as_typed(one_line(reply.detail, 1000))}".rstrip()
    return f"{cut} {said}".lstrip()


def notes(reply: Reply) -> list[str]:
    """What did not go as usual in a turn that ended well."""
    return [one_line(each, 400) for each in reply.notes] if reply.reason == "yielded" else []
