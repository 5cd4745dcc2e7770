"""The kinds of events, as envelopes name them: each is the name of its class.

Code names a kind by the class (`kind_of`, `kinds_of`), or by a literal, which the type checker holds to `Kind`. A new
event's name is added to `Kind`; a test compares the two.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, cast

from palimpsest.events.types import Event

Kind: TypeAlias = Literal[
    "AgentCreated",
    "AgentForked",
    "TimeZoneSet",
    "SettingsChanged",
    "TitleChanged",
    "AgentRetired",
    "AgentReinstated",
    "FormatChanged",
    "MarginLearned",
    "CutNoticed",
    "ServerSwitched",
    "UserMessageReceived",
    "UserLoggedIn",
    "UploadFinished",
    "AlertRaised",
    "TimerFired",
    "InputAdopted",
    "StopRequested",
    "InputArchived",
    "TurnStarted",
    "InputSkipped",
    "InferenceRequested",
    "InferenceCompleted",
    "InferenceFailed",
    "InferenceCancelled",
    "AnswerRejected",
    "RepetitionNoted",
    "HeartbeatRaised",
    "TurnEnded",
    "MessageSent",
    "CoreMemoryAppended",
    "CoreMemoryReplaced",
    "ArchivalMemoryInserted",
    "HeartbeatsPaused",
    "FunctionCalled",
    "FunctionReturned",
    "FunctionFailed",
    "TimerSet",
    "TimerCancelled",
    "MemoryPressureWarned",
    "EvictionStarted",
    "MessagesEvicted",
    "SummaryWritten",
    "SourceAttached",
    "SourceDetached",
    "SourceCreated",
    "DocumentOpened",
    "PassagesLoaded",
    "DocumentLoaded",
    "DocumentRefused",
    "DocumentRemoved",
    "SourceUnloaded",
    "AgentAttached",
    "AgentDetached",
]
"""The name of an event's class."""


def kind_of(event: Event | type[Event]) -> Kind:
    """The kind of an event, or of those of a class."""
    return cast(Kind, event.__name__ if isinstance(event, type) else type(event).__name__)


def kinds_of(*events: type[Event]) -> frozenset[Kind]:
    """The kinds of these classes."""
    return frozenset(kind_of(event) for event in events)
