"""`--set key=value`: what is to be otherwise where an agent is forked, or run again.

A key is a setting by its name on the command line (`window`, `evict-to`), `system`, or a section of core memory
(`human`, or `block.human` where a setting has that name too). A text that is long comes from a file: `system=@FILE`.
`fallback=` may be given several times, in the order in which they are tried.

Rule: what could not work is refused with what there is, and what it makes of the agent is looked at as `chat` does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from palimpsest.console.fields import FIELDS, changed_fields, split, value_of, with_fields
from palimpsest.console.servers import NONE
from palimpsest.console.settings import Flags, check_change, differences, servers_named, settings_changed
from palimpsest.console.show import many
from palimpsest.events.context import Count
from palimpsest.events.errors import BadInput
from palimpsest.events.prompts import least_window_of, most_reserve_tokens, needed_tokens
from palimpsest.events.servers import chosen
from palimpsest.events.settings import flaw
from palimpsest.events.state import State
from palimpsest.events.types import OFFLINE, Block, Settings
from palimpsest.questions.texts import one_line
from palimpsest.store.config import around

_FLAGS: Final = ("model", "base-url", "window", "fallback", "summarizer", "in-flight")
"""These change others with them, as they do for `chat`."""

KEYS: Final = (*_FLAGS, *FIELDS, "system")


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is otherwise; None: as it was. `said` has it in words."""

    settings: Settings | None = None
    system: str | None = None
    blocks: tuple[Block, ...] | None = None
    said: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()
    """The servers that are named by it."""


def changes(state: State, pairs: Sequence[str], count: Count) -> Changes:
    """What `--set` makes of an agent. Raises BadInput for what is not known, makes no sense, or leaves no room."""
    given: dict[str, str] = {}
    for key, value in map(_pair, pairs):
        given[key] = f"{given[key]} {value}" if key == "fallback" and key in given else value
    texts = {key: _text(key, value) for key, value in given.items() if key not in (*_FLAGS, *FIELDS)}
    now = chosen(state)
    settings = _settings(now, {key: value for key, value in given.items() if key not in texts})
    system = texts.pop("system", None)
    blocks = _blocks(state.blocks, texts)
    said = [*_said(now, settings)]
    said += [f"system text ({many(len(system), 'character')})"] if system is not None else []
    said += [f'{block.label} "{one_line(block.value, 60)}"' for block in blocks if block not in state.blocks]
    made = Changes(
        settings=settings if settings != now else None,
        system=system if system != state.system else None,
        blocks=blocks if blocks != state.blocks else None,
        said=tuple(said),
        typed=servers_named(_flags(given), around(os.environ), given.get("model", "").strip() or OFFLINE),
    )
    if made != Changes(said=made.said, typed=made.typed):
        _check_room(
            state, replace(state, system=state.system if system is None else system, blocks=blocks), settings, count
        )
    return made


def _check_room(before: State, after: State, settings: Settings, count: Count) -> None:
    """Whether it could talk in that window; where the least that could be wanted is less, nothing need be counted."""
    same = (before.system, before.blocks, before.settings.encoding) == (after.system, after.blocks, settings.encoding)
    after = replace(after, settings=settings)
    most = least_window_of(after, _octets, most_reserve_tokens(settings.model), head_counted=same)
    most = max(most, settings.reserve_tokens + needed_tokens(after, _octets, head_counted=same))
    if settings.fallbacks or most > settings.window_tokens:
        check_change(after, settings, count)


def _octets(_encoding: str, text: str) -> int:
    """No text has more tokens than bytes."""
    return len(text.encode())


def _pair(pair: str) -> tuple[str, str]:
    key, value = split(pair, 'window=4096 or human="Eve."')
    return ("window" if key.replace("-", "_") == "window_tokens" else key), value


def _text(key: str, value: str) -> str:
    if key != "system" or not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        why = f"it is not UTF-8 text (byte {error.start + 1} is 0x{error.object[error.start]:02x})"
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
    raise BadInput(f"The system text cannot be read from '{one_line(value[1:], 80)}': {why}. Give a text file.")


def _settings(now: Settings, given: Mapping[str, str]) -> Settings:
    if not given.get("model", "none").strip():
        raise BadInput("model= names no model: give one, as model=offline.")
    settings = settings_changed(now, _flags(given), around(os.environ)) or now
    settings = with_fields(
        settings, {key: value for key, value in given.items() if key in FIELDS}, given.get("base-url", "").strip()
    )
    why = flaw(settings)
    if why:
        raise BadInput(f"These settings cannot be: {why}")
    return settings


def _flags(given: Mapping[str, str]) -> Flags:
    return Flags(
        model=given.get("model", "").strip(),
        base_url=given.get("base-url", "").strip(),
        window=value_of("window", "window_tokens", given["window"]) if "window" in given else 0,
        fallback=tuple((given["fallback"].strip() or NONE).split()) if "fallback" in given else (),
        summarizer=(given["summarizer"].strip() or NONE) if "summarizer" in given else "",
        in_flight=value_of("in-flight", "in_flight", given["in-flight"]) if "in-flight" in given else None,
    )


def _blocks(now: tuple[Block, ...], texts: Mapping[str, str]) -> tuple[Block, ...]:
    labels = {block.label for block in now}
    values = {key.removeprefix("block.") if key not in labels else key: text for key, text in texts.items()}
    for key in values:
        if key not in labels:
            raise BadInput(_unknown(key, labels))
    for block in now:
        value = values.get(block.label, "")
        if len(value) > block.limit:
            size = many(len(value), "character")
            raise BadInput(
                f"The section '{block.label}' holds {block.limit:,} characters; this has {size}. Shorten it."
            )
    return tuple(replace(block, value=values.get(block.label, block.value)) for block in now)


def _unknown(key: str, labels: Iterable[str]) -> str:
    sections = sorted(labels)
    near = get_close_matches(key.lower(), (*KEYS, *sections), n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    named = f"sections of core memory: {', '.join(sections)}" if sections else "no section of core memory"
    return f"There is nothing '{one_line(key, 40)}' to set.{hint} Settings: {', '.join(KEYS)}; {named}."


def _said(before: Settings, after: Settings) -> list[str]:
    said = [differences(before, after)] if differences(before, after) else []
    return said + changed_fields(before, after)
