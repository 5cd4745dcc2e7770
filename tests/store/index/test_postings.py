"""Postings say where each term stands, whatever of them is sorted."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.store.index import postings
from palimpsest.store.index.postings import Postings

TERMS = (0, 1, 7, 0xFFFFFFFF)
POINTS = st.lists(st.lists(st.sampled_from(TERMS), unique=True, max_size=4), max_size=6)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(POINTS, st.booleans()), max_size=8))
def test_a_term_is_where_it_was_put(batches: list[tuple[list[list[int]], bool]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postings, "WAITING", 2)
        patch.setattr(postings, "AT_ONCE", 5)
        kept, points = Postings(), list[list[int]]()
        for batch, settle in batches:
            kept.add([len(terms) for terms in batch], array("I", [t for terms in batch for t in terms]).tobytes())
            points += batch
            if settle:
                kept.settle()
            for term in (*TERMS, 5):
                assert kept.where(term).tolist() == [n for n, terms in enumerate(points) if term in terms]
