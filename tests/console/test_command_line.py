"""The command line as a whole: help, where the data is, what is imported, and how it ends."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from palimpsest.console import main as launch
from palimpsest.store.folder import DataFolder
from tests.worlds.command_line import Launch
from tests.worlds.kernel import Kernel
from tests.worlds.terminal import PYTHONPATH

ROOT = Path(__file__).parents[2]
LAUNCH = [sys.executable, str(ROOT / "launch.py")]
HEAVY = ("ray", "openai", "numpy", "qdrant_client", "qdrant_edge", "wordllama", "rich", "prompt_toolkit", "tiktoken")

IMPORTED = """
import sys
from palimpsest.console import main as launch
code = launch.main(sys.argv[1:])
sys.stderr.write(" ".join(name for name in %r if name in sys.modules))
sys.exit(code)
"""


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": PYTHONPATH, **changes}


# --- help


def test_help_says_what_this_is_and_what_to_try(call: Launch) -> None:
    printed = call("--help")
    assert printed.code == 0
    first_screen = "\n".join(printed.lines[:12])
    assert "agents with a memory that outlasts their context" in first_screen
    tried = [line.split()[1] for line in printed.lines if line.startswith("    palimpsest")][:3]
    assert tried == ["demo", "chat", "replay"]
    commands = {name for section in launch.COMMANDS.values() for name in section}
    assert {
        "chat",
        "load",
        "search",
        "events",
        "state",
        "context",
        "diff",
        "why",
        "bisect",
        "export",
        "replay",
    } <= commands
    assert all(any(line.split()[:1] == [name] for line in printed.lines) for name in commands)


@pytest.mark.parametrize("name", ["chat", "demo", "agents", "events", "context", "diff", "state", "replay", "bench"])
def test_every_command_has_help_and_knows_data(call: Launch, name: str) -> None:
    printed = call(name, "--help")
    assert printed.code == 0
    assert "--data DIR" in printed.text


@pytest.mark.parametrize(("typo", "meant"), [("evnts", "events"), ("replya", "replay"), ("chta", "chat")])
def test_a_mistyped_command_is_guessed(call: Launch, typo: str, meant: str) -> None:
    printed = call(typo)
    assert printed.code == 2
    assert f"No such command '{typo}'." in printed.err
    assert f"'{meant}'?" in printed.err


# --- where the data is


def test_data_stands_before_or_after_the_command_or_in_the_environment(
    kernel: Kernel, call: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(kernel.folder)
    before = call("--data", folder, "agents")
    assert before.code == 0
    assert call("agents", "--data", folder) == before
    monkeypatch.setenv("PALIMPSEST_HOME", folder)
    assert call("agents") == before
    assert call("agents", "--data", folder + "/none").code == 2
    assert call("--data", folder + "/none", "agents", "--data", folder) == before, "the nearer one counts"
    monkeypatch.setenv("HOME", str(kernel.folder.parent))
    assert call("agents", f"--data=~/{kernel.folder.name}") == before, "no shell expands this"


# --- what is imported, and how long it takes


@pytest.mark.parametrize(
    "command",
    [
        ("--help",),
        ("agents",),
        ("events", "ada"),
        ("events", "ada", "--json"),
        ("context", "ada"),
        ("context", "ada", "--json"),
        ("context", "ada", "--at", "9"),
        ("state", "ada"),
        ("transcript", "ada"),
        ("view", "ada", "-o", "{folder}/page.html"),
        ("config",),
        ("diff", "ada", "9", "40"),
        ("replay", "--all", "--verify"),
    ],
)
def test_looking_things_up_imports_nothing_heavy(kernel: Kernel, command: tuple[str, ...]) -> None:
    script = [sys.executable, "-c", IMPORTED % (HEAVY,), *(each.format(folder=kernel.folder) for each in command)]
    done = subprocess.run(
        script, env=environment(PALIMPSEST_HOME=str(kernel.folder)), capture_output=True, text=True, check=True
    )
    assert done.stderr == "", "nothing of HEAVY was imported, and nothing complained"
    assert done.stdout


# --- how it ends


def test_a_reader_that_goes_away_ends_it_quietly(kernel: Kernel) -> None:
    kernel.talk("ada", ["the weather is fine, " * 10] * 40)
    script = [*LAUNCH, "events", "ada", "--json", "--data", str(kernel.folder)]
    with subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().startswith('{"agent":"ada"')
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 141


def test_a_full_disk_behind_the_output_is_said_in_a_line(kernel: Kernel) -> None:
    script = [*LAUNCH, "events", "ada", "--data", str(kernel.folder)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(script, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No space left on device. Make room" in done.stderr


@pytest.mark.parametrize("command", [("events", "ada", "--bundle"), ("export", "ada"), ("import",)])
def test_a_path_that_the_system_refuses_is_named(launched: Launch, command: tuple[str, ...]) -> None:
    printed = launched(*command, "x" * 300)
    assert (printed.code, printed.out, printed.err.count("\n")) == (2, b"", 1)
    assert "File name too long" in printed.err


@pytest.mark.parametrize("command", [("why", "ada"), ("search", "ada"), ("blame", "ada"), ("fork", "ada", "--as")])
def test_what_is_no_text_is_refused(launched: Launch, command: tuple[str, ...]) -> None:
    printed = launched(*command, "a\udcff")
    assert (printed.code, printed.out, printed.err.count("\n")) == (2, b"", 1)
    assert "'a\\udcff', is not UTF-8" in printed.err


def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path) -> None:
    code = "import palimpsest.console.main as launch, palimpsest.console.inspect as i, os, signal\n"
    code += "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # also where the tests run in the background
    code += "i.reading = lambda: os.kill(os.getpid(), signal.SIGINT)\nraise SystemExit(launch.main(['agents']))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(PALIMPSEST_HOME=str(tmp_path)), capture_output=True, check=False
    )
    assert done.returncode == 128 + signal.SIGINT
    assert done.stderr == b""


def test_ctrl_c_while_it_still_imports_leaves_no_traceback_either() -> None:
    code = "import sys\nimport palimpsest.console.main as launch\n"
    code += "class Finder:\n  def find_spec(self, *_): raise KeyboardInterrupt\n"
    code += "sys.meta_path.insert(0, Finder())\nraise SystemExit(launch.main(['agents']))"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, b"")


def test_a_terminal_that_lacks_a_letter_is_no_reason_to_die(kernel: Kernel) -> None:
    kernel.talk("ada", ["Grüße — 你好"])
    script = [*LAUNCH, "events", "ada", "--data", str(kernel.folder)]
    done = subprocess.run(script, env=environment(PYTHONIOENCODING="ascii"), capture_output=True, text=True, check=True)
    assert "Gr\\xfc\\xdfe \\u2014 \\u4f60" in done.stdout


# --- what chat refuses before Ray is started


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("chat", "--window", "1000"), "A window of 1,000 tokens is too small"),
        (("chat", "--base-url", "http://localhost:1/v1"), "add --model NAME"),
        (("chat", " "), "cannot be an agent's name"),
        (("chat", "a\nb"), "cannot be an agent's name"),
    ],
)
def test_chat_refuses_at_once(tmp_path: Path, call: Launch, arguments: tuple[str, ...], said: str) -> None:
    printed = call(*arguments, "--data", str(tmp_path / "new"))
    assert printed.code == 2
    assert said in printed.err
    assert not (tmp_path / "new").exists(), "nothing was made"


def test_two_launches_on_one_folder_are_told_of_each_other(tmp_path: Path, call: Launch) -> None:
    with DataFolder(tmp_path).lock("chat sam", how="alone"):
        printed = call("chat", "--data", str(tmp_path))
    assert printed.code == 2
    assert f"is in use by pid {os.getpid()} (chat sam, since" in printed.err
    assert "give another folder with --data DIR" in printed.err


def in_shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", command], env=environment(), capture_output=True, text=True, check=False)


def test_chat_without_an_input_says_so(tmp_path: Path) -> None:
    done = in_shell(f"{shlex.join(LAUNCH)} chat --data {tmp_path / 'new'} <&-")
    assert done.returncode == 2
    assert done.stderr == (
        "Error: Standard input is closed, so there is nothing to read: type in a terminal, or pipe lines in.\n"
    )
    assert not (tmp_path / "new").exists(), "nothing was made"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_traceback_and_no_file_takes_their_place(kernel: Kernel, closed: str) -> None:
    before = DataFolder(kernel.folder).log_path().read_bytes()
    done = in_shell(f"{shlex.join(LAUNCH)} agents --data {kernel.folder} {closed}")
    assert (done.returncode, done.stderr) == (0, "")
    assert ("ada" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))
    missing = in_shell(f"{shlex.join(LAUNCH)} state nobody --data {kernel.folder} {closed}")
    assert missing.returncode == 2
    assert "Traceback" not in missing.stderr
    assert DataFolder(kernel.folder).log_path().read_bytes() == before


def test_a_file_that_is_no_text_is_refused_by_name_before_anything_starts(tmp_path: Path) -> None:
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    done = in_shell(f"{shlex.join(LAUNCH)} chat --data {tmp_path / 'new'} < {picture}")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: Standard input is a picture (PNG), and no text: nothing was sent.")
    assert not (tmp_path / "new").exists(), "nothing was made"
