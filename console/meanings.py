"""The settings of an agent as a user sets them, each with its value and with what it means.

Rule: every key that `--set` and `set` know stands here (a test holds them together).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from palimpsest.console.fields import FIELDS
from palimpsest.events.servers import chosen
from palimpsest.events.state import State
from palimpsest.events.types import Settings
from palimpsest.questions.descriptions import value_text

MEANINGS: Final[Mapping[str, str]] = {
    "model": "the model that answers, by its server's name for it; offline: built in",
    "base-url": "the server that has it, as http://localhost:11434/v1; none: OpenAI's own",
    "window": "the context window, in tokens",
    "reserve": "tokens of the window that are kept for an answer",
    "fallback": "who is asked where the server fails, in this order",
    "summarizer": "who writes the summaries; none: the model itself",
    "in-flight": "the most requests that the server is to have at once; 0: 64",
    "return-after": "seconds until the first server is tried again after a switch to a fallback",
    "tokenizer": "how tokens are counted: an encoding, hf:PATH, or server",
    "warn": "the share of the window at which the agent is warned that it fills up",
    "evict": "the share at which older messages leave the window",
    "evict-to": "the share that is left then",
    "summary-words": "how long a summary may be, in words",
    "page-size": "results of a search that are shown at once",
    "result-chars": "the most characters of a function's result",
    "max-steps": "the most times that the model is asked in a turn",
    "max-turn-tokens": "the most tokens that a turn may use",
    "max-failures": "failures in a row after which a turn is ended",
    "repeats-told": "calls alike after which the model is told that it repeats itself; 0: never",
    "repeats-ended": "calls alike after which the turn is ended; 0: never",
    "temperature": "how freely the model answers; none: the server's own",
    "timeout": "seconds that one attempt at an answer may take; 0: 600",
    "idle": "seconds that a stream may pause; 0: 120",
    "tool-choice": "auto, required, none, or a function's name; none: not said",
    "parallel-tool-calls": "whether an answer may have several calls; none: not said",
    "response-format": "a JSON object that says which form an answer has",
    "seed": "a number by which a server repeats itself; none: not said",
    "reasoning-effort": "low, medium, high, as the server takes it; none: not said",
    "extra-body": "further fields of a request: a JSON object",
    "headers": "further headers of a request: a JSON object, no secrets",
}

_OTHERS: Final[Mapping[str, str]] = {
    "model": "model",
    "base-url": "base_url",
    "window": "window_tokens",
    "fallback": "fallbacks",
    "in-flight": "in_flight",
}


class SettingMeaning(msgspec.Struct, frozen=True, kw_only=True):
    """A setting: its `value`, whether it is as in every new agent (`usual`), and what it means."""

    key: str
    value: str
    usual: bool
    meaning: str


def told(state: State) -> list[SettingMeaning]:
    """All settings of an agent as they were chosen, whichever server is asked now."""
    now, usual = chosen(state), Settings()
    return [
        SettingMeaning(key=key, value=_text(_of(now, key)), usual=_of(now, key) == _of(usual, key), meaning=meaning)
        for key, meaning in MEANINGS.items()
    ]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else value_text(value)


def _of(settings: Settings, key: str) -> Any:
    if key == "summarizer":
        return settings.summarizer_at or settings.summarizer
    return getattr(settings, _OTHERS.get(key) or FIELDS[key])
