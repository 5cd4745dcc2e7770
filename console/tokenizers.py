"""`--set tokenizer=…`: by what an agent's tokens are counted.

Rule: a tokenizer that cannot be had is refused here, before anything is written.
"""

from __future__ import annotations

import asyncio
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from palimpsest.events.addresses import address_of, public_url
from palimpsest.events.encodings import FILE, SERVER
from palimpsest.events.errors import BadInput
from palimpsest.events.servers import all_of, summarizer
from palimpsest.events.types import Settings
from palimpsest.questions.texts import one_line
from palimpsest.store.keys.files import handed
from palimpsest.store.keys.keys import merged
from palimpsest.store.tokens import tokenizers as tokenizer_file
from palimpsest.store.tokens.counting import SHIPPED, encoding_for, is_encoding

SERVERS: Final = SERVER.rstrip(":")
"""The agent's server counts, and its kind is asked for."""
USUAL: Final = "none"
"""What the model's name says."""
FORM: Final = (
    f"{FILE}PATH (a tokenizer.json of Hugging Face), {SERVERS} (the agent's own counts), "
    f"{', '.join(SHIPPED)}, or {USUAL}"
)


def encoding_named(text: str, model: str, base_url: str, typed: str = "") -> tuple[str, float]:
    """The encoding that is meant, and its margin. `typed`: the address that the user typed with it. Raises BadInput."""
    name = text.strip()
    if name.lower() in ("", USUAL):
        return encoding_for(model)
    if name.startswith(FILE):
        return FILE + tokenizer_file.check(name.removeprefix(FILE)), 1.0
    place, _, kind = name.partition(":")
    if place == SERVERS:
        return SERVER + _kind(kind, model, base_url, typed), 1.0
    if name == encoding_for(model)[0]:
        return encoding_for(model)
    if not is_encoding(name):
        raise BadInput(f"'{one_line(name, 80)}' is no tokenizer: give {FORM}.")
    return name, 1.0


def _kind(named: str, model: str, base_url: str, typed: str) -> str:
    """The kind of server that counts; where none is named, the server is asked."""
    from palimpsest.actors.models.hosted.tokenizing import KINDS

    if not base_url:
        raise BadInput(f"tokenizer={SERVERS} needs the model's own server: --base-url, or MODEL@URL of a fallback.")
    if named in KINDS:
        return named
    kinds = ", ".join(f"{SERVER}{kind}" for kind in KINDS)
    if named:
        raise BadInput(f"There is no kind of server '{one_line(named, 40)}' that counts: give one of {kinds}.")
    found = _asked(base_url, model, typed)
    if not found:
        raise BadInput(
            f"{public_url(base_url)} gives no counts in a way that is known (or is down). If it does, name its kind: "
            f"{kinds}. Else give the model's tokenizer: {FILE}PATH."
        )
    return found


@functools.lru_cache(maxsize=64)
def _asked(base_url: str, model: str, typed: str) -> str:
    """The kind of server there, asked once. An address that came with an agent is asked only where it is trusted."""
    from palimpsest.actors.models.hosted.tokenizing import kind_of

    given = handed(os.environ, typed=(typed,) if typed else ())
    keys, address = merged(given.filed, given.environment), address_of(base_url)
    if address is None or not keys.is_trusted(address):
        raise BadInput(
            f"{public_url(base_url)} is no address that you gave: nothing is sent there. Name the kind of server, as "
            f"tokenizer={SERVER}vllm, or allow the address: `palimpsest keys allow {address or 'URL'}`."
        )
    with ThreadPoolExecutor(1) as pool:  # the caller may run a loop of its own
        return pool.submit(asyncio.run, kind_of(base_url, model, keys.access(base_url))).result()


def missing(settings: Settings) -> list[str]:
    """Lines about the files that the agent's tokens are to be counted by, and that are not there (on this machine)."""
    encodings = {each.encoding for each in (*all_of(settings), summarizer(settings))}
    files = sorted(each.removeprefix(FILE) for each in encodings if each.startswith(FILE))
    return [
        f"The tokenizer {one_line(file, 200)} cannot be read: tokens are counted by estimate until it is there again. "
        f"Put it back, or give another: --set tokenizer={FILE}PATH."
        for file in files
        if not (Path(file).is_file() and os.access(file, os.R_OK))
    ]


def with_tokenizer(settings: Settings, text: str, typed: str = "") -> Settings:
    """The settings with the tokenizer that is meant. A kind of server that stands there holds without being asked."""
    if text.strip() == SERVERS and settings.encoding.startswith(SERVER):
        return settings
    encoding, margin = encoding_named(text, settings.model, settings.base_url, typed)
    if encoding == settings.encoding:
        return settings
    return replace(settings, encoding=encoding, token_margin=margin, margin_learned=0.0)
