"""Stored sessions replayed by this code, and which contexts it renders otherwise than they were.

It is for CI: a change of ours that would change what agents see in sessions that were recorded does not pass unseen.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from palimpsest.events.debug.gate import ContextChanges, changes
from palimpsest.events.errors import BundleUnreadable, NewerFormat, NoBundles
from palimpsest.events.sources import is_source
from palimpsest.questions.streams import unprovable
from palimpsest.store.bundles.file import SUFFIX
from palimpsest.store.bundles.log import BundleLog, read_bundle
from palimpsest.store.bundles.manifest import Versions
from palimpsest.store.bundles.versions import versions_now


class BundleVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """Of one bundle: its histories (the agent's, and its sources'), and what made it differs in from here (name -> then
    and now). `unreadable` says why it could not be read."""

    bundle: str
    agent: str = ""
    histories: tuple[ContextChanges, ...] = ()
    versions: dict[str, tuple[str, str]] = {}
    unreadable: str = ""

    @property
    def sound(self) -> bool:
        return not self.unreadable and all(each.sound for each in self.histories)


def bundles_in(against: Path) -> list[Path]:
    """The bundles of a folder and its folders, by name; or the one that is named. Raises NoBundles where there is none:
    a gate with nothing to look at would let everything pass."""
    if against.is_file():
        return [against]
    if not against.is_dir():
        raise NoBundles(str(against), SUFFIX, there=False)
    found = sorted(path for path in against.rglob(f"*{SUFFIX}") if path.is_file())
    if not found:
        raise NoBundles(str(against), SUFFIX, there=True)
    return found


def judged(path: Path) -> BundleVerdict:
    """A bundle, replayed."""
    try:
        log = read_bundle(path)
    except (BundleUnreadable, NewerFormat) as error:
        return BundleVerdict(bundle=str(path), unreadable=str(error))
    manifest = log.manifest
    names = [manifest.agent, *(each.name for each in manifest.streams if is_source(each.name))]
    histories = tuple(_replayed(log, name) for name in names)
    return BundleVerdict(
        bundle=str(path), agent=manifest.agent, histories=histories, versions=_differing(manifest.versions)
    )


def _replayed(log: BundleLog, name: str) -> ContextChanges:
    return changes(name, log.read(name), unprovable(log, name))


def _differing(then: Versions) -> dict[str, tuple[str, str]]:
    """What is another version here. What hangs on the session (its models) is no version of ours."""
    now = versions_now(models=then.models, encodings=then.encodings)
    both = {name: (str(getattr(then, name)), str(getattr(now, name))) for name in Versions.__struct_fields__}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}
