"""What a text that is being read has given so far: what was said, and what was thought.

Rule: the pieces join to the whole. White space at the end of what is said waits for more, and beside markup there is
none: so what was said needs no trimming afterwards.
"""

from __future__ import annotations

from typing import Literal

PieceKind = Literal["message", "thought", "withdrawn"]
"""`withdrawn`: all that was given as message so far was a thought, as its end shows."""
TextPiece = tuple[PieceKind, str]


class Given:
    """`line_begins`: nothing but white space stands before the next character in its line; `before`: the last one."""

    def __init__(self) -> None:
        self.line_begins = True
        self.before = ""
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._pieces: list[TextPiece] = []
        self._blank = ""  # white space that is said if more follows
        self._marked = False  # markup was read
        self._fresh = False  # … and nothing was said since

    @property
    def is_empty(self) -> bool:
        """Whether nothing was read yet, not even markup."""
        return not (self._marked or self._texts or self._blank)

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def thoughts(self) -> str:
        return "".join(self._thoughts).strip()

    def pieces(self) -> list[TextPiece]:
        """Those that are new."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def say(self, text: str) -> None:
        if not text:
            return
        self.before = text[-1]
        _, broken, line = text.rpartition("\n")
        self.line_begins = not line.strip() and (bool(broken) or self.line_begins)
        if self._fresh:
            text = text.lstrip()
            self._fresh = not text
        body = text.rstrip()
        if body:
            self._give("message", self._texts, self._blank + body)
            self._blank = ""
        self._blank += text[len(body) :]

    def think(self, text: str) -> None:
        if text:
            self._give("thought", self._thoughts, text)

    def end_thought(self) -> None:
        """The next thought stands in a line of its own."""
        if self._thoughts:
            self.think("\n")

    def take_thoughts(self) -> str:
        """The thoughts, which were none."""
        taken, self._thoughts = "".join(self._thoughts), []
        return taken

    def withdraw(self) -> None:
        """A thought ends that no tag began: what was said so far was that thought."""
        said, self._texts, self._blank = self.text, [], ""
        if said:
            self._thoughts.append(said + "\n")
            self._pieces = [*(piece for piece in self._pieces if piece[0] == "thought"), ("withdrawn", "")]
        self.mark()

    def mark(self) -> None:
        """Markup was read: what comes next begins anew."""
        self._marked, self._fresh, self.line_begins, self.before = True, True, True, ""
        self._blank = self._blank if self._texts else ""

    def end(self) -> None:
        """White space at the end of a text without markup belongs to it."""
        if self._blank and not self._marked:
            self._give("message", self._texts, self._blank)
        self._blank = ""

    def _give(self, kind: PieceKind, kept: list[str], text: str) -> None:
        kept.append(text)
        if self._pieces and self._pieces[-1][0] == kind:
            text = self._pieces.pop()[1] + text
        self._pieces.append((kind, text))
