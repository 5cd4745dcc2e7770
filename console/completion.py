"""What Tab completes in a chat: commands, and the names and files that they take."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Final

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from palimpsest.console.commands import HELP
from palimpsest.console.talk import Talker
from palimpsest.events.errors import PalimpsestError

_WHAT: Final[Mapping[str, str]] = {
    usage.split()[0]: what for section in HELP.values() for usage, what in section.items()
}
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "/context": ("full",),
    "/heartbeat": ("every 30m", "off"),
    "/model": ("offline",),
    "/blame": ("--summary", "--block", "--exact", "--at"),
    "/search": ("--in recall", "--in archival", "--at", "--page"),
    "/why": ("--at", "--exact"),
}


class Completing(Completer):
    """Completes what begins with a slash, as it is typed."""

    def __init__(self, client: Talker) -> None:
        self._client = client
        self._files = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        return ()  # a prompt that runs in a loop asks for the others

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        text = document.text_before_cursor
        if not text.startswith("/") or "\n" in text:
            return
        name, blank, rest = text.partition(" ")
        if not blank:
            for each, what in _WHAT.items():
                if each.startswith(name):
                    yield Completion(each, -len(name), display_meta=what)
            return
        if name == "/load" and " " in rest:
            word = rest.rpartition(" ")[2]
            for found in self._files.get_completions(Document(word), complete_event):
                yield found
            return
        for each in await self._names(name):
            if each.startswith(rest) and each != rest:
                yield Completion(each, -len(rest))

    async def _names(self, command: str) -> list[str]:
        """What may stand behind a command."""
        try:
            match command:
                case "/switch":
                    return [head.stream for head in await self._client.agents()]
                case "/attach" | "/load":
                    return await self._client.sources()
                case _:
                    return list(_WORDS.get(command, ()))
        except PalimpsestError:
            return []
