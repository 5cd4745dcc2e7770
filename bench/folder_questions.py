"""How many natural questions about a folder of small files get the right passage: `python -m bench.folder_questions`.

The folder is `bench/folder` (`deploy.py.txt` without its `.txt`), with a PDF that has headers and footers, a DOCX, and
a CSV with a cell of 140,000 characters, made here. The built-in model is asked each question; what counts is the first
page of what it searched, the first passage there, and its answer. `-v` prints what failed, with the answer. Another
folder may be named, with a `questions.json` in it: a list of [question, regular expression of what answers it].
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.small_files import docx, paragraph, pdf
from palimpsest.actors.system import boot
from palimpsest.events.codec import decode
from palimpsest.events.prompts import newborn
from palimpsest.events.types import FunctionCalled, FunctionReturned, Settings
from palimpsest.store.folder import DataFolder

HERE: Final = Path(__file__).parent / "folder"
SEARCH: Final = "archival_memory_search"
_NO_DOCUMENTS: Final = ("questions.json", "manual.pages.json", "board.docx.json")
NEAREST: Final = "The nearest I have"


class Asked(msgspec.Struct, frozen=True):
    """A question, the words of the passage that answers it, and what came of it: `rank` among what was found (0: it was
    not), the answer, and whether the words are in it."""

    question: str
    rank: int
    answer: str
    answered: bool


def questions(of: Path = HERE) -> list[tuple[str, str]]:
    return [(question, words) for question, words in json.loads((of / "questions.json").read_text())]


def write_folder(to: Path, of: Path = HERE) -> Path:
    """The folder with all its files, some of which are made."""
    to.mkdir()
    for path in of.iterdir():
        if path.name not in _NO_DOCUMENTS:
            shutil.copyfile(path, to / path.name.removesuffix(".txt" if path.name.endswith(".py.txt") else ""))
    if of != HERE:
        return to
    (to / "manual.pdf").write_bytes(pdf(json.loads((HERE / "manual.pages.json").read_text())))
    body = json.loads((HERE / "board.docx.json").read_text())
    (to / "board.docx").write_bytes(
        docx("".join(paragraph(text, "berschrift1" if kind == "heading" else "") for kind, text in body))
    )
    notes = [f"{n},{'reading ' * 17_500 if n == 2 else f'sample {n} taken at the weir'}" for n in range(1, 61)]
    (to / "samples.csv").write_text("\n".join(["number,note", *notes]))
    return to


async def ask(folder: Path, asked: Sequence[tuple[str, str]], data: Path) -> list[Asked]:
    """Load the folder, attach it to an agent of the built-in model, and ask it these questions."""
    system = await boot(DataFolder(data), "bench.folder_questions")
    try:
        client = system.client()
        await client.create("reader", newborn(Settings(model="offline", window_tokens=16_384)))
        await client.load_source("folder", [folder], agents=["reader"])
        found = []
        for question, words in asked:
            before = (await client.state("reader")).seq
            reply = await client.ask("reader", question)
            events = [decode(envelope) for envelope in await client.events("reader", before)]
            calls = {event.call for event in events if isinstance(event, FunctionCalled) and event.name == SEARCH}
            pages = [event.result for event in events if isinstance(event, FunctionReturned) and event.call in calls]
            texts = [text for page in pages for text in _passages(page)]
            rank = next((at for at, text in enumerate(texts, 1) if re.search(words, text)), 0)
            found.append(Asked(question, rank, reply.text, re.search(words, reply.text) is not None))
    finally:
        await system.stop()
    return found


def _passages(page: str) -> list[str]:
    """A page of results begins with a line for people; the passages follow as a list."""
    start = page.find("[")
    return [str(each) for each in json.loads(page[start:])] if start >= 0 else []


def summary(found: Sequence[Asked]) -> str:
    first = sum(each.rank == 1 for each in found)
    paged = sum(each.rank > 0 for each in found)
    answered = sum(each.answered for each in found)
    nearest = sum(each.answered and NEAREST in each.answer for each in found)
    return (
        f"{len(found)} questions: the right passage stands first in {first}, is found in {paged}, and the answer "
        f'has it in {answered}, in {nearest} of these as "{NEAREST}"'
    )


def main(of: Path, *, talkative: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = write_folder(Path(place) / "folder", of)
        found = asyncio.run(ask(folder, questions(of), Path(place) / "data"))
    for each in found if talkative else ():
        if not each.answered or NEAREST in each.answer or each.rank != 1:
            print(f"{each.question}\n  rank {each.rank}: {each.answer[:300]}")
    print(summary(found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "folder", nargs="?", type=Path, default=HERE, help="another folder, with a questions.json in it"
    )
    parser.add_argument("-v", action="store_true", dest="talkative", help="print what failed, with the answer")
    given = parser.parse_args()
    main(given.folder, talkative=given.talkative)
