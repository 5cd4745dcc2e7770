"""Counts for tokenizers that are not known: with the margin they hold for each that was measured."""

from __future__ import annotations

import pytest

from bench.tokenizers import texts
from palimpsest.store.tokens.counting import UNKNOWN_MARGIN, count, encoding_for
from palimpsest.store.tokens.scripts import weighed

WORST = {
    "English": 30,
    "JSON": 48,
    "Hindi": 172,
    "Arabic": 105,
    "Hebrew": 88,
    "Chinese": 89,
    "Japanese": 86,
    "Korean": 127,
    "Russian": 85,
    "Greek": 102,
    "Thai": 157,
    "Tamil": 174,
    "Bengali": 161,
    "Georgian": 121,
    "Armenian": 140,
    "Ethiopic": 144,
    "Vietnamese": 86,
    "German": 52,
    "Emoji": 74,
    "numbers": 589,
    "table": 533,
    "UUIDs": 676,
    "hex": 584,
    "base64": 667,
}
"""The most tokens that the tokenizers of Llama 2 and 3, Qwen 2, Gemma, Phi 3, Command R, DeepSeek and SmolLM2 make of
each text (`bench/tokenizers.py`)."""

ENCODING, MARGIN = encoding_for("a model that nobody knows")


@pytest.mark.parametrize("name", texts())
def test_a_count_with_its_margin_is_no_less_than_any_tokenizers(name: str) -> None:
    text = texts()[name]
    assert count(ENCODING, text) * MARGIN >= 0.99 * WORST[name]


def test_english_is_counted_as_it_was() -> None:
    text = texts()["English"]
    assert (ENCODING, MARGIN) == ("o200k_base+scripts", UNKNOWN_MARGIN)
    assert count(ENCODING, text) == count("o200k_base", text)


def test_what_is_weighed_is_taken_out_and_the_rest_is_left() -> None:
    assert weighed("plain") == ("plain", 0)
    assert weighed("") == ("", 0)
    rest, tokens = weighed("room 1234, 日本")
    assert rest == "room  ,  "
    assert tokens == 7
    assert count(ENCODING, "日本") == 3
    assert count(ENCODING, " ") == count("o200k_base", " ")


def test_any_character_is_counted() -> None:
    for code in (0x00, 0x7F, 0x80, 0x378, 0x1200, 0xD7FF, 0xE000, 0xFFFD, 0xFFFF, 0x1F600, 0x10FFFF):
        assert count(ENCODING, chr(code)) >= 1


def test_a_long_text_is_counted_in_one_go() -> None:
    assert count(ENCODING, "नमस्ते 123 " * 20_000) > 100_000
