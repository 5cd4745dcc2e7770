"""`attach`, `detach`, `sources` and `unload`: which documents there are, and which agents have them.

They write to the log themselves where nobody has the folder, and through the system that has it otherwise.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import click

from palimpsest.console.called import as_typed
from palimpsest.console.inspect import reading
from palimpsest.console.options import address_option, bundle_option, json_option
from palimpsest.console.show import Page, many, names_of, print_json
from palimpsest.console.writing import writing
from palimpsest.events.errors import UnknownSource
from palimpsest.events.sources import Document, Source
from palimpsest.questions.listings import all_sources, source_named
from palimpsest.questions.plain import plain
from palimpsest.questions.texts import one_line

# --- attach, detach, unload ---------------------------------------------------------------------------------------

CUT_OFF: Final = "What is loading has a load under way, or one that was cut off: the same `load` again goes on with it."


@click.command("attach")
@click.argument("source")
@click.argument("agents", nargs=-1, required=True)
@address_option
def attach_command(source: str, agents: tuple[str, ...], address: str) -> None:
    """Let AGENTS search and read the documents of SOURCE. Nothing is copied."""
    from palimpsest.actors.requests.sources import attach

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
    from palimpsest.actors.requests.sources import detach

    async def work() -> list[str]:
        async with writing(address, f"detach {source}", UnknownSource(source)) as log:
            return await detach(log, source, agents)

    _say(asyncio.run(work()), agents, f"Detached {one_line(source)} from", "did not have it")


def _say(done: list[str], asked: tuple[str, ...], what: str, otherwise: str) -> None:
    others = [agent for agent in dict.fromkeys(asked) if agent not in done]
    if done:
        click.echo(f"{what} {names_of(tuple(done))}.")
    if others:
        click.echo(f"{names_of(tuple(others))} {otherwise}.")


@click.command("unload")
@click.argument("source")
@click.argument("documents", nargs=-1)
@address_option
def unload_command(source: str, documents: tuple[str, ...], address: str) -> None:
    """Remove DOCUMENTS (paths or ids) from SOURCE; with none named, SOURCE itself, which is detached from its agents.

    The log keeps what was there: searches as of earlier events still find it.
    """
    from palimpsest.actors.requests.sources import unload

    async def work() -> list[Document]:
        async with writing(address, f"unload {source}", UnknownSource(source)) as log:
            return await unload(log, source, documents)

    gone = asyncio.run(work())
    passages = sum(document.passages for document in gone)
    what = f"{many(len(gone), 'document')} ({many(passages, 'passage')})"
    if documents:
        click.echo(f"Removed {what} from {one_line(source)}.")
    else:
        click.echo(f"Unloaded {one_line(source)}, which had {what}.")


# --- sources ------------------------------------------------------------------------------------------------------


@click.command("sources")
@click.argument("source", required=False)
@bundle_option
@json_option
def sources_command(source: str | None, as_json: bool) -> None:
    """List the sources; with SOURCE, its documents. Starts nothing, and works while a load runs."""
    with reading() as log:
        if source is not None:
            _one(source_named(log, source), as_json)
            return
        found = list(all_sources(log))
    if as_json:
        print_json([_outline(each) for each in found])
        return
    if not found:
        click.echo(as_typed("There is no source yet: `load NAME PATH` makes one."), err=True)
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
    if any(each.loading for each in found):
        click.echo(CUT_OFF, err=True)


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
        print_json(row)
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
    agents = names_of(tuple(source.agents)) or "no agent (`attach SOURCE AGENT` lets one read it)"
    page.line(f"{many(len(source.loaded), 'document')}, {many(source.passages, 'passage')}; attached to {agents}.")
    if source.loading:
        click.echo(CUT_OFF, err=True)
