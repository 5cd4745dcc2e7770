"""The numbers behind the ranking: BM25's for each kind of text, and how scores are blended, by embedder.

Chosen on five conversations of LoCoMo and half of 1,300 questions over NQ passages, by hand and without held-out data:
neighbouring choices differ by less than a point (`bench/retrieval.py` measures).
"""

from __future__ import annotations

from typing import Final

from store.embeddings import OPENAI
from store.points import Blend

PASSAGE_K1: Final = 1.2
PASSAGE_B: Final = 0.75
PASSAGE_WORDS: Final = 100
"""A usual passage's length without stop words."""

AROUND: Final = 1.5
"""What a word of a message and its context together weighs, beside the message's own words."""

SMOOTHING: Final = (0.7, 0.35)
"""A message's vector takes in those of the two before it, at these weights."""

_TURNS: Final = Blend(half=30.0, dense=0.2, floor=0.3, speaker=0.18, asks=0.05)
_PASSAGES: Final = Blend(half=10.0, dense=0.5, floor=0.3)
_BLENDS: Final = {"message": _TURNS, "notice": _TURNS, "passage": _PASSAGES}
_OF_ENCODERS: Final = {**_BLENDS, "passage": Blend(half=10.0, dense=1.0, floor=0.3)}
"""Of sentence encoders: measured with MiniLM, and taken for those on a server, unmeasured."""


def blend_of(kind: str, embedder: str) -> Blend:
    encoder = embedder == "all-minilm-l6-v2" or embedder.startswith(OPENAI)
    return (_OF_ENCODERS if encoder else _BLENDS)[kind]
