"""Texts to dense vectors. An embedder is a name, a dimension and one batched call.

Rules. (1) A text's vector depends on the text alone, to the last bit: not on the batch that it came in, so that an
index built again is the same index. (2) Nothing is downloaded.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from events.errors import BadInput

Vectors = NDArray[np.float32]

TEXT_CHARS: Final = 8_000
"""A text is embedded by its beginning: chunks are far shorter, and what is longer is no longer one thought."""


KNOWN_WORDS: Final = 100_000
"""So many words' tokens are kept (some 30 MB); with more, all are forgotten and learnt again."""
WORD_CHARS: Final = 40
_MARKS: Final = ("\u2581", "<s>", "</s>", "<unk>")
"""The vocabulary's own sign for a space, and its special tokens: a text with any of them is not split."""


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
        self._known: dict[str, tuple[int, ...]] = {}

    def embed(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for row, ids in zip(rows, self.tokens([text[:TEXT_CHARS] for text in texts]), strict=True):
            if ids:
                np.divide(self._table.take(ids, axis=0, mode="clip").sum(axis=0), np.float32(len(ids)), out=row)
        return rows

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Each text's tokens: those of its words, one after the other, since none of the vocabulary's holds a space
        between others; so most of them are known from earlier texts. Where spaces stand in rows it is taken whole."""
        split = [text.split(" ") if _splits(text) else [text] for text in texts]
        known = self._known
        fresh = list({piece for pieces in split for piece in pieces}.difference(known))
        encoded = self._tokenizer.encode_batch_fast(fresh, add_special_tokens=False)
        known.update((piece, tuple(tokens.ids)) for piece, tokens in zip(fresh, encoded, strict=True))
        ids = [list(chain.from_iterable(map(known.__getitem__, pieces))) for pieces in split]
        if len(known) > KNOWN_WORDS:
            known.clear()
        for piece in fresh:
            if len(piece) > WORD_CHARS:
                known.pop(piece, None)
        return ids


def _splits(text: str) -> bool:
    """Whether its words stand between single spaces, so that its tokens are theirs."""
    return "  " not in text and text == text.strip(" ") and not any(mark in text for mark in _MARKS)


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
