"""A user's defaults: `config.toml` in ~/.config/palimpsest ($XDG_CONFIG_HOME), in no data folder, and without a key.

Rules. (1) A flag goes before the environment, the environment before this file, the file before what is built in.
(2) Every name and value in it is known and can be used; the error for one that is not names its line. (3) The file is
written whole or not at all, for this user alone; lines that are not changed stay as they are, comments too. Where that
cannot be, nothing is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import msgspec

from palimpsest.events.addresses import address_of, looks_secret, secrets_in_query
from palimpsest.events.errors import BadInput
from palimpsest.store.keys.files import config_folder, put_whole
from palimpsest.store.logs.urls import is_url, public


class Default(msgspec.Struct, frozen=True):
    """A default that can be set. `variable` of the environment goes before it; `built_in` holds where nobody says
    anything."""

    variable: str
    built_in: str
    about: str


DEFAULTS: Final[Mapping[str, Default]] = {
    "model": Default("PALIMPSEST_MODEL", "offline", "the model of new agents"),
    "base-url": Default("OPENAI_BASE_URL", "", "the server of models that are named without one (OpenAI's)"),
    "data": Default("PALIMPSEST_HOME", "~/.palimpsest", "the folder of the log and its indexes"),
    "embedder": Default("PALIMPSEST_EMBEDDER", "wordllama", "what makes the index's dense vectors"),
    "qdrant-url": Default("QDRANT_URL", "", "the Qdrant server that has the index (in the data folder)"),
    "timezone": Default("TZ", "", "the time zone of new agents (this machine's)"),
}


def config_path(environ: Mapping[str, str]) -> Path:
    """Where the file lies, or would. Raises BadInput where this user has no place for it."""
    folder = config_folder(environ)
    if folder is None:
        raise BadInput("There is no place for defaults: this user has no home folder. Set HOME, or XDG_CONFIG_HOME.")
    return folder / "config.toml"


def configured(environ: Mapping[str, str]) -> dict[str, str]:
    """The defaults that the file sets. Raises BadInput, naming the line that cannot be used."""
    if config_folder(environ) is None:
        return {}
    path = config_path(environ)
    return _checked(path, _read(path))


def around(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment, with the file's defaults where it says nothing. Not for keys: an address in the file is one
    that the user typed, and makes OPENAI_API_KEY no key of that server's alone. Raises BadInput."""
    found = {DEFAULTS[name].variable: value for name, value in configured(environ).items()}
    return {
        **environ,
        **{variable: value for variable, value in found.items() if not environ.get(variable, "").strip()},
    }


def known(name: str) -> str:
    """The name of a default. Raises BadInput for another one, with what is near."""
    if name in DEFAULTS:
        return name
    if looks_secret(name, ""):
        raise BadInput(
            f"No key or secret is kept in the defaults: `keys add URL` keeps one for a server, not '{name}'."
        )
    near = get_close_matches(name.lower().replace("_", "-"), DEFAULTS, n=1, cutoff=0.5)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    raise BadInput(f"There is no default '{name[:60]}'. {hint}There are: {', '.join(DEFAULTS)}.")


def checked(name: str, value: str) -> str:
    """The value as the file has it. Raises BadInput where it cannot be one."""
    value = value.strip()
    if not value or not value.isprintable():
        raise BadInput(f"'{name}' needs a value on one line (`config unset {name}` takes it away).")
    if name == "timezone":
        from palimpsest.store.times.zones import named  # the names of all zones are read

        return named(value)
    if name == "data" and is_url(value):
        if public(value) != value:
            raise BadInput("A secret may stand in the URL for 'data': leave it out, and give it by PGPASSFILE.")
        return value
    if name == "data" and not value.startswith(("/", "~")):
        raise BadInput(f"'data' is '{value}': give a whole path, from / or ~ on.")
    if name in ("base-url", "qdrant-url"):
        return _address(name, value)
    return value


def _address(name: str, value: str) -> str:
    if "@" in value.partition("?")[0] or secrets_in_query(value.partition("?")[2]):
        raise BadInput(f"A secret stands in the address for '{name}': `keys add URL` keeps a server's key.")
    if address_of(value) is None:
        raise BadInput(f"'{name}' is '{value[:80]}', which is no address: it begins with http:// or https://.")
    return value


# --- the file -----------------------------------------------------------------------------------------------------


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):  # there is none, nor a place for one
        return ""
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}. Mend its rights, or move it away.") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BadInput(f"{path}, line {line}, is not UTF-8. Mend the line, or move the file away.") from None


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        line = at[1] if at else str(text.count("\n") + 1)
        raise BadInput(
            f'{path}, line {line}, is no TOML ({error}). Mend the line (as model = "llama3"), or move the file away.'
        ) from None


def _checked(path: Path, text: str) -> dict[str, str]:
    parsed = _parsed(path, text)
    for name, value in parsed.items():
        try:
            if not isinstance(value, str):
                raise BadInput(f"'{known(name)}' is no text: put it in quotation marks.")
            parsed[name] = checked(known(name), value)
        except BadInput as error:
            raise BadInput(f"{path}, line {_line_of(text, name)}: {error} Mend the line, or remove it.") from None
    return parsed


def _line_of(text: str, name: str) -> int:
    lines = text.splitlines()
    return next((n for n, line in enumerate(lines, 1) if re.match(rf"""\s*\[*\s*["']?{re.escape(name)}\b""", line)), 1)


def put(environ: Mapping[str, str], name: str, value: str | None) -> Path:
    """Set a default in the file, or take it away (None); where the file is. Raises BadInput."""
    path = config_path(environ)
    known(name)
    with _writing(path) as place:
        before = _read(place)
        _checked(place, before)
        wanted = {key: each for key, each in _parsed(place, before).items() if key != name}
        wanted |= {name: checked(name, value)} if value is not None else {}
        after = _edited(before, name, wanted.get(name))
        if after is None or tomllib.loads(after) != wanted:
            raise BadInput(f"'{name}' stands in {place} in a way that is not changed here: change it there by hand.")
        if after != before:
            put_whole(place, after.encode())
    return path


_ASSIGNED: Final = re.compile(
    r"""\s*["']?(?P<name>[A-Za-z0-9_-]+)["']?\s*=\s*(?:"(?:[^"\\]|\\.)*"|'[^']*')\s*(?P<comment>\#.*)?"""
)
"""A line that sets one thing to a text: what else there is in TOML is not changed."""


def _edited(text: str, name: str, value: str | None) -> str | None:
    """The text with one line set, changed or left out; None where it cannot be told which."""
    lines = text.splitlines()
    at = [(n, found) for n, line in enumerate(lines) if (found := _ASSIGNED.fullmatch(line)) and found["name"] == name]
    if len(at) > 1 or (not at and name in tomllib.loads(text)):
        return None
    comment = f"  {at[0][1]['comment']}" if at and at[0][1]["comment"] else ""
    made = [f"{name} = {msgspec.json.encode(value).decode()}{comment}"] if value is not None else []
    place = slice(at[0][0], at[0][0] + 1) if at else slice(len(lines), len(lines))
    lines[place] = made
    return "".join(f"{line}\n" for line in lines)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[Path]:
    """The file itself, where the path is a link, held against whoever writes it too. Raises BadInput."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}. Mend its folder's rights.") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield path.resolve()
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}. Mend its folder's rights.") from None
    finally:
        os.close(folder)
