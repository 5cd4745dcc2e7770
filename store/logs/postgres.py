"""A log in a PostgreSQL database, by its URL: what `store.logs.opening` opens there. It loads psycopg."""

from __future__ import annotations

from palimpsest.events.position import Partition
from palimpsest.store.logs import postgres_schema
from palimpsest.store.logs.postgres_log import PostgresLog
from palimpsest.store.logs.postgres_reader import PostgresReader
from palimpsest.store.logs.postgres_url import database


def reader(url: str, partition: Partition) -> PostgresReader:
    return PostgresReader.open_readonly(url, partition)


def store(url: str, partition: Partition, *, log_id: str = "", max_pages: int | None = None) -> PostgresLog:
    made = PostgresLog(url, partition, log_id=log_id)
    try:
        made.limit_pages(max_pages)
    except BaseException:
        made.close()
        raise
    return made


def check(url: str) -> None:
    postgres_schema.check(database(url))


def log_id(url: str) -> str:
    return postgres_schema.log_id(database(url))


def begin(url: str) -> str:
    return postgres_schema.begin(database(url))
