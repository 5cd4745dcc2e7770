"""docs/api: the page of the API is built without a warning, and what it says of what `palimpsest` exports holds."""

from __future__ import annotations

import builtins
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from typing import Final

import msgspec
import pytest
from pdoc import doc

import palimpsest
from docs.api import page
from palimpsest.events import types

PAGE: Final = page.exported()
WHAT_A_USER_SETS: Final = ("Settings", "Options")
ROOMS: Final = "actors|console|events|questions|store"


def public(found: doc.Module | doc.Class) -> Iterator[doc.Doc[object]]:
    """All that the page shows of a module or a class, the constructors apart."""
    for member in found.members.values():
        if not member.name.startswith("_") and (isinstance(found, doc.Module) or _is_ours(member)):
            yield member
            if isinstance(member, doc.Class):
                yield from public(member)


def _is_ours(member: doc.Doc[object]) -> bool:
    return member.taken_from[0].startswith(palimpsest.__name__)


SHOWN: Final = {member.fullname.partition(".")[2]: member for member in public(PAGE)}
DOCSTRINGS: Final = [
    pytest.param(name, member.docstring, id=name) for name, member in SHOWN.items() if member.docstring
]


def test_all_that_is_exported_is_shown() -> None:
    assert set(SHOWN) >= set(palimpsest.__all__)
    assert {"Client.ask", "System.stop", "DataFolder.lock", "Settings.window_tokens"} <= set(SHOWN)


@pytest.mark.parametrize(
    "name", [name for name, member in SHOWN.items() if isinstance(member, doc.Class | doc.Function)]
)
def test_it_has_a_docstring_of_its_own(name: str) -> None:
    found = SHOWN[name].obj
    assert inspect.cleandoc(found.__doc__ or "").strip(), f"{name} has no docstring"
    if inspect.isclass(found):
        assert "__doc__" in vars(found), f"{name} has only its parent's"
        assert found.__doc__ not in [base.__doc__ for base in found.__mro__[1:]], f"{name} has only its parent's"


@pytest.mark.parametrize("of", WHAT_A_USER_SETS)
def test_every_setting_is_explained(of: str) -> None:
    struct = SHOWN[of]
    assert isinstance(struct, doc.Class)
    for field in msgspec.structs.fields(struct.obj):
        own = SHOWN[f"{of}.{field.name}"].docstring
        assert own or f"`{field.name}`" in struct.docstring, f"{of}.{field.name} is not explained"


@pytest.mark.parametrize(("name", "docstring"), DOCSTRINGS)
def test_the_errors_that_it_raises_can_be_caught(name: str, docstring: str) -> None:
    for raised in re.findall(r"\bRaises (.*?)(?:\.(?:\s|$)|$)", docstring, re.DOTALL):
        for error in re.findall(r"(?<![\w`])[A-Z]\w+", raised):
            if error in ("None", "Options"):
                continue
            found = getattr(palimpsest, error, None) if error in palimpsest.__all__ else getattr(builtins, error, None)
            assert inspect.isclass(found), f"{name} raises {error}, which palimpsest does not export"
            assert issubclass(found, Exception), f"{name} raises {error}, which is no error"


@pytest.mark.parametrize(("name", "docstring"), DOCSTRINGS)
def test_what_it_names_is_there(name: str, docstring: str) -> None:
    for dotted in re.findall(rf"`((?:palimpsest\.)?(?:{ROOMS})\.[\w.]+)`", docstring):
        assert _resolves(f"palimpsest.{dotted.removeprefix('palimpsest.')}"), f"{name} names {dotted}"
    for word in re.findall(r"`([A-Z][a-z]+[A-Z]\w*|[A-Z][a-z]\w+)`", docstring):
        module = import_module(SHOWN[name].taken_from[0])
        known = any(hasattr(place, word) for place in (palimpsest, builtins, types, module))
        assert known, f"{name} names {word}"


def _resolves(dotted: str) -> bool:
    """Whether there is a module of this name, or something of this name in one."""
    try:
        resolve_name(dotted)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("wrong", ["palimpsest.events.nothing", "palimpsest.nowhere.at", "palimpsest.events.decide.no"])
def test_a_name_that_is_not_there_does_not_resolve(wrong: str) -> None:
    assert not _resolves(wrong)
    assert _resolves("palimpsest.actors.requests.forks.undo")


def test_the_page_is_built_without_a_warning(tmp_path: Path) -> None:
    assert page.build(tmp_path) == []
    text = (tmp_path / "palimpsest.html").read_text()
    links = set(re.findall(r'href="#([\w.]+)"', text))
    assert {"Client.ask", "UnknownAgent", "Reply"} <= links
    assert not links - set(re.findall(r'id="([\w.]+)"', text)), "every link has its place"
    assert "8192" in text, "the defaults of settings are shown"
    assert text.index('id="boot"') < text.index('id="Client"') < text.index('id="UnknownAgent"')
