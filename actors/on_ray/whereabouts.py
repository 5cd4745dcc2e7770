"""Where a data folder's system stands in a cluster: on which node, and with which log.

A folder is a place on one machine, and the parts that serve it must run there: on any other node they would find no
log. Rules: (1) the driver makes the log, or reads its id, before any part starts; (2) the cluster keeps which node and
which log a folder's name stands for, so that a driver elsewhere, or one that finds another log, is refused and makes
nothing; (3) where the cluster has nothing kept (it is new, or lost its memory), a log that is begun is announced.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from palimpsest.events.errors import BadInput
from palimpsest.store.folder import DataFolder


class Node(msgspec.Struct, frozen=True):
    """A node of the cluster: Ray's id of it, its machine's name, and its address."""

    id: str
    host: str
    address: str

    def __str__(self) -> str:
        return f"{self.host} ({self.address}, node {self.id[:8]})"


class Whereabouts(msgspec.Struct, frozen=True):
    """What is kept of a folder: its path, its log's id, and the node that it lies on."""

    folder: str
    log: str
    node: Node


def judge(kept: Whereabouts, found: str, here: Node, *, alive: bool) -> None:
    """Whether a driver on the node `here`, which finds the log with the id `found` ("": none), may serve the folder;
    `alive`: the kept node is. A machine that came back is another node to Ray, and the same one to us.

    Raises BadInput, naming both nodes or both logs.
    """
    same_node = here.id == kept.node.id or (here.host == kept.node.host and not alive)
    if same_node and found == kept.log:
        return
    there = f"The data folder {kept.folder} has its log {kept.log} on {kept.node}"
    if not same_node:
        holds = f"and here, on {here}, " + (f"lies the log {found}" if found else "there is none")
        state = "" if alive else ", which is not in the cluster now"
        mend = "Run this on that machine" if alive else "Bring that machine back (`ray start --address=…` on it)"
    else:
        holds = f"and now the log {found} lies there" if found else "and it is not there any more"
        state, mend = "", "Put the folder back"
    raise BadInput(
        f"{there}{state}, {holds}. Nothing was made. {mend}; or, if the folder was moved or replaced on purpose, give "
        "--rehome once: the cluster then takes what lies here."
    )


class Cluster(Protocol):
    """What is asked of the cluster that a driver has joined."""

    def here(self) -> Node:
        """The driver's own node."""

    def alive(self) -> set[str]:
        """The ids of the nodes that are there."""

    def kept(self, name: str) -> bytes | None:
        """What it keeps of the folder whose parts' names end so."""

    def keep(self, name: str, value: bytes, *, overwrite: bool) -> None: ...

    def end(self, name: str) -> None:
        """End the parts whose names end so."""


def settle(cluster: Cluster, folder: DataFolder, name: str, *, rehome: bool) -> tuple[str, str, tuple[str, ...]]:
    """The id of the folder's log, which is made where the folder is new to the cluster; Ray's id of the node that the
    parts belong on; and what the user should know. `name`: what the parts' names end with.

    With `rehome` what the cluster kept is forgotten, and parts that serve the folder elsewhere are ended. Raises
    BadInput where the folder's system is elsewhere, or has another log.
    """
    here, log = cluster.here(), folder.log()
    kept, found = _kept(cluster, name), log.log_id()
    if kept is not None and rehome and (kept.node.id, kept.log) != (here.id, found):
        cluster.end(name)
        kept = None
    notes: tuple[str, ...] = ()
    if kept is None:
        with folder.lock("a cluster's log is begun"):
            begun, found = not log.is_there(), log.begin()
            kept = _keep(cluster, name, Whereabouts(str(folder.path.resolve()), found, here), overwrite=rehome)
        if begun and kept.node.id == here.id:
            notes = (f"A log was begun: {found} in {folder.path.resolve()}, on {here}.",)
    judge(kept, found, here, alive=kept.node.id in cluster.alive())
    if kept.node != here:
        _keep(cluster, name, msgspec.structs.replace(kept, node=here), overwrite=True)
    return found, here.id, notes


def _kept(cluster: Cluster, name: str) -> Whereabouts | None:
    kept = cluster.kept(name)
    return None if kept is None else msgspec.json.decode(kept, type=Whereabouts)


def _keep(cluster: Cluster, name: str, whereabouts: Whereabouts, *, overwrite: bool) -> Whereabouts:
    """Keep it; what is kept then: another's, who was first."""
    cluster.keep(name, msgspec.json.encode(whereabouts), overwrite=overwrite)
    kept = _kept(cluster, name)
    assert kept is not None, "it was just kept, by this driver or another"
    return kept
