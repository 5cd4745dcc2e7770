"""The house rules as tests: five rooms in one direction, small modules, nothing at import time."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("events", "store", "actors", "questions", "console")
ROOMS = (*SHIPPED, "bench", "tests")
MAX_FUNCTION_LINES = 60
MAX_MODULE_LINES = 400

LONG_MODULES = {
    "events/errors.py": "the catalogue of all errors: a class each, and no code",
    "events/types.py": "the catalogue of all events: a type each, and hardly any code",
    "events/evolve.py": "the fold: one small function a kind of event, and the table of them",
}
"""Modules over the limit, each with its reason."""

ONE_MODULE_EACH = {
    "openai": {"actors/models/hosted/openai.py", "actors/models/hosted/embeddings.py"},
    "aiohttp": {"actors/models/hosted/transport.py"},
    "tiktoken": {"store/tokens/counting.py"},
    "zoneinfo": {"store/times/zones.py"},
    "psycopg": {f"store/logs/postgres_{name}.py" for name in ("errors", "log", "reader", "schema", "session", "url")},
    "qdrant_edge": {"store/words/terms.py", "store/index/engine_edge.py"},
    "qdrant_client": {"store/index/engine_server.py"},
}
"""Libraries, each with the module that alone imports it (tests apart); of Qdrant's, its tokenizer and its engines."""

OURS = "palimpsest."
"""How imports of our rooms begin (a lint refuses them without); names of modules here go without it."""

FORBIDDEN_NAMES = ("helper", "util", "utils", "common", "misc", "base", "v2", "manager")
MAY_BE_NAMED = {"events/memory_manager.py": "MemGPT's own word for a part of it"}


def modules(*rooms: str) -> list[Path]:
    found = [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]
    return [ROOT / "launch.py", *found] if "launch.py" in rooms else found


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(node: ast.AST) -> Iterator[str]:
    """The modules that one statement imports, by their full names."""
    if isinstance(node, ast.Import):
        yield from (alias.name.removeprefix(OURS) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        yield from (f"{node.module}.{alias.name}".removeprefix(OURS) for alias in node.names)


@cache
def imports(path: Path) -> frozenset[str]:
    """All that a module imports, also within its functions."""
    return frozenset(name for node in ast.walk(parsed(path)) for name in imported(node))


def packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def test_there_is_something_to_look_at() -> None:
    assert len(modules("events")) > 15
    assert "events" in packages(ROOT / "store/logs/states.py")


@pytest.mark.parametrize("path", modules("events"), ids=name_of)
def test_the_core_imports_the_standard_library_and_msgspec_alone(path: Path) -> None:
    assert packages(path) <= sys.stdlib_module_names | {"msgspec", "events"}


IMPURE = {"asyncio", "os", "pathlib", "random", "secrets", "socket", "threading", "time", "uuid"}


@pytest.mark.parametrize("path", modules("events"), ids=name_of)
def test_the_core_has_no_clock_no_chance_and_no_files(path: Path) -> None:
    assert not packages(path) & IMPURE
    called = {node.func for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)}
    assert not {each.attr for each in called if isinstance(each, ast.Attribute)} & {"now", "today", "utcnow"}
    assert not {each.id for each in called if isinstance(each, ast.Name)} & {"open", "print", "input", "hash", "id"}, (
        "hash() and id() differ from process to process"
    )


@pytest.mark.parametrize("path", modules("store"), ids=name_of)
def test_the_store_knows_the_core_alone(path: Path) -> None:
    assert not packages(path) & {"actors", "questions", "console", "launch", "tests", "ray"}


@pytest.mark.parametrize("path", modules("actors"), ids=name_of)
def test_the_shell_does_not_know_who_calls_it(path: Path) -> None:
    assert not packages(path) & {"questions", "console", "launch", "tests", "bench"}


@pytest.mark.parametrize("path", modules("questions"), ids=name_of)
def test_questions_know_the_rooms_below_and_print_nothing(path: Path) -> None:
    assert packages(path) <= sys.stdlib_module_names | {"msgspec", "events", "store", "actors", "questions"}
    names = {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(parsed(path))}
    assert not names & {"print", "stdout", "stderr", "echo"}


def test_questions_load_no_ray_and_nothing_that_prints() -> None:
    named = [
        name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in modules("questions")
    ]
    lines = [f"import {OURS}{name}" for name in named]
    lines += ["import sys", "print({'ray', 'click', 'rich', 'structlog'} & set(sys.modules))"]
    assert len(lines) > 15
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True, cwd=ROOT / "src"
    )
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("path", modules("launch.py", "console"), ids=name_of)
def test_what_ships_does_not_import_tests(path: Path) -> None:
    assert "tests" not in packages(path)


def test_ray_is_behind_its_seam() -> None:
    users = {name_of(path) for path in modules("launch.py", *ROOMS[:5]) if "ray" in packages(path)}
    assert users == {f"actors/on_ray/{name}.py" for name in ("actors", "own_ray", "runtime")}


def test_models_do_not_know_ray() -> None:
    assert not [name_of(path) for path in modules("actors/models") if "ray" in packages(path)]


@pytest.mark.parametrize(("library", "where"), ONE_MODULE_EACH.items())
def test_a_library_is_imported_in_its_own_module(library: str, where: set[str]) -> None:
    shipped = modules("launch.py", *SHIPPED)
    assert {name_of(path) for path in shipped if library in packages(path)} == where


def test_which_backend_keeps_a_log_is_known_where_logs_are_opened() -> None:
    """`store.logs.opening` alone, and the backends themselves."""
    for backend in ("sqlite_", "postgres"):
        users = {name_of(path) for path in modules(*SHIPPED) if any(f".{backend}" in name for name in imports(path))}
        others = {name for name in users if not name.startswith(f"store/logs/{backend}")}
        assert others <= {"store/logs/opening.py"}


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = _graph()
    done: set[str] = set()
    for start in sorted(graph):
        _walk(start, graph, (), done)


def _graph() -> dict[str, set[str]]:
    """Who imports whom when it is imported itself (not within functions)."""
    paths = {
        name_of(path).removesuffix(".py").replace("/", "."): path for path in modules("launch.py", *SHIPPED, "bench")
    }
    graph: dict[str, set[str]] = {}
    for name, path in paths.items():
        wanted = {each for node in parsed(path).body for each in imported(node)}
        graph[name] = {known for each in wanted for known in (each, each.rpartition(".")[0]) if known in paths}
    return graph


def _walk(name: str, graph: dict[str, set[str]], above: tuple[str, ...], done: set[str]) -> None:
    assert name not in above, f"imports in a circle: {' -> '.join((*above, name))}"
    if name not in done:
        for each in sorted(graph[name]):
            _walk(each, graph, (*above, name), done)
        done.add(name)


# --- sizes and names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", modules(*SHIPPED), ids=name_of)
def test_functions_are_small(path: Path) -> None:
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(parsed(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno
    }
    assert {name: lines for name, lines in long.items() if lines > MAX_FUNCTION_LINES} == {}


def test_modules_are_small_or_say_why() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in modules(*SHIPPED)}
    long = {name for name, count in lines.items() if count > MAX_MODULE_LINES}
    assert long == set(LONG_MODULES), "split what is new here; strike out what is not long any more"


@pytest.mark.parametrize("path", modules("launch.py", *SHIPPED), ids=name_of)
def test_modules_open_with_what_they_are_for(path: Path) -> None:
    assert ast.get_docstring(parsed(path)), "a module opens with a docstring"


def test_names_are_of_the_field() -> None:
    bad = [
        name_of(path)
        for path in modules(*SHIPPED)
        if set(path.stem.split("_")) & set(FORBIDDEN_NAMES) and name_of(path) not in MAY_BE_NAMED
    ]
    assert bad == []


# --- nothing at import time ---------------------------------------------------------------------------------------

DOES_NOTHING = (
    ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign,
)  # fmt: skip
NEVER_AT_IMPORT = {"open", "print", "getenv", "environ", "init", "connect", "remote", "read_text", "run", "Popen"}


@pytest.mark.parametrize("path", modules("launch.py", *SHIPPED), ids=name_of)
def test_nothing_happens_at_import_time(path: Path) -> None:
    for statement in parsed(path).body:
        if isinstance(statement, ast.Expr):
            assert isinstance(statement.value, ast.Constant), f"line {statement.lineno}: a call at import time"
        elif isinstance(statement, ast.If):
            assert _is_a_guard(statement.test), f"line {statement.lineno}: a choice at import time"
        else:
            assert isinstance(statement, DOES_NOTHING), f"line {statement.lineno}: {type(statement).__name__}"
        if isinstance(statement, (ast.Assign, ast.AnnAssign)):
            names = {getattr(node, "attr", getattr(node, "id", "")) for node in ast.walk(statement)}
            assert not names & NEVER_AT_IMPORT, f"line {statement.lineno}: it is read at import time"


def _is_a_guard(test: ast.expr) -> bool:
    """`if TYPE_CHECKING` or `if __name__ == "__main__"`."""
    return bool({node.id for node in ast.walk(test) if isinstance(node, ast.Name)} & {"TYPE_CHECKING", "__name__"})


@pytest.mark.parametrize("path", modules("launch.py", *SHIPPED), ids=name_of)
def test_nothing_is_caught_to_be_forgotten(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except"
            only = node.body[0] if len(node.body) == 1 else None
            broad = isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
            assert not (broad and isinstance(only, ast.Pass)), f"line {node.lineno}: caught to be forgotten"
