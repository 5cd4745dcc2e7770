"""Each look-up goes by an index to its rows, also in tables that have just grown and were never analysed."""

from __future__ import annotations

from itertools import pairwise

import pytest

from palimpsest.store.logs import postgres_facts, postgres_reader, postgres_rows
from palimpsest.store.logs.postgres_log import PostgresLog
from palimpsest.store.logs.postgres_session import WriterSession
from palimpsest.store.logs.postgres_url import database
from tests.contract.servers import Place, own, place
from tests.contract.words import add, event

__all__ = ["own", "place"]

LOOK_UPS: dict[str, tuple[str, tuple[object, ...], str]] = {
    "heads": (postgres_facts._HEADS, (["ada"] * 500,), "streams_agent_key"),
    "snapshots": (postgres_facts._SNAPSHOTS, (["ada"] * 500,), "snapshots_pkey"),
    "drop": (postgres_rows._DROP_SNAPSHOTS, ([1] * 500, [b"k"] * 500), "snapshots_pkey"),
    "read": (postgres_reader._READ.format(wanted=""), ("ada", "ada", 7, 9, 10), "events_by_seq"),
    "seq": (postgres_reader._SEQ_AT, ("ada", 7, 0, 9), "events_by_seq"),
    "open": (postgres_reader._OPEN, (0, "turn"), "requests_pkey"),
    "lineage": (postgres_reader._LINEAGE, ("ada",), "streams_pkey"),
    "saved": (postgres_reader._SNAPSHOTS, ("ada", "ada", 7, 9, 10), "snapshots_pkey"),
    "places": (postgres_facts._PLACES, (["ada"] * 500, [b"k"] * 500), "events_by_key"),
    "requests": (postgres_facts._REQUESTS, (["ada"] * 500, [b"k"] * 500), "requests_by_key"),
    "roots": (postgres_facts._ROOTS, (["ada"] * 500, [7] * 500), "events_by_seq"),
    "close": (postgres_rows._CLOSE, ([b"k"] * 500,), "requests_by_key"),
    "find": (postgres_reader._FIND, ("ada", "ada", b"k"), "events_by_key"),
    "hash": (postgres_reader._HASH_AT, ("ada", 7), "events_by_seq"),
    "tail": (postgres_reader._TAIL.format(wanted=""), (0, 5, 900, 10), "events_pkey"),
    "of one": (postgres_reader._OPEN_OF_ONE, ("ada", "ada", "ada", 0, "turn"), "requests_by_key"),
}


@pytest.mark.parametrize("count", [0, 20, 3000])
def test_look_ups_go_by_their_indexes(place: Place, count: int) -> None:
    """Whatever was there when their plans were made: those are kept for a while, and the tables grow."""
    with PostgresLog(place.url) as log:
        log.open_epoch()
        add(log, *(event(f"e{n}", opens="turn") for n in range(count)))
    session = WriterSession(database(place.url))
    for name, (query, values, index) in LOOK_UPS.items():
        lines = [line for (line,) in session.rows(f"EXPLAIN {query}", values)]
        plan = "\n".join((name, *lines))
        assert f"using {index} on" in plan, plan
        assert "Seq Scan" not in plan, plan
        assert "Join Filter" not in plan, plan
        for line, after in pairwise(lines):
            assert "Index Scan" not in line or "Index Cond" in after, plan
    session.close()
