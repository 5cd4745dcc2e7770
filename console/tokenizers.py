"""`--set tokenizer=…`: by what an agent's tokens are counted.

Rule: a tokenizer that cannot be had is refused here, before anything is written.
"""

from __future__ import annotations

import os
from typing import Final

from msgspec.structs import replace

from console.show import one_line
from events.encodings import FILE
from events.errors import BadInput
from events.servers import all_of
from events.types import Settings
from store import tokenizer_file
from store.tokens import SHIPPED, encoding_for, is_encoding

USUAL: Final = "none"
"""What the model's name says."""
FORM: Final = f"{FILE}PATH (a tokenizer.json of Hugging Face), {', '.join(SHIPPED)}, or {USUAL}"


def encoding_named(text: str, model: str) -> tuple[str, float]:
    """The encoding that is meant, and its margin. Raises BadInput."""
    name = text.strip()
    if name.lower() in ("", USUAL):
        return encoding_for(model)
    if name.startswith(FILE):
        return FILE + tokenizer_file.check(name.removeprefix(FILE)), 1.0
    if name == encoding_for(model)[0]:
        return encoding_for(model)
    if not is_encoding(name):
        raise BadInput(f"'{one_line(name, 80)}' is no tokenizer: give {FORM}.")
    return name, 1.0


def missing(settings: Settings) -> list[str]:
    """Lines about the files that the agent's tokens are to be counted by, and that are not there."""
    files = {each.encoding.removeprefix(FILE) for each in all_of(settings) if each.encoding.startswith(FILE)}
    return [
        f"The tokenizer {one_line(file, 200)} cannot be read: tokens are counted by estimate until it is there again. "
        f"Put it back, or give another: --set tokenizer={FILE}PATH."
        for file in sorted(files)
        if not os.access(file, os.R_OK)
    ]


def with_tokenizer(settings: Settings, text: str) -> Settings:
    encoding, margin = encoding_named(text, settings.model)
    return replace(settings, encoding=encoding, token_margin=margin)
