"""`replay`: agents folded from their first event, and with `--verify` proved.

Proved are the hash chain, every request's fingerprint (asked and sent), the stream's end, and each snapshot. A
difference in the log is exit code 1; a snapshot that differs is a cache that readers pass over, and is only reported.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from palimpsest.console.describe import plain
from palimpsest.console.options import bundle_option, complain, given_bundle, json_option, typed
from palimpsest.console.show import Page, many, one_line, print_json
from palimpsest.events.codec import decode
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import BadInput, LogDamaged, NewerFormat
from palimpsest.events.replay import Proved, Replayer, freeze
from palimpsest.events.sources import is_source
from palimpsest.events.state import FOLD
from palimpsest.questions.streams import head_of, reading, stretches, unprovable
from palimpsest.store.folder import expanded
from palimpsest.store.logs.contract import LogReader, StreamHead

HEADS: Final = 1000


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the replay of one agent found. `seq`, `kind` and `difference` name the first difference; `unreadable` says
    why a stream could not be read on (a newer version wrote it); `thrown_away` are the seqs of bad snapshots."""

    agent: str
    events: int
    contexts: int
    snapshots: int = 0
    thrown_away: tuple[int, ...] = ()
    redacted: int = 0
    """So many contexts hold masked text (in a bundle that was redacted): they cannot be proved, and are no damage."""
    seq: int = 0
    kind: str = ""
    difference: str = ""
    unreadable: str = ""


def replay_agent(
    log: LogReader,
    head: StreamHead,
    *,
    verify: bool,
    since: Proved | None = None,
    forks: dict[int, Proved | None] | None = None,
) -> Found:
    """Fold one agent's stream up to its head, in chunks; stop at the first difference.

    A fork's begins where its parent's replay stood (`since`; None: at the parent's first event). `forks` has the seqs
    at which others go on from this one, and gets where the replay stood there.
    """
    replayer = Replayer(head.agent, verify=verify, since=since)
    first = replayer.seq + 1
    checks = _Snapshots(log, head.agent, first) if verify else None
    excused, redacted = unprovable(log, head.agent), 0
    for envelope in stretches(log, head.agent, first, head.seq):
        difference = replayer.feed(envelope)
        if difference and difference.context and envelope.seq in excused:
            redacted += 1
        elif difference:
            found = _stopped(replayer, checks, envelope, difference.what)
            return msgspec.structs.replace(found, redacted=redacted)
        if checks:
            checks.look(replayer)
        if forks and envelope.seq in forks:
            forks[envelope.seq] = replayer.here()
    return msgspec.structs.replace(_ended(log, head, replayer, checks), redacted=redacted)


def replay_all(log: LogReader, heads: Iterable[StreamHead], *, verify: bool) -> Iterator[Found]:
    """Every stream, a fork behind its parent: so that what they share is folded once."""
    roots: list[StreamHead] = []
    forks: dict[str, list[tuple[int, StreamHead]]] = {}
    for head in heads:
        lineage = log.lineage(head.agent)
        if lineage:
            forks.setdefault(lineage[0].agent, []).append((lineage[0].seq, head))
        else:
            roots.append(head)
    due: list[tuple[StreamHead, Proved | None]] = [(root, None) for root in reversed(roots)]
    while due:
        head, since = due.pop()
        mine = forks.get(head.agent, [])
        stood: dict[int, Proved | None] = dict.fromkeys(seq for seq, _ in mine)
        yield replay_agent(log, head, verify=verify, since=since, forks=stood)
        due += [(fork, stood[seq]) for seq, fork in reversed(mine)]


def _stopped(replayer: Replayer, checks: _Snapshots | None, at: Envelope, what: str) -> Found:
    found = _found(replayer, checks)
    try:
        decode(at)
    except NewerFormat as error:
        if str(error) == what:
            return msgspec.structs.replace(found, seq=at.seq, kind=at.kind, unreadable=what)
    except LogDamaged:
        pass  # the difference says so
    return msgspec.structs.replace(found, seq=at.seq, kind=at.kind, difference=what.removeprefix(f"{at.kind}: "))


def _ended(log: LogReader, head: StreamHead, replayer: Replayer, checks: _Snapshots | None) -> Found:
    """The end of the stream: it must be where the log says, also where nothing else is verified."""
    found = _found(replayer, checks)
    what = ""
    last = replayer.seq
    if last < head.seq:
        what = f"the log lacks events {last + 1} to {head.seq}: the end of the stream is cut off"
    elif checks and replayer.hash != head.hash:
        what = "the stream's stored end has another hash than its last event: one of them was altered"
    elif checks and _beyond(log, head):
        what = f"there are events after the stream's stored end, {head.seq}"
    return msgspec.structs.replace(found, seq=last, kind="the stream's end", difference=what) if what else found


def _beyond(log: LogReader, head: StreamHead) -> bool:
    """Whether events stand after the end; a writer at work may have moved both since the end was read."""
    extra = log.read(head.agent, after=head.seq, limit=1)
    now = log.head(head.agent)
    return bool(extra) and (now is None or now.seq < extra[0].seq)


def _found(replayer: Replayer, checks: _Snapshots | None) -> Found:
    return Found(
        agent=replayer.agent,
        events=replayer.events,
        contexts=replayer.contexts,
        snapshots=checks.good if checks else 0,
        thrown_away=tuple(checks.bad) if checks else (),
    )


class _Snapshots:
    """The stored snapshots of a stream, held against the fold as it passes their seqs."""

    def __init__(self, log: LogReader, agent: str, first: int) -> None:
        self.good = 0
        self.bad: list[int] = []
        # The digest stands for the bytes where they are those that were written: so no state is kept here.
        self._due = {
            snapshot.seq: (snapshot.chain, snapshot.digest if _is_whole(snapshot.state, snapshot.digest) else b"")
            for snapshot in log.snapshots(agent)
            if snapshot.fold == FOLD and snapshot.seq >= first
        }

    def look(self, replayer: Replayer) -> None:
        if replayer.state is None or replayer.state.seq not in self._due:
            return
        seq = replayer.state.seq
        if self._due.pop(seq) == (replayer.hash, freeze(replayer.state)[1]):
            self.good += 1
        else:
            self.bad.append(seq)


def _is_whole(state: bytes, digest: bytes) -> bool:
    return hashlib.sha256(state).digest() == digest


# --- the command --------------------------------------------------------------------------------------------------


@click.command("replay")
@click.argument("agent", required=False)
@bundle_option
@click.option("--all", "everyone", is_flag=True, help="Replay every agent.")
@click.option(
    "--verify", is_flag=True, help="Prove every context, the hash chain, the streams' ends and the snapshots."
)
@click.option(
    "--against",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Replay and prove all bundles of this folder, in place of the log: which contexts does this code change?",
)
@json_option
def command(agent: str | None, *, everyone: bool, verify: bool, against: Path | None, as_json: bool) -> int:
    """Fold agents again from the log alone; with --verify, prove every context window that they ever had.

    Exit code 0: no difference. 1: the log differs, and the first difference of each agent is named.
    """
    if against is not None:
        if agent or given_bundle():
            raise BadInput("--against DIR replays all bundles of DIR: leave AGENT and --bundle out.")
        from palimpsest.questions.gate import gate

        return gate(expanded(against), as_json=as_json)
    if bool(agent) == everyone:
        raise BadInput("Say which agent to replay, or --all: `replay AGENT --verify`, `replay --all --verify`.")
    started = time.perf_counter()
    page, results = Page(), []
    with reading() as log:
        if agent is None:
            replays = replay_all(log, _heads(log), verify=verify)
        else:
            replays = iter([replay_agent(log, head_of(log, agent), verify=verify)])
        for found in replays:
            results.append(found)
            if not as_json:
                print_found(page, found, verify)
    seconds = time.perf_counter() - started
    if as_json:
        print_json(_as_object(results, seconds, verify))
    else:
        print_totals(page, results, seconds, verify)
    return exit_code(results)


def _heads(log: LogReader) -> Iterator[StreamHead]:
    """Every stream, page by page. A head is as new as its page: what is written later is left to the next replay."""
    after = ""
    while page := log.heads(after, HEADS):
        yield from page
        after = page[-1].agent


def exit_code(results: list[Found]) -> int:
    if any(found.difference for found in results):
        return 1
    unreadable = [found.unreadable for found in results if found.unreadable]
    if unreadable:
        complain(unreadable[0])
        return 2
    return 0


def print_found(page: Page, found: Found, verify: bool) -> None:
    """An agent's line."""
    proved = f", {many(found.contexts, 'context')} proved" if verify and not is_source(found.agent) else ""
    thrown = f", {many(len(found.thrown_away), 'bad snapshot')}, to be thrown away (seq {_list(found.thrown_away)})"
    page.line(
        (one_line(found.agent), "bold"),
        f": {many(found.events, 'event')} folded{proved}",
        (f", {many(found.redacted, 'context')} redacted, not provable" * bool(found.redacted), "yellow"),
        f", {many(found.snapshots, 'snapshot')} good" * bool(found.snapshots),
        (thrown * bool(found.thrown_away), "yellow"),
    )
    if found.difference:
        name = one_line(found.agent if is_source(found.agent) else f"agent {found.agent}")
        page.line((f"  DIFFERENCE in {name}, event {found.seq} ({found.kind}): {found.difference}", "bold red"))
    if found.unreadable:
        page.line((f"  NOT READ from event {found.seq} ({one_line(found.kind)}) on: {found.unreadable}", "yellow"))


def _list(numbers: tuple[int, ...]) -> str:
    return one_line(", ".join(map(str, numbers)), 60)


def print_totals(page: Page, results: list[Found], seconds: float, verify: bool) -> None:
    """The sum, the differences once more, and what to do next."""
    events, contexts = sum(found.events for found in results), sum(found.contexts for found in results)
    differing = [found for found in results if found.difference]
    page.line()
    page.line(
        f"{_streams(results)}, {many(events, 'event')} folded in {seconds:.2f} s",
        f" ({events / max(seconds, 1e-9):,.0f} events/s).",
    )
    if not verify:
        page.line("Nothing was proved: the events were only folded. Add --verify to prove each context and the log.")
    elif not differing and not any(found.unreadable for found in results):
        page.line(
            (f"Proved: {many(contexts, 'context')}, byte for byte, and every event's place in the hash chain.", "green")
        )
    if any(found.redacted for found in results):
        page.line("What was masked is gone: the contexts that held it cannot be proved, the others can.")
    if any(found.thrown_away for found in results):
        page.line("A snapshot is a cache: readers pass over a bad one and fold the events; nothing is lost.")
    for found in differing:
        page.line((f"{one_line(found.agent)} differs first at event {found.seq} ({found.kind}).", "bold red"))
    shown = next((found for found in differing or results if not is_source(found.agent)), None)
    if shown:
        at = ("--at", str(max(1, shown.seq - 1))) if differing else ()
        page.line(("Look at a window: ", "dim"), typed("context", shown.agent, *at))


def _streams(results: list[Found]) -> str:
    sources = sum(is_source(found.agent) for found in results)
    agents = len(results) - sources
    return ", ".join([many(agents, "agent")] * bool(agents or not sources) + [many(sources, "source")] * bool(sources))


def _as_object(results: list[Found], seconds: float, verify: bool) -> dict[str, Any]:
    events = sum(found.events for found in results)
    return {
        "verified": verify,
        "ok": not any(found.difference or found.unreadable for found in results),
        "agents": plain(results),
        "events": events,
        "contexts": sum(found.contexts for found in results),
        "seconds": round(seconds, 3),
        "events_per_s": round(events / max(seconds, 1e-9)),
    }
