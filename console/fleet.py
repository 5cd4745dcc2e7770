"""A fleet: a TOML or YAML file that says which agents there are to be. It is read into wishes, one an agent.

    [defaults]
    model = "gpt-4o-mini"
    attach = ["manuals"]

    [agents.ada]
    human = "@people/eve.txt"
    set = { temperature = 0.2 }

    [agents."support-{001..200}"]
    title = "Support {n}"

Rules. (1) What an entry says goes before the defaults; tables (blocks, set) are joined, key by key. (2) A key that is
not known is refused, with the nearest that is. (3) Every wrong entry is told, not the first alone. (4) YAML is read by
the safe loader, and paths are as seen from the file.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any, Final

import msgspec

from palimpsest.actors.requests.checks import check_name
from palimpsest.console.settings import Flags
from palimpsest.console.texts import read, text_of
from palimpsest.console.wishes import Section, Wish
from palimpsest.events.errors import BadInput
from palimpsest.questions.texts import one_line

MOST: Final = 100_000
DIGITS: Final = 9
"""So many agents a file may name."""
_PATTERN: Final = re.compile(r"(?P<before>.*)\{(?P<first>\d+)\.\.(?P<last>\d+)\}(?P<after>.*)", re.DOTALL)
_NUMBER: Final = "{n}"

_TEXTS: Final = frozenset({"model", "base-url", "summarizer", "timezone", "persona", "human", "system", "title"})
_NUMBERS: Final = frozenset({"window", "reserve", "in-flight"})
_LISTS: Final = frozenset({"fallback", "attach"})
_TABLES: Final = frozenset({"blocks", "set"})
KEYS: Final = (
    "model", "base-url", "window", "reserve", "in-flight", "fallback", "summarizer", "set", "timezone", "persona",
    "human", "system", "blocks", "attach", "title",
)  # fmt: skip
_SECTION: Final = ("text", "limit", "description")
_PARTS: Final = ("defaults", "agents")

Entry = Mapping[str, Any]


class Fleet(msgspec.Struct, frozen=True):
    """What a file says: the agents to be, in its order, and what is wrong with it, by place."""

    wishes: tuple[Wish, ...]
    wrong: Mapping[str, str]


def wishes(file: Path) -> Fleet:
    """What a fleet's file says. Raises BadInput where it cannot be read at all."""
    parsed = _parsed(file)
    defaults, agents = _tables(parsed, file)
    found: dict[str, Wish] = {}
    wrong: dict[str, str] = {}
    try:
        usual = _normal(defaults)
    except BadInput as error:
        return Fleet((), {"[defaults]": str(error)})
    for name, entry in agents.items():
        try:
            for agent, number in _names(str(name)):
                if agent in found:
                    raise BadInput(f"agent '{agent}' is there twice: another entry names it too.")
                found[agent] = _wish(agent, number, _joined(usual, _normal(entry)), file.parent)
            if len(found) > MOST:
                raise BadInput(f"a file may name {MOST:,} agents.")
        except BadInput as error:
            wrong[f"[agents.{one_line(str(name), 60)}]"] = str(error)
    if not agents:
        raise BadInput(f"{file} names no agent: give it a table [agents.NAME] for each.")
    return Fleet(tuple(found.values()), wrong)


# --- the file -----------------------------------------------------------------------------------------------------


def _parsed(file: Path) -> dict[str, Any]:
    text = read(file, "fleet")
    if file.suffix.lower() in (".yaml", ".yml"):
        return _yaml(file, text)
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadInput(f"{file} is no TOML: {error}. (A YAML file ends with .yaml.)") from None


def _yaml(file: Path, text: str) -> dict[str, Any]:
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        twice = _twice(node, set())
        parsed = None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadInput(f"{file} is no YAML: {one_line(str(error), 300)}.") from None
    if twice is not None:
        raise BadInput(f"{file} has '{one_line(twice, 40)}' twice in one table: a key stands there once.")
    if not isinstance(parsed, dict):
        raise BadInput(f"{file} holds no table: give it `defaults` and `agents`.")
    return parsed


def _twice(node: Any, seen: set[int]) -> str | None:
    """A key that a table of this YAML has twice, of which PyYAML would take the last."""
    if node is None or id(node) in seen or isinstance(node.value, str):
        return None
    seen.add(id(node))
    if node.id == "sequence":
        return next(filter(None, (_twice(each, seen) for each in node.value)), None)
    names = Counter((key.tag, key.value) for key, _ in node.value if isinstance(key.value, str))
    twice = (name for (_, name), times in names.items() if times > 1)
    return next(chain(twice, filter(None, (_twice(value, seen) for _, value in node.value))), None)


def _tables(parsed: Mapping[str, Any], file: Path) -> tuple[Entry, Mapping[str, Entry]]:
    for key in parsed:
        if key not in _PARTS:
            raise BadInput(f"{file} has '{one_line(str(key), 40)}': {_nearest(str(key), _PARTS)}")
    defaults, agents = parsed.get("defaults") or {}, parsed.get("agents") or {}
    if not isinstance(defaults, dict) or not isinstance(agents, dict):
        raise BadInput(f"{file}: `defaults` and `agents` are tables.")
    return defaults, agents


def _nearest(key: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(key.lower(), known, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"there is no such key; {hint}Known: {', '.join(known)}."


def _names(name: str) -> Iterator[tuple[str, str]]:
    """The agents that an entry is for, each with its number as it is written ("": it has none)."""
    found = _PATTERN.fullmatch(name)
    if found is None:
        check_name(name)
        yield name, ""
        return
    written = f"{{{one_line(found['first'], 20)}..{one_line(found['last'], 20)}}}"
    if max(len(found["first"]), len(found["last"])) > DIGITS:
        raise BadInput(f"{written} is no range: a number has at most {DIGITS} digits.")
    first, last, digits = int(found["first"]), int(found["last"]), len(found["first"])
    if first > last:
        raise BadInput(f"{written} is no range: the first number is the smaller one.")
    if last >= first + MOST:
        raise BadInput(f"{written} is too large: a file makes at most {MOST:,} agents of one entry.")
    for number in range(first, last + 1):
        written = f"{number:0{digits}d}"
        agent = f"{found['before']}{written}{found['after']}"
        check_name(agent)
        yield agent, written


# --- entries ------------------------------------------------------------------------------------------------------


def _normal(entry: Any) -> dict[str, Any]:
    """An entry with its keys as they are called here, and its values of the types that they have."""
    if entry is None:
        return {}
    if not isinstance(entry, dict):
        raise BadInput('it is no table: give it keys and values, as model = "offline".')
    found: dict[str, Any] = {}
    for key, value in entry.items():
        name = str(key).replace("_", "-").lower()
        if name not in KEYS:
            raise BadInput(f"'{one_line(str(key), 40)}': {_nearest(name, KEYS)}")
        found[name] = _value(name, value)
    return found


def _value(name: str, value: Any) -> Any:
    if name in _TEXTS and isinstance(value, str):
        return value
    if name in _NUMBERS and isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if name in _LISTS:
        listed = [value] if isinstance(value, str) else value
        if isinstance(listed, list) and all(isinstance(each, str) for each in listed):
            return tuple(listed)
    if name in _TABLES and isinstance(value, dict):
        return {str(key): each for key, each in value.items()}
    kinds = ((_TEXTS, "a text"), (_NUMBERS, "a whole number from 0 up"), (_LISTS, "a list of texts"))
    wanted = next((what for names, what in kinds if name in names), "a table")
    raise BadInput(f"{name} is {wanted}.")


def _joined(usual: Entry, own: Entry) -> dict[str, Any]:
    tables = {name: {**usual.get(name, {}), **own.get(name, {})} for name in _TABLES if name in usual or name in own}
    return {**usual, **own, **tables}


def _wish(agent: str, number: str, entry: Entry, folder: Path) -> Wish:
    system, title = entry.get("system"), entry.get("title")
    return Wish(
        agent=agent,
        flags=_flags(entry),
        sections=_sections(entry, folder),
        system=None if system is None else text_of(system, "system text", folder),
        title=None if title is None else title.replace(_NUMBER, number),
        sources=tuple(dict.fromkeys(entry.get("attach", ()))),
    )


def _flags(entry: Entry) -> Flags:
    return Flags(
        model=entry.get("model", "").strip(),
        base_url=entry.get("base-url", "").strip(),
        window=entry.get("window", 0),
        reserve=entry.get("reserve", 0),
        fallback=entry.get("fallback", ()),
        summarizer=entry.get("summarizer", ""),
        in_flight=entry.get("in-flight"),
        pairs=tuple(f"{key}={_written(value)}" for key, value in entry.get("set", {}).items()),
        timezone=entry.get("timezone", ""),
    )


def _written(value: Any) -> str:
    """A setting's value as it is typed: JSON has no word for infinity, nor for what is no number."""
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _sections(entry: Entry, folder: Path) -> dict[str, Section]:
    given = {label: entry[label] for label in ("persona", "human") if label in entry} | entry.get("blocks", {})
    return {label: _section(label, value, folder) for label, value in given.items()}


def _section(label: str, value: Any, folder: Path) -> Section:
    what = f"section '{one_line(label, 40)}'"
    if isinstance(value, str):
        return Section(text=text_of(value, what, folder))
    if not isinstance(value, dict):
        raise BadInput(f"the {what} is a text, or a table of {', '.join(_SECTION)}.")
    for key in value:
        if key not in _SECTION:
            raise BadInput(f"the {what} has '{one_line(str(key), 40)}': {_nearest(str(key), _SECTION)}")
    try:
        made = msgspec.convert(value, Section)
    except msgspec.ValidationError as error:
        raise BadInput(f"the {what} cannot be: {error}.") from None
    return made if made.text is None else msgspec.structs.replace(made, text=text_of(made.text, what, folder))
