"""Names of token encodings, as `Settings.encoding` has them: tiktoken's own, one weighed by scripts
(`store.tokens.scripts`), or the model's own tokenizer, by which counts are exact.

Rule: the name says all that a count needs; what it stands for is asked for by the shell alone.
"""

from __future__ import annotations

from typing import Final

FILE: Final = "hf:"
"""Before the path of a tokenizer's file, as Hugging Face has it."""
SERVER: Final = "server:"
"""Before the kind of the agent's server, which counts for us (`actors.models.hosted.tokenizing`)."""


def is_own(encoding: str) -> bool:
    """Whether it is the model's own tokenizer."""
    return encoding.startswith((FILE, SERVER))


def is_servers(encoding: str) -> bool:
    """Whether the server counts: what it has not counted yet is held to be what we think, until it has."""
    return encoding.startswith(SERVER)
