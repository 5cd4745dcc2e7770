"""Why an agent said what it said: by what it was asked, looked up, and had in its window.

Rule: the log says what happened, and no more is claimed: a text of the window that shares words with the answer is
where it may be from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from palimpsest.events.codec import decode
from palimpsest.events.debug.told import INPUT_KINDS
from palimpsest.events.debug.writers import TURN_KINDS, Hint, Writer, hints, writer
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import BadInput
from palimpsest.events.kinds import kinds_of
from palimpsest.events.types import FunctionCalled, FunctionFailed, FunctionReturned, MessageSent, TurnEnded
from palimpsest.questions.streams import CHUNK, agent_head, check_event, stretches
from palimpsest.questions.words import search_terms
from palimpsest.store.logs.contract import LogReader
from palimpsest.store.logs.states import load

_SENT: Final = kinds_of(MessageSent)
_ENDS: Final = kinds_of(MessageSent, TurnEnded)
_STEPS: Final = kinds_of(FunctionCalled, FunctionReturned, FunctionFailed)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent looked up, or did, before it answered; and what came of it, at event `seq`."""

    seq: int
    call: FunctionCalled
    result: FunctionReturned | FunctionFailed


class Grounds(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer stands on. `writer` explains the event that sent it; `hints` are the texts of the window that it
    was made from which share words with it."""

    agent: str
    text: str
    writer: Writer
    looks: tuple[Look, ...] = ()
    hints: tuple[Hint, ...] = ()


def grounds(log: LogReader, agent: str, at: int | None = None) -> Grounds:
    """Why an agent said what it said at event `at`, or in the turn there (None: last). Raises UnknownAgent; BadInput
    where it said nothing."""
    head = agent_head(log, agent)
    check_event(head, at, "at")
    sent = _sent(log, agent, at, head.seq)
    event = decode(sent)
    assert isinstance(event, MessageSent), "only these are looked for"
    before = log.read(agent, max(0, sent.turn - 1), sent.seq - 1, kinds=TURN_KINDS | _STEPS)
    explained = writer(sent, event, (each for each in before if each.kind in TURN_KINDS))
    shared: list[Hint] = []
    if explained.window and (state := load(log, agent, explained.window.seq)):
        window = msgspec.structs.replace(explained.window, messages=len(state.queue))
        explained = msgspec.structs.replace(explained, window=window)
        asked = explained.input.seq if explained.input else 0
        shared = [hint for hint in hints(event.text, state, search_terms()) if hint.seq != asked]
    return Grounds(
        agent=agent,
        text=event.text,
        writer=explained,
        looks=tuple(_looks(each for each in before if each.kind in _STEPS and each.turn == sent.turn)),
        hints=tuple(shared),
    )


def _sent(log: LogReader, agent: str, at: int | None, head: int) -> Envelope:
    """The message that is asked about: that of event `at`, or the next of its turn, or else the last one before."""
    if at is not None:
        (here,) = log.read(agent, at - 1, at)
        turn = here.seq if here.kind in INPUT_KINDS else here.turn
        for each in stretches(log, agent, at, head, _ENDS) if turn else ():
            if each.turn == turn and each.kind in _SENT:
                return each
            if each.turn == turn:
                break
    to = at or head
    while to > 0:
        if found := log.read(agent, max(0, to - CHUNK), to, kinds=_SENT):
            return found[-1]
        to -= CHUNK
    raise BadInput(f"Agent '{agent}' has said nothing yet{'' if at is None else f' by event {at}'}.")


def _looks(steps: Iterable[Envelope]) -> Iterator[Look]:
    """Calls with what came of them."""
    asked: dict[str, FunctionCalled] = {}
    for envelope in steps:
        match decode(envelope):
            case FunctionCalled() as call:
                asked[call.call] = call
            case FunctionReturned() | FunctionFailed() as event:
                if made := asked.pop(event.call, None):
                    yield Look(seq=envelope.seq, call=made, result=event)
            case _:
                pass
