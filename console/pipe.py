"""`chat` without a terminal: each line of standard input is a message, and the replies are lines on standard output.

Rules. (1) A line that cannot be a message is named by its number on standard error, and the rest goes on: exit code 2
at the end. Where a picture or another file of bytes begins, nothing that follows is read as lines. (2) A line waits for
the end of the turn before it. (3) The memory that input takes is bounded by a message's.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Final, assert_never

import click
import msgspec

from palimpsest.actors.client import Reply
from palimpsest.actors.models.protocol import Piece
from palimpsest.actors.requests.checks import MAX_MESSAGE_BYTES
from palimpsest.console.not_text import held_in, kind_of
from palimpsest.console.options import complain
from palimpsest.console.talk import Talker, ending, is_failed, notes
from palimpsest.console.worded import worded
from palimpsest.events.errors import BadInput
from palimpsest.questions.texts import printable

CHUNK_BYTES: Final = 65_536
CHUNKS_AHEAD: Final = 4
BAD_INPUT: Final = 2
TURN_FAILED: Final = 1


class InputLine(msgspec.Struct, frozen=True):
    """A line of input: its number from 1, and its text or what is wrong with it."""

    number: int
    text: str = ""
    problem: str = ""
    last: bool = False
    """What follows is no lines."""


class Lines:
    """Bytes to lines, whichever way they are cut; a line larger than a message is not kept."""

    def __init__(self, max_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._rest = bytearray()
        self._dropped = False
        self._number = 0

    def feed(self, data: bytes) -> Iterator[InputLine]:
        *whole, rest = data.split(b"\n")
        for piece in whole:
            self._keep(piece)
            yield self._line()
        self._keep(rest)

    def end(self) -> Iterator[InputLine]:
        """A last line without its newline."""
        if self._rest or self._dropped:
            yield self._line()

    def _keep(self, piece: bytes) -> None:
        if self._dropped or len(self._rest) + len(piece) > self._max_bytes + 1:  # one more for a carriage return
            self._dropped = True
            self._rest.clear()
        else:
            self._rest += piece

    def _line(self) -> InputLine:
        self._number += 1
        data, dropped = bytes(self._rest).removesuffix(b"\r"), self._dropped
        self._rest, self._dropped = bytearray(), False
        if dropped:
            return InputLine(self._number, problem=f"has more than {self._max_bytes:,} bytes, the most of a message")
        if kind := kind_of(data):
            return InputLine(self._number, problem=f"begins {kind}, and what follows it was not read", last=True)
        if b"\0" in data:
            return InputLine(self._number, problem="holds NUL bytes, so it is no text")
        try:
            text = data.decode("utf-8-sig" if self._number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            return InputLine(
                self._number, problem=f"is not UTF-8 text (byte 0x{data[error.start]:02x} at {error.start + 1})"
            )
        why = held_in(text)
        return InputLine(self._number, problem=why) if why else InputLine(self._number, text)


async def talk(client: Talker, agent: str, chunks: AsyncIterator[bytes], *, thoughts: bool) -> int:
    """Send line after line, and print what comes back; the exit code."""
    code = 0
    async for line in _lines(chunks):
        if line.problem:
            complain(f"line {line.number} of the input {line.problem}. It was not sent.")
            code = BAD_INPUT
            if line.last:
                break
        elif line.text.strip():
            try:
                code = max(code, await _turn(client, agent, line.text, thoughts))
            except BadInput as error:
                complain(f"line {line.number} of the input: {worded(error)}")
                code = BAD_INPUT
    return code


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[InputLine]:
    lines = Lines()
    async for chunk in chunks:
        for line in lines.feed(chunk):
            yield line
    for line in lines.end():
        yield line


async def _turn(client: Talker, agent: str, text: str, thoughts: bool) -> int:
    thought = ""
    async for item in client.stream(agent, text):
        if isinstance(item, Reply):
            return finish(item)
        if not isinstance(item, Piece):
            continue
        match item.kind:
            case "thought":
                thought += item.text
            case "waiting":
                sys.stderr.write(f"({printable(item.text)})\n")
                sys.stderr.flush()
            case "end":
                if thought and thoughts:
                    _say(f"(thinks) {thought}")
                thought = ""
            case "message" | "again":
                pass  # the log has the message whole
            case _:
                assert_never(item.kind)
    return 0


def finish(reply: Reply, *, asked: bool = True) -> int:
    """Print what the agent said, and how its turn ended where that was not well; the exit code. `asked`: a user waited
    for an answer."""
    for message in reply.messages:
        _say(message)
    for note in notes(reply):
        click.echo(note, err=True)
    end = ending(reply)
    if end:
        complain(end)
    return TURN_FAILED if is_failed(reply, asked=asked) else 0


def _say(text: str) -> None:
    sys.stdout.write(printable(text) + "\n")
    sys.stdout.flush()


async def standard_input(descriptor: int = 0) -> AsyncIterator[bytes]:
    """What standard input holds, as it comes, whether it is a file, a pipe or a terminal.

    A thread of its own reads: it may hang in a read for ever, and must then not hold up the end of the process.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    room = threading.Semaphore(CHUNKS_AHEAD)

    def read() -> None:
        chunk: bytes | OSError = b"more"
        while chunk and isinstance(chunk, bytes):
            room.acquire()
            try:
                chunk = os.read(descriptor, CHUNK_BYTES)
            except OSError as error:
                chunk = error
            if loop.is_closed():
                return
            loop.call_soon_threadsafe(queue.put_nowait, chunk)

    threading.Thread(target=read, name="standard input", daemon=True).start()
    while chunk := await queue.get():
        if isinstance(chunk, OSError):
            raise BadInput(f"Standard input cannot be read: {chunk.strerror}.")
        yield chunk
        room.release()
