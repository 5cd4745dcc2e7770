"""One name, one thing: no two classes share a name, and `docs/words.md` names classes that exist.

What may share a name stands in `TWINS`, with its reason.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

from tests.house.test_rooms import ROOT, SHIPPED, modules, name_of, parsed

ON_RAY = "actors/on_ray/actors.py"

TWINS = {
    ON_RAY: "the actors by the names of the parts that they run: a module that nobody but Ray's runtime imports from",
}
"""Modules whose classes may be called as others are, each with its reason."""

WORDS = ROOT / "docs/words.md"
A_CLASS = re.compile(r"`(?:[\w.]+\.)?([A-Z]\w*)`")
A_WORD = re.compile(
    r"^- \*\*(?P<word>[a-z ]+)\*\*|; (?:the|its) \*\*(?P<other>[a-z ]+)\*\*|; \*\*(?P<third>[a-z ]+)\*\*", re.M
)


def defined() -> dict[str, list[str]]:
    """Where each class is defined, by its name without a leading underscore."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in modules(*SHIPPED):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                found[node.name.lstrip("_")].append(name_of(path))
    return found


def types_of(path: Path) -> set[str]:
    """The names that a module gives to types: classes, and what is assigned in capitals and small letters."""
    classes = {node.name for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)}
    targets = [node.targets[0] for node in parsed(path).body if isinstance(node, ast.Assign)]
    targets += [node.target for node in parsed(path).body if isinstance(node, ast.AnnAssign)]
    return classes | {target.id for target in targets if isinstance(target, ast.Name) and not target.id.isupper()}


def test_no_two_classes_share_a_name() -> None:
    twice = {
        name: where
        for name, found in defined().items()
        if len(where := [module for module in found if module not in TWINS]) > 1
    }
    assert twice == {}, "the less used of them gets another noun"


def test_those_that_may_share_a_name_do() -> None:
    found = defined()
    for module in TWINS:
        assert [name for name, where in found.items() if module in where and len(where) > 1], f"strike out {module}"


def test_a_logger_is_not_called_a_log() -> None:
    """A log holds events; what `structlog` gives is a logger."""
    for path in modules(*SHIPPED):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Assign) and "get_logger" in ast.unparse(node.value):
                names = {ast.unparse(target).rpartition(".")[2].lstrip("_") for target in node.targets}
                assert names == {"logger"}, f"{name_of(path)}, line {node.lineno}"


def test_the_classes_that_the_words_name_exist() -> None:
    named = set(A_CLASS.findall(WORDS.read_text(encoding="utf-8")))
    assert len(named) > 30
    assert named - {name for path in modules(*SHIPPED) for name in types_of(path)} == set()


def test_a_word_stands_once() -> None:
    found = [word for match in A_WORD.findall(WORDS.read_text(encoding="utf-8")) for word in match if word]
    assert len(found) > 40
    assert sorted(found) == sorted(set(found))


def test_the_pages_lead_to_the_words() -> None:
    assert "docs/words.md" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "words.md" in (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
