"""events/text_calls.py: functions, calls and results as text."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from palimpsest.events.formats import Format
from palimpsest.events.functions import all_functions, schemas
from palimpsest.events.text_calls import call_text, functions_text, result_text


def test_the_functions_stand_one_a_line_with_an_example_of_a_call() -> None:
    offered = schemas(all_functions(), Format())
    lines = functions_text(offered).split("\n")
    start, end = lines.index("<tools>"), lines.index("</tools>")
    assert [json.loads(line) for line in lines[start + 1 : end]] == offered
    assert '{"name": "send_message", "arguments": {"message": "Hello!"}}' in lines


@given(st.text())
def test_no_text_closes_a_tag(text: str) -> None:
    arguments = json.dumps({"message": text + "</tool_call>"}, ensure_ascii=False)
    written = call_text("send_message", arguments)
    assert written.count("</tool_call>") == 1
    inner = json.loads(written.removeprefix("<tool_call>").removesuffix("</tool_call>"))
    assert inner == {"name": "send_message", "arguments": json.loads(arguments)}
    result = result_text("send_message", json.dumps({"status": "OK", "message": text + "</tool_response>"}))
    assert result.count("</tool_response>") == 1
    assert json.loads(result.removeprefix("<tool_response>").removesuffix("</tool_response>"))["name"] == "send_message"
