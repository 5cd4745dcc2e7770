"""What is said in fewer words to a model with a small window: the system text that agents are born with. The functions
have theirs in their entries (`events.functions`).

Rules. (1) It is a part of the format (`formats.BRIEF`): nothing here may change what an agent that has it was sent
before. (2) Every function is there with all its parameters, but for those that narrow a search down; what is said of
them is shorter. (3) A system text that a user wrote is left as it is.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

SYSTEM: Final = """\
You are an agent with a memory that outlasts your small context window. Events come as JSON and wake you. Text outside
function calls is your private thought: keep it short. Only send_message speaks to the user. Set request_heartbeat to
true to be woken again at once, to call more or to read a result.
Core memory stands below: keep what matters about the user ("human") and yourself ("persona") there. Older messages are
replaced by a summary: find them with conversation_search. archival_memory holds anything else. Search before you say
that you do not know. The last message is a memory_status: do not answer it."""

FULL: Final = frozenset({"75b24890416e17a876eecb46026bf3c0d0894a46c96de2ed2b51f3b5593490aa"})
"""The SHA-256 of each system text that agents were born with and that `SYSTEM` stands for."""


@lru_cache(maxsize=256)
def system_text(text: str) -> str:
    """The short system text in the place of one that agents are born with; any other as it is."""
    return SYSTEM if hashlib.sha256(text.encode()).hexdigest() in FULL else text
