"""What an index is opened with, and what lies in it. Light to import: whoever only joins a system has it too."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

DEFAULT: Final = "wordllama"
OPENAI: Final = "openai:"
"""How the setting of a server's embeddings begins; the model's name follows."""


class IndexSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`qdrant_url` "": the index is embedded, in the data folder. `embedder_url`: the base URL of the server that
    openai:MODEL asks ("": OpenAI's own)."""

    embedder: str = DEFAULT
    embedder_url: str = ""
    qdrant_url: str = ""


PointKind: TypeAlias = Literal[
    "message",  # said by user or agent
    "passage",  # of archival storage
    "notice",  # what the system told the agent
]
"""What a point is."""
