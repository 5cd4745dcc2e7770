"""Settings by their names on the command line, as `--set KEY=VALUE` of `chat`, `fork` and `rerun` has them.

Rule: a value is read as its setting's type, and one that is none says so; `none` unsets what can be unset.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, get_args

import msgspec
from msgspec.structs import replace

from palimpsest.console.servers import NONE
from palimpsest.console.tokenizers import with_tokenizer
from palimpsest.events.encodings import is_own
from palimpsest.events.errors import BadInput
from palimpsest.events.types import Settings
from palimpsest.questions.texts import one_line

FIELDS: Final[Mapping[str, str]] = {
    "return-after": "return_after_s",
    "reserve": "reserve_tokens",
    "warn": "warn_at",
    "evict": "evict_at",
    "evict-to": "evict_to",
    "summary-words": "summary_words",
    "page-size": "page_size",
    "result-chars": "result_chars",
    "max-steps": "max_steps",
    "max-turn-tokens": "max_turn_tokens",
    "max-failures": "max_failures",
    "repeats-told": "repeats_told",
    "repeats-ended": "repeats_ended",
    "tokenizer": "encoding",
    "temperature": "temperature",
    "timeout": "timeout_s",
    "idle": "idle_s",
    "tool-choice": "tool_choice",
    "parallel-tool-calls": "parallel_tool_calls",
    "response-format": "response_format",
    "seed": "seed",
    "reasoning-effort": "reasoning_effort",
    "extra-body": "extra_body",
    "headers": "headers",
}
TOKENIZER: Final = "tokenizer"
_TYPES: Final[Mapping[str, Any]] = {field.name: field.type for field in msgspec.structs.fields(Settings)}
_JSON: Final = frozenset({"response_format", "extra_body", "headers"})
_WHAT: Final[Mapping[Any, str]] = {int: "a whole number", int | None: "a whole number", bool | None: "true or false"}


def split(pair: str, example: str = "seed=7") -> tuple[str, str]:
    """KEY=VALUE, the key of a setting as this page has it, however it was typed."""
    key, equals, value = pair.partition("=")
    if not equals or not key.strip():
        raise BadInput(f"'{one_line(pair, 60)}' sets nothing: give KEY=VALUE, as {example}.")
    known = key.strip().lower().replace("_", "-")
    by_field = {name.replace("_", "-"): each for each, name in FIELDS.items()} | dict.fromkeys(_ZONE, "timezone")
    known = by_field.get(known, known)
    return (known if known in FIELDS or known in _FLAGS else key.strip()), value


_FLAGS: Final = frozenset({"model", "base-url", "window", "fallback", "summarizer", "in-flight", "system", "timezone"})
"""Of these `fork` and `rerun` read some, and `chat` has options of their names."""
_ZONE: Final = ("time-zone", "zone", "tz")


def given(settings: Settings, pairs: Iterable[str], typed: str = "") -> Settings:
    """The settings with what `chat --set` says; `typed`: the base_url that the user gives with it. Raises BadInput for
    what is no setting."""
    said = dict(map(split, pairs))
    for key in said:
        if key not in FIELDS:
            near = get_close_matches(key.lower(), FIELDS, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            hint = f" Give --{key}." if key in _FLAGS - {"system"} else hint
            raise BadInput(f"There is no setting '{one_line(key, 40)}'.{hint} The settings are: {', '.join(FIELDS)}.")
    return with_fields(settings, said, typed)


def with_fields(settings: Settings, said: Mapping[str, str], typed: str = "") -> Settings:
    if TOKENIZER in said:
        settings = with_tokenizer(settings, said[TOKENIZER], typed)
    others = {key: value for key, value in said.items() if key != TOKENIZER}
    return replace(settings, **{FIELDS[key]: value_of(key, FIELDS[key], value) for key, value in others.items()})


def value_of(key: str, field: str, text: str) -> Any:
    """The value of a setting. Raises BadInput."""
    wanted, typed = _TYPES[field], text.strip()
    if typed.lower() in ("", NONE) and (wanted is str or type(None) in get_args(wanted)):
        return "" if wanted is str else None
    if field in _JSON:
        return _compact(key, typed)
    try:
        value = msgspec.convert(typed, wanted, strict=False)
    except msgspec.ValidationError:
        raise BadInput(f"{key}={one_line(text, 40)} cannot be: {key} is {_WHAT.get(wanted, 'a number')}.") from None
    if key == "window" and value < 1:
        raise BadInput(f"window={value} cannot be: give tokens, from some thousands up.")
    return value


def _compact(key: str, text: str) -> str:
    """JSON without blanks, so that it says the same however it was typed; a word alone is a response's type."""
    if key == "response-format" and text.replace("_", "").isalnum():
        return msgspec.json.encode({"type": text}).decode()
    try:
        return msgspec.json.encode(msgspec.json.decode(text)).decode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadInput(f"{key}={one_line(text, 40)} cannot be: {key} is a JSON object.") from None


def changed_fields(before: Settings, after: Settings) -> list[str]:
    """What changed, in words; not the tokenizer that came with another model."""
    pairs = [(key, getattr(before, name), getattr(after, name)) for key, name in FIELDS.items()]
    along = {TOKENIZER} if before.model != after.model and not is_own(after.encoding) else ()
    return [f"{key} {_shown(was)} -> {_shown(now)}" for key, was, now in pairs if was != now and key not in along]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value in ("", None) else f"{value:,}" if isinstance(value, int) else one_line(str(value), 200)
