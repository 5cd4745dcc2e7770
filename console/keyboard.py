"""The user's keyboard while a chat has it: what is typed while nothing reads it waits for the next prompt.

Rules. (1) Between prompts keys are not echoed, and stay in the terminal one by one, Ctrl-D and Ctrl-\\ like any other.
(2) Ctrl-C and Ctrl-Z act at once, and flush nothing of what was typed. (3) The terminal is left as it was found, also
while the program is stopped: what was typed before is not given to the shell.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from prompt_toolkit.filters import is_searching
from prompt_toolkit.history import FileHistory
from prompt_toolkit.input import Input
from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.search import accept_search

_INPUT, _LOCAL, _CHARACTERS = 0, 3, 6
"""Where `termios` has these flags."""


class Keyboard:
    """A terminal's keyboard, held until `let_go`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before = termios.tcgetattr(descriptor)

    def hold(self) -> None:
        """As rules 1 and 2 say; again, after somebody else had the terminal."""
        held = termios.tcgetattr(self._descriptor)
        held[_INPUT] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR)
        held[_LOCAL] &= ~(termios.ICANON | termios.ECHO)
        held[_LOCAL] |= termios.ISIG | termios.NOFLSH
        held[_CHARACTERS] = [*held[_CHARACTERS]]
        held[_CHARACTERS][termios.VMIN], held[_CHARACTERS][termios.VTIME] = 1, 0
        held[_CHARACTERS][termios.VQUIT] = b"\0"  # it would end what Ray started, too
        self._set(held)

    def let_go(self) -> None:
        self._set(self._before)

    def take(self, into: Input) -> None:
        """Take what was typed and not read yet, for the next prompt."""
        while select.select([self._descriptor], [], [], 0)[0] and not into.closed:
            store_typeahead(into, into.read_keys())

    def _set(self, attributes: list[int | list[bytes | int]]) -> None:
        with contextlib.suppress(termios.error):  # the terminal went away
            termios.tcsetattr(self._descriptor, termios.TCSANOW, attributes)


@contextlib.contextmanager
def held(descriptor: int) -> Iterator[Keyboard]:
    """The keyboard of this terminal, held meanwhile."""
    keyboard = Keyboard(descriptor)
    keyboard.hold()
    try:
        yield keyboard
    finally:
        keyboard.let_go()


class History(FileHistory):
    """The lines typed so far, in a file: what cannot be kept there is not, and the chat goes on."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))

    def load_history_strings(self) -> list[str]:
        with contextlib.suppress(OSError):
            return list(super().load_history_strings())
        return []

    def store_string(self, string: str) -> None:
        is_text = not any("\ud800" <= char <= "\udfff" for char in string)
        if is_text and len(string) <= LONGEST_KEPT and "\0" not in string:
            with contextlib.suppress(OSError):
                super().store_string(string)


LONGEST_KEPT: Final = 100_000
"""Characters of a line that is kept in the history."""


def has_interrupt(into: Input) -> bool:
    """Whether Ctrl-C is among what was typed in the same moment as the line that was read last, and takes it out."""
    typed = get_typeahead(into)
    store_typeahead(into, [each for each in typed if each.key != Keys.ControlC])
    return any(each.key == Keys.ControlC for each in typed)


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """What is started meanwhile does not hear what a terminal sends to all of a job: that it is to stop for a while
    (Ctrl-Z), or that the terminal went away. It goes on, and is ended in order by whoever started it."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTSTP, signal.SIGHUP)}
    for each in before:
        signal.signal(each, signal.SIG_IGN)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def stop_for_now() -> None:
    """Stop this process, until it is let go on (`fg`)."""
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTSTP)


def keys(suspend: Callable[[], None]) -> KeyBindings:
    """Enter sends, also what Ctrl-R found, unless a backslash ends the line; Alt-Enter begins a new line; Ctrl-Z
    suspends; Ctrl-\\ ends it all."""
    bindings = KeyBindings()

    @bindings.add("enter", filter=is_searching)
    def _(event: KeyPressEvent) -> None:
        accept_search()
        event.current_buffer.validate_and_handle()

    @bindings.add("enter", filter=~is_searching)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @bindings.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @bindings.add("c-z")
    def _(_event: KeyPressEvent) -> None:
        suspend()

    @bindings.add("c-\\", eager=True)
    def _(event: KeyPressEvent) -> None:
        event.app.exit(exception=EOFError)

    return bindings
