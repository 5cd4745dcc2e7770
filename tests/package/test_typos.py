"""A typo in a word of a closed set is refused by the type checker, wherever such a word is compared or written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
MODULE: Final = """\
from typing import assert_never

from palimpsest.actors.models.protocol import Answer, ModelFailed, Piece
from palimpsest.events.codec import draft
from palimpsest.events.debug.moments import Step
from palimpsest.events.envelope import Envelope
from palimpsest.events.kinds import kind_of, kinds_of
from palimpsest.events.sources import Document
from palimpsest.events.state import Entry, Turn, moved
from palimpsest.events.types import (
    AgentForked, EvictionStarted, HeartbeatRaised, InferenceCompleted, InferenceFailed, InferenceRequested, MessageSent,
    Parent, SummaryWritten, TurnEnded, UserMessageReceived,
)
from palimpsest.events.vocabulary import Phase
from palimpsest.store.index.points import IndexEntry as Point
from palimpsest.store.logs.contract import Appended, LogReader

PARENT = Parent(agent="ada", seq=1)


def compared(
    turn: Turn, answer: Appended, at: Envelope, ended: TurnEnded, asked: InferenceRequested, failed: InferenceFailed,
    came: InferenceCompleted, beat: HeartbeatRaised, sent: MessageSent, cut: EvictionStarted, piece: Piece,
    summary: SummaryWritten, fork: AgentForked, document: Document, entry: Entry, step: Step, point: Point,
) -> list[bool]:
    return [
        turn.phase == "inferring",
        turn.phase == "infering",  # typo
        turn.input_kind == "UserMesageReceived",  # typo
        answer.outcome == "appended",
        answer.outcome == "appendet",  # typo
        at.kind == kind_of(UserMessageReceived),
        at.kind == "UserMessageReceived",
        at.kind == "UserMesageReceived",  # typo
        at.opens == "inferense",  # typo
        ended.reason == "yielded",
        ended.reason == "yielde",  # typo
        asked.purpose == "summary",
        asked.purpose == "replay",  # typo
        failed.error == "overflow",
        failed.error == "overflov",  # typo
        came.finish == "lenght",  # typo
        beat.reason == "request",  # typo
        sent.cut == "content-filter",  # typo
        cut.reason == "presure",  # typo
        summary.author == "modell",  # typo
        fork.timers == "keep",  # typo
        piece.kind == "messsage",  # typo
        document.status == "load",  # typo
        entry.kind == "result",  # typo
        step.outcome == "canceled",  # typo
        point.kind == "passages",  # typo
    ]


def written(log: LogReader, turn: Turn) -> None:
    log.read("ada", kinds=kinds_of(TurnEnded))
    log.read("ada", kinds=frozenset({"TurnEnde"}))  # typo
    log.open_requests_of("ada", "storag")  # typo
    draft("ada", 0, TurnEnded(input=1), key="k", opens="tern")  # typo
    moved(turn, "ready")
    moved(turn, "redy")  # typo
    Appended("appendet", 1)  # typo
    TurnEnded(input=1, reason="yielde")  # typo
    InferenceRequested(purpose="replay", fingerprint=b"", tokens=1)  # typo
    InferenceFailed(error="overflov", detail="")  # typo
    AgentForked(parent=PARENT, hash=b"", timers="keep")  # typo
    ModelFailed("overflov", "")  # typo
    Answer(finish="lenght")  # typo
    Piece("messsage", "")  # typo
    asked: frozenset[Phase] = frozenset({"infering"})  # typo


def ends(turn: Turn) -> int:
    match turn.phase:
        case "ready" | "inferring" | "acting" | "calling" | "summarising":
            return 1
        case "faild":
            return 2
        case _:
            assert_never(turn.phase)  # typo
"""


def test_each_typo_is_refused_and_nothing_else(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    assert pytestconfig.cache, "a run after the first takes a second"
    (tmp_path / "typos.py").write_text(MODULE)
    checker = (sys.executable, "-m", "mypy", "--strict", "--config-file", ROOT / "pyproject.toml")
    done = subprocess.run(
        (*checker, "--cache-dir", pytestconfig.cache.mkdir("typos"), tmp_path / "typos.py"),
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    refused = {int(number) for number in re.findall(r"typos\.py:(\d+): error: ", done.stdout)}
    planted = {number for number, line in enumerate(MODULE.splitlines(), 1) if line.endswith("# typo")}
    assert refused == planted, done.stdout + done.stderr
