"""What a system is booted with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from palimpsest.actors.parts.process import now_ms
from palimpsest.store.folder import DataFolder
from palimpsest.store.index.settings import IndexSettings
from palimpsest.store.keys.files import Handed
from palimpsest.store.keys.imported import keys_for

LOG: Final = "system.log"
"""In the data folder: what the process that has its system complains of."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a system is booted with."""

    address: str = ""
    """Of the Ray cluster that is to have the parts ("": a Ray of our own)."""
    rehome: bool = False
    """With an address: what the cluster kept of where the folder is does not hold any more (see `whereabouts`)."""
    local: bool = False
    """Without Ray: all parts in this process. Nobody can join it."""
    model: Mapping[str, Any] = {}
    """For the client of model servers: base_url, timeout_s, max_in_flight …"""
    limits: Mapping[str, int] = {}
    """Of the log's door: max_open, max_open_an_agent, max_waiting, and the same in bytes (see `actors.parts.door`)."""
    max_pages: int | None = None
    """The log's file may grow to so many pages of 4 KiB (None: as the disk allows)."""
    capacity: int = 4096
    """So many agents' states are held in memory; the others' are read when they are needed."""
    snapshot_every: int = 500
    """Events of an agent between two snapshots of its state."""
    index: IndexSettings = IndexSettings()
    """How recall and archival memory are indexed, and where."""
    keys: Handed | None = None
    """What model servers are given (None: what this user has, by the files and the environment)."""
    typed: tuple[str, ...] = ()
    """The addresses of model servers that the user named just now."""


def keyed(folder: DataFolder, options: Options) -> tuple[Options, tuple[str, ...]]:
    """The options with what model servers are given, and what the user should know of it."""
    if options.keys is not None:
        return options, ()
    keys, notes = keys_for(folder, os.environ, now_ms(), options.typed)
    return msgspec.structs.replace(options, keys=keys), notes
