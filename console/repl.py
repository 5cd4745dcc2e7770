"""`chat` on a terminal: a prompt with history and several lines, streamed replies, and commands that look inside.

Rules. (1) The log has the last word: what was streamed and not sent is marked so, and what was sent and not streamed is
printed. (2) Ctrl-C stops the agent's turn, never the chat. (3) What the agent says unasked (a timer fired, another
client wrote) appears above the prompt.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout
from rich.console import Console
from rich.text import Text

from actors.client import Reply, Ticket
from actors.models.protocol import Piece
from actors.process import now_ms
from console.context import print_header, print_messages, view
from console.describe import describe
from console.heartbeat import TIMER_ID, heartbeat
from console.show import Page, many, one_line, printable
from console.talk import Talker, ending, notes
from console.timeline import print_event
from console.zones import due_text, moved, told_of
from events.codec import decode
from events.context import Count
from events.errors import PalimpsestError

if TYPE_CHECKING:
    pass

HELP: Final[Mapping[str, str]] = {
    "/memory": "the agent's core memory",
    "/context": "its context window, as tokens by part; `/context full` shows the messages too",
    "/events [N]": "the last N events (20)",
    "/timers": "the timers that are set",
    "/heartbeat": "wake the agent again and again, as `/heartbeat every 30m`; `/heartbeat off` ends it",
    "/timezone [ZONE]": "the time zone that its times and timers are in; with a ZONE, as Europe/Berlin, it moves there",
    "/thoughts": "show the agent's inner thoughts, or hide them again",
    "/stop": "stop what the agent is doing (while it answers you: Ctrl-C)",
    "/help": "this",
    "/quit": "end (so does Ctrl-D)",
}
KEYS: Final = "Enter sends. Alt-Enter, or a backslash at the line's end, begins a new line. //text sends /text."
EVENTS: Final = 20


class Repl:
    """A conversation with one agent."""

    def __init__(self, client: Talker, agent: str, history: Path, count: Count, *, thoughts: bool) -> None:
        self._client = client
        self._agent = agent
        self._count = count
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._voice = Voice(self._console, agent, thoughts=thoughts)
        self._session: PromptSession[str] = PromptSession(
            history=FileHistory(str(history)),
            multiline=True,
            key_bindings=_keys(),
            completer=WordCompleter([name.split()[0] for name in HELP], sentence=True),
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
        self._tasks: set[asyncio.Task[None]] = set()
        self._commands: Mapping[str, Callable[[str], Awaitable[None]]] = {
            "/memory": self._memory,
            "/context": self._context,
            "/events": self._events,
            "/timers": self._timers,
            "/heartbeat": self._heartbeat,
            "/timezone": self._timezone,
            "/thoughts": self._thoughts,
            "/stop": self._stop,
            "/help": self._help,
        }

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        self._start(self._listen())
        try:
            while (text := await self._read()) is not None:
                await self._take(text)
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            for task in self._tasks:
                task.cancel()
        return 0

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.create_task(self._told(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _told(self, work: Awaitable[None]) -> None:
        """Work beside the prompt; what goes wrong in it is said."""
        try:
            await work
        except PalimpsestError as error:
            self._trouble(str(error))

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
                self._note("Ctrl-D or /quit ends. Ctrl-C stops the agent while it answers.")
                continue
            except EOFError:
                return None
            finally:
                self._at_prompt = False
            if text.strip() in {"/quit", "/exit"}:
                return None
            if text.strip():
                return text

    async def _take(self, text: str) -> None:
        """One message or command. What cannot be done is said, and the chat goes on."""
        name, _, rest = text.strip().partition(" ")
        try:
            if text.startswith("//"):
                await self._say(text[1:])
            elif not text.startswith("/"):
                await self._say(text)
            elif name in self._commands:
                await self._commands[name](rest.strip())
            else:
                self._note(f"There is no command {one_line(name, 40)}: /help lists them, and //text sends /text.")
        except PalimpsestError as error:
            self._trouble(str(error))

    async def _say(self, text: str) -> None:
        self._asked += 1
        self._voice.begin()
        try:
            async for item in self._client.stream(self._agent, text):
                if isinstance(item, Reply):
                    self._own.add(item.input)
                    self._voice.end(item)
                elif isinstance(item, Ticket):
                    self._answering = item.seq
                else:
                    self._voice.piece(item)
        finally:
            self._voice.silence()
            self._asked -= 1
            self._answering = 0

    def _interrupt(self) -> None:
        """Ctrl-C while the agent answers."""
        if self._asked:
            self._start(self._stop(""))

    # --- what the agent says unasked

    async def _listen(self) -> None:
        async for reply in self._client.listen(self._agent):
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

    # --- commands

    async def _memory(self, _: str) -> None:
        state = await self._client.state(self._agent)
        for block in state.blocks:
            self._print(f"{printable(block.label)}  {len(block.value):,} of {block.limit:,} characters", "bold")
            self._print(printable(block.value) or "(empty)")

    async def _context(self, how: str) -> None:
        state = await self._client.state(self._agent)
        seen = view(state, self._count)
        page = Page()
        print_header(page, seen)
        if how == "full":
            print_messages(page, seen.request)

    async def _events(self, number: str) -> None:
        wanted = int(number) if number.isdecimal() and int(number) else EVENTS
        state = await self._client.state(self._agent)
        page = Page()
        for envelope in await self._client.events(self._agent, max(0, state.seq - wanted)):
            print_event(page, envelope, describe(decode(envelope)))

    async def _timers(self, _: str) -> None:
        timers = await self._client.timers(self._agent)
        if not timers:
            self._note("No timer is set. Ask for a reminder, and the agent sets one.")
            return
        rows = [
            (one_line(t.id), due_text(t), f"every {t.every_s} s" if t.every_s else t.cron or "once", t.note)
            for t in timers
        ]
        Page().table(("timer", "due", "repeats", "note"), [(*row[:3], one_line(row[3])) for row in rows])

    async def _heartbeat(self, how: str) -> None:
        if how == "off":
            found = await self._client.cancel_timer(self._agent, TIMER_ID)
            self._note("The timed heartbeat is off." if found else "There is no timed heartbeat of this chat's.")
            return
        timer = await self._client.set_timer(self._agent, heartbeat(how, now_ms()))
        every = many(timer.every_s // 60, "minute")
        self._note(f"The next timed heartbeat comes at {due_text(timer)}, and then every {every}.")

    async def _timezone(self, zone: str) -> None:
        if not zone:
            self._note(told_of(await self._client.state(self._agent)))
            return
        for line in await moved(self._client, self._agent, zone):
            self._note(line)

    async def _thoughts(self, _: str) -> None:
        self._voice.thoughts = not self._voice.thoughts
        self._note(f"Inner thoughts are {'shown' if self._voice.thoughts else 'hidden'}.")

    async def _stop(self, _: str) -> None:
        self._voice.silence()
        self._note("(stopping)")
        if not await self._client.stop(self._agent, input=self._answering):
            self._note("The agent does nothing that could be stopped.")

    async def _help(self, _: str) -> None:
        for name, what in HELP.items():
            self._print(f"{name:<12}  {what}")
        self._note(KEYS)

    # --- printing

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style), soft_wrap=True)

    def _note(self, text: str) -> None:
        self._print(text, "dim")

    def _trouble(self, text: str) -> None:
        self._print(text, "red")


class Voice:
    """The agent's words on a terminal: pieces as they come, then what the log says that was sent."""

    def __init__(self, console: Console, agent: str, *, thoughts: bool) -> None:
        self.thoughts = thoughts
        self._console = console
        self._name = f"{one_line(agent, 40)}> "
        self._kind = ""
        """The kind of the piece that stands open on the line."""
        self._waits = False
        self._streamed = ""

    def begin(self) -> None:
        """The agent was asked something."""
        self._streamed = ""
        self._waits = True
        self._console.print(Text(f"{self._name}…", "dim"), end="")

    def piece(self, piece: Piece) -> None:
        if piece.kind == "again":
            self.silence()
            self._withdraw()
        if piece.kind == "waiting":
            self._wait(piece.text)
        if piece.kind == "end" and self._kind:
            self.silence()
        if piece.kind not in {"message", "thought"} or (piece.kind == "thought" and not self.thoughts):
            return
        if piece.kind != self._kind:
            self._open(piece.kind)
        text = printable(piece.text.replace("\r", ""))
        if piece.kind == "message":
            self._streamed += piece.text
        self._console.print(Text(text, "" if piece.kind == "message" else "dim italic"), end="", soft_wrap=True)

    def _wait(self, text: str) -> None:
        """Say for what is waited, on a line that the next word takes away."""
        self.silence()
        self._waits = True
        self._console.print(Text(f"({printable(text)})", "dim"), end="")

    def _open(self, kind: str) -> None:
        self.silence()
        self._kind = kind
        name, style = (self._name, "bold green") if kind == "message" else ("(thinks) ", "dim")
        self._console.print(Text(name, style), end="")

    def silence(self) -> None:
        """End the line, or wipe the sign that the agent was asked."""
        if self._waits:
            self._waits = False
            self._console.file.write("\r\x1b[2K" if self._console.is_terminal else "\n")
            self._console.file.flush()
        elif self._kind:
            self._console.print()
        self._kind = ""

    def _withdraw(self) -> None:
        if self._streamed:
            self._console.print(Text("(the words above were not sent)", "dim"))
        self._streamed = ""

    def end(self, reply: Reply) -> None:
        """A turn's end: print what was sent and not streamed, and how it ended if not well."""
        self.silence()
        if self._streamed and not any(message in self._streamed for message in reply.messages):
            self._withdraw()
        for message in reply.messages:
            if message not in self._streamed:
                text = Text.assemble((self._name, "bold green"), printable(message))
                self._console.print(text, soft_wrap=True)
        self._streamed = ""
        for note in notes(reply):
            self._console.print(Text(note, "dim"), soft_wrap=True)
        end = ending(reply)
        if end:
            self._console.print(Text(end, "red"), soft_wrap=True)


def _keys() -> KeyBindings:
    """Enter sends, unless a backslash ends the line; Alt-Enter begins a new line."""
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
