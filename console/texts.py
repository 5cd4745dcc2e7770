"""Texts on the command line and in a fleet's file: as they are, or `@FILE` for what a file holds.

Rule: a file is UTF-8 text, or it is refused with what is wrong with it; `@@` stands for a text that begins with an @.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from palimpsest.events.errors import BadInput
from palimpsest.questions.texts import one_line
from palimpsest.store.folder import expanded

MOST_BYTES: Final = 4_000_000


def text_of(value: str, what: str, folder: Path | None = None) -> str:
    """The text; a file's path is as seen from `folder` (None: from here). Raises BadInput."""
    if value.startswith("@@"):
        return value[1:]
    if not value.startswith("@"):
        return value
    path = expanded(Path(value[1:]))
    return read(path if folder is None else folder / path, what)


def read(path: Path, what: str) -> str:
    """What a text file holds. Raises BadInput."""
    try:
        data = path.read_bytes()
        if len(data) > MOST_BYTES:
            raise BadInput(f"The {what} cannot be read from {_named(path)}: it has more than {MOST_BYTES:,} bytes.")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        why = f"it is not UTF-8 text (byte {error.start + 1} is 0x{error.object[error.start]:02x})"
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
    raise BadInput(f"The {what} cannot be read from {_named(path)}: {why}. Give a text file.")


def _named(path: Path) -> str:
    return f"'{one_line(str(path), 300)}'"
