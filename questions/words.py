"""What counts as a word when a text is looked for in a log: the same as in the agents' own searches.

Rule: the tokenizer (Qdrant's own, a tenth of a second) is loaded only by a command that looks for words.
"""

from __future__ import annotations

from collections.abc import Set
from functools import lru_cache
from typing import Final

from palimpsest.events.debug.phrases import Terms

KEPT: Final = 4096
"""So many texts are cut once: a stream says many things again and again, and a block stays as it was but for a line."""


def search_terms() -> Terms:
    """A text to its words as the index has them: stop words out, endings cut, dates as words."""
    from palimpsest.store.words.lexical import ready
    from palimpsest.store.words.terms import TermTokenizer

    tokenizer = TermTokenizer()

    @lru_cache(maxsize=KEPT)
    def terms(text: str) -> Set[int]:
        return tokenizer.counts(ready(text)).keys()

    return terms
