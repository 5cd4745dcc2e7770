"""The time zone of an agent: what it is born with, and a change of it; over a log actor, or over a log's file.

Rule: timers that go by clocks go along. What rang at nine there rings at nine here, from the next time on.
"""

from __future__ import annotations

import uuid
from typing import Protocol

import msgspec
from msgspec.structs import replace

from palimpsest.actors.links import wire
from palimpsest.actors.links.calls import StreamLog, unknown
from palimpsest.actors.parts.process import now_ms
from palimpsest.events.alarms import cancelling, setting
from palimpsest.events.codec import draft
from palimpsest.events.envelope import Draft
from palimpsest.events.errors import BadInput
from palimpsest.events.formats import NAMED, ZONED, changed
from palimpsest.events.sources import is_source
from palimpsest.events.state import Alarm, State
from palimpsest.events.times import is_utc
from palimpsest.events.types import AgentCreated, FormatChanged, Timer, TimeZoneSet
from palimpsest.events.vocabulary import Topic
from palimpsest.store.logs.contract import MUST_EXIST, Append
from palimpsest.store.times import zones
from palimpsest.store.times.schedule import BadTimer, goes_by_clocks, moved


class AlarmLog(StreamLog, Protocol):
    """What is called of a log."""

    async def open_requests(self, topic: Topic, agent: str | None = None) -> wire.Opened: ...


class ZoneChange(msgspec.Struct, frozen=True):
    """The zones before and after, and the timers that went along."""

    before: str
    after: str
    timers: tuple[Timer, ...] = ()


def zoned(born: AgentCreated, zone: str | None = None) -> AgentCreated:
    """An agent's first event with its zone: this one, else the one that the event names, else that of whoever makes it.

    Raises BadInput for a zone that there is not.
    """
    if born.format != NAMED or ZONED not in born.parts:
        if zone:
            raise BadInput(f"An agent whose format has no part '{ZONED}' goes by UTC, and by no other zone.")
        return born
    asked = zone or born.zone
    name = zones.named(asked) if asked else zones.local()[0]
    if is_utc(name):
        return replace(born, zone=name if asked else "", offset_s=None)
    return replace(born, zone=name, offset_s=zones.offset_s(name, now_ms()))


async def change(log: AlarmLog, agent: str, zone: str) -> ZoneChange:
    """From its next turn on the agent goes by the clocks of this zone. Raises BadInput for one that there is not,
    UnknownAgent."""
    name = zones.named(zone)
    if is_source(agent):
        raise BadInput(f"'{agent}' is a source, and has no time zone: name an agent.")
    while True:
        state = (await log.states({agent: None})).get(agent)
        if state is None:
            raise await unknown(log, agent)
        before = state.zone or "UTC"
        if name == before and ZONED in state.format:
            return ZoneChange(before, name)
        alarms = await _by_clocks(log, state)
        drafts, timers = _drafts(state, name, alarms, now_ms())
        answers = await log.append(Append(tuple(drafts), expected={agent: MUST_EXIST}))
        if all(each.outcome == "appended" for each in answers):
            return ZoneChange(before, name, tuple(timers))
        # A timer fired in the meantime: it is set anew by now.


async def _by_clocks(log: AlarmLog, state: State) -> list[Alarm]:
    """The agent's timers that are to fire, and go by clocks. Those that rest (a fork's, an import's) stay so."""
    opened = {envelope.key for envelope in (await log.open_requests("alarm", state.agent)).envelopes}
    return [alarm for alarm in state.alarms if alarm.key in opened and goes_by_clocks(alarm.timer)]


def _drafts(state: State, zone: str, alarms: list[Alarm], time_ms: int) -> tuple[list[Draft], list[Timer]]:
    agent, mark, timers = state.agent, uuid.uuid4().hex, []
    drafts = [draft(agent, time_ms, TimeZoneSet(zone=zone, offset_s=zones.offset_s(zone, time_ms)), key=f"zone:{mark}")]
    if ZONED not in state.format:
        parts = FormatChanged(parts=changed(state.format, add=(ZONED,)))
        drafts.append(draft(agent, time_ms, parts, key=f"format:{mark}"))
    for alarm in alarms:
        try:
            timer = moved(alarm.timer, "" if is_utc(zone) else zone, time_ms)
        except BadTimer:  # a client's, which never repeats: it rings this once
            continue
        drafts.append(cancelling(agent, alarm.key, timer, time_ms))
        drafts.append(replace(setting(agent, timer, time_ms), key=f"alarm:{timer.id}:{uuid.uuid4().hex}"))
        timers.append(timer)
    return drafts, timers
