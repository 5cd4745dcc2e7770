"""The commands of a chat on a terminal: what begins with a slash.

Rules. (1) They look by the pages of the command line, out of the log's file, and change things by the running client.
(2) What cannot be done is said in a line, and the chat goes on.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol

import click

from palimpsest.actors.parts.process import now_ms
from palimpsest.console.context import print_header, print_messages
from palimpsest.console.heartbeat import TIMER_ID, heartbeat
from palimpsest.console.past import timers_said
from palimpsest.console.show import Page, many
from palimpsest.console.story import event_line
from palimpsest.console.talk import Talker
from palimpsest.console.timeline import print_event
from palimpsest.console.wrapping import wrapped
from palimpsest.console.zones import due_text, moved, told_of
from palimpsest.events.codec import decode
from palimpsest.events.context import Count
from palimpsest.events.errors import BadInput
from palimpsest.events.servers import chosen
from palimpsest.events.state import State
from palimpsest.questions.texts import one_line, printable
from palimpsest.questions.windows import view

HELP: Final[Mapping[str, Mapping[str, str]]] = {
    "Look": {
        "/memory": "the agent's core memory",
        "/context": "its context window, as tokens by part; `/context full` shows the messages too",
        "/events [N]": "the last N events (20)",
        "/timers": "the timers that are set",
        "/why": "why it said that: the last answer, or `/why SEQ`; `/why TEXT`: why it did not come up with TEXT",
        "/search TEXT": "what the agent finds in its memory and its documents",
        "/blame [TEXT]": "who wrote what stands in its memory, and on what grounds",
    },
    "Change": {
        "/undo": "take the last message back: a fork from before it goes on in its place",
        "/retry": "the same, and say it again",
        "/fork [NAME]": "make an agent that has all that this one has",
        "/switch NAME": "talk with another agent",
        "/load SOURCE FILE…": "load documents, for this agent to search and read",
        "/attach SOURCE": "let it see documents that are loaded",
        "/model [NAME]": "ask another model: NAME at the same server, NAME@URL, or `offline`",
        "/timezone [ZONE]": "its time zone; with a ZONE, as Europe/Berlin, it moves there",
        "/heartbeat": "wake the agent again and again, as `/heartbeat every 30m`; `/heartbeat off` ends it",
    },
    "Talk": {
        "/thoughts": "show the agent's inner thoughts, or hide them again",
        "/stop": "stop what the agent is doing (while it answers you: Ctrl-C)",
        "/help": "this",
        "/quit": "end (so do Ctrl-D, exit and quit)",
    },
}
KEYS: Final = (
    "Enter sends. Alt-Enter, or a backslash at the line's end, begins a new line. Tab completes. Ctrl-R finds what was "
    "typed before, Ctrl-Z leaves for a while (`fg` comes back). //text sends /text."
)
NAMES: Final = tuple(usage.split()[0] for section in HELP.values() for usage in section)
USAGE: Final = 18
"""Letters of the longest usage."""
EVENTS: Final = 20
INDEX_WAIT_S: Final = 10.0

Change = Callable[[str, str], Awaitable[list[str]]]
"""Lets an agent ask another model, named as `/model` has it; what was done, in lines."""


class Chat(Protocol):
    """What a command may do to the chat."""

    agent: str
    thoughts: bool

    def note(self, text: str) -> None: ...

    def show(self, text: str, style: str = "") -> None: ...

    async def go_over(self, agent: str, *, recall: bool = False) -> None:
        """Talk with this agent from now on; `recall`: show what was said last."""
        ...

    async def say(self, text: str) -> None: ...

    async def stop(self) -> None: ...


class Commands:
    """Carries out what the user types behind a slash."""

    def __init__(self, chat: Chat, client: Talker, count: Count, change: Change | None) -> None:
        self._chat, self._client, self._count, self._change = chat, client, count, change
        self._table: Mapping[str, Callable[[str], Awaitable[None]]] = {
            "/memory": self._memory,
            "/context": self._context,
            "/events": self._events,
            "/timers": self._timers,
            "/why": self._why,
            "/search": self._search,
            "/blame": self._blame,
            "/undo": self._undo,
            "/retry": self._retry,
            "/fork": self._fork,
            "/switch": self._switch,
            "/load": self._load,
            "/attach": self._attach,
            "/model": self._model,
            "/timezone": self._timezone,
            "/heartbeat": self._heartbeat,
            "/thoughts": self._thoughts,
            "/stop": self._stop,
            "/help": self._help,
        }

    async def run(self, typed: str) -> None:
        """Carry out a line. Raises PalimpsestError where it cannot be."""
        name, _, rest = typed.strip().partition(" ")
        command = self._table.get(name)
        if command is None:
            self._unknown(name)
        else:
            await command(rest.strip())

    def _unknown(self, name: str) -> None:
        near = [each for each in NAMES if len(name) > 2 and each.startswith(name)] or get_close_matches(name, NAMES)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        self._chat.note(f"There is no command {one_line(name, 40)}.{meant} /help lists them, and //text sends /text.")

    async def _state(self) -> State:
        return await self._client.state(self._chat.agent)

    # --- looking

    async def _memory(self, _: str) -> None:
        for block in (await self._state()).blocks:
            size = f"{len(block.value):,} of {block.limit:,} characters"
            self._chat.show(f"{printable(block.label)}  {size}", "bold")
            self._chat.show(block.value or "(empty)")

    async def _context(self, how: str) -> None:
        seen = view(await self._state(), self._count)
        page = Page()
        print_header(page, seen)
        if how == "full":
            print_messages(page, seen.request)

    async def _events(self, number: str) -> None:
        wanted = int(number) if number.isdecimal() and int(number) else EVENTS
        state = await self._state()
        page = Page()
        for envelope in await self._client.events(state.agent, max(0, state.seq - wanted)):
            print_event(page, envelope, event_line(decode(envelope)))

    async def _timers(self, _: str) -> None:
        timers = await self._client.timers(self._chat.agent)
        if not timers:
            self._chat.note("No timer is set. Ask for a reminder, and the agent sets one.")
            return
        rows = [
            (one_line(t.id), due_text(t), f"every {t.every_s} s" if t.every_s else t.cron or "once", t.note)
            for t in timers
        ]
        Page().table(("timer", "due", "repeats", "note"), [(*row[:3], one_line(row[3])) for row in rows])

    async def _why(self, text: str) -> None:
        self._look("why", f"--at {text}" if text.isdecimal() else text)

    async def _search(self, text: str) -> None:
        self._look("search", _given(text, "/search TEXT, as /search red valve"))

    async def _blame(self, text: str) -> None:
        self._look("blame", text)

    def _look(self, name: str, text: str) -> None:
        """A command that looks into the log, about this agent; Ctrl-C ends it."""
        module, attribute = _LOOKS[name]
        command: click.Command = getattr(import_module(module), attribute)
        parent = click.get_current_context(silent=True)
        try:
            with (
                interruptible(),
                command.make_context(f"/{name}", arguments(command, self._chat.agent, text), parent=parent) as context,
            ):
                command.invoke(context)
        except click.exceptions.Exit:
            pass  # --help
        except click.ClickException as error:
            raise BadInput(" ".join(error.format_message().split())) from None
        except KeyboardInterrupt:
            self._chat.note("(interrupted)")

    # --- changing

    async def _undo(self, _: str) -> None:
        await self._taken_back()

    async def _taken_back(self) -> str:
        """What the message said that was taken back."""
        before = self._chat.agent
        undone = await self._client.undo(before)
        await self._chat.go_over(undone.agent)
        self._chat.note(
            f"Taken back: “{one_line(undone.text, 60)}”. You talk with {one_line(undone.agent)} now, which is "
            f"{one_line(before)} as it was before that; {one_line(before)} stays as it is (/switch {one_line(before)})."
        )
        if undone.moved:
            self._chat.note(f"Timers came along, and ring here alone: {timers_said(undone.moved)}.")
        if undone.dropped:
            self._chat.note(f"Timers that were set since ring no more: {timers_said(undone.dropped)}.")
        return undone.text

    async def _retry(self, _: str) -> None:
        text = await self._taken_back()
        self._chat.show(f"you> {printable(text)}", "dim")
        await self._chat.say(text)

    async def _fork(self, name: str) -> None:
        agent = self._chat.agent
        name = name or await self._client.free_name(agent)
        place = await self._client.fork(agent, name)
        self._chat.note(
            f"{one_line(name)} is made: {one_line(agent)}'s history up to event {place.state.seq}, without a copy, and "
            f"without its timers. You still talk with {one_line(agent)}; /switch {one_line(name)} goes over."
        )

    async def _switch(self, name: str) -> None:
        others = [head.stream for head in await self._client.agents() if head.stream != self._chat.agent]
        shown = ", ".join(one_line(each, 40) for each in others[:EVENTS]) or "none yet (/fork makes one)"
        name = _given(name, f"/switch NAME. The other agents: {shown}")
        await self._client.state(name)  # raises UnknownAgent
        await self._chat.go_over(name, recall=True)
        self._chat.note(f"You talk with {one_line(name)} now.")

    async def _load(self, text: str) -> None:
        from palimpsest.actors.requests.sources import check_source
        from palimpsest.console.load import print_report, showing

        source, *names = _words(text) or [""]
        _given(" ".join(names), "/load SOURCE FILE…, as /load manuals ~/manuals")
        check_source(source)
        paths = _paths(names)
        with showing() as on_progress:
            report = await self._client.load_source(source, paths, agents=[self._chat.agent], on_progress=on_progress)
        print_report(Page(), report)
        if await self._client.indexed(wait_s=INDEX_WAIT_S):
            self._chat.note("The index takes it in; what is not there yet is found soon.")

    async def _attach(self, source: str) -> None:
        there = ", ".join(one_line(name, 40) for name in (await self._client.sources())[:EVENTS])
        source = _given(source, f"/attach SOURCE. The sources: {there or 'none yet (/load SOURCE FILE… makes one)'}")
        done = await self._client.attach(source, [self._chat.agent])
        agent = one_line(self._chat.agent)
        self._chat.note(f"Attached {one_line(source)} to {agent}." if done else f"{agent} had it already.")

    async def _model(self, name: str) -> None:
        settings = chosen(await self._state())
        if not name or self._change is None:
            place = settings.model + f" at {settings.base_url}" * bool(settings.base_url)
            self._chat.note(f"The model is {place}. /model NAME asks another one there, /model NAME@URL elsewhere.")
            return
        for said in await self._change(self._chat.agent, name):
            self._chat.note(said)

    async def _timezone(self, zone: str) -> None:
        said = await moved(self._client, self._chat.agent, zone) if zone else [told_of(await self._state())]
        for line in said:
            self._chat.note(line)

    async def _heartbeat(self, how: str) -> None:
        if how == "off":
            found = await self._client.cancel_timer(self._chat.agent, TIMER_ID)
            self._chat.note("The timed heartbeat is off." if found else "There is no timed heartbeat of this chat's.")
            return
        timer = await self._client.set_timer(self._chat.agent, heartbeat(how, now_ms()))
        every = many(timer.every_s // 60, "minute")
        self._chat.note(f"The next timed heartbeat comes at {due_text(timer)}, and then every {every}.")

    # --- talking

    async def _thoughts(self, _: str) -> None:
        self._chat.thoughts = not self._chat.thoughts
        self._chat.note(f"Inner thoughts are {'shown' if self._chat.thoughts else 'hidden'}.")

    async def _stop(self, _: str) -> None:
        await self._chat.stop()

    async def _help(self, _: str) -> None:
        for heading, section in HELP.items():
            self._chat.show(heading, "bold")
            for usage, what in section.items():
                self._chat.show(f"  {usage:<{USAGE}}  {_beside(what)}")
        self._chat.note(KEYS)


_LOOKS: Final = {
    "why": ("palimpsest.console.why", "command"),
    "search": ("palimpsest.console.search", "search_command"),
    "blame": ("palimpsest.console.blame", "command"),
}


def _beside(what: str) -> str:
    """What a command does, in lines beside its usage; on a narrow terminal as it comes."""
    indent = USAGE + 4
    room = shutil.get_terminal_size().columns - indent
    return wrapped(what, room).replace("\n", "\n" + " " * indent) if room > USAGE else what


def _given(text: str, usage: str) -> str:
    """The text. Raises BadInput where there is none."""
    if not text:
        raise BadInput(f"Say {usage}.")
    return text


def _paths(names: list[str]) -> list[Path]:
    """The files and folders. Raises BadInput for the first that there is not."""
    for name in names:
        with contextlib.suppress(OSError, RuntimeError):  # a path that is too long, or of a user that there is not
            if os.path.lexists(Path(name).expanduser()):
                continue
        raise BadInput(f"There is no file or folder '{one_line(name)}'. Check the path.")
    return [Path(name).expanduser() for name in names]


def _words(text: str) -> list[str]:
    """As a shell parts them, so that a path may hold blanks; by blanks alone where its quotes do not match."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def arguments(command: click.Command, agent: str, text: str) -> list[str]:
    """What is given to a command of the command line: the agent, the options among the words, and all else as one
    text."""
    found = {flag: each for each in command.params if isinstance(each, click.Option) for flag in each.opts}
    found["--help"] = click.Option(["--help"], is_flag=True)
    words = text.split()
    if not any(word.partition("=")[0] in found for word in words):
        return ["--", agent, *([text] if text else [])]
    options: list[str] = []
    rest: list[str] = []
    left = iter(words)
    for word in left:
        flag, equals, _ = word.partition("=")
        if flag not in found:
            rest.append(word)
            continue
        options.append(word)
        if not equals and not found[flag].is_flag:
            options += [value for value in [next(left, None)] if value is not None]
    return [*options, "--", agent, *([" ".join(rest)] if rest else [])]


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C ends what runs here, in this thread, with KeyboardInterrupt."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def is_command(text: str) -> bool:
    """Whether a line is a command: it begins with a slash, and its first word is no path."""
    word = text.split(maxsplit=1)[0] if text.strip() else ""
    return word.startswith("/") and "/" not in word[1:]
