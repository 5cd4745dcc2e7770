"""Servers on the command line, for a fallback and for a summariser:
MODEL[@URL][,window=N][,reserve=N][,in-flight=N][,tokenizer=hf:PATH|server].

Rule: what is written is what is shown (`questions.descriptions.server_text`), so that it can be typed again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from palimpsest.console.tokenizers import encoding_named
from palimpsest.events.encodings import is_own
from palimpsest.events.errors import BadInput
from palimpsest.events.prompts import reserve_tokens
from palimpsest.events.types import OFFLINE, Server, Settings
from palimpsest.questions.texts import one_line

NONE: Final = "none"
"""Typed in the place of a server: there is to be none."""
FORM: Final = "MODEL[@URL][,window=N][,reserve=N][,in-flight=N][,tokenizer=hf:PATH|server]"
_EXAMPLE: Final = "llama3@http://localhost:11434/v1,window=8192"

_WRITTEN: Final = re.compile(
    r"(?P<model>.*?)(@(?P<url>https?://[^,\s]*))?"
    r"(?P<more>(,(?!tokenizer=)[a-z-]+=[^,]*)*)"
    r"(,tokenizer=(?P<tokenizer>.*))?",
    re.DOTALL,
)
"""A model's name may hold an @ itself; it ends where a URL begins. A path may hold a comma: so it stands last."""
_MORE: Final = {"window": "window_tokens", "reserve": "reserve_tokens", "in-flight": "in_flight"}


def server(text: str) -> Server:
    """The server that is written so. Raises BadInput."""
    found = _WRITTEN.fullmatch(text.strip())
    model = found["model"].strip() if found else ""
    if not found or not model or model.endswith("@"):
        raise BadInput(f"'{one_line(text, 80)}' names no server: give {FORM}, as {_EXAMPLE}.")
    url = found["url"] or ""
    if model == OFFLINE and url:
        raise BadInput(f"'{one_line(text, 80)}': the offline model is built in, and has no server. Give `{OFFLINE}`.")
    if "://" in model:
        raise BadInput(f"'{one_line(text, 80)}' is no server: the model's name stands first, as {_EXAMPLE}.")
    given = dict(_number(part, text) for part in found["more"].split(",") if part)
    named = found["tokenizer"] or ""
    if any(character.isspace() for character in named.strip()):
        raise BadInput(f"'{one_line(text, 80)}': a tokenizer's path has no blanks here: give a link to it.")
    encoding, margin = encoding_named(named, model, url, url)
    window = given.get("window_tokens", 0)
    reserve = max(1, reserve_tokens(model, window)) if window else 0
    return Server(
        model=model,
        base_url=url,
        output_parameter="max_tokens" if url else "max_completion_tokens",
        encoding=encoding,
        token_margin=margin,
        **{"reserve_tokens": reserve, **given},
    )


def _number(part: str, text: str) -> tuple[str, int]:
    name, _, value = part.partition("=")
    if name not in _MORE:
        raise BadInput(f"'{one_line(text, 80)}': there is no '{one_line(name, 40)}' of a server. Give {FORM}.")
    if not value.isdecimal() or not 0 < int(value) <= 1_000_000_000:
        raise BadInput(f"'{one_line(text, 80)}': {name} is a whole number from 1 up.")
    return _MORE[name], int(value)


def with_fallbacks(settings: Settings, written: Iterable[str]) -> Settings:
    """The settings with these fallbacks in the place of those that there are; `none` alone: with none.

    A name alone is that of another model at the agent's own server.
    """
    texts = [text.strip() for text in written if text.strip()]
    if texts == [NONE]:
        return replace(settings, fallbacks=())
    return replace(settings, fallbacks=tuple(_placed(server(text), settings) for text in texts)) if texts else settings


def _placed(given: Server, settings: Settings) -> Server:
    if given.base_url or given.model == OFFLINE:
        return given
    return replace(given, base_url=settings.base_url, output_parameter=settings.output_parameter)


def with_summarizer(settings: Settings, written: str) -> Settings:
    """The settings with this model for summaries: by its name alone, at the agent's own server; `none`: its own model.

    `offline` is built in, wherever the agent's model is.
    """
    text = written.strip()
    if not text:
        return settings
    if text == NONE:
        return replace(settings, summarizer="", summarizer_at=None)
    given = server(text)
    plain = replace(given, window_tokens=0, reserve_tokens=0, in_flight=0) == given and not given.base_url
    if plain and given.model != OFFLINE and not is_own(given.encoding):
        return replace(settings, summarizer=given.model, summarizer_at=None)
    return replace(settings, summarizer="", summarizer_at=_placed(given, settings))


def moved_along(before: Settings, after: Settings) -> Settings:
    """The settings after the agent's own model went elsewhere: what was named for its old place makes no sense there.

    A summariser by its name alone is a model at the old server; and an agent that is offline asks nobody.
    """
    if (before.model, before.base_url) == (after.model, after.base_url):
        return after
    if after.base_url != before.base_url or OFFLINE in (before.model, after.model):
        after = replace(after, summarizer="")
    if after.model == OFFLINE:
        return replace(after, summarizer_at=None, fallbacks=())
    left = tuple(each for each in after.fallbacks if (each.model, each.base_url) != (after.model, after.base_url))
    return replace(after, fallbacks=left)
