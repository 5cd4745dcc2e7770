"""`export` and `import`: an agent in one file, out of a log and into one. Nothing starts Ray."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from msgspec.structs import replace

from palimpsest.console.called import PROGRAM, typed
from palimpsest.console.inspect import reading
from palimpsest.console.keys import now_ms
from palimpsest.console.options import bundle_option, data_folder, json_option
from palimpsest.console.progress import bar
from palimpsest.console.show import Page, many, print_json
from palimpsest.events.addresses import address_of, public_url
from palimpsest.events.sources import is_source, source_of
from palimpsest.questions.plain import plain
from palimpsest.questions.streams import agent_head, check_event
from palimpsest.questions.texts import one_line
from palimpsest.store.folder import DataFolder, expanded
from palimpsest.store.keys.files import Handed, LiveKeys
from palimpsest.store.keys.imported import imported

if TYPE_CHECKING:
    from palimpsest.store.bundles.exporting import Exported
    from palimpsest.store.bundles.importing import Imported
    from palimpsest.store.bundles.manifest import Manifest

SHOWN: Final = 12


# --- export -------------------------------------------------------------------------------------------------------


@click.command("export")
@click.argument("agent")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--at", type=click.IntRange(min=1), metavar="SEQ", help="As of this event (default: the last).")
@click.option("--redact", "texts", multiple=True, metavar="TEXT", help="Mask this text; may be given again.")
@click.option(
    "--redact-pattern", "patterns", multiple=True, metavar="REGEX", help="Mask what this matches; may be given again."
)
@click.option("--force", is_flag=True, help="Write over FILE if it is there.")
@bundle_option
@json_option
def export_command(
    agent: str,
    file: Path,
    *,
    at: int | None,
    texts: tuple[str, ...],
    patterns: tuple[str, ...],
    force: bool,
    as_json: bool,
) -> None:
    """Write AGENT, and all that its contexts hang on, into one FILE: its events (of a fork, its ancestors' too), their
    hash chain, the documents of the sources that it used, and the versions of what shaped its contexts.

    \b
    Every command that reads takes such a file by --bundle FILE; `import FILE` makes an agent of it.
    """
    from palimpsest.events.debug.redact import Masks
    from palimpsest.store.bundles.exporting import export
    from palimpsest.store.output import check_place

    masks = Masks(texts, patterns) if texts or patterns else None
    check_place(file, force=force)
    with reading() as log:
        head = agent_head(log, agent)
        check_event(head, at, "at")
        with bar("Exporting") as step:
            done = export(log, agent, at or head.seq, file, masks=masks, force=force, progress=step)
    if as_json:
        print_json(plain(done))
    else:
        _print_exported(Page(), done)


def _print_exported(page: Page, done: Exported) -> None:
    manifest = done.manifest
    page.line(
        (f"{one_line(manifest.agent)} as of event {manifest.at}", "bold"),
        f": {many(manifest.events, 'event')} in {one_line(done.path, 300)} ({done.bytes:,} bytes).",
    )
    for stream in manifest.streams:
        if stream.name != manifest.agent:
            what = f"source {source_of(stream.name)}" if is_source(stream.name) else f"its ancestor {stream.name}"
            page.line(f"  with {one_line(what)}, events {stream.first} to {stream.last}")
    _print_redactions(page, manifest)
    file = shlex.quote(done.path)
    page.line(("Prove it on any machine: ", "dim"), f"{PROGRAM} replay --all --verify --bundle {file}")


def _print_redactions(page: Page, manifest: Manifest) -> None:
    """What was masked, and what can no longer be proved."""
    for each in manifest.redactions:
        page.line(
            (f"  masked in {one_line(each.stream)}: {many(each.places, 'place')}", "yellow"),
            f", in events {_some(each.masked)}; the chain is made anew from event {each.rechained} on, so it proves "
            "that nothing was altered since, and no longer that it is the original's",
        )
        if each.unprovable:
            what = many(len(each.unprovable), "context")
            page.line(f"  {what} of {one_line(each.stream)} cannot be proved any more: events {_some(each.unprovable)}")
    if manifest.redactions:
        page.line(
            "  What stays: names of agents, keys, and the fingerprints of the original contexts. Who can guess a short "
            "text can make sure by them."
        )


def _some(seqs: tuple[int, ...]) -> str:
    more = f" and {len(seqs) - SHOWN} more" if len(seqs) > SHOWN else ""
    return (", ".join(map(str, seqs[:SHOWN])) or "none") + more


# --- import -------------------------------------------------------------------------------------------------------


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--as", "name", default="", metavar="NAME", help="What the agent is to be called here.")
@json_option
def import_command(file: Path, name: str, as_json: bool) -> None:
    """Take the bundle FILE into the data folder, once all of it was proved. What is there already stays as it is.

    The agent is at rest: its timers do not run here, and a turn that was under way does not go on. With --as it gets
    another name, and so another hash chain; the bundle's own is proved before. The model servers that it would call are
    named, and get nothing until you allow it (`keys allow URL`).
    """
    from palimpsest.store.bundles.file import BundleReader
    from palimpsest.store.bundles.importing import import_bundle
    from palimpsest.store.keys.imported import distrust, keys_for

    folder = data_folder()
    with BundleReader(expanded(file)) as reader:
        manifest = reader.manifest
    _check_names(manifest, name)
    with folder.lock(f"import {file.name}"):
        keys, notes = keys_for(folder, os.environ, now_ms())
        for note in notes:
            click.echo(note, err=True)
        with folder.log().store() as log, bar("Proving and importing", manifest.events) as step:
            log.open_epoch()
            done = import_bundle(
                log, expanded(file), name=name, distrust=lambda urls: distrust(folder, log, urls), progress=step
            )
    refused = _refused(done.addresses, folder, keys)
    if as_json:
        print_json({**plain(done), "refused": list(refused)})
    else:
        _print_imported(Page(), done, manifest)
        _print_refused(Page(), done.addresses, refused)


def _refused(addresses: tuple[str, ...], folder: DataFolder, keys: Handed) -> tuple[str, ...]:
    """Those that are asked for nothing until the user allows them."""
    now = LiveKeys(replace(keys, environment=replace(keys.environment, imported=imported(folder))))
    return tuple(url for url in addresses if now.access(url)[1])


def _print_refused(page: Page, addresses: tuple[str, ...], refused: tuple[str, ...]) -> None:
    """Which model servers the agent would call, and what is to be typed if it may."""
    for url in addresses:
        where = one_line(public_url(url), 200)
        if url not in refused:
            page.line(f"  It calls {where}, which you use already.")
            continue
        page.line((f"  It would call {where}", "yellow"), ", which gets nothing before you say so. If it may: ")
        page.line("    ", f"{PROGRAM} keys allow {shlex.quote(str(address_of(url) or url))}")


def _check_names(manifest: Manifest, name: str) -> None:
    from palimpsest.actors.requests.checks import check_name

    if name:
        check_name(name)
    for stream in manifest.streams:
        if not is_source(stream.name):
            check_name(stream.name)


def _print_imported(page: Page, done: Imported, manifest: Manifest) -> None:
    agent = one_line(done.agent)
    if not done.written:
        page.line(f"{agent} is here already, with the same {many(manifest.events, 'event')}: nothing to do.")
        return
    redacted = f", {many(done.redacted, 'context')} redacted, not provable" if done.redacted else ""
    page.line((agent, "bold"), f": {many(done.contexts, 'context')} proved{redacted}.")
    for stream in done.streams:
        there = (
            f", {many(stream.events - stream.written, 'event')} here already" if stream.written < stream.events else ""
        )
        page.line(f"  {one_line(stream.name)}: {many(stream.written, 'event')} imported{there}")
    if done.agent != manifest.agent:
        page.line(
            f"  Its name is part of its hash chain, which was proved as {one_line(manifest.agent)}'s and made anew "
            f"for {agent}: its last hash is {done.streams[0].hash.hex()[:16]} now."
        )
    if done.resting or done.alarms:
        what = ["a turn under way"] * done.resting + [many(done.alarms, "timer")] * bool(done.alarms)
        page.line(f"  It came with {' and '.join(what)}, at rest here: nothing of it runs.")
        fork = typed("fork", done.agent, "--at", str(done.at), "--as", "NAME")
        page.line(("  To go on from there, fork it: ", "dim"), fork)
    if done.retired:
        page.line("  It is retired: ", typed("retire", "--undo", done.agent), " takes it back.")
    page.line(("Look at it: ", "dim"), typed("context", done.agent))
