"""What this code makes of a recorded session: which of its contexts it renders otherwise than they were recorded.

Rule: a context that changed does not end the look, since the fold goes on from the events; whatever else is not as
recorded (a broken chain, an event that cannot be read) does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from palimpsest.events.codec import decode
from palimpsest.events.envelope import Envelope
from palimpsest.events.kinds import kind_of
from palimpsest.events.replay import Difference, Replayer
from palimpsest.events.types import InferenceRequested
from palimpsest.events.vocabulary import Purpose

_ASKED: Final = kind_of(InferenceRequested)


class ContextChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Of one history: `same` contexts are what they were, `changed` are the seqs of the requests that are not, and
    `redacted` hold masked text, and cannot be told. `purpose` is what the first that changed was asked for;
    `difference` is where the look had to end."""

    agent: str
    events: int
    same: int
    changed: tuple[int, ...]
    redacted: int = 0
    purpose: Purpose | Literal[""] = ""
    difference: Difference | None = None

    @property
    def contexts(self) -> int:
        return self.same + len(self.changed) + self.redacted

    @property
    def sound(self) -> bool:
        return not self.changed and self.difference is None


def changes(agent: str, envelopes: Iterable[Envelope], redacted: frozenset[int] = frozenset()) -> ContextChanges:
    """Replay a whole history (an agent's lineage, or a source); `redacted`: the seqs of requests that cannot match."""
    replayer = Replayer(agent)
    changed: list[int] = []
    asked = masked = 0
    purpose: Purpose | Literal[""] = ""
    ended = None
    for envelope in envelopes:
        difference = replayer.feed(envelope)
        if difference and not difference.context:
            ended = difference
            break
        if envelope.kind != _ASKED:
            continue
        asked += 1
        if difference and envelope.seq in redacted:
            masked += 1
        elif difference:
            purpose = purpose or _purpose(envelope)
            changed.append(envelope.seq)
    return ContextChanges(
        agent=agent,
        events=replayer.events,
        same=asked - masked - len(changed),
        changed=tuple(changed),
        redacted=masked,
        purpose=purpose,
        difference=ended,
    )


def _purpose(at: Envelope) -> Purpose | Literal[""]:
    event = decode(at)
    return event.purpose if isinstance(event, InferenceRequested) else ""
