"""What a model is to the LLM processor: request in, answer out, pieces of it on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, Protocol, TypeAlias, get_args

import msgspec

from palimpsest.events.types import Own, ToolCall, Usage
from palimpsest.events.vocabulary import Finish, NoAnswer


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A finished answer. Tool calls may lack an id
    (""), and `arguments` is the text as the model wrote it. `reasoning` came beside the content; `notes` say what was
    odd in how the answer came, and was read all the same."""

    content: str = ""
    reasoning: str = ""
    notes: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    finish: Finish = "stop"
    model: str = ""
    usage: Usage = Usage()
    own: Own | None = None
    """Fields of the server's own; which server that is, it does not say."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How a request is carried, which its bytes do not say. `agent`: on whose behalf it is made. `in_flight`: the most
    requests that its server is to have at once (0: as it is usual); `timeout_s`: the most that one attempt may take;
    `elsewhere`: another server is asked where this one fails, so that one that does not answer is not waited for twice;
    `idle_s`: the most between two pieces of an answer. `plain`: the model answered in plain text before, so content is
    handed on as a message while it comes. `headers` go along, beside those that `store.keys.keys` has for the server.
    `before` is awaited once the server has a slot for the request, before it is sent: it may raise ModelFailed.
    """

    agent: str = ""
    in_flight: int = 0
    timeout_s: float = 0.0
    elsewhere: bool = False
    idle_s: float = 0.0
    plain: bool = False
    headers: dict[str, str] = {}
    before: Callable[[], Awaitable[None]] | None = None


USUAL: Final = Terms()


class ModelFailed(Exception):
    """The model gave no answer. Fields as in `InferenceFailed`; `detail` is safe to log and says what to do.
    `mended_by`: parts of the format that may mend it, to be tried one after the other."""

    def __init__(self, error: NoAnswer, detail: str, attempts: int = 1, *, mended_by: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.mended_by = mended_by
        self.error = error
        self.detail = detail
        self.attempts = attempts


PieceKind: TypeAlias = Literal[
    "message",  # what the user will see
    "thought",
    "waiting",  # a line that says for what
    "again",  # what was shown of the turn so far is void
    "end",  # of an answer
]

PIECE_KINDS: Final[frozenset[PieceKind]] = frozenset(get_args(PieceKind))


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """Streamed text."""

    kind: PieceKind
    text: str


OnPiece = Callable[[Piece], None]


class Model(Protocol):
    async def complete(
        self, request: bytes, *, base_url: str = "", on_piece: OnPiece | None = None, terms: Terms = USUAL
    ) -> Answer:
        """Answer a chat-completions request (JSON bytes, as `events.context` renders it).

        Raises ModelFailed. With `on_piece` the answer is streamed as well. Cancellation stops the request.
        """
        ...

    async def aclose(self) -> None: ...


class Tokenizer(Protocol):
    async def counts(self, encoding: str, base_url: str, model: str, texts: Sequence[str]) -> list[int | None]:
        """How many tokens each text has for the model at this server; None where it does not say."""
        ...
