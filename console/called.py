"""How this program was called, so that it can name commands as the user can type them where they are.

Rule: below the console a command is called `palimpsest`; what is printed says it as it was typed.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

NAME: Final = "palimpsest"


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
    """A text with the commands that it names as they can be typed: with what is typed before them, where it names more
    than a command alone."""
    return _commands().sub(rf"`{PROGRAM} \1", text).replace(f"`{NAME} ", f"`{PROGRAM} ")


@cache
def _commands() -> re.Pattern[str]:
    from palimpsest.console.main import COMMANDS

    names = "|".join(name for section in COMMANDS.values() for name in section)
    return re.compile(rf"`((?:{names}) [^`]+)(?=`)")
