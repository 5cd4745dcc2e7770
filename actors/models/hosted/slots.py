"""Whose request a server gets next: a bound for each server, shared fairly, and closed while the server asks for rest.

Rules. (1) A server holds up its own callers alone. (2) Agents take turns; the requests of one agent go in the order in
which they came. (3) While one caller waits because the server is busy (429, 503, Retry-After), nobody asks it; after
that one request goes first, and the others follow once the server took it. A server that stays busy is so for all who
wait. (4) The least bound that an agent asked for holds for all who call the server: it is the server's.
"""

from __future__ import annotations

import asyncio
import urllib.parse
from collections import deque
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

IN_FLIGHT: Final = 64
"""As many requests are at a server at once where nobody says otherwise."""

T = TypeVar("T")

_PORTS: Final = {"http": 80, "https": 443}


@lru_cache(maxsize=1024)
def server_of(url: str) -> str:
    """What a base_url names, however it is written: without credentials, the default port and a slash at the end."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        return url
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    shown = f":{port}" if port and port != _PORTS.get(parts.scheme) else ""
    return f"{parts.scheme}://{host}{shown}{parts.path.rstrip('/')}"


class WaitingLine(Generic[T]):
    """Those who wait for one server, by agent, and how many it serves now. It knows no clock and no loop."""

    def __init__(self, bound: int = IN_FLIGHT) -> None:
        self._default = bound
        self._bounds: dict[str, int] = {}
        self._waiting: dict[str, deque[T]] = {}  # the agent whose turn it is stands first
        self.running = 0
        self.resting = 0
        """How many callers wait because the server is busy."""
        self.careful = False
        """The server was busy, and took no request since."""
        self.refusals = 0
        """How often the server was found busy; what came back together is once."""
        self._in_a_row = 0

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    @property
    def bound(self) -> int:
        return min(self._bounds.values(), default=self._default)

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be forgotten with it."""
        return not (self.running or self._waiting or self.resting or self.careful or self._bounds)

    def join(self, agent: str, ticket: T, bound: int = 0) -> None:
        """Wait behind the agent's own. `bound`: what the agent's settings say of the server (0: nothing)."""
        if bound > 0:
            self._bounds[agent] = bound
        else:
            self._bounds.pop(agent, None)
        self._waiting.setdefault(agent, deque()).append(ticket)

    def give_up(self, agent: str, ticket: T) -> None:
        """Wait no more."""
        mine = self._waiting.get(agent)
        if mine is not None and ticket in mine:
            mine.remove(ticket)
            if not mine:
                del self._waiting[agent]

    def next(self) -> T | None:
        """Whoever may ask the server now; it counts as running. None: nobody."""
        bound = 1 if self.careful else self.bound
        if self.resting or not self._waiting or self.running >= bound:
            return None
        agent = next(iter(self._waiting))
        mine = self._waiting.pop(agent)
        ticket = mine.popleft()
        if mine:
            self._waiting[agent] = mine  # behind the other agents
        self.running += 1
        return ticket

    def done(self) -> None:
        """One that was running is not any more."""
        self.running -= 1

    def rest(self, refusals_then: int) -> None:
        """The server is busy: nobody asks before `rested`, and then one alone. `refusals_then`: when it was asked."""
        self.resting += 1
        self.careful = True
        if refusals_then == self.refusals:
            self.refusals += 1
            self._in_a_row += 1

    def refused_since(self, refusals_then: int) -> int:
        """How often in a row, and since then, the server was found busy."""
        return min(self._in_a_row, self.refusals - refusals_then)

    def rested(self) -> None:
        self.resting -= 1

    def took(self) -> None:
        """The server took a request, whatever it made of it."""
        self.careful = False
        self._in_a_row = 0


class Slots:
    """The lines of all servers, for callers on one event loop. `bound` holds where no agent asks for a lesser one."""

    def __init__(self, bound: int = IN_FLIGHT) -> None:
        self._bound = bound
        self._lines: dict[str, WaitingLine[asyncio.Future[None]]] = {}

    def line(self, url: str) -> WaitingLine[asyncio.Future[None]]:
        server = server_of(url)
        line = self._lines.get(server)
        if line is None:
            self._lines = {name: each for name, each in self._lines.items() if not each.is_idle}
            line = self._lines[server] = WaitingLine(self._bound)
        return line

    async def enter(self, line: WaitingLine[asyncio.Future[None]], agent: str, bound: int = 0) -> None:
        """Wait for a slot; whoever has it must `leave`."""
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.join(agent, ticket, bound)
        _admit(line)
        try:
            await ticket
        except asyncio.CancelledError:
            if ticket.done() and not ticket.cancelled():  # called up and called off at once
                self.leave(line)
            else:
                line.give_up(agent, ticket)
            raise

    def leave(self, line: WaitingLine[asyncio.Future[None]]) -> None:
        line.done()
        _admit(line)

    def rested(self, line: WaitingLine[asyncio.Future[None]]) -> None:
        """A caller has waited as long as the server asked for."""
        line.rested()
        _admit(line)

    def figures(self) -> dict[str, dict[str, Any]]:
        """Of each server: how many requests it serves and how many wait, of at most how many, and whether it rests."""
        return {
            server: {
                "running": line.running,
                "waiting": line.waiting,
                "bound": line.bound,
                "resting": bool(line.resting),
            }
            for server, line in self._lines.items()
        }


def _admit(line: WaitingLine[asyncio.Future[None]]) -> None:
    while (ticket := line.next()) is not None:
        if ticket.done():  # called off before its turn came
            line.done()
        else:
            ticket.set_result(None)
