"""`why`: the miss diagnosis; without a text, why the agent said what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from palimpsest.console.called import log_options
from palimpsest.console.grounds_page import as_object, print_grounds
from palimpsest.console.inspect import reading
from palimpsest.console.options import (
    bundle_option,
    data_folder,
    index_options,
    index_settings,
    json_option,
    only_looks,
)
from palimpsest.console.show import Page, print_json
from palimpsest.console.why_page import print_verdict
from palimpsest.events.debug.phrases import Phrase
from palimpsest.questions.grounds import grounds
from palimpsest.questions.plain import plain
from palimpsest.questions.ranks import Ranks
from palimpsest.questions.verdicts import verdict_at
from palimpsest.questions.words import search_terms
from palimpsest.store.logs.contract import LogReader

if TYPE_CHECKING:
    from palimpsest.store.index.projection import MemoryIndex


@click.command("why")
@click.argument("agent")
@bundle_option
@click.argument("text", required=False)
@click.option("--at", type=int, metavar="SEQ", help="Judge the answer at this event (default: to the last question).")
@click.option("--exact", is_flag=True, help='Look for TEXT word for word (so does TEXT in "quotation marks").')
@click.option(
    "--rank", "patient", is_flag=True, help="Build an index for the ranks of searches, however long it takes."
)
@index_options
@json_option
def command(agent: str, text: str | None, *, at: int | None, exact: bool, patient: bool, as_json: bool) -> None:
    """Without TEXT: say why AGENT said what it said last (or at --at): what it was asked, thought and looked up, and
    what stood in its window that has words of its answer.

    With TEXT: say why AGENT did not come up with TEXT in an answer: it was never said; said, evicted, and not searched
    for; searched for, and not on the page that came back; pushed out of the window before the answer; or in the window,
    and ignored.

    TEXT is what the agent should have known, as "Ana painter Lisbon": all of its words in one place count as it,
    whatever their endings and order. --at names the answer, or the input that led to it; without it the last turn is
    judged that answers a question.
    """
    if text is None:
        _say_grounds(agent, at, as_json=as_json)
        return
    wanted = Phrase(text, search_terms(), exact=exact)
    with reading() as log:
        found = verdict_at(log, agent, wanted, at, _ranks(log, patient=patient))
    if as_json:
        print_json(plain(found))
    else:
        print_verdict(Page(), found, log_options())


def _ranks(log: LogReader, *, patient: bool) -> Ranks:
    from palimpsest.console.worded import worded

    path = None if only_looks() else data_folder().index_path
    return Ranks(log, index_settings, path, patient=patient, catch_up=_catch_up, said=worded)


def _catch_up(index: MemoryIndex, log: LogReader) -> None:
    from palimpsest.console.search import catch_up  # and with it the engine

    catch_up(index, log)


def _say_grounds(agent: str, at: int | None, *, as_json: bool) -> None:
    with reading() as log:
        said = grounds(log, agent, at)
    if as_json:
        print_json(as_object(said))
    else:
        print_grounds(Page(), said)
