"""`search` and `reindex`: what an agent finds, now or as of any event, and the index built anew. Nothing starts Ray.

Rule: a search takes the index if nobody has it, and brings it up to the log; where a running system has it, that one
searches; where a program has it that nobody can join, an index of just what the agent sees is built from the log in a
temporary folder. All find the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
from msgspec.structs import asdict

from palimpsest.actors.parts.index import drop_index, open_index
from palimpsest.console.called import as_typed
from palimpsest.console.inspect import reading
from palimpsest.console.joining import runs
from palimpsest.console.options import (
    bundle_option,
    data_folder,
    index_options,
    index_settings,
    json_option,
    only_looks,
)
from palimpsest.console.progress import bar
from palimpsest.console.show import Page, many, print_json
from palimpsest.console.worded import worded
from palimpsest.events.errors import BadInput, StorageUnavailable
from palimpsest.events.passages import Hit, HitPage, beside, label
from palimpsest.events.position import Partition
from palimpsest.events.sources import is_source
from palimpsest.questions import searches
from palimpsest.questions.searches import PAGE_SIZE, STORES, Sayings, Searched, found_in, private_index, sight_after
from palimpsest.questions.texts import one_line, utc
from palimpsest.store.index.points import View
from palimpsest.store.index.projection import MemoryIndex
from palimpsest.store.index.search import QUERY_CHARS
from palimpsest.store.index.settings import IndexSettings
from palimpsest.store.logs.contract import LogReader, partition_of

TEXT_CHARS: Final = 600
MOST_PAGE: Final = 1_000_000


def catch_up(index: MemoryIndex, log: LogReader) -> None:
    """Bring an index up to the log, with a bar where that takes a while."""
    with bar("Indexing", log.position(index.partition).since(index.position)) as step:
        searches.catch_up(index, log, step)


# --- search -------------------------------------------------------------------------------------------------------


@click.command("search")
@click.argument("agent")
@click.argument("query")
@bundle_option
@click.option("--in", "where", type=click.Choice(STORES), help="Only what was said, or only archival storage.")
@click.option("--at", type=click.IntRange(min=1), metavar="SEQ", help="As of this event of the agent (default: now).")
@click.option("--page", default=0, type=click.IntRange(0, MOST_PAGE), metavar="P", help="Page of the results, from 0.")
@click.option("--who", default="", metavar="NAME", help="Only what was said by: user, assistant, or a name.")
@click.option("--from", "first", default="", metavar="DAY", help="Only what was said from this day on (YYYY-MM-DD).")
@click.option("--to", "last", default="", metavar="DAY", help="Only what was said up to this day.")
@index_options
@json_option
def search_command(
    agent: str,
    query: str,
    *,
    where: str | None,
    at: int | None,
    page: int,
    who: str,
    first: str,
    last: str,
    as_json: bool,
) -> None:
    """Search AGENT's memory as its own functions do: what was said (recall), and its passages and the documents of its
    sources (archival). With --at, as it was after that event: what came later is not there, what was removed is.
    With --who, --from or --to only what was said is searched.
    """
    if (who or first or last) and where == "archival":
        raise BadInput("--who, --from and --to are for what was said: leave out --in archival.")
    if len(query) > QUERY_CHARS:
        click.echo(
            f"The query has {len(query):,} characters: only its first {QUERY_CHARS:,} are searched for.", err=True
        )
    with reading() as log:
        sight = sight_after(log, agent, at)
        with _index(log, sight.all) as index:
            stores, said = (where,) if where else STORES, Sayings(who, first, last)
            found = found_in(index, sight, query, stores=stores, page=page, said=said)
    if as_json:
        row: dict[str, Any] = {"agent": agent, "as_of": sight.own[0].as_of, "query": query, "page": page}
        row |= {
            name: {"total": each.total, "hits": [_object(hit, agent) for hit in each.hits]}
            for name, each in found.items()
        }
        print_json(row)
        return
    for name, each in found.items():
        _print(Page(), name, each, page)


@contextlib.contextmanager
def _index(log: LogReader, views: tuple[View, ...]) -> Iterator[Searched]:
    settings, partition = index_settings(), partition_of(log, views[0].stream)
    if only_looks():
        with private_index(log, views, settings) as private:
            yield private
        return
    if runs(data_folder()):
        from palimpsest.actors.joining.searching import running_index

        with running_index(data_folder(), log.position(partition), settings) as running:
            if running is not None:
                yield running
                return
    try:
        index = open_index(data_folder().index_path(partition), partition, settings, log)
    except StorageUnavailable as error:
        why = as_typed(worded(error))
        click.echo(f"{why} So an index of what this agent sees is built from the log, just for this search.", err=True)
        with private_index(log, views, settings) as private:
            yield private
        return
    with contextlib.closing(index):
        catch_up(index, log)
        yield index


def _object(hit: Hit, agent: str) -> dict[str, Any]:
    row: dict[str, Any] = {"seq": hit.seq, "chunk": hit.chunk, "score": round(hit.score, 6), "time_ms": hit.time_ms}
    row |= {"speaker": hit.speaker, "text": hit.text}
    if hit.beside:
        row["beside"] = [asdict(told) for told in hit.beside]
    if hit.stream != agent and not is_source(hit.stream):
        row["agent"] = hit.stream  # whom a fork goes on from
    if hit.path:
        row |= {"source": hit.speaker, "document": hit.document, "path": hit.path, "page": hit.page}
        row |= {"first_line": hit.first_line, "last_line": hit.last_line, "heading": hit.heading}
    return row


def _print(page: Page, name: str, found: HitPage, number: int) -> None:
    last = max(0, found.total - 1) // PAGE_SIZE
    where = f"page {number} (of 0 to {last})" if number <= last else f"none on page {number}: pages are 0 to {last}"
    page.line((f"{name}: ", "bold"), f"{many(found.total, 'result')}, {where}")
    for hit in found.hits:
        page.line(
            (f"  {hit.seq:>6}  {utc(hit.time_ms)[:16]}  {hit.score:.3f}  ", "dim"),
            (one_line(label(hit) + beside(hit), 300), "cyan"),
        )
        page.line(f"          {one_line(hit.text, TEXT_CHARS)}")


# --- reindex ------------------------------------------------------------------------------------------------------


@click.command("reindex")
@index_options
def reindex_command() -> None:
    """Drop the index and build it again from the log, which has all that it holds. Nothing else may have the data
    folder meanwhile.
    """
    folder, settings = data_folder(), index_settings()
    with reading() as log, folder.lock("reindex"):
        for partition in log.partitions:
            _rebuild(folder.index_path(partition), partition, settings, log)


def _rebuild(path: Path, partition: Partition, settings: IndexSettings, log: LogReader) -> None:
    drop_index(path, settings)
    with contextlib.closing(open_index(path, partition, settings, log)) as index:
        catch_up(index, log)
        events, points = many(index.position.number, "event"), many(index.points, "point")
        click.echo(f"Built again from the log: {events}, {points}.")
