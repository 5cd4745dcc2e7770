"""Windows as of any event: their parts are those that were counted, and a snapshot changes none."""

from __future__ import annotations

import pytest

from palimpsest.questions.windows import ContextView, lazy_count, view_at
from palimpsest.store.logs.states import load
from tests.console.test_look import fingerprints
from tests.worlds.kernel import Kernel


@pytest.mark.parametrize("margin", [1.0, 1.3])
def test_the_parts_of_an_asked_context_are_those_that_were_counted(kernel: Kernel, margin: float) -> None:
    kernel.create("dan", margin=margin)
    kernel.talk("dan", ["the weather is fine, " * 20] * 12)
    for seq, event in fingerprints(kernel, "dan").items():
        seen = view_at(kernel.log, "dan", seq)
        assert seen.proved
        assert seen.total_tokens == event.tokens
        assert -(-sum(share.tokens for share in seen.shares) * margin // 1) == event.tokens
        assert all(share.tokens > 0 for share in seen.shares), seen.shares
        assert seen.free_tokens >= 0, "promise 5: the window is never exceeded"


def test_a_snapshot_changes_no_context(kernel: Kernel) -> None:
    before: ContextView = view_at(kernel.log, "ada", 100)
    kernel.snapshot("ada")
    assert view_at(kernel.log, "ada", 100) == before
    state = load(kernel.log, "ada")
    assert state is not None
    assert view_at(kernel.log, "ada", state.seq).request


def test_tokens_are_counted_where_the_log_has_no_count() -> None:
    assert lazy_count("o200k_base", "hello world") == 2
