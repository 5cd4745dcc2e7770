"""Palimpsest: MemGPT as an event-sourced actor system on Ray.

What users need of it, each imported when it is first named: `boot` a system on a `DataFolder` or `join` the one that
runs there, talk by its `Client`, make agents by `newborn` with `Settings`; every error is a `PalimpsestError`.

The debugger's questions are functions of a log, which `open_log` opens, of a data folder or a bundle: `state_at`,
`context_at`, `why`, `why_not`, `blame`, `diff`, `first_bad`, `search`, `verify`. They need no running system.

The rooms are `palimpsest.events` (the pure core), `palimpsest.store`, `palimpsest.actors`, `palimpsest.questions` and
`palimpsest.console`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from palimpsest.actors.client import Client
    from palimpsest.actors.loads.loading import Report
    from palimpsest.actors.models.protocol import Piece
    from palimpsest.actors.options import Options
    from palimpsest.actors.requests.forks import Overrides
    from palimpsest.actors.requests.turns import Reply, Ticket
    from palimpsest.actors.system import System, boot, join
    from palimpsest.events.errors import (
        ActorLost,
        AgentExists,
        AgentIsRetired,
        AgentSetAside,
        AtRest,
        BadInput,
        BundleUnreadable,
        DataFolderBusy,
        DocumentUnreadable,
        EmbedderChanged,
        EndsSwapped,
        Fenced,
        LogDamaged,
        LogUnavailable,
        LogUnreadable,
        ModelUnavailable,
        NewerFormat,
        NoBoundary,
        NoBundle,
        NoLog,
        NoSuchEvent,
        NotAnAgent,
        NotAnswered,
        OnlyLooked,
        Overloaded,
        PalimpsestError,
        StorageUnavailable,
        UnknownAgent,
        UnknownSource,
        WindowTooSmall,
    )
    from palimpsest.events.prompts import newborn
    from palimpsest.events.types import AgentCreated, Block, Server, Settings, Timer
    from palimpsest.questions.bisection import first_bad
    from palimpsest.questions.debugger import (
        blame,
        context_at,
        diff,
        open_log,
        search,
        state_at,
        verify,
        why,
        why_not,
    )
    from palimpsest.store.folder import DataFolder, default_data_folder
    from palimpsest.store.index.settings import IndexSettings

__all__ = [
    "ActorLost",
    "AgentCreated",
    "AgentExists",
    "AgentIsRetired",
    "AgentSetAside",
    "AtRest",
    "BadInput",
    "Block",
    "BundleUnreadable",
    "Client",
    "DataFolder",
    "DataFolderBusy",
    "DocumentUnreadable",
    "EmbedderChanged",
    "EndsSwapped",
    "Fenced",
    "IndexSettings",
    "LogDamaged",
    "LogUnavailable",
    "LogUnreadable",
    "ModelUnavailable",
    "NewerFormat",
    "NoBoundary",
    "NoBundle",
    "NoLog",
    "NoSuchEvent",
    "NotAnAgent",
    "NotAnswered",
    "OnlyLooked",
    "Options",
    "Overloaded",
    "Overrides",
    "PalimpsestError",
    "Piece",
    "Reply",
    "Report",
    "Server",
    "Settings",
    "StorageUnavailable",
    "System",
    "Ticket",
    "Timer",
    "UnknownAgent",
    "UnknownSource",
    "WindowTooSmall",
    "blame",
    "boot",
    "context_at",
    "default_data_folder",
    "diff",
    "first_bad",
    "join",
    "newborn",
    "open_log",
    "search",
    "state_at",
    "verify",
    "why",
    "why_not",
]

_AT = {
    "Client": "actors.client",
    "Report": "actors.loads.loading",
    "Piece": "actors.models.protocol",
    "Overrides": "actors.requests.forks",
    "Reply": "actors.requests.turns",
    "Ticket": "actors.requests.turns",
    "Options": "actors.options",
    "System": "actors.system",
    "boot": "actors.system",
    "join": "actors.system",
    "newborn": "events.prompts",
    **dict.fromkeys(("AgentCreated", "Block", "Server", "Settings", "Timer"), "events.types"),
    "DataFolder": "store.folder",
    "default_data_folder": "store.folder",
    "first_bad": "questions.bisection",
    **dict.fromkeys(
        ("blame", "context_at", "diff", "open_log", "search", "state_at", "verify", "why", "why_not"),
        "questions.debugger",
    ),
    "IndexSettings": "store.index.settings",
}
"""Where a name is; the errors are all in one place."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_AT.get(name, 'events.errors')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
