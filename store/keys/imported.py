"""Whose addresses a data folder's agents have: this user's, or an import's.

`imported-servers.json` in the data folder lists the addresses that imports brought: they are asked for nothing before
this user allows them. It distrusts addresses and not agents, so what is forked from an imported agent, or run again, is
refused alike.

Rules. (1) The list is written before the import is. (2) An address that an agent made here has already is no import's.
(3) A folder without the list was made before there was one: its agents' addresses are taken for typed, once, and only
if the folder was last written before this user first had such a list: one that comes from elsewhere was not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

import msgspec

from palimpsest.events.addresses import NOWHERE, address_of, addresses_in, is_openai
from palimpsest.events.codec import decode
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import BadInput
from palimpsest.events.kinds import kinds_of
from palimpsest.events.position import Partition, beginning
from palimpsest.events.types import AgentCreated, AgentForked, ServerSwitched, SettingsChanged
from palimpsest.events.vocabulary import TOPICS
from palimpsest.store.folder import DataFolder
from palimpsest.store.keys.files import Handed, KeyFiles, handed, key_files, read, write_whole
from palimpsest.store.logs.contract import LogReader, open_everywhere, resting

_KINDS: Final = kinds_of(AgentCreated, SettingsChanged, AgentForked, ServerSwitched)
_BATCH: Final = 2_000


class _ImportRecord(msgspec.Struct, frozen=True):
    addresses: tuple[str, ...] = ()


def imported(folder: DataFolder) -> tuple[str, ...]:
    """The addresses that imports brought into a folder. Raises BadInput where the list cannot be read."""
    return read(folder.servers_path(), _ImportRecord, _ImportRecord()).addresses


def distrust(folder: DataFolder, log: LogReader, brought: Iterable[str]) -> None:
    """Write down the addresses that an import is about to bring, but for those of agents that are here."""
    before = imported(folder)
    new = {str(address_of(url) or url) for url in brought}
    if new - set(before):
        new -= {str(address_of(url) or url) for url in addresses_of(log, but_for=_strangers(log))}
    write_whole(folder.servers_path(), _ImportRecord((*before, *sorted(new - set(before)))))


def keys_for(
    folder: DataFolder, environ: Mapping[str, str], now_ms: int, typed: tuple[str, ...] = ()
) -> tuple[Handed, tuple[str, ...]]:
    """What a system on this folder gives to model servers, and what the user should know of it. `typed` are addresses
    that the user typed just now. Raises BadInput where a file or a variable cannot be used."""
    files = key_files(environ)
    known, _ = files.trusted().typed, files.servers()  # a file that others can read is mended, and that is said
    try:
        adopted = adopt(folder, files, now_ms)
        files.remember(typed=typed, now_ms=now_ms)
        notes = files.notes
    except BadInput as error:
        lost = [f"{error} Until then what you type as --base-url is not remembered."] * bool(typed)
        adopted, notes = (), [*files.notes, *lost]
    given = handed(environ, imported=imported(folder), typed=typed)
    strange = [url for url in adopted if url not in known and not is_openai(address_of(url) or NOWHERE)]
    if strange and given.environment.openai.key:
        notes = [
            *notes,
            f"OPENAI_API_KEY still goes to {', '.join(strange)}, which agents here have: `keys` shows more.",
        ]
    return given, tuple(notes)


def adopt(folder: DataFolder, files: KeyFiles, now_ms: int) -> tuple[str, ...]:
    """Begin a folder's list where it has none; the addresses that are taken for typed by that. Raises BadInput."""
    since_ms = files.trusted().since_ms or now_ms
    if folder.servers_path().exists():
        return ()
    found: tuple[str, ...] = ()
    if 0 < folder.log().came_ms() <= since_ms:
        with folder.log().reader() as log:
            found = addresses_of(log, but_for=_strangers(log))
    if files.path is not None:
        files.remember(typed=found, now_ms=now_ms)
    write_whole(folder.servers_path(), _ImportRecord())
    return found


def addresses_of(log: LogReader, *, but_for: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """The servers that the agents of a log may call, but for some agents'."""
    found: dict[str, None] = {}
    for at in chain.from_iterable(_settled(log, partition) for partition in log.partitions):
        event = decode(at)
        assert isinstance(event, (AgentCreated, SettingsChanged, AgentForked, ServerSwitched)), (
            "no other kind was asked for"
        )
        if event.settings and at.stream not in but_for:
            found |= dict.fromkeys(addresses_in(event.settings))
    return tuple(found)


def _settled(log: LogReader, partition: Partition) -> Iterator[Envelope]:
    """The events of a partition that give settings."""
    position, end = beginning(partition), log.position(partition)
    while position < end:
        envelopes, position = log.tail(position, _BATCH, _KINDS)
        yield from envelopes


def _strangers(log: LogReader) -> frozenset[str]:
    """The agents of which a sign is left that they were imported."""
    imported = {each.stream for topic in TOPICS for each in open_everywhere(log, resting(topic))}
    return frozenset(imported | {head.stream for head in log.heads() if log.redaction(head.stream) is not None})
