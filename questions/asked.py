"""What the log has of one input: the seqs to look at, for whoever asked something and wants to know how it went."""

from __future__ import annotations

from typing import Final

import msgspec

from palimpsest.events.codec import decode
from palimpsest.events.kinds import kinds_of
from palimpsest.events.types import InferenceRequested, InputSkipped, MessageSent, TurnEnded, UserMessageReceived
from palimpsest.store.library.reading import Reads

_CHUNK: Final = 2000
_KINDS: Final = kinds_of(InferenceRequested, MessageSent, TurnEnded, InputSkipped)


class TurnPlaces(msgspec.Struct, frozen=True, kw_only=True):
    """The seqs of a turn: its input, the requests for a reply, what the user was sent, and its end (0: it runs)."""

    input: int
    requests: tuple[int, ...] = ()
    answers: tuple[int, ...] = ()
    ended: int = 0


def places(log: Reads, agent: str, input: int) -> TurnPlaces:
    """Where to look at the turn of the input at this seq."""
    requests: list[int] = []
    answers: list[int] = []
    after = input
    while chunk := log.read(agent, after=after, limit=_CHUNK, kinds=_KINDS):
        after = chunk[-1].seq
        for each in (each for each in chunk if each.turn == input):
            match each.kind:
                case "InferenceRequested":
                    event = decode(each)
                    if isinstance(event, InferenceRequested) and event.purpose == "reply":
                        requests.append(each.seq)
                case "MessageSent":
                    answers.append(each.seq)
                case _:
                    return TurnPlaces(input=input, requests=tuple(requests), answers=tuple(answers), ended=each.seq)
    return TurnPlaces(input=input, requests=tuple(requests), answers=tuple(answers))


def text_at(log: Reads, agent: str, seq: int) -> str | None:
    """What the user said in event `seq`; None: it is no user's message."""
    found = log.read(agent, after=seq - 1, to=seq)
    event = decode(found[0]) if found else None
    return event.text if isinstance(event, UserMessageReceived) else None
