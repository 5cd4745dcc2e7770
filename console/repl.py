"""`chat` on a terminal: a prompt with history and several lines, streamed replies, and commands that look inside.

Rules. (1) Ctrl-C stops what goes on, the agent's turn or a command, and never the chat. (2) Nothing that was typed is
lost: what comes while the agent answers waits for the next prompt, the end (Ctrl-D) too. (3) What the agent says
unasked (a timer fired, another client wrote) appears above the prompt. (4) Where the terminal goes away the chat ends
in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import sys
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session, run_in_terminal
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.utils import is_dumb_terminal
from rich.console import Console

from palimpsest.actors.client import Reply, Ticket
from palimpsest.console.commands import Change, Commands, is_command
from palimpsest.console.completion import Completing
from palimpsest.console.keyboard import History, Keyboard, has_interrupt, keys, stop_for_now
from palimpsest.console.not_text import refusal
from palimpsest.console.past import last_said
from palimpsest.console.talk import Talker
from palimpsest.console.voice import Voice
from palimpsest.console.worded import worded
from palimpsest.events.context import Count
from palimpsest.events.errors import BadInput, PalimpsestError

ENDS: Final = frozenset({"exit", "quit", "exit()", "quit()", ":q", "/exit", "/quit"})
"""Lines that end the chat, in upper or lower case; whoever means the word says it with a stop or a blank."""
GONE: Final = 128
"""A process that a signal ends has this exit code, and the signal's number."""


class Repl:
    """A conversation with one agent after another."""

    def __init__(
        self,
        client: Talker,
        agent: str,
        history: Path,
        count: Count,
        *,
        thoughts: bool,
        change: Change | None = None,
        keyboard: Keyboard | None = None,
    ) -> None:
        self.agent = agent
        self.met: dict[str, None] = {agent: None}
        """All who were talked with, in order."""
        self.left = 0
        """The signal that ended the chat, if one did."""
        self._client = client
        self._keyboard = keyboard
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._voice = Voice(self._console, agent, thoughts=thoughts)
        self._commands = Commands(self, client, count, change)
        self._session: PromptSession[str] = PromptSession(
            history=History(history),
            multiline=True,
            key_bindings=keys(self._suspend),
            completer=Completing(client),
            complete_while_typing=True,
            prompt_continuation="   . ",
        )
        self._at_prompt = False
        self._heard: list[Reply] = []
        self._asked = 0
        """How many replies to this chat's own messages are under way: until they are here, nothing heard is printed."""
        self._own: set[int] = set()
        self._answering = 0
        """The input whose answer is under way: what Ctrl-C stops, and not one that comes after it."""
        self._stops = False
        """Ctrl-C came before the message was taken, of which the answer is to be stopped."""
        self._doing: asyncio.Future[None] | None = None
        """The command that is carried out: what else Ctrl-C stops."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None

    @property
    def thoughts(self) -> bool:
        return self._voice.thoughts

    @thoughts.setter
    def thoughts(self, shown: bool) -> None:
        self._voice.thoughts = shown

    async def run(self) -> int:
        with self._signals():
            try:
                await self._recall()
                self._listening = self._start(self._listen(self.agent))
                while (text := await self._read()) is not None:
                    await self._take(text)
            except asyncio.CancelledError:
                whole = asyncio.current_task()
                if not self.left or not whole:
                    raise
                whole.uncancel()
            except OSError as error:
                if error.errno != errno.EIO:  # the terminal is not there any more
                    raise
                self.left = self.left or signal.SIGHUP
            finally:
                for task in self._tasks:
                    task.cancel()
        return GONE + self.left if self.left else 0

    # --- signals

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        whole = asyncio.current_task()
        assert whole is not None, "it runs in a task"

        def leave(number: int) -> None:
            self.left = number
            whole.cancel()

        handled = {signal.SIGINT: self._interrupt, signal.SIGTSTP: self._suspend, signal.SIGCONT: self._came_back}
        for number, handler in handled.items():
            loop.add_signal_handler(number, handler)
        ends = [
            each for each in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM) if signal.getsignal(each) != signal.SIG_IGN
        ]
        for number in ends:
            loop.add_signal_handler(number, leave, number)
        try:
            yield
        finally:
            for number in (*handled, *ends):
                loop.remove_signal_handler(number)

    def _interrupt(self) -> None:
        """Ctrl-C while something goes on."""
        if self._answering:
            self._start(self.stop())
        elif self._asked and not self._stops:
            self._stops = True
        elif self._doing:
            self._doing.cancel()

    def _suspend(self) -> None:
        """Ctrl-Z: at the prompt, which is drawn anew after `fg`; or while something goes on."""
        if self._at_prompt:
            run_in_terminal(self._stopped)
        elif self._keyboard:
            self._keyboard.take(self._session.input)
            self._keyboard.let_go()
            self._stopped()

    def _stopped(self) -> None:
        stop_for_now()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTSTP, self._suspend)
        self._came_back()

    def _came_back(self) -> None:
        """Somebody else had the terminal; at the prompt that is prompt_toolkit's to mend."""
        if not self._at_prompt and self._keyboard:
            self._keyboard.hold()
            self._voice.came_back()

    def _start(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._told(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _told(self, work: Awaitable[None]) -> None:
        """Work beside the prompt; what goes wrong in it is said."""
        try:
            await work
        except PalimpsestError as error:
            self._trouble(error)

    # --- what the user types

    async def _read(self) -> str | None:
        """The next message or command; None at the end."""
        while True:
            self._print_heard()
            self._at_prompt = True
            try:
                with patch_stdout(raw=True):
                    text = await self._session.prompt_async("you> ", handle_sigint=False)
            except KeyboardInterrupt:
                self.note("Ctrl-D, exit or quit ends. Ctrl-C stops the agent while it answers.")
                continue
            except EOFError:
                return None
            finally:
                self._at_prompt = False
            if text.strip().lower() in ENDS:
                return None
            if text.strip():
                return text

    async def _take(self, text: str) -> None:
        """One message or command. What cannot be done is said, and the chat goes on."""
        self._take_pastes(whole=True)
        self._doing = asyncio.ensure_future(self._do(text))
        if has_interrupt(self._session.input):
            asyncio.get_running_loop().call_soon(self._interrupt)
        try:
            await self._doing
        except PalimpsestError as error:
            self._trouble(error)
        except asyncio.CancelledError:
            whole = asyncio.current_task()
            if whole and whole.cancelling():
                raise
            self.note("(interrupted)")
        finally:
            self._doing = None
            self._take_pastes(whole=False)

    def _take_pastes(self, *, whole: bool) -> None:
        """What is pasted while nothing reads it is one message, as at the prompt."""
        output = self._session.output
        if not self._console.is_dumb_terminal:
            (output.enable_bracketed_paste if whole else output.disable_bracketed_paste)()
            output.flush()

    async def _do(self, text: str) -> None:
        """A command, or a message; a second slash before it says that it is none. Raises BadInput for what is no
        text."""
        why = refusal(text)
        if why:
            raise BadInput(why)
        if is_command(text):
            await self._commands.run(text)
        else:
            await self.say(text[1:] if text.startswith("//") else text)

    async def say(self, text: str) -> None:
        self._asked += 1
        self._voice.begin()
        try:
            async for item in self._client.stream(self.agent, text):
                if isinstance(item, Reply):
                    self._own.add(item.input)
                    self._voice.end(item)
                elif isinstance(item, Ticket):
                    self._answering = item.seq
                    if self._stops:
                        self._interrupt()
                else:
                    self._voice.piece(item)
        finally:
            self._voice.silence()
            self._asked -= 1
            self._answering, self._stops = 0, False

    async def stop(self) -> None:
        self._voice.silence()
        self.note("(stopping)")
        if not await self._client.stop(self.agent, input=self._answering):
            self.note("The agent does nothing that could be stopped.")

    # --- the agent

    async def _recall(self) -> None:
        """Show what was said last."""
        try:
            self._voice.recall(await last_said(self._client, self.agent))
        except PalimpsestError as error:
            self._trouble(error)

    async def go_over(self, agent: str, *, recall: bool = False) -> None:
        """Talk with this agent from now on; `recall`: show what was said last."""
        if self._listening:
            self._listening.cancel()
        self._own.clear()
        self._heard.clear()
        self.agent = agent
        self.met[agent] = None
        self._voice.speaks_for(agent)
        if recall:
            await self._recall()
        self._listening = self._start(self._listen(agent))

    # --- what the agent says unasked

    async def _listen(self, agent: str) -> None:
        async for reply in self._client.listen(agent):
            self._heard.append(reply)
            if self._at_prompt:
                self._print_heard()

    def _print_heard(self) -> None:
        heard, self._heard = self._heard, []
        for reply in heard:
            if reply.input in self._own:
                self._own.discard(reply.input)
            else:
                self._voice.end(reply)

    # --- printing

    def show(self, text: str, style: str = "") -> None:
        self._voice.say(text, style)

    def note(self, text: str) -> None:
        self._voice.say(text, "dim")

    def _trouble(self, error: PalimpsestError) -> None:
        self._voice.say(worded(error), "red")


@contextlib.contextmanager
def fit() -> Iterator[None]:
    """A session of prompt_toolkit that fits the terminal: one that knows no escapes gets none."""
    output = PlainTextOutput(sys.stdout) if is_dumb_terminal() else None
    with create_app_session(output=output):
        yield
