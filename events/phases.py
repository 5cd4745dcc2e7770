"""Which phase of a turn follows which, by which event: the table that `events.evolve` keeps to.

Rules. (1) An event that the table does not name for a phase leaves the turn where it stands (inputs, settings, sources,
timers that are set). (2) The tests' watch holds every event of every run against it, and `docs/architecture.md` has it
as a picture (`python -m tests.events.test_phases` draws it anew). (3) The table refuses nothing: an old log folds as it
is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from palimpsest.events.types import (
    AgentForked,
    AnswerRejected,
    ArchivalMemoryInserted,
    CoreMemoryAppended,
    CoreMemoryReplaced,
    Event,
    EvictionStarted,
    FormatChanged,
    FunctionCalled,
    FunctionFailed,
    FunctionReturned,
    HeartbeatRaised,
    HeartbeatsPaused,
    InferenceCancelled,
    InferenceCompleted,
    InferenceFailed,
    InferenceRequested,
    MessageSent,
    ServerSwitched,
    TimerCancelled,
    TurnEnded,
    TurnStarted,
)
from palimpsest.events.vocabulary import Phase

AT_MODEL: Final[frozenset[Phase]] = frozenset({"inferring", "summarising"})
"""An inference is open."""
WAITING: Final[frozenset[Phase]] = AT_MODEL | {"calling"}
"""Something is open at another part: `Turn.request_key` is its key."""


class Move(msgspec.Struct, frozen=True):
    """From one phase to another, by any of these events (None: no turn is under way). `when`: not always."""

    before: Phase | None
    events: tuple[type[Event], ...]
    after: Phase | None
    when: str = ""


_DONE_AT_ONCE: Final = (
    MessageSent,
    CoreMemoryAppended,
    CoreMemoryReplaced,
    ArchivalMemoryInserted,
    HeartbeatsPaused,
    TimerCancelled,
    FunctionReturned,
    FunctionFailed,
)

MOVES: Final = (
    Move(None, (TurnStarted,), "ready"),
    Move("ready", (InferenceRequested,), "inferring", "for a reply"),
    Move("ready", (InferenceRequested,), "summarising", "for a summary"),
    Move("ready", (TurnEnded,), None, "at a cap, or stopped"),
    Move("inferring", (InferenceCompleted,), "acting"),
    Move("inferring", (InferenceFailed,), "failed"),
    Move("inferring", (InferenceCancelled,), "ready", "stopped"),
    Move("summarising", (InferenceCompleted, InferenceFailed), "ready"),
    Move("summarising", (InferenceCancelled,), "ready", "stopped"),
    Move("acting", _DONE_AT_ONCE, "acting"),
    Move("acting", (FunctionCalled,), "calling"),
    Move("acting", (HeartbeatRaised, AnswerRejected), "ready"),
    Move("acting", (TurnEnded,), None, "it yields, goes round in a circle, or is stopped"),
    Move("calling", (FunctionReturned, FunctionFailed), "acting"),
    Move("failed", (EvictionStarted,), "ready", "the server's window is smaller"),
    Move("failed", (ServerSwitched,), "ready", "another server is asked"),
    Move("failed", (FormatChanged,), "ready", "the server takes it so"),
    Move("failed", (FormatChanged,), "failed", "by the user"),
    Move("failed", (TurnEnded,), None),
    Move("inferring", (AgentForked,), "ready", "in the fork"),
    Move("summarising", (AgentForked,), "ready", "in the fork"),
    Move("calling", (AgentForked,), "acting", "in the fork"),
)


def after(before: Phase | None, event: Event) -> frozenset[Phase | None]:
    """Where a turn may stand after an event, by the table."""
    moved = frozenset(move.after for move in MOVES if move.before == before and isinstance(event, move.events))
    return moved or frozenset({before})


def picture() -> str:
    """The table as a state diagram in Mermaid's language."""
    return "\n".join(("stateDiagram-v2", "    direction LR", *_arrows()))


def _arrows() -> Iterator[str]:
    for move in MOVES:
        names = ", ".join(event.__name__ for event in move.events)
        yield f"    {move.before or '[*]'} --> {move.after or '[*]'}: {names}{f' ({move.when})' if move.when else ''}"
