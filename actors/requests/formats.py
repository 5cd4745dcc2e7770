"""Changing the format of an agent's contexts: over a log actor, or over a log's file that nobody else has."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from palimpsest.actors.links.calls import StreamLog, unknown
from palimpsest.actors.parts.process import now_ms
from palimpsest.events.codec import draft
from palimpsest.events.errors import BadInput
from palimpsest.events.formats import Format, changed
from palimpsest.events.sources import is_source
from palimpsest.events.types import FormatChanged
from palimpsest.store.logs.contract import MUST_EXIST, Append


async def change(log: StreamLog, agent: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Format:
    """Give the agent's contexts these parts, and take those; the format then. Raises BadInput for a part that there
    is not, UnknownAgent."""
    if is_source(agent):
        raise BadInput(f"'{agent}' is a source, and has no context: name an agent.")
    state = (await log.states({agent: None})).get(agent)
    if state is None:
        raise await unknown(log, agent)
    format = changed(state.format, add=add, remove=remove)
    if format != state.format:
        event = FormatChanged(parts=format)
        made = draft(agent, now_ms(), event, key=f"format:{uuid.uuid4().hex}")
        await log.append(Append((made,), expected={agent: MUST_EXIST}))
    return format
