"""What an agent runs with, from the flags of `chat`: for a new agent, or as a change of one that there is.

Rule: a window in which the agent could not talk is refused before anything is written, with the least that would do.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from msgspec.structs import replace

from palimpsest.actors.models.hosted.window import UNKNOWN, ServedWindow
from palimpsest.console.called import PROGRAM
from palimpsest.console.fields import changed_fields, given
from palimpsest.console.servers import moved_along, with_fallbacks, with_summarizer
from palimpsest.events.addresses import OPENAI_URL, address_of, public_url
from palimpsest.events.context import Count
from palimpsest.events.encodings import FILE
from palimpsest.events.errors import BadInput
from palimpsest.events.prompts import (
    least_window_of,
    most_reserve_tokens,
    needed_tokens,
    newborn,
    reserve_tokens,
    summary_words,
    unborn,
)
from palimpsest.events.servers import all_of
from palimpsest.events.settings import flaw
from palimpsest.events.state import State
from palimpsest.events.types import OFFLINE, AgentCreated, Settings
from palimpsest.questions.descriptions import value_text
from palimpsest.store.tokens.counting import encoding_for

OFFLINE_WINDOW_TOKENS: Final = 8_192
HOSTED_WINDOW_TOKENS: Final = 32_768
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
"""An environment that says nothing."""
HOW_TO_HOST: Final = (
    f"This is the built-in offline model, not an LLM. For a real one: OPENAI_API_KEY=… {PROGRAM} chat --model "
    "gpt-4o-mini, or --base-url http://localhost:11434/v1 --model llama3"
)


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says; empty or 0: nothing."""

    model: str = ""
    base_url: str = ""
    window: int = 0
    reserve: int = 0
    fallback: tuple[str, ...] = ()
    """Servers, as `console.servers` reads them; `none`: no fallback."""
    summarizer: str = ""
    in_flight: int | None = None
    """0: as usual again."""
    pairs: tuple[str, ...] = ()
    """Other settings, as `console.fields` reads them."""
    timezone: str = ""
    unchecked: bool = False
    """Take the model and its server as they are named, whatever the server says beforehand."""


def settings_for_new(flags: Flags, environ: Mapping[str, str], served: ServedWindow = UNKNOWN) -> Settings:
    """A new agent's settings. With no flag: $PALIMPSEST_MODEL, else the offline model. A hosted model's server is
    $OPENAI_BASE_URL's where --base-url names none: it is written down, so that the agent stays there. `served`: what
    that server says of the window, and of its slots."""
    model = flags.model or environ.get("PALIMPSEST_MODEL") or OFFLINE
    flags = _with_server(flags, model, environ)
    _check(flags, model)
    usual = OFFLINE_WINDOW_TOKENS if model == OFFLINE else _at_most(HOSTED_WINDOW_TOKENS, served)
    settings = _with_model(Settings(), model, flags.base_url, flags.window or usual)
    return _with_servers(replace(settings, in_flight=served.slots), flags)


def settings_changed(
    now: Settings, flags: Flags, environ: Mapping[str, str] = NOTHING, served: ServedWindow = UNKNOWN
) -> Settings | None:
    """An agent's settings with the flags applied; None where they change nothing."""
    changed = _with_servers(moved_along(now, _model_changed(now, flags, environ, served)), flags)
    return None if changed == now else changed


def _at_most(window: int, served: ServedWindow) -> int:
    """A window that nobody asked for stays within what the server serves, or the model was trained for."""
    return min(window, served.served or window, served.trained or window)


def _with_servers(settings: Settings, flags: Flags) -> Settings:
    settings = replace(settings, reserve_tokens=flags.reserve or settings.reserve_tokens)
    settings = with_summarizer(with_fallbacks(settings, flags.fallback), flags.summarizer)
    settings = replace(settings, in_flight=settings.in_flight if flags.in_flight is None else flags.in_flight)
    settings = given(settings, flags.pairs, flags.base_url)
    why = flaw(settings)
    if why:
        raise BadInput(f"These settings cannot be: {why}")
    return settings


def _model_changed(now: Settings, flags: Flags, environ: Mapping[str, str], served: ServedWindow) -> Settings:
    """A model's name comes with its server: `--model` alone means $OPENAI_BASE_URL's, else OpenAI's own."""
    model = flags.model or now.model
    flags = _with_server(flags, flags.model or OFFLINE, environ)
    _check(flags, model)
    base_url = flags.base_url if flags.model or flags.base_url else now.base_url
    if (model, base_url) != (now.model, now.base_url):
        moved = _with_model(now, model, base_url, flags.window or _at_most(now.window_tokens, served))
        return replace(moved, in_flight=served.slots or (now.in_flight if base_url == now.base_url else 0))
    return _with_window(now, flags.window) if flags.window not in (0, now.window_tokens) else now


def servers_named(flags: Flags, environ: Mapping[str, str], model: str) -> tuple[str, ...]:
    """The servers that the user named by these flags; `model` is the one that they, or the environment, say.

    A fallback or summariser without an address is at the agent's own server, which it does not name.
    """
    others = with_summarizer(with_fallbacks(Settings(), flags.fallback), flags.summarizer)
    own = _with_server(flags, model, environ).base_url or (OPENAI_URL if model != OFFLINE else "")
    more = [*others.fallbacks, *([others.summarizer_at] if others.summarizer_at else [])]
    return tuple(url for url in (own, *(each.base_url for each in more)) if url)


def _with_server(flags: Flags, model: str, environ: Mapping[str, str]) -> Flags:
    """The flags, with the environment's server for a model that is hosted and has none."""
    url = environ.get("OPENAI_BASE_URL", "").strip()
    if flags.base_url or model == OFFLINE or not url or address_of(url) == address_of(OPENAI_URL):
        return flags
    if address_of(url) is None:
        raise BadInput(
            f"OPENAI_BASE_URL is '{public_url(url)}', which is no base URL: it begins with http:// or https://."
        )
    return replace(flags, base_url=url)


def _check(flags: Flags, model: str) -> None:
    if flags.base_url and model == OFFLINE:
        raise BadInput("--base-url needs the model's name at that server: add --model NAME.")
    if flags.base_url and not flags.base_url.startswith(("http://", "https://")):
        raise BadInput(f"'{flags.base_url}' is no base URL: it begins with http:// or https://, and ends with /v1.")


def _with_model(settings: Settings, model: str, base_url: str, window: int) -> Settings:
    encoding, margin = encoding_for(model)
    if model == settings.model and settings.encoding.startswith(FILE):
        encoding, margin = settings.encoding, settings.token_margin  # a file is the model's, wherever that is served
    changed = replace(
        settings,
        model=model,
        base_url=base_url,
        output_parameter="max_tokens" if base_url else "max_completion_tokens",
        encoding=encoding,
        token_margin=margin,
    )
    return _with_window(changed, window)


def _with_window(settings: Settings, window: int) -> Settings:
    """With what hangs on the window's size, where nobody chose otherwise."""
    usual = settings.summary_words == summary_words(settings.window_tokens)
    return replace(
        settings,
        window_tokens=window,
        reserve_tokens=reserve_tokens(settings.model, window),
        summary_words=summary_words(window) if usual else settings.summary_words,
    )


def born(settings: Settings, count: Count, served: ServedWindow = UNKNOWN) -> AgentCreated:
    """The first event of a new agent. Raises BadInput where its window is too small."""
    event = newborn(settings)
    check_window(event, count, served)
    return event


def check_window(event: AgentCreated, count: Count, served: ServedWindow = UNKNOWN) -> None:
    check_change(unborn(event), event.settings, count, served)


def check_change(state: State, settings: Settings, count: Count, served: ServedWindow = UNKNOWN) -> None:
    """Raises BadInput where an agent, with the core memory and the sources that it has by now, could not talk in its
    new window, or in a fallback's."""
    for number, asked in enumerate(all_of(settings)):
        _check_least(replace(state, settings=asked), count, served, number)


def _check_least(state: State, count: Count, served: ServedWindow, number: int) -> None:
    """`number`: which of the agent's servers it is (0: its own, of which `served` is)."""
    settings = state.settings
    whose = f" of fallback {number} ({_place(settings)})" if number else ""
    least = least_window_of(state, count, most_reserve_tokens(settings.model))
    if settings.window_tokens < least:
        mend = f"write ,window={least} or more behind it" if number else f"Give --window {least} or more"
        if not number and 0 < served.served < least:
            mend = f"The server serves {served.served:,} ({served.source}): start it with more"
        raise BadInput(
            f"A window of {settings.window_tokens:,} tokens{whose} is too small: system text, core memory and "
            f"functions with room for a summary, a message and the answer take {least:,}. {mend[0].upper()}{mend[1:]}."
        )
    room = settings.window_tokens - needed_tokens(state, count)
    if settings.reserve_tokens > room:
        raise BadInput(
            f"A reserve of {settings.reserve_tokens:,} tokens for the answer leaves no room to talk in a window of "
            f"{settings.window_tokens:,}{whose}: give at most {room:,}, or a larger window."
        )


def window_said(settings: Settings, served: ServedWindow, *, asked: bool) -> str:
    """Where an agent's window comes from, and what may be wrong with it. `asked`: its size was given by --window."""
    size = f"window {settings.window_tokens:,} tokens"
    if not settings.base_url:
        return size
    if served.served:
        if settings.window_tokens > served.served:
            return (
                f"{size}, and the server serves only {served.served:,} ({served.source}): what is longer is refused or "
                f"cut there. Give --window {served.served}"
            )
        more = "; --window makes it larger" if settings.window_tokens < served.served and not asked else ""
        return f"{size} (the server serves {served.served:,}: {served.source}{more})"
    if not served.reached:
        return f"{size}; the server did not answer when it was asked what it serves" + (
            "" if asked else ": if that is less, give it by --window"
        )
    trained = f" (the model was trained for {served.trained:,}: {served.source})" if served.trained else ""
    if asked:
        return f"{size}{trained}; the server does not say what it serves"
    return f"{size}{trained}; the server does not say what it serves: if that is less, give it by --window"


def bound_said(settings: Settings, served: ServedWindow) -> str:
    """How many requests the agent's server gets at once, where that is not what is usual."""
    if not settings.in_flight:
        return ""
    why = " (the server's slots)" if settings.in_flight == served.slots else ""
    return f", requests at once: {settings.in_flight}{why}"


def differences(before: Settings, after: Settings) -> str:
    """What changed, in words."""
    said = []
    if (before.model, before.base_url) != (after.model, after.base_url):
        said.append(f"model {_place(before)} -> {_place(after)}")
    if before.window_tokens != after.window_tokens:
        said.append(f"window {before.window_tokens:,} -> {after.window_tokens:,} tokens")
    elif before.reserve_tokens != after.reserve_tokens:
        said.append(f"reserve {before.reserve_tokens:,} -> {after.reserve_tokens:,} tokens")
    if before.fallbacks != after.fallbacks:
        said.append(f"fallbacks {value_text(before.fallbacks)} -> {value_text(after.fallbacks)}")
    writers = [each.summarizer_at or each.summarizer or "its own model" for each in (before, after)]
    if writers[0] != writers[1]:
        said.append(f"summaries by {value_text(writers[0])} -> {value_text(writers[1])}")
    if before.in_flight != after.in_flight:
        said.append(f"requests at once {before.in_flight or 'as usual'} -> {after.in_flight or 'as usual'}")
    return ", ".join(said)


def changes_in_words(before: Settings, after: Settings) -> str:
    """All that changed; what moved along with the model is not said again."""
    along = ("reserve ", "summary-words ") if differences(before, after) else ("reserve ",)
    said = [each for each in changed_fields(before, after) if not each.startswith(along)]
    return ", ".join(filter(None, (differences(before, after), *said)))


def _place(settings: Settings) -> str:
    return f"{settings.model} at {settings.base_url}" if settings.base_url else settings.model
