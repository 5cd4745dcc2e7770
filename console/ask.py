"""`ask`: one message to an agent that there is, and its answer, for a shell, a pipe or a program.

Rules. (1) On standard output stands what was asked for and nothing else. (2) What can be refused is refused before
anything is started. (3) The message has an id: given again, the same turn answers, and nothing is said twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from difflib import get_close_matches
from shlex import quote
from typing import TYPE_CHECKING, Any, Final, Protocol

import click
import msgspec

from palimpsest.actors.links.remote_log import RemoteLog
from palimpsest.actors.models.protocol import Piece
from palimpsest.actors.requests.checks import check_id, check_name
from palimpsest.actors.requests.turns import Reply, Ticket
from palimpsest.console.called import as_typed, typed
from palimpsest.console.joining import at_work
from palimpsest.console.message import message_of
from palimpsest.console.options import INTERRUPTED, address_option, complain, data_folder, index_options, index_settings
from palimpsest.console.preflight import check_own, state_of
from palimpsest.console.show import names_of, on_terminal, print_json
from palimpsest.console.talk import ending, is_failed, notes
from palimpsest.events.errors import AgentIsRetired, BadInput, PalimpsestError
from palimpsest.questions.asked import TurnPlaces, places, text_at
from palimpsest.questions.plain import plain
from palimpsest.questions.texts import printable
from palimpsest.store.folder import DataFolder
from palimpsest.store.library.reading import Reads
from palimpsest.store.logs.contract import agents_of

if TYPE_CHECKING:
    from palimpsest.actors.system import System

TURN_FAILED: Final = 1
TIMED_OUT: Final = 124
LOOK_S: Final = 5.0
"""So long the log is asked at most for what is only told beside the answer."""
WRITTEN_HOW: Final = ("text", "json", "stream-json")


class Inquiry(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of whom, and how the answer is written."""

    agent: str
    text: str
    message_id: str
    timeout_s: float | None = None
    written: str = "text"
    quiet: bool = False


class Answerer(Protocol):
    """The part of `actors.client.Client` that is used here."""

    def stream(self, agent: str, text: str, *, message_id: str = "") -> AsyncIterator[Ticket | Piece | Reply]: ...

    async def stop(self, agent: str, reason: str = "", *, input: int = 0) -> bool: ...


@click.command("ask")
@click.argument("agent")
@click.argument("message", required=False)
@click.option("--file", "file", metavar="PATH", help="Read the message from this file, or from a pipe (-).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: messages, how the turn ended, its seqs.")
@click.option("--stream-json", is_flag=True, help="Print a JSON object a line as pieces come; the last is the reply.")
@click.option("--message-id", default="", metavar="ID", help="The message's own id: sent again, the same turn answers.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    help="Wait so many seconds for the answer, once the message is sent; the turn goes on.",
)
@click.option("--quiet", is_flag=True, help="Nothing on standard error but errors.")
@address_option
@index_options
def command(
    agent: str,
    message: str | None,
    *,
    file: str | None,
    as_json: bool,
    stream_json: bool,
    message_id: str,
    timeout_s: float | None,
    quiet: bool,
    address: str,
) -> int:
    """Say MESSAGE to AGENT, and print its answer. With --file the whole file is one message, whatever lines it has.

    Exit code 0: it answered. 1: its turn failed, or ended without an answer. 2: nothing was said to it. 124: no answer
    came in time, and the turn goes on. 130: Ctrl-C, which stops the turn. Nothing but the answer is on standard output;
    on standard error a line says where to look at the turn.
    """
    check_name(agent)
    if message_id:
        check_id(message_id)
    if as_json and stream_json:
        raise BadInput("--json and --stream-json are two ways to print the answer: give one.")
    text = message_of(message, file)
    question = Inquiry(
        agent=agent,
        text=text,
        message_id=message_id or uuid.uuid4().hex,
        timeout_s=timeout_s,
        written=WRITTEN_HOW[as_json + 2 * stream_json],
        quiet=quiet,
    )
    folder = data_folder()
    if not address or folder.log().is_there():  # a cluster's log may lie on another machine: its parts know
        for note in ready(folder, agent, message_id):
            _aside(question, note)
    return asyncio.run(_ask(folder, question, address))


# --- before ------------------------------------------------------------------------------------------------------


def ready(folder: DataFolder, agent: str, message_id: str = "") -> list[str]:
    """What to know before an agent is asked. Raises BadInput where there is no such agent, it could not answer, or its
    server's key is missing; AgentIsRetired, but for a message that it has had."""
    try:
        state = state_of(folder, agent)
    except AgentIsRetired:
        if message_id and _has(folder, agent, message_id):
            return []
        raise
    if state is None:
        raise BadInput(_unknown(folder, agent))
    return check_own(folder, state)


def _has(folder: DataFolder, agent: str, message_id: str) -> bool:
    with folder.log().reader() as log:
        return log.find(agent, f"in:{message_id}") is not None


def _unknown(folder: DataFolder, agent: str) -> str:
    known: list[str] = []
    if folder.log().is_there():
        with folder.log().reader() as log:
            known = [head.stream for head in agents_of(log.heads())]
    near = get_close_matches(agent, known, n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else f" There are: {names_of(known)}." if known else ""
    return f"There is no agent '{agent}'.{hint} `create {quote(agent)}` makes one of this name."


# --- the turn ----------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def running(folder: DataFolder, question: Inquiry, address: str) -> AsyncGenerator[System, None]:
    """The system on this folder, or of that cluster."""
    purpose, settings = f"ask {question.agent}", index_settings()
    async with at_work(folder, purpose, address=address, index=settings, quiet=question.quiet) as system:
        yield system


async def _ask(folder: DataFolder, question: Inquiry, address: str) -> int:
    async with running(folder, question, address) as system:
        log = RemoteLog(system.parts.log, asyncio.get_running_loop())

        async def look(seq: int) -> InputSeen:
            return await asyncio.to_thread(seen, log, question.agent, seq)

        return await Asking(system.client(), question, look).run(stays=await system.goes_on())


class InputSeen(msgspec.Struct, frozen=True):
    """What the log has of the input: the places of its turn, and the text that it has."""

    places: TurnPlaces
    text: str | None


def seen(log: Reads, agent: str, seq: int) -> InputSeen:
    return InputSeen(places(log, agent, seq), text_at(log, agent, seq))


class Asking:
    """One question under way. `look` reads the log; Ctrl-C stops the turn, and a second one leaves it."""

    def __init__(self, client: Answerer, question: Inquiry, look: Callable[[int], Awaitable[InputSeen]]) -> None:
        self._client = client
        self._question = question
        self._look = look
        self._ticket: Ticket | None = None
        self._interrupted = False
        self._stop: asyncio.Task[bool] | None = None

    async def run(self, *, stays: bool) -> int:
        """Ask, and print the answer; the exit code."""
        loop, whole = asyncio.get_running_loop(), asyncio.current_task()
        assert whole is not None, "it runs in a task"
        loop.add_signal_handler(signal.SIGINT, self._interrupt, whole)
        try:
            async with asyncio.timeout(None) as limit:
                return await self._listen(limit)
        except TimeoutError:
            if not limit.expired():
                raise
            return await self._late(stays=stays)
        except asyncio.CancelledError:
            if not self._interrupted:
                raise
            return INTERRUPTED
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    def _interrupt(self, whole: asyncio.Task[Any]) -> None:
        if self._interrupted:
            whole.cancel()
        self._interrupted = True
        if self._ticket:
            self._stop_turn()

    def _stop_turn(self) -> None:
        if self._ticket and not self._stop:
            self._stop = asyncio.create_task(self._client.stop(self._question.agent, "Ctrl-C", input=self._ticket.seq))

    async def _listen(self, limit: asyncio.Timeout) -> int:
        asked = self._question
        async for item in self._client.stream(asked.agent, asked.text, message_id=asked.message_id):
            match item:
                case Ticket():
                    await self._sent(item)
                    if asked.timeout_s is not None:
                        limit.reschedule(asyncio.get_running_loop().time() + asked.timeout_s)
                case Piece():
                    self._piece(item)
                case Reply():
                    limit.reschedule(None)
                    return await self._end(item)
        return TURN_FAILED

    async def _sent(self, ticket: Ticket) -> None:
        self._ticket = ticket
        if self._interrupted:
            self._stop_turn()
        if self._question.written == "stream-json":
            self._line("sent", {**self._names(ticket), "again": ticket.again})
        if ticket.again:
            other = (await self._look(ticket.seq)).text != self._question.text
            more = ", with another text, which is the one that is answered" if other else ""
            _aside(self._question, f"This message id was sent before, as event {ticket.seq}{more}.")

    def _piece(self, piece: Piece) -> None:
        if self._question.written == "stream-json":
            self._line("piece", {"kind": piece.kind, "text": piece.text})
        elif piece.kind == "waiting":
            _aside(self._question, f"({piece.text})")

    async def _end(self, reply: Reply) -> int:
        if self._question.written == "text":
            for message in reply.messages:
                sys.stdout.write(shown(message) + "\n")
            sys.stdout.flush()
        found = await self._places(reply.input)
        if self._question.written != "text":
            self._line("reply", {**self._names(self._ticket), **plain(reply), "seqs": plain(found)})
        for note in notes(reply):
            _aside(self._question, note)
        end = ending(reply)
        if end:
            complain(end)
        _aside(self._question, where_to_look(reply.agent, found))
        if self._interrupted:
            return INTERRUPTED
        return TURN_FAILED if is_failed(reply) else 0

    async def _places(self, seq: int) -> TurnPlaces:
        """Where to look at the turn of an input; its own place alone, where the log does not answer now."""
        try:
            async with asyncio.timeout(LOOK_S):
                return (await self._look(seq)).places
        except (TimeoutError, PalimpsestError):
            return TurnPlaces(input=seq)

    async def _late(self, *, stays: bool) -> int:
        """No answer came in time."""
        assert self._ticket is not None, "the time runs from the sending on"
        asked, ticket = self._question, self._ticket
        if asked.written != "text":
            found = plain(await self._places(ticket.seq))
            self._line("timeout", {**self._names(ticket), "messages": [], "reason": "timeout", "seqs": found})
        goes_on = "The turn goes on" if stays else "The turn goes on with the next command that runs on this folder"
        follow = typed("events", asked.agent, "--turn", str(ticket.seq))
        complain(
            f"There was no answer within {asked.timeout_s:g} s. {goes_on}: {follow} shows it, and the same message "
            f"with --message-id {quote(asked.message_id)} waits for it again."
        )
        return INTERRUPTED if self._interrupted else TIMED_OUT

    def _names(self, ticket: Ticket | None) -> dict[str, Any]:
        asked = self._question
        return {"agent": asked.agent, "input": ticket.seq if ticket else 0, "message_id": asked.message_id}

    def _line(self, type: str, fields: dict[str, Any]) -> None:
        print_json({"type": type, **fields} if self._question.written == "stream-json" else fields)
        sys.stdout.flush()


def shown(text: str) -> str:
    """A message for standard output: what drives a terminal made visible; in a pipe tabs stay what they are."""
    return printable(text) if on_terminal() else "\t".join(map(printable, text.split("\t")))


def where_to_look(agent: str, found: TurnPlaces) -> str:
    """A line with what to type next."""
    window = f"{typed('context', agent, '--at', str(found.requests[-1]))} ; " if found.requests else ""
    return f"To look: {window}{typed('events', agent, '--turn', str(found.input))}"


def _aside(question: Inquiry, text: str) -> None:
    if not question.quiet:
        click.echo(as_typed(printable(text)), err=True)
