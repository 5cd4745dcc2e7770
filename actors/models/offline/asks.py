# ruff: noqa: RUF001 (both forms of the apostrophe are matched, as users type them)
"""Whether a sentence asks, requests or states, and the words that only lead to it.

Rule: a request that is put as a question is a request.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

LEAD: Final = re.compile(
    r"(?i)\A(?:(?:hi|hello|hey|hey there|hi there|well|oh dear|i tell a lie|i lied|oh|ok|okay|oops|actually|no|nope"
    r"|by the way|btw|so|also|and|but|yes|yeah|please|fyi|just so you know|sorry|wait|correction|now|in fact"
    r"|sry|pardon(?: me)?|good (?:morning|afternoon|evening)|from now on|these days|currently|nowadays"
    r"|as of (?:today|now)|i mean|for the record|you should know(?: that)?|again|turns out|my (?:bad|mistake)"
    r"|scratch that|or rather|rather|anyway|today|yesterday|last (?:week|month|year)|that|hmm|haha|lol"
    r"|(?:can|could|would|will) you(?: please)?|i(?: just)? want(?:ed)? (?:to tell you|you to know)(?: that)?"
    r"|(?:please )?(?:note|know|write down|keep in mind)(?: that)?)\b[\s,:!.–—-]*)+"
)
_QUESTION: Final = re.compile(
    r"(?:what|where|when|who|whom|whose|which|how|why)(?:['’]?s|['’]re|['’]d)?\s+(?:[\w'’-]+\s+){0,4}(?:is|are|was|were"
    r"|do|does|did|am|can|could|will|would|should|have|has|had)\b|(?:in|at|on|for|with|from|to|by) (?:what|which|whom?"
    r"|whose|how)\b|(?:what|where|when|who|how)['’]?s\b|(?:who|whose|which|how (?:many|much|often|old|long|far))\s+\w+"
    r"|(?:do|did|does|have|has|can|could|am|are|is|was|were)\s+(?:i|you|we|my|our|the|there)\b|(?:please\s+)?(?:tell me"
    r"|show me|give me|remind me)\s+(?:\w+\s+)?(?:what|where|when|who|which|how|why|about|my|the|all)\b|any idea\b"
    r"|(?:list|summari[sz]e|recap|describe|tell me)\s+\w+",
    re.I,
)
_ASKS_AT_END: Final = re.compile(r"(?:(?:です|ます|でした|ました|ません|だろう|の)か|[吗嗎呢])[\s。.]*$")
"""How a question ends in Japanese and Chinese, where its mark is left out."""
_SINCE: Final = re.compile(r"(?:when|where|while)\s+(?:i|we|he|she|they|it|the)\b", re.I)
_REQUEST: Final = re.compile(
    r"(?i)(?:please\s+|(?:can|could|would|will) you (?:please )?)?"
    r"(?:remember|don['’]t forget|do not forget|note|keep in mind|memori[sz]e|save|write down|call me|call yourself"
    r"|remind|forget|erase|cancel|set|delete|remove|wake)\b"
)


@lru_cache(maxsize=1024)
def is_question(sentence: str) -> bool:
    """Whether a sentence asks; a request that is put as a question does not."""
    asks = sentence.rstrip("\"'”’ )")[-1:] in ("?", "？", "؟") or bool(_ASKS_AT_END.search(sentence))
    bare = LEAD.sub("", sentence, count=1) if LEAD.match(sentence) else sentence
    if (_REQUEST.match(bare) or _REQUEST.match(sentence)) and not _QUESTION.match(bare):
        return False
    return asks or bool(_QUESTION.match(bare) and not _SINCE.match(bare))
