"""How fast the replay debugger answers on one long stream, as whole processes; what forks weigh; and how fast an agent
is run again.

    python -m bench.debugger --events 100000 [--json]
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from bench.replay import AGENT, Maker, on_a_long_stream
from palimpsest.store.folder import DataFolder
from palimpsest.store.logs.sqlite_log import SqliteLog

HOME = Path(__file__).resolve().parent.parent
FORKS = 1_000
TURNS = 1_000


def questions(folder: DataFolder, length: int) -> dict[str, float]:
    """Seconds of each command, the best of three runs."""
    middle = str(length // 2)
    asked = {
        "context": ("context", AGENT, "--at", middle),
        "context_at_end": ("context", AGENT, "--at", str(length)),
        "state": ("state", AGENT, "--at", middle),
        "diff": ("diff", AGENT, str(length // 2 - 200), middle),
        "diff_of_all": ("diff", AGENT, "100", str(length)),
        "blame": ("blame", AGENT),
        "blame_summary": ("blame", AGENT, "--summary"),
        "blame_text": ("blame", AGENT, "Message 40"),
        "why": ("why", AGENT, "Message 40 harbour"),
        "bisect": ("bisect", AGENT, "--good", "100", "--bad", str(length), "--check", "Message 9:"),
        "events_last": ("events", AGENT, "--last", "5"),
        "events_100": ("events", AGENT, "--from", str(length - 100)),
    }
    return {f"{name}_s": round(min(run_s(folder, *command) for _ in range(3)), 2) for name, command in asked.items()}


def _command(folder: DataFolder, *arguments: str) -> list[str]:
    return [sys.executable, str(HOME / "launch.py"), "--data", str(folder), *arguments]


def run_s(folder: DataFolder, *arguments: str) -> float:
    """One run of a command, from its process's start to its end."""
    started = time.perf_counter()
    subprocess.run(_command(folder, *arguments), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def weight(folder: DataFolder) -> int:
    """The log's bytes, all of them in its one file."""
    with SqliteLog(folder.log_path()) as log:
        log.open_epoch()
    return sum(file.stat().st_size for file in folder.path.glob("log-*"))


def forks(folder: DataFolder, length: int) -> dict[str, float]:
    one_s = min(run_s(folder, "fork", AGENT, "--at", str(length // 2), "--as", f"one-{n}") for n in range(3))
    before = weight(folder)
    many_s = run_s(folder, "fork", AGENT, "--at", str(length // 2), "--as", "many", "--count", str(FORKS))
    each = (weight(folder) - before) / FORKS
    return {"fork_s": round(one_s, 2), f"forks_{FORKS}_s": round(many_s, 2), "fork_bytes": round(each)}


def proof(folder: DataFolder) -> dict[str, float]:
    command = _command(folder, "replay", AGENT, "--verify", "--json")
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return {"replay_verify_events_per_s": told["events_per_s"], "contexts_proved": told["contexts"]}


def reruns(folder: DataFolder) -> dict[str, float]:
    """A session of so many turns, run again by the offline model; and that run once more, by the recorded answers."""
    folder.create()
    with SqliteLog(folder.log_path()) as log:
        log.open_epoch()
        maker = Maker(log)
        for number in range(TURNS):
            maker.turn(number)
        maker.flush()
    first_s = run_s(folder, "rerun", AGENT, "--as", "offline")
    again_s = run_s(folder, "rerun", "offline", "--from", "2", "--as", "again")
    recorded_s = run_s(folder, "rerun", "offline", "--from", "2", "--recorded", "--as", "recorded")
    seconds = {"rerun": first_s, "rerun_in_step": again_s, "rerun_recorded": recorded_s}
    return {f"{name}_turns_per_s": round(TURNS / taken) for name, taken in seconds.items()}


def measure(folder: DataFolder, length: int) -> dict[str, float]:
    session = DataFolder(folder.path.parent / "session")
    return questions(folder, length) | proof(folder) | forks(folder, length) | reruns(session)


if __name__ == "__main__":
    on_a_long_stream(measure, "The replay debugger's speed on one long stream.")
