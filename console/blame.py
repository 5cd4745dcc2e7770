"""`blame`: who wrote each sentence of core memory, the summary or archival storage, why, and on what grounds."""

from __future__ import annotations

import click

from palimpsest.console.blame_page import print_account
from palimpsest.console.called import log_options
from palimpsest.console.inspect import reading
from palimpsest.console.options import bundle_option, json_option
from palimpsest.console.show import Page, print_json
from palimpsest.events.errors import BadInput
from palimpsest.questions.accounts import Blaming, account
from palimpsest.questions.plain import plain
from palimpsest.questions.streams import agent_head, check_event


@click.command("blame")
@click.argument("agent")
@bundle_option
@click.argument("text", required=False)
@click.option("--block", metavar="NAME", help="Only this block of core memory.")
@click.option("--summary", is_flag=True, help="The recursive summary: its sentences, and every message it covers.")
@click.option("--exact", is_flag=True, help='Look for TEXT word for word (so does TEXT in "quotation marks").')
@click.option("--at", type=int, metavar="SEQ", help="As of this event (default: the last one).")
@json_option
def command(
    agent: str, text: str | None, *, block: str | None, summary: bool, exact: bool, at: int | None, as_json: bool
) -> None:
    """Show who wrote what stands in AGENT's memory: for each sentence the event, its turn, the model's stated reasons,
    and what was in the window then.

    Without TEXT, --block or --summary it is all of core memory. TEXT is looked for in core memory, the summary and
    archival passages: where it stands, where it once stood, and which event took it away.
    """
    if (text is not None) + (block is not None) + summary > 1:
        raise BadInput("Give one of these: a text, --block NAME, or --summary.")
    with reading() as log:
        head = agent_head(log, agent)
        check_event(head, at, "at")
        asked = Blaming(text=text, exact=exact, block=block or "", summary=summary)
        found = account(log, agent, asked, at or head.seq)
    if as_json:
        print_json(plain(found))
    else:
        print_account(Page(), found, asked.text, log_options())
