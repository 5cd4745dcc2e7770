"""What `replay --against` prints, and its exit code."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Final

from palimpsest.console.called import PROGRAM
from palimpsest.console.options import complain
from palimpsest.console.show import Page, many, print_json
from palimpsest.events.debug.gate import ContextChanges
from palimpsest.questions.gate import BundleVerdict, bundles_in, judged
from palimpsest.questions.plain import plain
from palimpsest.questions.texts import one_line

SHOWN: Final = 8


def gate(against: Path, *, as_json: bool) -> int:
    """Replay every bundle of a folder; the exit code: 0 no change, 1 a change, 2 a bundle that cannot be read."""
    verdicts, page = [], Page()
    for path in bundles_in(against):
        verdicts.append(judged(path))
        if not as_json:
            _print(page, verdicts[-1], path)
    if as_json:
        print_json(_as_object(verdicts))
    else:
        _print_sum(page, verdicts)
    if any(not each.sound and not each.unreadable for each in verdicts):
        return 1
    unreadable = [each.unreadable for each in verdicts if each.unreadable]
    if unreadable:
        complain(unreadable[0])
    return 2 if unreadable else 0


def _print(page: Page, verdict: BundleVerdict, path: Path) -> None:
    name = one_line(verdict.bundle, 200)
    if verdict.unreadable:
        page.line((name, "bold"), (f": NOT READ: {verdict.unreadable}", "yellow"))
        return
    first = verdict.histories[0]
    redacted = f", {first.redacted:,} redacted" if first.redacted else ""
    events = sum(each.events for each in verdict.histories)
    same = f"{first.same:,} of {many(first.contexts, 'context')} the same{redacted}"
    page.line((name, "bold"), f": {one_line(verdict.agent)}, {many(events, 'event')}, {same}")
    for each in verdict.histories:
        _print_changes(page, each, path)
    if not verdict.sound and verdict.versions:
        told = (f"{name} {then or 'none'} -> {now or 'none'}" for name, (then, now) in verdict.versions.items())
        page.line(f"  Other versions than it was made with: {one_line('; '.join(told), 400)}")


def _print_changes(page: Page, found: ContextChanges, path: Path) -> None:
    if found.changed:
        more = ", …" if len(found.changed) > SHOWN else ""
        seqs = ", ".join(map(str, found.changed[:SHOWN])) + more
        page.line(
            (f"  CHANGED: {many(len(found.changed), 'context')}, first at event {found.changed[0]} ", "bold red"),
            f"(a {found.purpose}): {seqs}",
        )
        look = f"{PROGRAM} context {shlex.quote(found.agent)} --at {found.changed[0]} --bundle {shlex.quote(str(path))}"
        page.line(("  Look at it as it is now: ", "dim"), look)
    if found.difference:
        what = f"  DIFFERENCE in {one_line(found.agent)}, event {found.difference.seq}: {found.difference.what}"
        page.line((what, "bold red"))


def _print_sum(page: Page, verdicts: list[BundleVerdict]) -> None:
    bad = [each for each in verdicts if not each.sound]
    contexts = sum(history.contexts for each in verdicts for history in each.histories)
    page.line()
    what = f"{many(len(verdicts), 'bundle')}, {many(contexts, 'context')}"
    if bad:
        page.line((f"{what}: {many(len(bad), 'bundle')} not as recorded.", "bold red"))
    else:
        page.line((f"{what}: all rendered as they were recorded, byte for byte.", "green"))


def _as_object(verdicts: list[BundleVerdict]) -> dict[str, Any]:
    return {"ok": all(each.sound for each in verdicts), "bundles": [plain(each) for each in verdicts]}
