"""`--set KEY=VALUE`: any setting, for new and existing agents, for a fork and a rerun."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from palimpsest.console.fields import FIELDS, given
from palimpsest.console.overrides import changes
from palimpsest.console.servers import server
from palimpsest.console.settings import Flags, changes_in_words, settings_changed, settings_for_new
from palimpsest.console.tokenizers import missing, with_tokenizer
from palimpsest.events.errors import BadInput
from palimpsest.events.types import Server, Settings
from palimpsest.store.tokens.counting import count
from tests.store.tokens.test_tokenizer_file import LLAMA
from tests.worlds.story import Story

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


def test_a_tokenizer_of_the_models_own_is_had_by_setting_and_goes_with_the_model() -> None:
    local = settings_for_new(Flags(model="llama2", base_url="http://h/v1", pairs=(f"tokenizer={LLAMA}",)), {})
    assert (local.encoding, local.token_margin) == (LLAMA, 1.0)
    assert settings_changed(local, Flags(pairs=(f"tokenizer={LLAMA}",))) is None
    moved_on = settings_changed(local, Flags(base_url="http://i/v1"))
    assert moved_on is not None and moved_on.encoding == LLAMA, "the file is the model's, wherever it is served"
    assert with_tokenizer(replace(local, margin_learned=2.0), "cl100k_base").margin == 1.0
    other = settings_changed(local, Flags(model="qwen", base_url="http://h/v1"))
    usual = settings_changed(local, Flags(pairs=("tokenizer=none",)))
    for moved in (other, usual):
        assert moved is not None
        assert (moved.encoding, moved.token_margin) == ("o200k_base+scripts", 1.3)
    assert "tokenizer" not in changes_in_words(local, other or local)
    assert changes_in_words(local, usual or local) == f"tokenizer {LLAMA} -> o200k_base+scripts"
    named = settings_changed(local, Flags(pairs=("tokenizer=cl100k_base",)))
    assert named is not None and (named.encoding, named.token_margin) == ("cl100k_base", 1.0)


def test_a_tokenizer_that_is_gone_is_said(tmp_path: Path) -> None:
    there = Settings(encoding=LLAMA)
    gone = replace(
        there, fallbacks=(server(f"phi@http://h/v1,tokenizer={LLAMA}"),), encoding=f"hf:{tmp_path}/gone.json"
    )
    assert missing(there) == []
    elsewhere = Server(model="small", encoding=f"hf:{tmp_path}")
    assert len(missing(replace(there, summarizer_at=elsewhere))) == 1, "a folder is no tokenizer"
    assert [line for line in missing(gone) if "/gone.json cannot be read" in line] == missing(gone) != []


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
        ('headers={"api-key":"hidden"}', "palimpsest keys add"),
        ("seeds=7", "Did you mean seed"),
        ("model=gpt", "Give --model"),
        ("tokenizer=hf:/no/such/file.json", "give the tokenizer.json"),
        ("tokenizer=/no/such/file.json", "hf:PATH"),
        ("tokenizer=o300k", "is no tokenizer"),
        ("tokenizer=server:vllm", "--base-url"),
        ("x=", f"The settings are: {', '.join(FIELDS)}"),
    ],
)
def test_what_cannot_be_is_said(pair: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        settings_changed(Settings(), Flags(pairs=(pair,)))
    assert says in str(caught.value)
    assert "hidden" not in str(caught.value)
