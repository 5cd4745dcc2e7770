"""Texts to dense vectors. An embedder is a name, a dimension and one batched call.

Rules. (1) A text's vector depends on the text alone, to the last bit: not on the batch that it came in, so that an
index built again is the same index. (2) Nothing is downloaded.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from events.errors import BadInput

Vectors = NDArray[np.float32]

TEXT_CHARS: Final = 8_000
"""A text is embedded by its beginning: chunks are far shorter, and what is longer is no longer one thought."""


class Embedder(Protocol):
    """`name` goes into the index's stamp: another name is another embedding, and the index is built again."""

    @property
    def name(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row a text, unnormalised; a text without words is a row of zeros."""
        ...


class WordLlamaEmbedder:
    """Averaged token embeddings (256 dimensions) whose weights lie in the `wordllama` wheel.

    Pools by itself: the library's own pooling pads a batch to its longest text, which makes one long text cost as much
    as the batch's size times its length.
    """

    name: Final = "wordllama-l2_supercat-256"
    dimension: Final = 256

    def __init__(self) -> None:
        model = _load()
        self._tokenizer = model.tokenizer
        self._tokenizer.no_padding()
        self._table: Vectors = model.embedding

    def embed(self, texts: Sequence[str]) -> Vectors:
        encoded = self._tokenizer.encode_batch_fast([text[:TEXT_CHARS] for text in texts], add_special_tokens=False)
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for row, tokens in zip(rows, encoded, strict=True):
            ids = tokens.ids
            if ids:
                np.divide(self._table.take(ids, axis=0, mode="clip").sum(axis=0), np.float32(len(ids)), out=row)
        return rows


def _load() -> Any:
    """The model, found in its own package: its loader looks for the tokenizer in a folder that the wheel lacks, unless
    the package's folder is named as its cache. Importing it takes half a second and sets up the root logger: undone."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    import wordllama

    root.handlers[:] = handlers
    root.setLevel(level)
    package = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=package, disable_download=True)


# --- by name ------------------------------------------------------------------------------------------------------

DEFAULT: Final = "wordllama"
OPENAI: Final = "openai:"
EMBEDDERS: Final = (DEFAULT, "minilm", f"{OPENAI}MODEL")
"""What a setting may name; the last with the name of a model of an OpenAI-compatible server."""

_SETTINGS: Final = {WordLlamaEmbedder.name: "wordllama", "all-minilm-l6-v2": "minilm"}


def setting_of(name: str) -> str:
    """What a setting calls the embedder of this name."""
    return _SETTINGS.get(name, name)


def check_embedder(setting: str) -> None:
    """Raises BadInput if a setting names no embedder, or one that is not installed. Loads nothing."""
    if setting == "minilm":
        from store.minilm import folder

        folder()
    elif setting != DEFAULT and not (setting.startswith(OPENAI) and setting.removeprefix(OPENAI).strip()):
        raise BadInput(f"There is no embedder '{setting}' here. There are: {', '.join(EMBEDDERS)}.")


def embedder_named(setting: str) -> Embedder:
    """The local embedder that a setting names. Raises BadInput as `check_embedder` does, and for one on a server."""
    check_embedder(setting)
    if setting == "minilm":
        from store.minilm import MiniLmEmbedder

        return MiniLmEmbedder()
    if setting.startswith(OPENAI):
        raise BadInput(f"The embedder '{setting}' is on a server: it is made where servers are spoken to.")
    return WordLlamaEmbedder()
