"""`rerun`: a counterfactual. What an agent was given is given again to a fork of it, under other settings and in
virtual time; then both runs are held against each other.

Rule: the original is only read. The fork is kept in the data folder where nothing else has it; where a running system
has it, or the agent is in a bundle, the rerun works on a copy in memory, and only what is asked for is kept of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec
from msgspec.structs import replace

from palimpsest.console.called import as_typed
from palimpsest.console.inspect import reading
from palimpsest.console.keys import now_ms, remember
from palimpsest.console.options import (
    bundle_option,
    data_folder,
    index_options,
    index_settings,
    json_option,
    only_looks,
)
from palimpsest.console.overrides import changes
from palimpsest.console.progress import bar
from palimpsest.console.rerun_page import print_next, print_outcome
from palimpsest.console.search import catch_up
from palimpsest.console.show import Page, print_json
from palimpsest.console.worded import worded
from palimpsest.events.debug.compare import Prices
from palimpsest.events.errors import BadInput, DataFolderBusy
from palimpsest.questions.plain import plain
from palimpsest.questions.reruns import RecordedPart, compared, name_for, part_of
from palimpsest.questions.texts import one_line
from palimpsest.store.keys.files import Handed, handed
from palimpsest.store.keys.imported import addresses_of, keys_for
from palimpsest.store.logs.contract import LogReader, LogStore

if TYPE_CHECKING:
    from palimpsest.actors.reruns.counterfactual import Outcome
    from palimpsest.actors.reruns.rerun import RerunPlan
    from palimpsest.store.index.projection import MemoryIndex


AS_PAIRS: Final = ("model", "base-url", "window", "warn", "evict", "summarizer", "page-size")
"""Options that say what `--set` says too."""


@click.command("rerun")
@click.argument("agent")
@click.option(
    "--from",
    "first",
    type=click.IntRange(min=1),
    metavar="SEQ",
    help="Fork after this event (default: 1; of a fork that is otherwise, its own first).",
)
@click.option("--to", type=click.IntRange(min=1), metavar="SEQ", help="Give what came up to this event (default: all).")
@click.option("--as", "name", metavar="NAME", help="The fork's name (default: AGENT.rerun-1, -2, …).")
@click.option("--model", metavar="M", help="Another model.")
@click.option("--base-url", metavar="URL", help="The server that has the model.")
@click.option("--window", type=click.IntRange(min=1), metavar="N", help="Another context window, in tokens.")
@click.option("--warn", type=float, metavar="F", help="Warn of memory pressure at this fraction of the window.")
@click.option("--evict", type=float, metavar="F", help="Evict at this fraction of the window.")
@click.option("--summarizer", metavar="M", help="Another model for the summaries.")
@click.option("--page-size", type=click.IntRange(min=1), metavar="K", help="Results on a page of a search.")
@click.option("--prompt", type=click.Path(path_type=Path), metavar="FILE", help="Another system text, from this file.")
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="Any other setting, or a core-memory block.")
@click.option("--recorded", is_flag=True, help="Use the recorded answers until the two runs part; then the model.")
@click.option("--keep", type=click.Path(path_type=Path), metavar="FILE", help="Export the fork to this bundle.")
@click.option("--price", metavar="P/C", help="What a million prompt and completion tokens cost, as 0.15/0.60.")
@click.option("--recorded-price", metavar="P/C", help="The same of the recorded run (default: as --price).")
@bundle_option
@index_options
@json_option
def command(agent: str, *, keep: Path | None, as_json: bool, **options: Any) -> int:
    """Run AGENT again as it would have gone under other settings, and compare.

    What it was given (messages, uploads, timers, …) is given to a fork of it, in virtual time: a week takes seconds.
    The original is not touched. With --recorded no model is asked until a context differs from the recorded one.
    """
    from palimpsest.store.output import check_place

    ours = _prices(options["price"])
    prices = _prices(options["recorded_price"]) or ours, ours
    if keep is not None:
        check_place(keep, force=False)
    with reading() as log:
        part = part_of(log, agent, options["first"], options["to"])
        plan, typed = _plan(part, name_for(log, agent, options["name"]), options)
        keys = _keys(log, typed)
        with _workplace(log, plan) as place:
            outcome = asyncio.run(_run(place, plan, keys))
            comparison = compared(place.log, plan, part.before, outcome, prices)
            if keep is not None:
                _keep(place.log, outcome.fork, keep)
    if as_json:
        print_json({"outcome": plain(outcome), "comparison": plain(comparison), "kept": place.kept})
    else:
        page = Page()
        print_outcome(page, plan, outcome, comparison)
        print_next(page, plan, kept=place.kept, file=keep)
    return 1 if outcome.stopped else 0


# --- what is to be run, and where ---------------------------------------------------------------------------------


def _plan(part: RecordedPart, fork: str, options: Mapping[str, Any]) -> tuple[RerunPlan, tuple[str, ...]]:
    """The plan, and the servers that it names. Raises BadInput."""
    from palimpsest.actors.reruns.rerun import RerunPlan
    from palimpsest.store.tokens.counting import count

    pairs = [f"{name}={value}" for name in AS_PAIRS if (value := options[name.replace("-", "_")]) is not None]
    pairs += [f"system=@{options['prompt']}"] if options["prompt"] else []
    made = changes(part.before, [*pairs, *options["given"]], count)
    plan = RerunPlan(
        agent=part.agent, fork=fork, first=part.first, to=part.last, settings=made.settings, system=made.system,
        blocks=made.blocks, recorded_answers=options["recorded"], said=made.said,
    )  # fmt: skip
    return plan, made.typed


def _keys(log: LogReader, typed: tuple[str, ...]) -> Handed:
    """What model servers are given. The addresses in a bundle are an import's."""
    if only_looks():
        remember(typed)
        return handed(os.environ, imported=addresses_of(log), typed=typed)
    keys, notes = keys_for(data_folder(), os.environ, now_ms(), typed)
    for note in notes:
        click.echo(note, err=True)
    return keys


class _Workplace(msgspec.Struct, frozen=True):
    """Where a rerun works: a log to write to, and a folder for its index. `kept`: the fork stays in the data folder."""

    log: LogStore
    index: Path
    kept: bool


@contextlib.contextmanager
def _workplace(log: LogReader, plan: RerunPlan) -> Iterator[_Workplace]:
    """The data folder if nobody has it; else a copy of the agent in memory."""
    folder = data_folder()
    with contextlib.ExitStack() as stack:
        if not only_looks():
            try:
                stack.enter_context(folder.lock(f"rerun {plan.agent}"))
                target = stack.enter_context(folder.log().store())
                target.open_epoch()
                yield _Workplace(target, folder.index_path(target.partition), kept=True)
                return
            except DataFolderBusy as error:
                click.echo(
                    as_typed(f"{worded(error)} So this works on a copy in memory; --keep FILE keeps the fork."),
                    err=True,
                )
        from palimpsest.store.bundles.log import held

        copy = held(log, plan.agent, plan.to)
        copy.open_epoch()
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="palimpsest-"))
        yield _Workplace(copy, Path(scratch) / "index", kept=False)


async def _run(place: _Workplace, plan: RerunPlan, keys: Handed) -> Outcome:
    from palimpsest.actors.parts.index import open_index
    from palimpsest.actors.reruns.functions import DirectFunctions
    from palimpsest.actors.reruns.rerun import Models, rerun
    from palimpsest.store.tokens.counting import count

    settings = index_settings()
    if not place.kept:
        settings = replace(settings, qdrant_url="")

    def opened() -> MemoryIndex:
        return open_index(place.index, place.log.partition, settings, place.log)

    functions, models = DirectFunctions(place.log, opened, catch_up), Models(keys)
    with contextlib.closing(functions), bar(f"Running {one_line(plan.agent)} again", None) as step:
        try:
            return await rerun(place.log, plan, infer=models.infer, functions=functions, count=count, on_progress=step)
        finally:
            await models.aclose()


def _keep(log: LogReader, fork: str, file: Path) -> None:
    from palimpsest.store.bundles.exporting import export

    head = log.head(fork)
    assert head is not None, "a rerun has written its fork"
    export(log, fork, head.seq, file)


def _prices(given: str | None) -> Prices | None:
    if given is None:
        return None
    prompt, _, completion = given.partition("/")
    try:
        prices = Prices(prompt=float(prompt), completion=float(completion))
    except ValueError:
        prices = None
    if prices is None or not (0 <= prices.prompt < inf and 0 <= prices.completion < inf):
        raise BadInput(f"'{one_line(given, 40)}' is no price: give two numbers, as 0.15/0.60.")
    return prices
