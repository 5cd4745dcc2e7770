"""How this program was called, so that it can name commands as the user can type them where they are.

Rules. (1) Below the console a command is called `palimpsest`; what is printed says it as it was typed. (2) A command
that does not say where the log is is said with the options of this call that do.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

import click

from palimpsest.store.logs.urls import shown

NAME: Final = "palimpsest"
DATA: Final = "palimpsest.data"
BUNDLE: Final = "palimpsest.bundle"
"""What `--data` and `--bundle` say is kept under these names, in the call's context."""
LOOKING: Final = frozenset(
    ("agents", "bisect", "blame", "context", "diff", "events", "format", "replay", "rerun", "search", "show", "sources",
     "state", "timezone", "transcript", "view", "why")
)  # fmt: skip
"""The commands that can look into a bundle, and not only at one."""


def called(argv0: str, interpreter: str, which: Callable[[str], str | None] = shutil.which) -> str:
    """What to type before a command's name, by the first word that the program was started with."""
    script = Path(argv0).name
    if script == "launch.py":
        return f"{_interpreter(interpreter, which)} {argv0}"
    if script == "__main__.py":
        return f"{_interpreter(interpreter, which)} -m {NAME}"
    if Path(script).stem != NAME:
        return NAME
    found = which(NAME)
    return NAME if found and Path(found).absolute() == Path(argv0).absolute() else _near(argv0)


def _interpreter(interpreter: str, which: Callable[[str], str | None]) -> str:
    """The shortest name of Python: by the search path, from here, or whole."""
    for word in ("python", "python3"):
        found = which(word)
        if found and Path(found).parent == Path(interpreter).parent:
            return word
    return _near(interpreter)


def _near(path: str) -> str:
    """A path from here, where it is below; else whole."""
    whole = Path(path).absolute()
    here = Path.cwd()
    return str(whole.relative_to(here) if whole.is_relative_to(here) and here != Path("/") else whole)


PROGRAM: Final = called(sys.argv[0], sys.executable)


def as_typed(text: str) -> str:
    """A text with the commands that it names as they can be typed, where it names more than a command alone."""
    whole = _commands().sub(lambda found: _whole(found[1] or found[2]), text)
    return whole.replace(f"`{NAME} ", f"`{PROGRAM} ")


def _whole(command: str) -> str:
    """A command with what says where the log is: --data goes before any of them, --bundle after those that have it."""
    data, bundle = given_data(), given_bundle()
    if "--data" in command or "--bundle" in command or command.startswith("copy "):
        return f"`{PROGRAM} {command}`"
    if bundle:
        looks = command.split(maxsplit=1)[0] in LOOKING
        return f"`{PROGRAM} {command}{f' --bundle {shlex.quote(str(bundle))}' if looks else ''}`"
    return f"`{PROGRAM}{f' --data {shlex.quote(shown_data(data))}' if data else ''} {command}`"


@cache
def _commands() -> re.Pattern[str]:
    from palimpsest.console.main import COMMANDS

    names = "|".join(name for section in COMMANDS.values() for name in section)
    return re.compile(rf"`(?:{NAME} ((?:{names})(?: [^`]*)?)|((?:{names}) [^`]+))`")


# --- what this call says of the log -------------------------------------------------------------------------------


def given_data() -> str:
    """What `--data` says in this call ("": nothing): a folder, or a database's URL."""
    context = click.get_current_context(silent=True)
    return str(context.meta.get(DATA, "")) if context else ""


def given_bundle() -> Path | None:
    """What `--bundle` says in this call; None: nothing, or this is no command's call."""
    context = click.get_current_context(silent=True)
    found: Path | None = context.meta.get(BUNDLE) if context else None
    return found


def log_options() -> tuple[str, ...]:
    """The options of this call that say where the log is, for commands that it tells the user to type next."""
    bundle, data = given_bundle(), given_data()
    return ("--bundle", str(bundle)) if bundle else ("--data", shown_data(data)) if data else ()


def shown_data(data: str) -> str:
    """What was given as `--data`, without a password."""
    return shown(data)


def typed(*words: str) -> str:
    """A command to type next, as a shell takes it: with the options of this call that say where the log is."""
    return " ".join((PROGRAM, shlex.join((*words, *log_options()))))
