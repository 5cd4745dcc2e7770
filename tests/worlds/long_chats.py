"""Chats as data, and an agent that lives them: the real log, memory manager, LLM processor and storage, without Ray.

A chat's file has a message a line, then `===`, then a question a line: `question | wanted | !unwanted`. Of `wanted`,
each alternative (", ") or all (" & ") must be in the answer; of `unwanted` none may be.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Final

import msgspec

from palimpsest.actors.models.offline.model import OfflineModel
from palimpsest.actors.parts.index import open_index
from palimpsest.actors.storage import Storage
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.store.index.settings import IndexSettings
from tests.worlds.one_process import MINUTE_MS, parts

CHATS: Final = Path(__file__).with_name("chats")


class Asked(msgspec.Struct, frozen=True):
    """A question of a chat, what a good answer says and what it must not say."""

    text: str
    wanted: tuple[tuple[str, ...], ...]
    unwanted: tuple[str, ...] = ()

    def answered_by(self, answer: str) -> bool:
        """Whether an answer is good. Words count whole, so that "2" is not found in "12"."""
        return any(all(_says(answer, word) for word in words) for words in self.wanted) and not any(
            _says(answer, word) for word in self.unwanted
        )


def _says(answer: str, words: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(words)}", answer, re.I))


def read(name: str) -> tuple[list[str], list[Asked]]:
    """The messages and the questions of a chat."""
    said, _, asked = (CHATS / f"{name}.txt").read_text(encoding="utf-8").partition("\n===\n")
    return said.splitlines(), [_asked(line) for line in asked.splitlines()]


def _asked(line: str) -> Asked:
    text, wanted, *unwanted = (part.strip() for part in line.split(" | "))
    return Asked(
        text,
        tuple(tuple(each.split(" & ")) for each in wanted.split(", ")),
        tuple(unwanted[0].removeprefix("!").split(", ")) if unwanted else (),
    )


async def live(folder: Path, texts: list[str]) -> list[str]:
    """What an agent of our own settings answers to each of these messages, one a minute."""
    answers = []
    async with parts(folder) as here:
        here.processor._offline = OfflineModel()
        index = open_index(folder, FIRST_PARTITION, IndexSettings(), here.log_actor._reader)
        storage = asyncio.create_task(Storage(here.log, here.log_actor._reader, lambda: index).run())
        await here.born("ada")
        for text in texts:
            answers.append((await here.says("ada", text)).text)
            here.now_ms += MINUTE_MS
        storage.cancel()
        await asyncio.gather(storage, return_exceptions=True)
    return answers
