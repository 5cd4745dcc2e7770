"""What a PostgreSQL server does for what it has acknowledged, and what of that is not safe, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from palimpsest.store.logs.postgres_session import Connection

_SETTINGS: Final = """SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names'),
    current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on', pg_is_in_recovery(),
    current_setting('server_version')"""
_WAITS_FOR_A_STANDBYS_DISK: Final = ("on", "remote_apply")


class Durability(msgspec.Struct, frozen=True):
    """A server's settings that durability rests on. A writer's session never has `synchronous_commit = off`: where the
    server has, it is "on" there."""

    synchronous_commit: str
    synchronous_standby_names: str
    fsync: bool
    full_page_writes: bool
    standby: bool
    """Whether this server is one."""
    version: str

    @property
    def flaws(self) -> tuple[str, ...]:
        """What of it is not safe; () where nothing is."""
        return tuple(_flaws(self))


def durability(connection: Connection) -> Durability:
    ((commit, *rest),) = connection.execute(_SETTINGS).fetchall()
    return Durability("on" if commit == "off" else commit, *rest)


def _flaws(found: Durability) -> Iterator[str]:
    if not found.fsync:
        yield "fsync is off: when the machine stops, what was acknowledged may be lost, and the database damaged."
    if not found.full_page_writes:
        yield "full_page_writes is off: when the machine stops in the middle of a write, the database may be damaged."
    if found.standby:
        yield "This server is a standby: it is read from, and may lag behind."
    elif not found.synchronous_standby_names:
        yield (
            "No standby is waited for (synchronous_standby_names is empty): what was acknowledged is on this server "
            "alone, and a failover may lose the last of it."
        )
    elif found.synchronous_commit not in _WAITS_FOR_A_STANDBYS_DISK:
        yield (
            f"synchronous_commit is {found.synchronous_commit}: what was acknowledged may not be on the standby's "
            "disk yet, and a failover may lose the last of it."
        )
