"""The hosted model, made when it is first needed: importing its client takes a second, and `offline` needs none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from palimpsest.actors.models.protocol import USUAL, Answer, Model, OnPiece, Terms
from palimpsest.store.keys.files import Handed, LiveKeys

if TYPE_CHECKING:
    from palimpsest.actors.models.hosted.tokenizing import ServerTokenizer


class LazyHosted:
    """An `OpenAIModel` on first use, with the keys that it was handed; and what has its servers count."""

    def __init__(self, options: dict[str, Any], keys: Handed) -> None:
        self._options = options
        self.keys = LiveKeys(keys)
        self._model: Model | None = None
        self._tokenizer: ServerTokenizer | None = None

    async def complete(
        self, request: bytes, *, base_url: str = "", on_piece: OnPiece | None = None, terms: Terms = USUAL
    ) -> Answer:
        if self._model is None:
            from palimpsest.actors.models.hosted.openai import OpenAIModel

            self._model = OpenAIModel(keys=self.keys, **self._options)
        return await self._model.complete(request, base_url=base_url, on_piece=on_piece, terms=terms)

    async def counts(self, encoding: str, base_url: str, model: str, texts: Sequence[str]) -> list[int | None]:
        """See `Tokenizer`."""
        if self._tokenizer is None:
            from palimpsest.actors.models.hosted.tokenizing import ServerTokenizer

            self._tokenizer = ServerTokenizer(self.keys)
        return await self._tokenizer.counts(encoding, base_url, model, texts)

    def figures(self) -> dict[str, Any]:
        """What it does now, by server; {} before its first use."""
        figures: dict[str, Any] = getattr(self._model, "figures", dict)()
        return figures

    async def aclose(self) -> None:
        if self._model is not None:
            await self._model.aclose()
        if self._tokenizer is not None:
            await self._tokenizer.aclose()
