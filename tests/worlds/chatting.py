"""`chat` on a terminal without a system, for tests: `python -m tests.worlds.chatting FOLDER`.

What it is asked is echoed; "slowly TEXT" says TEXT letter by letter once the file FOLDER/go is there (Ctrl-C ends it),
and "boot" in the environment has it start as slowly.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import click

from palimpsest.actors.client import Reply, Ticket
from palimpsest.actors.models.protocol import Piece
from palimpsest.console import chat
from palimpsest.console.keyboard import Keyboard
from palimpsest.events.prompts import newborn
from palimpsest.events.types import Settings
from palimpsest.store.folder import DataFolder
from tests.worlds.scripted_client import FakeClient, reply

SLOWLY = "slowly "


class Echo(FakeClient):
    """Echoes; `go` lets it speak."""

    def __init__(self, go: Path) -> None:
        super().__init__()
        self.go = go

    async def may_go(self) -> None:
        """Wait until the file is there, or it is to stop."""
        while not self.go.exists() and not self.stopped:  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.02)

    async def stream(self, agent: str, text: str) -> AsyncIterator[Ticket | Piece | Reply]:
        if not text.startswith(SLOWLY):
            async for item in super().stream(agent, text):
                yield item
            return
        self.sent.append(text)
        seq, said = 2 * len(self.sent), text.removeprefix(SLOWLY)
        yield Ticket(agent, seq, "")
        yield Piece("message", "Well: ")
        await self.may_go()
        if self.stopped:
            self.stopped.clear()
            yield reply(input=seq, reason="stopped")
            return
        for letter in said:
            yield Piece("message", letter)
        yield Piece("end", "")
        yield reply(f"Well: {said}", input=seq)


async def talk(folder: DataFolder, client: Echo, keyboard: Keyboard | None) -> int:
    """As `chat` does it, once its system is up."""
    if "boot" in os.environ:
        await client.may_go()
    return await chat.converse(client, "ada", chat.Talk(folder=folder, change=unchanged, goes_on=ends), keyboard)


async def ends() -> bool:
    return False


async def unchanged(agent: str, name: str) -> list[str]:
    return [f"{agent} asks {name}."]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    client = Echo(folder / "go")
    client.born["ada"] = newborn(Settings())
    with chat.keyboard_held() as keyboard:
        click.echo("begun")
        sys.exit(asyncio.run(talk(DataFolder(folder), client, keyboard)))


if __name__ == "__main__":
    main()
