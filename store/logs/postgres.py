"""A log in a PostgreSQL database, by its URL, as `store.logs.opening` gives it out."""

from __future__ import annotations

import msgspec

from palimpsest.events.position import FIRST_PARTITION, Partition
from palimpsest.store.logs import postgres_schema
from palimpsest.store.logs.contract import LogReader, LogStore
from palimpsest.store.logs.postgres_log import PostgresLog
from palimpsest.store.logs.postgres_reader import PostgresReader
from palimpsest.store.logs.postgres_url import database


class DatabaseLog(msgspec.Struct, frozen=True):
    """A `LogPlace` in a database; of a standby it has readers alone."""

    url: str
    partition: Partition = FIRST_PARTITION

    def __str__(self) -> str:
        return database(self.url).name

    __repr__ = __str__  # the URL may hold a password

    def is_there(self) -> bool:
        return bool(self.log_id())

    def came_ms(self) -> int:
        return 0

    def check(self) -> None:
        postgres_schema.check(database(self.url))

    def log_id(self) -> str:
        return postgres_schema.log_id(database(self.url))

    def begin(self) -> str:
        return postgres_schema.begin(database(self.url))

    def reader(self) -> LogReader:
        return PostgresReader.open_readonly(self.url, partition=self.partition)

    def store(self, *, log_id: str = "", max_pages: int | None = None) -> LogStore:
        made = PostgresLog(self.url, partition=self.partition, log_id=log_id)
        try:
            made.limit_pages(max_pages)
        except BaseException:
            made.close()
            raise
        return made
