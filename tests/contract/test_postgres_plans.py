"""Each look-up goes by an index to its rows, also in tables that have just grown and were never analysed."""

from __future__ import annotations

import pytest

from palimpsest.store.logs import postgres_facts, postgres_reader, postgres_rows
from palimpsest.store.logs.postgres_log import PostgresLog
from palimpsest.store.logs.postgres_session import WriterSession
from palimpsest.store.logs.postgres_url import database
from tests.contract.servers import Place, own, place
from tests.contract.words import add, event

__all__ = ["own", "place"]

LOOK_UPS = {
    "places": (postgres_facts._PLACES, (["ada"] * 500, [b"k"] * 500), "events_by_key"),
    "roots": (postgres_facts._ROOTS, (["ada"] * 500, [7] * 500), "events_by_seq"),
    "close": (postgres_rows._CLOSE, ([1] * 500, [b"k"] * 500), "requests_by_key"),
    "find": (postgres_reader._FIND, ("ada", b"k"), "events_by_key"),
    "hash": (postgres_reader._HASH_AT, ("ada", 7), "events_by_seq"),
    "tail": (postgres_reader._TAIL.format(wanted=""), (0, 5, 900, 10), "events_pkey"),
    "of one": (postgres_reader._OPEN_OF_ONE, ("ada", 0, "turn"), "requests_by_key"),
}


@pytest.mark.parametrize("name", sorted(LOOK_UPS))
def test_a_look_up_goes_by_its_index(place: Place, name: str) -> None:
    query, values, index = LOOK_UPS[name]
    with PostgresLog(place.url) as log:
        log.open_epoch()
        add(log, *(event(f"e{n}", opens="turn") for n in range(3000)))
    session = WriterSession(database(place.url))
    plan = "\n".join(line for (line,) in session.rows(f"EXPLAIN {query}", values))
    session.close()
    assert f"using {index} on" in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "Filter: (e.key" not in plan, plan
