"""events/markup.py on what models really write: the 469 outputs of canitoolcall, of templates, servers, reports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from canitoolcall.fixtures import default_fixtures_dir

from palimpsest.events.functions import UNREAD
from palimpsest.events.loose_json import read_object
from palimpsest.events.markup import MarkupReading, Splitter, read

CUT_IN_A_THOUGHT: Final = "in-reasoning"  # no tag: only a server's hint tells that it is a thought (`thinking`)
TOLD: Final = {
    "glm/glm47-missing-last-close-arg-value": "an argument that is not closed is not guessed",
    "qwen3-xml/vllm-coder-missing-close-parameter": "an argument that is not closed is not guessed",
    "qwen3-xml/bug-missing-close-parameter-before-function": "an argument that is not closed is not guessed",
}
OTHERWISE: Final = {
    "gpt-oss/harmony-marker-in-reasoning": "harmony's tokens within a thought end it",
    "kimi/k2i-vllm-noise-between-markers": "text between the tags of a section is text",
    "kimi/k2i-vllm-content-after-tool-section": "one space, not two",
    "gemma4/sglang-text-around-call": "one space, not two",
    "qwen3-xml/llamacpp-q35-call-inside-think": "only a server's hint tells that it is a thought",
    "kimi/k3-bug-truncated-reasoning-recorded": "only a server's hint tells that it is a thought",
}


def fixtures() -> Iterator[Any]:
    for path in sorted(default_fixtures_dir().glob("*/*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            fixture = json.loads(line)
            yield pytest.param(fixture, id=fixture["id"])


def functions(fixture: dict[str, Any]) -> dict[str, dict[str, str]]:
    offered = [tool["function"] for tool in fixture["tools"]]
    return {
        each["name"]: {
            name: schema["type"] if isinstance(schema, dict) and isinstance(schema.get("type"), str) else ""
            for name, schema in (each.get("parameters") or {}).get("properties", {}).items()
        }
        for each in offered
    }


def good_calls(reading: MarkupReading) -> list[dict[str, Any]]:
    return [
        {"name": call.name, "arguments": json.loads(call.arguments)}
        for call in reading.calls
        if call.name != UNREAD and isinstance(read_object(call.arguments), str)
    ]


@pytest.mark.parametrize("fixture", list(fixtures()))
def test_what_models_write_is_read(fixture: dict[str, Any]) -> None:
    text, offered = fixture["raw_output"], functions(fixture)
    reading = read(text, offered)
    splitter = Splitter(offered)
    for char in text:
        splitter.feed(char)
    splitter.end()
    assert splitter.reading() == reading
    expected = fixture.get("expected")
    if expected is None:
        assert good_calls(reading) == [], "what is cut off or broken is not called"
    elif fixture["id"] not in OTHERWISE and CUT_IN_A_THOUGHT not in fixture["id"]:
        assert reading.text.strip() == (expected["content"] or "").strip()
        assert reading.thoughts == (expected["reasoning_content"] or "").strip()
    if expected is not None and fixture["id"] not in TOLD:
        assert good_calls(reading) == [{"name": c["name"], "arguments": c["arguments"]} for c in expected["tool_calls"]]
