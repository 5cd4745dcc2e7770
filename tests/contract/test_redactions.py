"""What was masked in a stream before it came here is kept with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from palimpsest.store.bundles.manifest import Redacted
from palimpsest.store.logs.contract import Append, LogStore
from palimpsest.store.logs.sqlite_log import SqliteLog
from tests.contract.backends import PARTITION
from tests.contract.conftest import Open
from tests.contract.words import add, event, outcomes

MASKED = Redacted(stream="ada", masked=(1,), places=2, unprovable=(2, 4), rechained=1)


def test_what_was_masked_comes_with_the_drafts_of_its_stream(log: LogStore, open_store: Open) -> None:
    assert log.redaction("ada") is None
    log.append([Append((event("in"), event("hello", "bob")), redactions=(MASKED,))])
    assert log.redaction("ada") == open_store().redaction("ada") == MASKED
    assert log.redaction("bob") is None


@pytest.mark.parametrize("refused", ["conflict", "duplicate"])
def test_it_is_not_kept_where_none_of_them_is_taken(log: LogStore, refused: str) -> None:
    add(log, event("in"))
    expected = {"ada": 7} if refused == "conflict" else {}
    draft = event("in-2") if refused == "conflict" else event("in")
    (answers,) = log.append([Append((draft,), expected, redactions=(MASKED,))])
    assert outcomes(answers) == [refused]
    assert log.redaction("ada") is None


def test_the_last_word_counts(log: LogStore) -> None:
    log.append([Append((event("in"),), redactions=(MASKED,))])
    more = replace(MASKED, unprovable=(2, 4, 6))
    log.append([Append((event("in-2"),), redactions=(more,))])
    assert log.redaction("ada") == more


def test_a_file_from_before_it_was_kept_has_none_until_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    with SqliteLog(path, PARTITION) as log:
        log.open_epoch()
        add(log, event("in"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE redactions")
    with SqliteLog.open_readonly(path, PARTITION) as reader:
        assert reader.redaction("ada") is None
        with SqliteLog(path, PARTITION) as log:
            log.open_epoch()
            log.append([Append((event("in-2"),), redactions=(MASKED,))])
        assert reader.redaction("ada") == MASKED
