"""The numbers behind the ranking: BM25's for each kind of text, and how scores are blended, by embedder.

Chosen by hand on five conversations of LoCoMo and 1,300 questions over NQ passages, as round numbers from the middle of
a flat top: half or twice as much of any moves recall@10 by a point or so. `bench/cross_validation.py` says what weights
find that were chosen without the question. The prior for who is named is as small as it can be at no cost: a larger one
hides what others say of them. Who says I or my is looked for harder: what an agent's user says of themselves they say,
and the agent's long answers only take it up (0.3 found 4 points of recall@10 more on such chats, and 0.45 fewer).
"""

from __future__ import annotations

from typing import Final

from palimpsest.store.index.points import Blend
from palimpsest.store.index.settings import OPENAI, PointKind

PASSAGE_K1: Final = 1.2
PASSAGE_B: Final = 0.75
PASSAGE_WORDS: Final = 100
"""A usual passage's length without stop words."""

MESSAGE_K1: Final = 0.9
MESSAGE_B: Final = 0.75
MESSAGE_WORDS: Final = 40
"""A usual message's length without stop words: a piece of a long answer has some 110, a remark 12. Without b the long
answers of an agent come before what it was told."""

AROUND_WORDS: Final = 120
"""The same of a message with the two before it."""

AROUND: Final = 1.5
"""What a word of a message and its context together weighs, beside the message's own words."""

SMOOTHING: Final = (0.7, 0.35)
"""A message's vector takes in those of the two before it, at these weights."""


_TURNS: Final = Blend(half=40.0, dense=0.3, floor=0.3, speaker=0.12, oneself=0.3, asks=0.05, echoes=0.7)
_TURNS_OF_ENCODERS: Final = Blend(half=40.0, dense=0.5, floor=0.3, speaker=0.12, oneself=0.3, asks=0.05, echoes=0.7)
_PASSAGES: Final = Blend(half=20.0, dense=1.0, floor=0.3)


def blend_of(kind: PointKind, embedder: str) -> Blend:
    """Of sentence encoders, which were measured by MiniLM, those on a server are taken to be."""
    if kind == "passage":
        return _PASSAGES
    encoder = embedder == "all-minilm-l6-v2" or embedder.startswith(OPENAI)
    return _TURNS_OF_ENCODERS if encoder else _TURNS
