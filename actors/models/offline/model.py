"""The built-in model: deterministic, extractive, no LLM; it answers from nothing but the request it is handed.

Two rules. The same request gives the same answer, byte for byte, ids included. It costs no network, no key and some
hundred microseconds, so that the whole system runs, is tested and is loaded without a provider.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import Final

import msgspec

from palimpsest.actors.models.offline.reply import DraftReply, PlannedCall
from palimpsest.actors.models.offline.request import RequestView
from palimpsest.actors.models.offline.summary import summarize
from palimpsest.actors.models.offline.turn import reply
from palimpsest.actors.models.protocol import USUAL, Answer, OnPiece, Piece, PieceKind, Terms
from palimpsest.events.functions import SEND_MESSAGE
from palimpsest.events.types import ToolCall, Usage

MODEL: Final = "offline"
_PIECE: Final = re.compile(r"\s*\S+\s*?(?=\s|$)|\s+")


class OfflineModel:
    """The Model that needs no provider. `latency_s` is waited for before each answer, to play a slow one."""

    def __init__(self, latency_s: float = 0.0) -> None:
        self._latency_s = latency_s

    async def complete(
        self,
        request: bytes,
        *,
        base_url: str = "",  # noqa: ARG002
        on_piece: OnPiece | None = None,
        terms: Terms = USUAL,  # noqa: ARG002
    ) -> Answer:
        answer = respond(request)
        if self._latency_s > 0:
            await asyncio.sleep(self._latency_s)
        if on_piece is not None:
            _stream(answer, on_piece)
        return answer

    async def aclose(self) -> None:
        """There is nothing to close."""


def respond(request: bytes) -> Answer:
    """The answer to a request, as a pure function. Raises ModelFailed("bad_request")."""
    view = RequestView(request)
    answer = reply(view) if view.tools else DraftReply("", (), summarize(view))
    content = answer.text or answer.thought
    calls = tuple(_tool_call(len(view.messages), at, call) for at, call in enumerate(answer.calls))
    written = len(content) + sum(len(call.name) + len(call.arguments) for call in calls)
    return Answer(
        content=content,
        calls=calls,
        finish="tool_calls" if calls else "stop",
        model=MODEL,
        usage=Usage(prompt=len(request) // 4, completion=written // 4 + 1),
    )


def _tool_call(messages: int, at: int, call: PlannedCall) -> ToolCall:
    arguments = msgspec.json.encode(call.arguments)
    digest = hashlib.blake2b(b"%d:%d:%b:%b" % (messages, at, call.name.encode(), arguments), digest_size=4)
    return ToolCall(id=f"call_{digest.hexdigest()}", name=call.name, arguments=arguments.decode())


def _stream(answer: Answer, on_piece: OnPiece) -> None:
    """Hand the answer over word by word: the thoughts, then the message (or the plain text, which is the message)."""
    kind: PieceKind = "thought" if answer.calls else "message"
    for word in _PIECE.findall(answer.content):
        on_piece(Piece(kind, word))
    for call in answer.calls:
        told = msgspec.json.decode(call.arguments)["message"] if call.name == SEND_MESSAGE.name else ""
        for word in _PIECE.findall(told):
            on_piece(Piece("message", word))
