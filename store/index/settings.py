"""What an index is opened with. Light to import: whoever only joins a system has it too."""

from __future__ import annotations

from typing import Final

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
