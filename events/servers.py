"""Which server an agent's requests go to: its own, one of its fallbacks, or its summariser's.

Rules. (1) An agent has an order of servers: the one of its settings, then `Settings.fallbacks`. The one that is asked
stands in the state, and only an event moves it (`ServerSwitched`). (2) Whoever renders or counts a request takes the
state's settings, which are those of the server that is asked; what was chosen stands beside them. (3) A turn asks no
server again that failed in it. (4) When the first is tried again hangs on the log alone: on the time of a turn's input.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from palimpsest.events.state import State, Turn
from palimpsest.events.types import Server, ServerSwitched, Settings
from palimpsest.events.vocabulary import NoAnswerOrNone

_DOWN: Final[frozenset[NoAnswerOrNone]] = frozenset(
    {"unreachable", "timeout", "server_error", "rate_limited", "wrong_key", "not_allowed"}
)
"""Failures of a summary that the agent's own server is to blame for, whichever of its models was asked."""
_WHY_CHARS: Final = 400
_LINE_CHARS: Final = 240
"""Of each server's failure, where several are told in one line."""


_FOR_ITS_OWN: Final[dict[str, Any]] = {
    "tool_choice": "",
    "parallel_tool_calls": None,
    "response_format": "",
    "seed": None,
    "reasoning_effort": "",
    "extra_body": "",
    "headers": "",
}
"""What is said to the agent's own server alone: another may not take it."""


def chosen(state: State) -> Settings:
    """The settings as they were chosen, whichever server is asked now."""
    return state.chosen or state.settings


def served(settings: Settings, server: Server) -> Settings:
    """The settings with another server in the place of the agent's own; what the server does not say is as there."""
    reserve_tokens = server.reserve_tokens or settings.reserve_tokens
    if server.window_tokens and not server.reserve_tokens:
        reserve_tokens = min(reserve_tokens, max(1, server.window_tokens // 4))
    return replace(
        settings,
        model=server.model,
        base_url=server.base_url,
        window_tokens=server.window_tokens or settings.window_tokens,
        reserve_tokens=reserve_tokens,
        output_parameter=server.output_parameter,
        encoding=server.encoding,
        token_margin=server.token_margin,
        margin_learned=0.0,
        in_flight=server.in_flight,
        **_FOR_ITS_OWN,
    )


def at(settings: Settings, number: int) -> Settings:
    """The settings with which server `number` is asked (0: the agent's own, then its fallbacks).

    `summarizer` is the name of a model at the agent's own server: elsewhere the fallback's own model takes its place.
    """
    if not 0 < number <= len(settings.fallbacks):
        return settings
    return replace(served(settings, settings.fallbacks[number - 1]), summarizer="")


def all_of(settings: Settings) -> tuple[Settings, ...]:
    """The settings with which each server would be asked, in order: the agent's own, then its fallbacks."""
    return tuple(at(settings, number) for number in range(len(settings.fallbacks) + 1))


def summarizer(settings: Settings) -> Settings:
    """The settings with which a summary is asked for."""
    if settings.summarizer_at is not None:
        return served(settings, settings.summarizer_at)
    return replace(settings, model=settings.summarizer or settings.model)


# --- the way from one to another ----------------------------------------------------------------------------------


def next_server(state: State, *, larger: bool = False) -> int | None:
    """The next server of the order that has not failed in this turn, after the last one the first again.

    `larger`: one with more room for a request.
    """
    settings, turn = chosen(state), state.turn
    count = len(settings.fallbacks) + 1
    gone = {down.server for down in turn.down} if turn else set()
    for number in ((state.server + step) % count for step in range(1, count)):
        if number not in gone and (not larger or _room(at(settings, number)) > _room(state.settings)):
            return number
    return None


def _room(settings: Settings) -> int:
    return settings.window_tokens - settings.reserve_tokens


def fail_over(state: State, why: str, *, larger: bool = False) -> ServerSwitched | None:
    """The switch to the next server, since this one failed; None: there is none."""
    number = next_server(state, larger=larger)
    if number is None:
        return None
    return ServerSwitched(server=number, settings=at(chosen(state), number), reason=why[:_WHY_CHARS])


def fail_over_summary(state: State) -> ServerSwitched | None:
    """The switch where a summary failed since the agent's own server did; else the ladder of summaries goes on."""
    eviction = state.eviction
    if eviction is None or eviction.gone or eviction.error not in _DOWN or state.settings.summarizer_at is not None:
        return None
    return fail_over(state, eviction.note)


def way_back(state: State, time_ms: int) -> ServerSwitched | None:
    """The switch back to the first server, where a turn whose input is of this time is to try it again."""
    settings = chosen(state)
    if not state.server or time_ms - state.switched_ms < settings.return_after_s * 1000:
        return None
    return ServerSwitched(server=0, settings=settings)


def failures(turn: Turn, last: str) -> str:
    """Why a turn ends: the last server's failure, or, where several were asked, each one's."""
    if not turn.down:
        return last
    whys = [why if len(why) <= _LINE_CHARS else f"{why[:_LINE_CHARS]} …" for why in (*(d.why for d in turn.down), last)]
    return f"None of {len(whys)} servers answered. " + " | ".join(f"{n}. {why}" for n, why in enumerate(whys, 1))
