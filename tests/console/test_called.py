"""console/called.py: a command is named as it can be typed where the user is."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click
import pytest

from palimpsest.console.called import BUNDLE, DATA, LOOKING, as_typed, called
from palimpsest.console.main import COMMANDS
from palimpsest.console.options import LazyGroup

VENV = "/home/ann/app/.venv/bin"


@pytest.mark.parametrize(
    ("argv0", "path", "typed"),
    [
        (f"{VENV}/palimpsest", {"palimpsest": f"{VENV}/palimpsest"}, "palimpsest"),
        (f"{VENV}/palimpsest", {}, f"{VENV}/palimpsest"),
        (f"{VENV}/palimpsest", {"palimpsest": "/usr/bin/palimpsest"}, f"{VENV}/palimpsest"),
        ("launch.py", {"python": f"{VENV}/python"}, "python launch.py"),
        ("../app/launch.py", {"python": "/usr/bin/python"}, f"{VENV}/python3.11 ../app/launch.py"),
        ("/x/palimpsest/__main__.py", {"python3": f"{VENV}/python3"}, "python3 -m palimpsest"),
        ("/usr/bin/pytest", {}, "palimpsest"),
        ("-c", {}, "palimpsest"),
    ],
)
def test_it_is_called_as_it_was_typed(argv0: str, path: dict[str, str], typed: str) -> None:
    assert called(argv0, f"{VENV}/python3.11", path.get) == typed


def test_what_lies_below_here_is_named_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert called("launch.py", f"{tmp_path}/.venv/bin/python", lambda _: None) == ".venv/bin/python launch.py"


def test_a_text_names_commands_as_they_can_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palimpsest.console.called.PROGRAM", "python launch.py")
    assert as_typed("Give it by `palimpsest keys add URL`.") == "Give it by `python launch.py keys add URL`."
    assert as_typed("There is none: `chat NAME` makes one; see `keys`.") == (
        "There is none: `python launch.py chat NAME` makes one; see `keys`."
    )


def test_a_command_that_names_no_log_is_said_with_this_calls_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palimpsest.console.called.PROGRAM", "palimpsest")
    with click.Context(click.Command("x")) as context:
        context.meta[DATA] = Path("/a b")
        assert as_typed("`chat NAME` makes one; see `keys`. `palimpsest down` ends it.") == (
            "`palimpsest --data '/a b' chat NAME` makes one; see `keys`. `palimpsest --data '/a b' down` ends it."
        )
        assert as_typed("`import FILE --data DIR` takes it in.") == "`palimpsest import FILE --data DIR` takes it in."
        context.meta[BUNDLE] = Path("b.palimpsest")
        assert as_typed("`events ada --from 3`") == "`palimpsest events ada --from 3 --bundle b.palimpsest`"
        assert as_typed("`load NAME PATH` makes one.") == "`palimpsest load NAME PATH` makes one."


def test_it_is_known_which_commands_look_into_a_bundle() -> None:
    found = {name for name, command in commands().items() if any("--bundle" in each.opts for each in command.params)}
    assert found - {"export", "set"} == LOOKING, "these two also take one"


@pytest.mark.parametrize("name", sorted(name for section in COMMANDS.values() for name in section))
def test_every_command_takes_data_before_its_name(name: str) -> None:
    group = LazyGroup(sections=COMMANDS, help="")
    with group.make_context("palimpsest", ["--data", "/a b", name, "x"]) as context:
        assert (context.meta[DATA], context.params) == ("/a b", {})


def commands() -> dict[str, click.Command]:
    places = {name: target.partition(":") for section in COMMANDS.values() for name, (target, _) in section.items()}
    return {name: getattr(import_module(module), attribute) for name, (module, _, attribute) in places.items()}
