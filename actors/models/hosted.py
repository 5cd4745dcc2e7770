"""The hosted model, made when it is first needed: importing its client takes a second, and `offline` needs none."""

from __future__ import annotations

import os
from typing import Any

from actors.models.protocol import USUAL, Answer, Model, OnPiece, Terms


class LazyHosted:
    """An `OpenAIModel` on first use. The key is read from OPENAI_API_KEY there and then, and kept nowhere else."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._model: Model | None = None

    async def complete(
        self, request: bytes, *, base_url: str = "", on_piece: OnPiece | None = None, terms: Terms = USUAL
    ) -> Answer:
        if self._model is None:
            from actors.models.openai import OpenAIModel

            self._model = OpenAIModel(api_key=os.environ.get("OPENAI_API_KEY", ""), **self._options)
        return await self._model.complete(request, base_url=base_url, on_piece=on_piece, terms=terms)

    def figures(self) -> dict[str, Any]:
        """What it does now, by server; {} before its first use."""
        figures: dict[str, Any] = getattr(self._model, "figures", dict)()
        return figures

    async def aclose(self) -> None:
        if self._model is not None:
            await self._model.aclose()
