"""Servers that the user names for an agent, where no system is started: what one says of its window, and that it was
typed.

Rules. (1) An address that is typed may be given OPENAI_API_KEY, as `chat` has it, and is remembered; one that stands in
a fleet's file may have come from anywhere: it gets the keys that are kept for it, and no other. (2) No other address is
asked: an agent's log, which may have come from elsewhere, sends nothing anywhere here.
"""

from __future__ import annotations

import os

from palimpsest.actors.models.hosted.window import UNKNOWN, ServedWindow
from palimpsest.actors.parts.process import now_ms
from palimpsest.console.settings import Flags, servers_named
from palimpsest.events.addresses import OPENAI_URL
from palimpsest.events.types import OFFLINE
from palimpsest.store.config import around
from palimpsest.store.folder import DataFolder


async def served(flags: Flags) -> ServedWindow:
    """What the server that was typed says of its window."""
    return await _window(flags, typed=True)


async def served_for_file(flags: Flags) -> ServedWindow:
    """The same of one that stands in a file."""
    return await _window(flags, typed=False)


async def _window(flags: Flags, *, typed: bool) -> ServedWindow:
    named = servers_named(flags, around(os.environ), flags.model or OFFLINE)
    if flags.model in ("", OFFLINE) or named[0] == OPENAI_URL:
        return UNKNOWN
    from palimpsest.actors.models.hosted.probe import window_of
    from palimpsest.store.keys.files import LiveKeys, handed

    access, _ = LiveKeys(handed(os.environ, typed=named if typed else ())).access(named[0])
    return await window_of(named[0], flags.model, access=access)


def remember(folder: DataFolder, flags: Flags) -> tuple[str, ...]:
    """Remember the servers that were typed; what the user should know of it. It is for a folder that is there: one that
    is new is looked at before an agent is made, lest what a file says be taken for typed."""
    from palimpsest.store.keys.imported import keys_for

    if not folder.path.is_dir():  # a cluster's, on another machine
        return ()
    named = servers_named(flags, around(os.environ), flags.model or OFFLINE)
    return keys_for(folder, os.environ, now_ms(), named)[1]
