"""`status`: what runs on a data folder: the parts, their processes and figures, who is connected, and what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from palimpsest.console.called import typed
from palimpsest.console.joining import ago, none_runs
from palimpsest.console.options import data_folder, json_option
from palimpsest.console.show import Page, many, print_json
from palimpsest.events.vocabulary import Topic
from palimpsest.questions.plain import plain
from palimpsest.questions.texts import one_line
from palimpsest.store.folder import DataFolder, Holder
from palimpsest.store.logs.contract import open_everywhere

if TYPE_CHECKING:
    from palimpsest.actors.joining.frames import Figures

RUNS_NOT: Final = 1
_TOPICS: Final[Mapping[Topic, str]] = {
    "turn": "turn",
    "inference": "inference",
    "storage": "search",
    "timer": "timer to be set",
    "alarm": "timer that is set",
}
_PLURALS: Final = {
    "search": "searches",
    "timer to be set": "timers to be set",
    "timer that is set": "timers that are set",
}


@click.command("status")
@json_option
def command(as_json: bool) -> int:
    """Say what runs on the data folder, without starting anything: the parts with their processes, positions and
    figures, who is connected, and what waits. Exit code 1: nothing runs.
    """
    folder = data_folder()
    from palimpsest.actors.system import look

    figures = asyncio.run(look(folder, "status"))
    holder = _other(folder) if figures is None else None
    log = _of_log(folder)
    if as_json:
        row = {"folder": str(folder), "runs": figures is not None, **log}
        row |= {"system": plain(figures)} if figures else {"holder": str(holder)} if holder else {}
        print_json(row)
    elif figures is None:
        click.echo(f"{folder} is in use by {holder}." if holder else none_runs(folder))
        _print_log(Page(), log)
    else:
        _print(Page(), folder, figures)
        _print_log(Page(), log)
    return 0 if figures is not None else RUNS_NOT


def _other(folder: DataFolder) -> Holder | None:
    """Who has the folder and is no system that can be asked."""
    return None if folder.is_free() else folder.holder()


def _of_log(folder: DataFolder) -> dict[str, Any]:
    """The log's position, and what is open in it by topic."""
    if not folder.log().is_there():
        return {"position": 0, "waiting": {}}
    with folder.log().reader() as log:
        waiting = {topic: len(open_everywhere(log, topic)) for topic in _TOPICS}
        number = sum(log.position(each).number for each in log.partitions)
        return {"position": number, "waiting": {topic: count for topic, count in waiting.items() if count}}


def _print(page: Page, folder: DataFolder, figures: Figures) -> None:
    ends = f"until {typed('down')}" if figures.stays else "until the last who joined has left"
    purpose, since = one_line(figures.purpose), ago(figures.since_ms)
    began = f"pid {figures.pid}, begun by “{purpose}” {since} ago, version {figures.version}"
    page.line((f"The system of {folder} runs", "bold"), f" ({began}), {ends}.")
    parts, pids = figures.parts, figures.pids
    rows = [(name, str(pids.get(name, "")), _position(part), _rest(part)) for name, part in parts.items()]
    page.table(("part", "pid", "position", "figures"), rows, right=frozenset({1, 2}), labels={1: "pid", 2: "position"})
    for name, part in parts.items():
        if part.get("trouble"):
            page.line((f"{name}: {one_line(str(part['trouble']), 400)}", "yellow"))
    seats = figures.joined
    who = ", ".join(f"{one_line(seat.purpose, 60)} (pid {seat.pid}, {ago(seat.since_ms)})" for seat in seats)
    page.line(f"Connected: {who or 'nobody'}.")


def _position(part: dict[str, Any]) -> str:
    return f"{part['position']:,}" if "position" in part else ""


def _rest(part: dict[str, Any]) -> str:
    """A part's other figures in a line."""
    plain_ones = {name: value for name, value in part.items() if isinstance(value, (int, float)) and name != "position"}
    said = [f"{name.replace('_', ' ')} {value:,}" for name, value in plain_ones.items()]
    servers = part.get("servers") or {}
    return ", ".join([*said, *([many(len(servers), "server")] if servers else [])])


def _print_log(page: Page, log: dict[str, Any]) -> None:
    waits = ", ".join(_count(count, _TOPICS[topic]) for topic, count in log["waiting"].items())
    page.line(f"The log is at position {log['position']:,}. Waiting: {waits or 'nothing'}.")


def _count(count: int, what: str) -> str:
    return f"{count:,} {_PLURALS.get(what, what + 's') if count != 1 else what}"
