"""The agent's words on a terminal: pieces as they come, then what the log says that was sent.

Rules. (1) The log has the last word: what was streamed and not sent is marked so, and what was sent and not streamed is
printed. (2) Lines part between words, at the width that the terminal has by then. (3) What was said before this chat
began is dim, with its time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, assert_never

from rich.console import Console
from rich.text import Text

from palimpsest.console.talk import ending, notes
from palimpsest.console.wrapping import Wrapper, wrapped
from palimpsest.questions.texts import one_line, printable

if TYPE_CHECKING:
    from palimpsest.actors.client import Reply
    from palimpsest.actors.models.protocol import Piece, PieceKind
    from palimpsest.console.past import PastMessage


class Voice:
    """Prints what the agent says."""

    def __init__(self, console: Console, agent: str, *, thoughts: bool) -> None:
        self.thoughts = thoughts
        self._console = console
        self._kind: PieceKind | Literal[""] = ""
        """The kind of the piece that stands open on the line."""
        self._waits = False
        self._streamed = ""
        self._lines = Wrapper()
        self.speaks_for(agent)

    def speaks_for(self, agent: str) -> None:
        """From now on it is this agent who speaks."""
        self._name = f"{one_line(agent, 40)}> "

    def begin(self) -> None:
        """The agent was asked something."""
        self._streamed = ""
        if self._console.is_dumb_terminal:
            return  # a line that cannot be wiped away is no sign of waiting
        self._waits = True
        self._console.print(Text(f"{self._name}…", "dim"), end="")

    def piece(self, piece: Piece) -> None:
        match piece.kind:
            case "again":
                self.silence()
                self._withdraw()
            case "waiting":
                self._wait(piece.text)
            case "end":
                if self._kind:
                    self.silence()
            case "thought":
                if self.thoughts:
                    self._speak(piece)
            case "message":
                self._speak(piece)
                self._streamed += piece.text
            case _:
                assert_never(piece.kind)

    def _speak(self, piece: Piece) -> None:
        if piece.kind != self._kind:
            self._open(piece.kind)
        self._write(self._lines.feed(printable(piece.text.replace("\r", "")), self._console.width))

    def _write(self, text: str) -> None:
        if text:
            self._console.print(Text(text, _STYLES.get(self._kind, "")), end="", soft_wrap=True)

    def _wait(self, text: str) -> None:
        """Say for what is waited, on a line that the next word takes away."""
        self.silence()
        self._waits = True
        self._console.print(Text(f"({printable(text)})", "dim"), end="", soft_wrap=True)

    def _open(self, kind: PieceKind) -> None:
        self.silence()
        self._kind = kind
        name, style = (self._name, "bold green") if kind == "message" else ("(thinks) ", "dim")
        self._console.print(Text(name, style), end="")
        self._lines = Wrapper(len(name))

    def silence(self) -> None:
        """End the line, or wipe the sign that the agent was asked."""
        if self._waits:
            self._waits = False
            can_wipe = self._console.is_terminal and not self._console.is_dumb_terminal
            self._console.file.write("\r\x1b[2K" if can_wipe else "\n")
            self._console.file.flush()
        elif self._kind:
            self._write(self._lines.end(self._console.width))
            self._console.print()
        self._kind = ""

    def came_back(self) -> None:
        """Somebody else had the terminal: the line begins anew."""
        self._lines.begin()

    def _withdraw(self) -> None:
        if self._streamed:
            self.say("(the words above were not sent)", "dim")
        self._streamed = ""

    def end(self, reply: Reply) -> None:
        """A turn's end: print what was sent and not streamed, and how it ended if not well."""
        self.silence()
        if self._streamed and not any(message in self._streamed for message in reply.messages):
            self._withdraw()
        for message in reply.messages:
            if message not in self._streamed:
                self._told(self._name, "bold green", message)
        self._streamed = ""
        for note in notes(reply):
            self.say(note, "dim")
        end = ending(reply)
        if end:
            self.say(end, "red")

    def say(self, text: str, style: str = "") -> None:
        """A line of the chat's own, or several."""
        self._console.print(Text(wrapped(printable(text), self._console.width), style), soft_wrap=True)

    def recall(self, past: Sequence[PastMessage]) -> None:
        """What was said before."""
        for each in past:
            name = f"{each.when}  {one_line(each.who, 40) or self._name[:-2]}> "
            self._told(name, "dim", each.text, "dim")

    def _told(self, name: str, style: str, text: str, text_style: str = "") -> None:
        lines = wrapped(printable(text), self._console.width, len(name))
        self._console.print(Text.assemble((name, style), (lines, text_style)), soft_wrap=True)


_STYLES: Final[Mapping[PieceKind | Literal[""], str]] = {"thought": "dim italic"}
