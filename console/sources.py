"""`load`, `attach`, `detach`, `sources` and `unload`: documents for agents.

Only `load` starts Ray, since agents get word of it. The others write to the log themselves, which must not be in use;
with --address they go through the cluster that has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from console.chat import starting
from console.describe import plain
from console.inspect import agent_head, reading
from console.options import address_option, bundle_option, data_folder, index_options, index_settings
from console.show import Page, many, one_line, terminal
from console.writing import writing
from events.errors import BadInput, UnknownSource
from events.sources import PREFIX, Document, Source, is_source, source_of
from store.folder import DataFolder
from store.library import folded
from store.log import LogReader
from store.sqlite_log import SqliteLog

if TYPE_CHECKING:
    from actors.index import IndexSettings
    from actors.loader import Progress, Report
    from actors.system import System

INDEX_WAIT_S: Final = 2.0
SHOWN: Final = 40
"""As many refused files are shown; --json has all."""

_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


# --- load ---------------------------------------------------------------------------------------------------------


@click.command("load")
@click.argument("source")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--attach", "agents", multiple=True, metavar="AGENT", help="Attach it to this agent; may be given again.")
@click.option("--passage-tokens", default=0, metavar="N", help="The size of a new source's passages (default: 200).")
@click.option(
    "--overlap-tokens", default=-1, metavar="N", help="How much each shares with the one before (default: 20)."
)
@index_options
@address_option
@_json
def load_command(
    source: str,
    paths: tuple[Path, ...],
    *,
    agents: tuple[str, ...],
    passage_tokens: int,
    overlap_tokens: int,
    address: str,
    as_json: bool,
) -> int:
    """Load files and folders into SOURCE, which is made if there is none.

    Text, Markdown, HTML, PDF, DOCX, CSV and JSON, told by their content. What is there already is skipped, a file that
    changed takes the place of what it was, and a load that was interrupted goes on when it is given again. The agents
    that have the source attached get an upload event.
    """
    from actors.loader import check_sizes
    from actors.sources import check_source

    check_source(source)
    if passage_tokens:
        check_sizes(passage_tokens, max(0, overlap_tokens))
    if not any(path.exists() or path.is_symlink() for path in paths):
        raise BadInput(f"There is no file or folder '{one_line(str(paths[0]))}'. Check the path.")
    folder, settings = data_folder(), index_settings()
    if not address:
        _foresee(folder, agents)
    sizes = {"passage_tokens": passage_tokens, "overlap_tokens": overlap_tokens}
    report = asyncio.run(_load(folder, source, paths, agents=agents, sizes=sizes, address=address, settings=settings))
    if as_json:
        sys.stdout.write(msgspec.json.encode(plain(report)).decode() + "\n")
    else:
        _print_report(Page(), report)
    return 0 if report.loaded or report.skipped else 1


def _foresee(folder: DataFolder, agents: tuple[str, ...]) -> None:
    """Raise now what the loader would raise once the system is up."""
    if not agents:
        return
    if not folder.log_path().exists():
        raise BadInput(f"There is no agent '{one_line(agents[0])}' yet: `chat {one_line(agents[0])}` makes it.")
    with SqliteLog.open_readonly(folder.log_path()) as log:
        for agent in agents:
            agent_head(log, agent)


async def _load(
    folder: DataFolder,
    source: str,
    paths: tuple[Path, ...],
    *,
    agents: tuple[str, ...],
    sizes: dict[str, int],
    address: str,
    settings: IndexSettings,
) -> Report:
    with starting(address):
        from actors.system import Options, boot

        system = await boot(folder, f"load {source}", Options(address=address, index=settings))
    try:
        client = system.client()
        with _showing() as on_progress:
            report = await client.load_source(source, paths, agents=agents, on_progress=on_progress, **sizes)
        await _until_indexed(system)
    except asyncio.CancelledError:
        click.echo("Interrupted. What is loaded stays: the same command goes on from here.", err=True)
        raise
    finally:
        await system.stop()
    return report


async def _until_indexed(system: System) -> None:
    """Wait until searches find all that was loaded, and say so; or why they do not yet."""
    client, told = system.client(), False
    while await client.indexed(wait_s=INDEX_WAIT_S):
        trouble = (await system.status())["storage"]["trouble"]
        if trouble:
            click.echo(f"It is in the log, and will be searched once the index can take it in. {trouble}", err=True)
            return
        if not told:
            click.echo("Loaded; the index takes it in …", err=True)
        told = True
    click.echo("Indexed: searches find it all.", err=True)


@contextlib.contextmanager
def _showing() -> Iterator[Callable[[Progress], None]]:
    """A bar with rate and time left on a terminal, a line for every tenth in a pipe; on standard error."""
    if not sys.stderr.isatty():
        tenths = 0

        def line(progress: Progress) -> None:
            nonlocal tenths
            done = 10 * progress.done_bytes // max(1, progress.total_bytes)
            if done > tenths:
                tenths = done
                found = f"{many(progress.documents, 'file')}, {many(progress.passages, 'passage')}"
                click.echo(f"{10 * done} % of {progress.total_bytes:,} bytes: {found}", err=True)

        yield line
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.fields[what]}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[passages]:,} passages", markup=False),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=terminal(sys.stderr), transient=True) as bar:
        task = bar.add_task("load", total=None, what="", passages=0)
        yield lambda p: bar.update(
            task, completed=p.done_bytes, total=p.total_bytes, what=one_line(p.path, 40), passages=p.passages
        )


def _print_report(page: Page, report: Report) -> None:
    rate = report.passages / max(report.seconds, 1e-9)
    page.line(
        (f"Source {one_line(report.source)}", "bold"),
        f": {many(len(report.loaded), 'document')} loaded ({many(report.passages, 'passage')} in {report.seconds:.1f} "
        f"s, {rate:,.0f}/s), {len(report.skipped):,} skipped (there already), {len(report.refused):,} refused.",
    )
    if not (report.loaded or report.skipped or report.refused):
        page.line(("  There is no file under what was named: name a folder that has some, or the files.", "yellow"))
    replaced = [loaded.path for loaded in report.loaded if loaded.replaced]
    if replaced:
        shown = one_line(", ".join(replaced), 300)
        page.line(f"  {many(len(replaced), 'document')} took the place of what stood at the same path: {shown}")
    for loaded in report.loaded:
        for note in loaded.notes:
            page.line((f"  {one_line(loaded.path)}: {one_line(note, 300)}", "dim"))
    for refused in report.refused[:SHOWN]:
        page.line((f"  refused {one_line(refused.path)}: {one_line(refused.reason, 400)}", "yellow"))
    if len(report.refused) > SHOWN:
        page.line(f"  … and {len(report.refused) - SHOWN:,} more (--json lists all).")
    if report.attached:
        page.line(f"Attached to {_names(report.attached)}.")
    if report.told:
        page.line(f"Told of it: {_names(report.told)}.")


def _names(agents: tuple[str, ...]) -> str:
    more = f" and {len(agents) - SHOWN} more" if len(agents) > SHOWN else ""
    return ", ".join(one_line(agent) for agent in agents[:SHOWN]) + more


# --- attach, detach, unload ---------------------------------------------------------------------------------------


@click.command("attach")
@click.argument("source")
@click.argument("agents", nargs=-1, required=True)
@address_option
def attach_command(source: str, agents: tuple[str, ...], address: str) -> None:
    """Let AGENTS search and read the documents of SOURCE. Nothing is copied."""
    from actors.sources import attach

    async def work() -> list[str]:
        async with writing(address, f"attach {source}", UnknownSource(source)) as log:
            return await attach(log, source, agents)

    _say(asyncio.run(work()), agents, f"Attached {one_line(source)} to", "had it already")


@click.command("detach")
@click.argument("source")
@click.argument("agents", nargs=-1, required=True)
@address_option
def detach_command(source: str, agents: tuple[str, ...], address: str) -> None:
    """Take SOURCE from AGENTS: they do not see its documents any more."""
    from actors.sources import detach

    async def work() -> list[str]:
        async with writing(address, f"detach {source}", UnknownSource(source)) as log:
            return await detach(log, source, agents)

    _say(asyncio.run(work()), agents, f"Detached {one_line(source)} from", "did not have it")


def _say(done: list[str], asked: tuple[str, ...], what: str, otherwise: str) -> None:
    others = [agent for agent in dict.fromkeys(asked) if agent not in done]
    if done:
        click.echo(f"{what} {_names(tuple(done))}.")
    if others:
        click.echo(f"{_names(tuple(others))} {otherwise}.")


@click.command("unload")
@click.argument("source")
@click.argument("documents", nargs=-1)
@address_option
def unload_command(source: str, documents: tuple[str, ...], address: str) -> None:
    """Remove DOCUMENTS (paths or ids) from SOURCE; with none named, all of them, and detach it from its agents.

    The log keeps what was there: searches as of earlier events still find it.
    """
    from actors.sources import unload

    async def work() -> list[Document]:
        async with writing(address, f"unload {source}", UnknownSource(source)) as log:
            return await unload(log, source, documents)

    gone = asyncio.run(work())
    passages = sum(document.passages for document in gone)
    what = many(len(gone), "document")
    click.echo(f"Removed {what} ({many(passages, 'passage')}) from {one_line(source)}.")


# --- sources ------------------------------------------------------------------------------------------------------


@click.command("sources")
@click.argument("source", required=False)
@bundle_option
@_json
def sources_command(source: str | None, as_json: bool) -> None:
    """List the sources; with SOURCE, its documents. Starts nothing, and works while a load runs."""
    with reading() as log:
        if source is not None:
            _one(_known(log, source), as_json)
            return
        found = list(all_sources(log))
    if as_json:
        sys.stdout.write(msgspec.json.encode([_outline(each) for each in found]).decode() + "\n")
        return
    if not found:
        click.echo("There is no source yet: `load NAME PATH` makes one.", err=True)
        return
    Page().table(
        ("source", "documents", "passages", "characters", "loading", "refused", "agents"),
        [
            (one_line(s.name), f"{len(s.loaded):,}", f"{s.passages:,}", f"{s.chars:,}", f"{len(s.loading):,}",
             f"{len(s.refused):,}", f"{len(s.agents):,}")
            for s in found
        ],
        right=frozenset(range(1, 7)),
        labels={1: "documents", 2: "passages", 3: "characters", 4: "loading", 5: "refused", 6: "agents"},
    )  # fmt: skip


def all_sources(log: LogReader) -> Iterator[Source]:
    after = PREFIX
    while heads := [head for head in log.heads(after, 500) if is_source(head.agent)]:
        for head in heads:
            found = folded(log, source_of(head.agent))
            if found:
                yield found
        after = heads[-1].agent


def _known(log: LogReader, name: str) -> Source:
    source = folded(log, name)
    if source is None:
        raise UnknownSource(name, tuple(each.name for each in all_sources(log))[:12])
    return source


def _outline(source: Source) -> dict[str, Any]:
    return {
        "source": source.name,
        "documents": len(source.loaded),
        "passages": source.passages,
        "chars": source.chars,
        "loading": len(source.loading),
        "refused": len(source.refused),
        "agents": list(source.agents),
        "passage_tokens": source.passage_tokens,
        "overlap_tokens": source.overlap_tokens,
        "updated_ms": source.updated_ms,
    }


def _one(source: Source, as_json: bool) -> None:
    """A source's documents: those there, those on the way, and those refused."""
    there = [*source.loaded, *source.loading]
    refused = list(source.refused.values())
    if as_json:
        row = {**_outline(source), "documents": plain(there), "refused": plain(refused)}
        sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
        return
    page = Page()
    if there:
        page.table(
            ("id", "document", "kind", "passages", "characters", "status"),
            [
                (d.id, one_line(d.path), one_line(d.media_type, 40), f"{d.passages:,}", f"{d.chars:,}", d.status)
                for d in there
            ],
            right=frozenset({3, 4}),
            labels={3: "passages", 4: "characters"},
        )
    for document in refused:
        page.line((f"refused {one_line(document.path)}: {one_line(document.reason, 400)}", "yellow"))
    agents = _names(tuple(source.agents)) or "no agent (`attach SOURCE AGENT` lets one read it)"
    page.line(f"{many(len(source.loaded), 'document')}, {many(source.passages, 'passage')}; attached to {agents}.")
