"""An agent's time zone in words, and a change of it at a user's word: what `chat` and `timezone` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from palimpsest.console.show import many
from palimpsest.events.formats import ZONED
from palimpsest.events.times import ahead, is_utc, stamp, zone_of
from palimpsest.questions.descriptions import timer_text
from palimpsest.questions.texts import one_line
from palimpsest.store.times import zones

if TYPE_CHECKING:
    from palimpsest.actors.requests.zones import ZoneChange
    from palimpsest.console.talk import Talker
    from palimpsest.events.state import State
    from palimpsest.events.types import AgentCreated, Timer


async def moved(client: Talker, agent: str, zone: str) -> list[str]:
    """Move an agent to a zone; what was done, in lines for the user."""
    return change_said(agent, await client.change_zone(agent, zone))


def change_said(agent: str, change: ZoneChange) -> list[str]:
    if change.before == change.after:
        return [f"Agent '{one_line(agent)}' is in the time zone {change.after}."]
    said = f"Agent '{one_line(agent)}' goes by {change.after} from its next turn on, and no longer by {change.before}"
    if not change.timers:
        return [f"{said}."]
    went = many(len(change.timers), "timer")
    return [f"{said}; {went} went along:", *(f"  {timer_text(timer)}" for timer in change.timers)]


def told_of(state: State) -> str:
    """The zone of an agent, in a sentence."""
    zone, agent = zone_of(state), one_line(state.agent)
    if zone:
        ahead_s = f" (UTC{ahead(state.offset_s)} when it was last asked)" if state.offset_s is not None else ""
        return f"Agent '{agent}' is in the time zone {zone}{ahead_s}."
    old = "" if ZONED in state.format else ", as all agents were when it was made"
    return f"Agent '{agent}' goes by UTC{old}."


def with_zone(born: AgentCreated, zone: str) -> AgentCreated:
    """A new agent's first event with its zone: this one, or the user's own."""
    from palimpsest.actors.requests.zones import zoned

    return zoned(born, zone or None)


def zone_said(born: AgentCreated) -> str:
    return "" if is_utc(born.zone) else f", time zone {born.zone}"


def unnamed() -> list[str]:
    """What is to be said where the user's own zone has no name."""
    note = zones.local()[1]
    return [f"{note} `/timezone ZONE` moves the agent."] if note else []


def due_text(timer: Timer) -> str:
    """When a timer is due, on its own clock."""
    return stamp(timer.due_ms, timer.offset_s)
