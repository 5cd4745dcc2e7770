"""A message that a command is given: typed, in a file, or in a pipe; whole, and surely text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO, Final

from palimpsest.actors.requests.checks import MAX_MESSAGE_BYTES, check_text
from palimpsest.console.not_text import held_in, kind_of
from palimpsest.console.options import stdin_is_closed
from palimpsest.events.errors import BadInput
from palimpsest.store.folder import expanded

_AROUND: Final = len(b"\xef\xbb\xbf" + b"\r\n")
"""What a file may have around its text: a byte order mark, and the end of its last line."""
_DOCUMENTS: Final = "`load SOURCE FILE` loads documents for agents."


def message_of(message: str | None, file: str | None) -> str:
    """The message that is given, one way or the other. Raises BadInput where it can be none."""
    if (message is None) == (file is None):
        raise BadInput('Give one message: `ask AGENT "…"`, or --file PATH (- reads a pipe).')
    if file is not None:
        message = text_in(_read(file), "Standard input" if file == "-" else file)
    assert message is not None, "one of them was given"
    held = held_in(message)
    if held:
        raise BadInput(f"The message {held}, and agents read text: nothing was sent. {_DOCUMENTS}")
    check_text(message)
    return message


def _read(file: str) -> bytes:
    """What the file holds, as far as a message may go, and a byte more."""
    if file == "-":
        if stdin_is_closed():
            raise BadInput("Standard input is closed, so there is nothing to read: give the message itself.")
        return _bounded(sys.stdin.buffer)
    try:
        with expanded(Path(file)).open("rb") as opened:
            return _bounded(opened)
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}. Check the path and its rights.") from None


def _bounded(opened: BinaryIO) -> bytes:
    return opened.read(MAX_MESSAGE_BYTES + _AROUND + 1)


def text_in(data: bytes, name: str) -> str:
    """A file's text: without a byte order mark, and without the newline at its end. Raises BadInput."""
    kind = kind_of(data)
    if kind:
        raise BadInput(f"{name} is {kind}, and no text: nothing was sent. {_DOCUMENTS}")
    if len(data) > MAX_MESSAGE_BYTES + _AROUND:
        raise _too_large(name)
    if b"\0" in data:
        raise BadInput(f"{name} holds NUL bytes, so it is no text: nothing was sent.")
    try:
        text = data.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{data[error.start]:02x} at {error.start + 1}"
        raise BadInput(f"{name} is not UTF-8 text ({byte}): nothing was sent.") from None
    if len(text.encode()) > MAX_MESSAGE_BYTES:
        raise _too_large(name)
    return text


def _too_large(name: str) -> BadInput:
    most = f"{MAX_MESSAGE_BYTES:,} bytes, the most of a message"
    return BadInput(f"{name} has more than {most}: nothing was sent. {_DOCUMENTS}")
