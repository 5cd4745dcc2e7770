"""A program in a terminal of its own: keys are typed, and what it prints is read, as by a user."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PYTHONPATH: Final = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
ESCAPES: Final = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[=>()][0-9A-B]?)|\r(?=[^\n])|\x07")
WHERE: Final = b"\x1b[6n"
"""Where is the cursor? Every terminal answers that."""
LIMIT_S: Final = 60.0


class Terminal:
    """A program in a pseudo-terminal."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        size: tuple[int, int] = (40, 100),
        limit_s: float = LIMIT_S,
    ) -> None:
        self.raw = b""
        self._limit_s = limit_s
        self._seen = 0
        usual = {"TERM": "xterm-256color", "PS1": "shell> ", "PYTHONPATH": PYTHONPATH}
        given = {**os.environ, **usual, **(environ or {})}
        for name in {"NO_COLOR", "COLUMNS", "LINES"} - set(environ or {}):  # those of whoever runs the tests
            given.pop(name, None)
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(ROOT)
                os.execvpe(arguments[0], list(arguments), given)
            finally:
                os._exit(127)
        self.resize(*size)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str | bytes) -> None:
        data = keys.encode() if isinstance(keys, str) else keys
        while data:
            data = data[os.write(self._descriptor, data[:1000]) :]

    @property
    def text(self) -> str:
        """All that was printed so far, without escapes."""
        return ESCAPES.sub("", self.raw.decode("utf-8", "replace")).replace("\r\n", "\n").replace("\r", "")

    def until(self, wanted: str) -> str:
        """What was printed since the last call, up to and with this. Fails where it does not come."""
        end = time.monotonic() + self._limit_s
        while True:
            text = self.text
            found = text.find(wanted, self._seen)
            if found >= 0:
                before, self._seen = self._seen, found + len(wanted)
                return text[before : self._seen]
            left = end - time.monotonic()
            if left <= 0 or not self._read(left):
                raise AssertionError(f"'{wanted}' did not come. The terminal shows:\n{self.text[-3000:]}")

    def _read(self, wait_s: float) -> bool:
        """Take what comes; False at the end."""
        ready, _, _ = select.select([self._descriptor], [], [], wait_s)
        if not ready:
            return True
        with contextlib.suppress(OSError):  # EIO: the program has ended
            data = os.read(self._descriptor, 65_536)
            self.raw += data
            if WHERE in data:
                self.type("\x1b[10;1R")
            return bool(data)
        return False

    def end(self) -> int:
        """The exit code, once it ends by itself; all that it printed is in `text`."""
        end = time.monotonic() + self._limit_s
        while self._read(0.2):
            assert time.monotonic() < end, f"it did not end. The terminal shows:\n{self.text[-3000:]}"
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def hang_up(self) -> None:
        """The terminal goes away."""
        os.close(self._descriptor)
        self._descriptor = -1

    def waits(self) -> int:
        """The exit code of a program whose terminal went away."""
        end = time.monotonic() + self._limit_s
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            select.select([], [], [], 0.05)
        raise AssertionError("it did not end")

    def close(self) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(os.getpgid(self.pid), signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self._descriptor >= 0:
            os.close(self._descriptor)


@contextlib.contextmanager
def terminal(
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    size: tuple[int, int] = (40, 100),
    limit_s: float = LIMIT_S,
) -> Iterator[Terminal]:
    """A program of this Python's in a terminal; ended at the end."""
    opened = Terminal([sys.executable, *arguments], environ=environ, size=size, limit_s=limit_s)
    try:
        yield opened
    finally:
        opened.close()
