"""actors/parts/inferring.py: what an answer took, where its server does not say."""

from __future__ import annotations

import pytest

from palimpsest.actors.models.protocol import Answer
from palimpsest.actors.parts.inferring import counted
from palimpsest.events.inference import Job
from palimpsest.events.types import ToolCall, Usage
from palimpsest.store.tokens.counting import count

JOB = Job(
    agent="ada", key="k", turn=1, purpose="reply", model="m", base_url="", request=b"{}", asked=b"", tokens=321,
    encoding="o200k_base",
)  # fmt: skip
ANSWER = Answer(
    content="Let me see. ",
    reasoning="Hm. ",
    calls=(ToolCall(id="", name="send_message", arguments='{"message":"Hi"}'),),
)
OURS = count("o200k_base", 'Hm. Let me see. send_message{"message":"Hi"}')


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (Usage(), Usage(prompt=321, completion=OURS, estimated=True)),
        (Usage(prompt=9), Usage(prompt=9, completion=OURS, estimated=True)),
        (Usage(prompt=9, completion=7, cached=3), Usage(prompt=9, completion=7, cached=3)),
    ],
    ids=["nothing", "the prompt alone", "all"],
)
def test_what_a_server_does_not_count_is_counted_here(said: Usage, expected: Usage) -> None:
    given = Answer(content=ANSWER.content, reasoning=ANSWER.reasoning, calls=ANSWER.calls, usage=said)
    assert counted(given, JOB) == expected
