"""Settings that make no sense are refused with a reason, and the usual ones are not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from palimpsest.events.settings import flaw
from palimpsest.events.types import Settings


def test_the_usual_settings_have_no_flaw() -> None:
    assert flaw(Settings()) == ""
    assert flaw(Settings(window_tokens=4096, reserve_tokens=512, token_margin=1.3, evict_at=1.0)) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"warn_at": 0.0},
        {"evict_at": 1.5},
        {"evict_to": math.nan},
        {"evict_to": 0.9, "evict_at": 0.9},
        {"token_margin": math.nan},
        {"token_margin": 0.5},
        {"reserve_tokens": 0},
        {"window_tokens": 1000, "reserve_tokens": 1000},
        {"page_size": 0},
        {"max_steps": -1},
        {"max_failures": -1},
        {"max_failures": 10**20},
        {"result_chars": 10**20},
        {"window_tokens": 10**20},
        {"temperature": math.nan},
        {"temperature": -0.1},
        {"base_url": "http://["},
        {"base_url": "https://user:secret@example.com/v1"},
        {"base_url": "https://example.com/v1?api-key=secret"},
    ],
)
def test_a_flaw_is_named(changes: dict[str, Any]) -> None:
    assert next(name for name in changes) in flaw(Settings(**changes))
