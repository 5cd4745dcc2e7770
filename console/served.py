"""What a server that the user names says of its window, before an agent is made or changed for it."""

from __future__ import annotations

import os

from palimpsest.actors.models.hosted.window import UNKNOWN, Window
from palimpsest.console.settings import Flags, servers_named
from palimpsest.events.addresses import OPENAI_URL
from palimpsest.events.types import OFFLINE


async def served(flags: Flags) -> Window:
    """What the named server says. No other is asked: an agent's log, which may have come from elsewhere, sends nothing
    anywhere here."""
    named = servers_named(flags, os.environ, flags.model or OFFLINE)
    if flags.model in ("", OFFLINE) or named[0] == OPENAI_URL:
        return UNKNOWN
    from palimpsest.actors.models.hosted.probe import window_of
    from palimpsest.store.keys.files import LiveKeys, handed

    access, _ = LiveKeys(handed(os.environ, typed=named)).access(named[0])
    return await window_of(named[0], flags.model, access=access)
