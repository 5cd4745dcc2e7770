"""`replay`: agents folded from their first event, and with `--verify` proved.

A difference in the log is exit code 1; a snapshot that differs is a cache that readers pass over, and is only reported.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from palimpsest.console.called import given_bundle, typed
from palimpsest.console.inspect import reading
from palimpsest.console.options import bundle_option, complain, json_option
from palimpsest.console.show import Page, many, print_json
from palimpsest.events.errors import BadInput
from palimpsest.events.sources import is_source
from palimpsest.questions.plain import plain
from palimpsest.questions.replays import Replayed, replay_agent, replay_all
from palimpsest.questions.streams import head_of
from palimpsest.questions.texts import one_line
from palimpsest.store.folder import expanded
from palimpsest.store.logs.contract import all_heads


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
        from palimpsest.console.gate import gate

        return gate(expanded(against), as_json=as_json)
    if bool(agent) == everyone:
        raise BadInput("Say which agent to replay, or --all: `replay AGENT --verify`, `replay --all --verify`.")
    started = time.perf_counter()
    page, results = Page(), []
    with reading() as log:
        if agent is None:
            replays = replay_all(log, all_heads(log), verify=verify)
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


def exit_code(results: list[Replayed]) -> int:
    if any(found.difference for found in results):
        return 1
    unreadable = [found.unreadable for found in results if found.unreadable]
    if unreadable:
        complain(unreadable[0])
        return 2
    return 0


def print_found(page: Page, found: Replayed, verify: bool) -> None:
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


def print_totals(page: Page, results: list[Replayed], seconds: float, verify: bool) -> None:
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


def _streams(results: list[Replayed]) -> str:
    sources = sum(is_source(found.agent) for found in results)
    agents = len(results) - sources
    return ", ".join([many(agents, "agent")] * bool(agents or not sources) + [many(sources, "source")] * bool(sources))


def _as_object(results: list[Replayed], seconds: float, verify: bool) -> dict[str, Any]:
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
