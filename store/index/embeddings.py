"""Texts to dense vectors. An embedder is a name, a dimension and one batched call.

Rules. (1) A text's vector depends on the text alone, to the last bit: not on the batch that it came in, so that an
index built again is the same index. (2) Nothing is downloaded.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from palimpsest.events.errors import BadInput
from palimpsest.store.index.settings import DEFAULT, OPENAI
from palimpsest.store.words.known import Known
from palimpsest.store.words.languages import UNKNOWN_SCRIPT

Vectors = NDArray[np.float32]

TEXT_CHARS: Final = 8_000
"""A text is embedded by its beginning: chunks are far shorter, and what is longer is no longer one thought."""


_MARKS: Final = ("\u2581", "<s>", "</s>", "<unk>")
"""The vocabulary's own sign for a space, and its special tokens: a text with any of them is not split."""
_BETWEEN: Final = re.compile("(?<=[^ ]) (?=.)", re.DOTALL)
"""The first of some spaces between words: the others are the next word's; a text's last one is its word's."""
_AT_ONCE: Final = 256
"""So many words are encoded as one text: three times as fast as each by itself."""


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
        self._begins = np.zeros(len(self._table), np.bool_)
        """Which tokens a word begins with, and none goes on with."""
        self._begins[[id for token, id in self._tokenizer.get_vocab().items() if token.startswith(_MARKS[0])]] = True
        self.known = Known(self._encoded)

    def embed(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), self.dimension), np.float32)
        for row, ids in zip(rows, self.tokens([text[:TEXT_CHARS] for text in texts]), strict=True):
            if len(ids):
                np.divide(self._table.take(ids, axis=0, mode="clip").sum(axis=0), np.float32(len(ids)), out=row)
        return rows

    def tokens(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """Each text's tokens: those of its words, one after the other, since none of the vocabulary's holds a space
        behind a character that is none; so most of them are known from earlier texts."""
        return [np.frombuffer(ids, np.uint32) for ids in self.known.of([_words(text) for text in texts])]

    def _encoded(self, words: list[str]) -> Iterator[bytes]:
        """The tokens of words. Those without a space are encoded many as one text, and told apart by where a word
        begins; the others each by itself."""
        marked = [word for word in words if _marked(word)] if _marked("".join(words)) else ()
        plain = [word for word in words if word and " " not in word and word not in marked]
        found: dict[str, bytes] = {}
        for start in range(0, len(plain), _AT_ONCE):
            some = plain[start : start + _AT_ONCE]
            ids = self._whole([" ".join(some)])[0]
            begins = np.flatnonzero(self._begins[ids]).tolist()
            ends = [*begins[1:], len(ids)]
            found.update((w, ids[a:b].tobytes()) for w, a, b in zip(some, begins, ends, strict=True))
        others = [word for word in words if word not in found]
        found.update((w, ids.tobytes()) for w, ids in zip(others, self._whole(others), strict=True))
        return map(found.__getitem__, words)

    def _whole(self, texts: list[str]) -> list[NDArray[np.uint32]]:
        encoded = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(tokens.ids, np.uint32) for tokens in encoded]


def _marked(text: str) -> bool:
    return any(mark in text for mark in _MARKS)


def _words(text: str) -> list[str]:
    if _marked(text):
        return [text]
    return _BETWEEN.split(text) if "  " in text or text != text.strip(" ") else text.split(" ")


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

EMBEDDERS: Final = (DEFAULT, "minilm", f"{OPENAI}MODEL")
"""What a setting may name; the last with the name of a model of an OpenAI-compatible server."""

_SETTINGS: Final = {WordLlamaEmbedder.name: "wordllama", "all-minilm-l6-v2": "minilm"}


def unit_rows(rows: Vectors) -> Vectors:
    """Each row at length 1; one of zeros as it is."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units: Vectors = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return units


def setting_of(name: str) -> str:
    """What a setting calls the embedder of this name."""
    return _SETTINGS.get(name, name)


def knows(name: str, text: str) -> bool:
    """Whether an embedder of this name has learnt the script of a text: the local ones, of Latin letters alone. Of
    others they see but bytes, in which all texts of a script are alike."""
    return name not in _SETTINGS or UNKNOWN_SCRIPT.search(text) is None


def check_embedder(setting: str) -> None:
    """Raises BadInput if a setting names no embedder, or one that is not installed. Loads nothing."""
    if setting == "minilm":
        from palimpsest.store.index.minilm import folder

        folder()
    elif setting != DEFAULT and not (setting.startswith(OPENAI) and setting.removeprefix(OPENAI).strip()):
        raise BadInput(f"There is no embedder '{setting}' here. There are: {', '.join(EMBEDDERS)}.")


def embedder_named(setting: str) -> Embedder:
    """The local embedder that a setting names. Raises BadInput as `check_embedder` does, and for one on a server."""
    check_embedder(setting)
    if setting == "minilm":
        from palimpsest.store.index.minilm import MiniLmEmbedder

        return MiniLmEmbedder()
    if setting.startswith(OPENAI):
        raise BadInput(f"The embedder '{setting}' is on a server: it is made where servers are spoken to.")
    return WordLlamaEmbedder()
