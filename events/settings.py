"""Whether settings make sense: checked at the door, before an agent is made or changed."""

from __future__ import annotations

from math import isfinite
from typing import Final
from urllib.parse import urlsplit

from palimpsest.events import body
from palimpsest.events.addresses import secrets_in_query
from palimpsest.events.servers import all_of, summarizer
from palimpsest.events.types import Settings

MOST: Final = 1_000_000_000
"""No count of an agent's settings has a sense above this."""


MOST_FALLBACKS: Final = 8


def flaw(settings: Settings) -> str:
    """What is wrong with these settings, and how to mend it ("": nothing)."""
    return _flaw(settings) or _flaw_of_servers(settings)


def _flaw_of_servers(s: Settings) -> str:
    """What is wrong with the other servers that the agent may ask."""
    if len(s.fallbacks) > MOST_FALLBACKS:
        return f"There are {len(s.fallbacks)} fallbacks: give at most {MOST_FALLBACKS}."
    if not 0 <= s.return_after_s <= MOST:
        return f"return_after_s is {s.return_after_s}: give seconds, from 0 up."
    others = [(f"fallback {number}", each) for number, each in enumerate(all_of(s)[1:], 1)]
    if s.summarizer_at is not None:
        others.append(("the summariser", summarizer(s)))
    for name, each in others:
        why = _flaw(each) if each.model.strip() else "it names no model."
        if why:
            return f"{name} ({each.model}) cannot be: {why}"
    return ""


def _flaw(s: Settings) -> str:
    if why := _address_flaw(s.base_url):
        return why
    fractions = {"warn_at": s.warn_at, "evict_at": s.evict_at, "evict_to": s.evict_to}
    for name, value in fractions.items():
        if not (isfinite(value) and 0 < value <= 1):
            return f"{name} is {value}: it is a fraction of the window, above 0 and at most 1."
    if s.evict_to >= s.evict_at:
        return f"evict_to ({s.evict_to}) must be below evict_at ({s.evict_at}): an eviction has to make room."
    if not (isfinite(s.token_margin) and 1 <= s.token_margin <= 4):
        return f"token_margin is {s.token_margin}: give 1.0 for a known tokenizer, up to 4."
    if s.window_tokens > MOST:
        return f"window_tokens is {s.window_tokens}: it can be {MOST} at most."
    if not 0 < s.reserve_tokens < s.window_tokens:
        return f"reserve_tokens ({s.reserve_tokens}) must be above 0 and below window_tokens ({s.window_tokens})."
    if s.temperature is not None and not (isfinite(s.temperature) and s.temperature >= 0):
        return f"temperature is {s.temperature}: give a number from 0 up."
    if not (isfinite(s.timeout_s) and 0 <= s.timeout_s <= MOST):
        return f"timeout_s is {s.timeout_s}: give seconds, or 0 for the usual 600."
    if not (isfinite(s.idle_s) and 0 <= s.idle_s <= MOST):
        return f"idle_s is {s.idle_s}: give seconds, or 0 for the usual 120."
    return _miscount(s) or body.flaw(s)


def _miscount(s: Settings) -> str:
    at_least_one = (
        "summary_words",
        "max_steps",
        "max_turn_tokens",
        "page_size",
        "result_chars",
    )
    or_none = ("max_failures", "in_flight", "repeats_told", "repeats_ended")
    for name in (*at_least_one, *or_none):
        value, least = getattr(s, name), 0 if name in or_none else 1
        if value < least:
            return f"{name} is {value}: it must be at least {least}."
        if value > MOST:
            return f"{name} is {value}: it can be {MOST} at most."
    return ""


def _address_flaw(base_url: str) -> str:
    try:
        address = urlsplit(base_url)
    except ValueError as error:
        return f"base_url is no address ({error}): it begins with http:// or https:// and names a host."
    if address.username or address.password:
        return "base_url holds credentials, which the log must not keep: give the key by `palimpsest keys add URL`."
    if secrets := secrets_in_query(address.query):
        return (
            f"base_url has what looks like a secret in its query ({secrets[0][0]}), which the log must not keep: leave "
            "it out, and give it by `palimpsest keys add URL`, or with `--header NAME` where the server wants it so."
        )
    return ""
