"""One chat end to end, with Ray: what a newcomer types first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def launched(*arguments: str, typed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    script = [sys.executable, str(ROOT / "launch.py"), *arguments]
    return subprocess.run(script, input=typed, capture_output=True, timeout=120, check=False)


@pytest.mark.cluster
def test_a_chat_through_a_pipe_and_its_proof(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    lines = b"My name is Sam\n\n\xff\xfe\nWhat is my name?\n" + b"a" * 1_000_000 + b"\n"
    chat = launched("chat", *data, typed=lines)
    assert chat.returncode == 2, chat.stderr.decode()
    answers = chat.stdout.decode().splitlines()
    assert "Sam" in answers[1]
    assert len(answers) >= 3, "the message of a megabyte was answered too"
    complaints = chat.stderr.decode().splitlines()
    assert complaints[0] == "Starting Ray …"
    assert complaints[1].startswith("New agent 'palimpsest': model offline")
    assert complaints[2].startswith("This is the built-in offline model")
    assert complaints[3:] == ["Error: line 3 of the input is not UTF-8 text (byte 0xff at 1). It was not sent."]
    proof = launched("replay", "--all", "--verify", *data)
    assert proof.returncode == 0, proof.stdout.decode()
    assert b"Proved: " in proof.stdout


@pytest.mark.cluster
def test_a_model_that_goes_round_in_a_circle_is_ended_and_the_exit_code_says_so(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    stub = subprocess.Popen([sys.executable, str(ROOT / "bench/openai_stub.py"), "--port", "0"], stdout=subprocess.PIPE)
    assert stub.stdout is not None
    try:
        port = int(stub.stdout.readline())
        server = ("--base-url", f"http://127.0.0.1:{port}/v1", "--model", "stub-circle")
        chat = launched("chat", "circle", *server, *data, typed=b"I like tea.\n")
    finally:
        stub.kill()
        stub.wait()
    assert chat.returncode == 1, chat.stderr.decode()
    assert chat.stdout == b""
    assert b"made the same call again and again. 5 times in this turn" in chat.stderr
    told = launched("events", "circle", *data).stdout.decode()
    assert told.count('memory    human + "Likes tea."') == 5
    assert "repeats   core_memory_append made 3 times alike" in told
    assert launched("replay", "circle", "--verify", *data).returncode == 0
