"""Changing what an agent runs with: over a log actor, or over a log's file that nobody else has."""

from __future__ import annotations

import uuid

from palimpsest.actors.links.calls import StreamLog
from palimpsest.actors.parts.process import now_ms
from palimpsest.actors.requests import formats
from palimpsest.actors.requests.checks import check_settings
from palimpsest.events.codec import draft
from palimpsest.events.formats import BRIEF
from palimpsest.events.prompts import fitting
from palimpsest.events.state import State
from palimpsest.events.types import Settings, SettingsChanged
from palimpsest.store.logs.contract import MUST_EXIST, Append


async def change(log: StreamLog, state: State, settings: Settings) -> None:
    """Let an agent run with these settings, from its next request on; in a window that is large enough it is not told
    in few words any more. Raises BadInput where they make no sense."""
    check_settings(settings)
    agent = state.agent
    made = draft(agent, now_ms(), SettingsChanged(settings=settings), key=f"settings:{uuid.uuid4().hex}")
    await log.append(Append((made,), {agent: MUST_EXIST}))
    if BRIEF in state.format and BRIEF not in fitting(state.format, settings.window_tokens):
        await formats.change(log, agent, remove=(BRIEF,))
