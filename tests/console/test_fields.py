"""`--set KEY=VALUE`: any setting, for new and existing agents, for a fork and a rerun."""

from __future__ import annotations

import pytest

from console.fields import FIELDS, given
from console.overrides import changes
from console.settings import Flags, changes_in_words, settings_changed, settings_for_new
from events.errors import BadInput
from events.types import Settings
from store.tokens import count
from tests.unit.story import Story

PAIRS = (
    "seed=7",
    "parallel_tool_calls=false",
    "reasoning-effort=low",
    "response-format=json_object",
    'extra-body={ "top_p": 0.9 }',
    'headers={"X-Title": "me"}',
)
MADE = Settings(
    seed=7,
    parallel_tool_calls=False,
    reasoning_effort="low",
    response_format='{"type":"json_object"}',
    extra_body='{"top_p":0.9}',
    headers='{"X-Title":"me"}',
)


def test_what_is_set_is_read_as_its_type_for_a_new_agent_and_for_one_that_there_is() -> None:
    assert given(Settings(), PAIRS) == MADE
    new = settings_for_new(Flags(pairs=PAIRS), {})
    assert (new.seed, new.headers) == (7, '{"X-Title":"me"}')
    assert settings_changed(Settings(), Flags(pairs=PAIRS)) == MADE
    assert settings_changed(MADE, Flags(pairs=PAIRS)) is None


def test_none_unsets_it() -> None:
    back = settings_changed(MADE, Flags(pairs=("seed=none", "headers=", "extra-body=none", "temperature=none")))
    assert back is not None
    assert (back.seed, back.headers, back.extra_body, back.temperature) == (None, "", "", None)


def test_a_fork_is_given_them_by_the_same_names() -> None:
    made = changes(Story().state, [*PAIRS, "tool-choice=required"], count)
    assert made.settings is not None
    assert (made.settings.tool_choice, made.settings.extra_body) == ("required", '{"top_p":0.9}')
    assert "seed none -> 7" in made.said


def test_what_changed_is_said() -> None:
    said = changes_in_words(Settings(), MADE)
    assert "seed none -> 7" in said
    assert "parallel-tool-calls none -> false" in said
    assert 'headers none -> {"X-Title":"me"}' in said


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("seed", "'seed' sets nothing"),
        ("seed=seven", "seed is a whole number"),
        ("parallel-tool-calls=perhaps", "true or false"),
        ("headers=X-Title: me", "headers is a JSON object"),
        ('headers={"api-key":"hidden"}', "launch.py keys add"),
        ("seeds=7", "Did you mean seed"),
        ("model=gpt", "Give --model"),
        ("x=", f"The settings are: {', '.join(FIELDS)}"),
    ],
)
def test_what_cannot_be_is_said(pair: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        settings_changed(Settings(), Flags(pairs=(pair,)))
    assert says in str(caught.value)
    assert "hidden" not in str(caught.value)
