"""What counts as a word when a text is looked for in a log: the same as in the agents' own searches.

Rule: the tokenizer (Qdrant's own, a tenth of a second) is loaded only by a command that looks for words.
"""

from __future__ import annotations

from events.debug.phrases import Terms


def search_terms() -> Terms:
    """A text to its words as the index has them: stop words out, endings cut, dates as words."""
    from store.lexical import ready
    from store.terms import Tokenizer

    tokenizer = Tokenizer()
    return lambda text: tokenizer.counts(ready(text)).keys()
