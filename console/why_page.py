"""How `why` prints its verdict: the cause in a line, the events that show it, and what to type next."""

from __future__ import annotations

from shlex import quote
from typing import Final

from palimpsest.console.called import PROGRAM
from palimpsest.console.show import Page, many
from palimpsest.events.debug.verdict import Evidence, Verdict
from palimpsest.events.sources import is_source, source_of
from palimpsest.questions.descriptions import quoted
from palimpsest.questions.texts import one_line, printable

TEXT_CHARS: Final = 300


def print_verdict(page: Page, verdict: Verdict, options: tuple[str, ...] = ()) -> None:
    """`options` are those of this call that the next ones need too: where the log is."""
    answer = f"the answer of event {verdict.answer}, made from the window of event {verdict.request}"
    if not verdict.answer:
        answer = f"no answer had been given by event {verdict.at}, so its window is judged"
    page.line(("looked for   ", "dim"), f"{quoted(verdict.text, 200)}: {verdict.matched}")
    asked = f"the turn of input {verdict.input}: {quoted(verdict.question, 200)}"
    page.line(("judged       ", "dim"), (printable(verdict.agent), "bold"), f", {asked}")
    page.line(("             ", "dim"), answer)
    if verdict.passed_over:
        later = many(verdict.passed_over, "later turn")
        page.line((f"             the last that answers a question ({later} did not; --at judges another)", "dim"))
    page.line()
    page.line((verdict.cause.upper(), "bold red"))
    page.line(f"  {printable(verdict.says)}")
    if verdict.evidence:
        page.line()
    for each in verdict.evidence:
        _print_evidence(page, each)
    if verdict.more:
        page.line(("         ", "dim"), f"and {many(verdict.more, 'event')} more that say it")
    if verdict.nearest:
        _print_nearest(page, verdict)
    if verdict.next:
        page.line()
    for step in verdict.next:
        where = () if step.command[0] == "attach" and "--bundle" in options else options  # a bundle is only read
        page.line(
            ("next         ", "dim"),
            (" ".join((PROGRAM, *(quote(printable(part)) for part in (*step.command, *where)))), "bold"),
        )
        page.line(("             ", "dim"), step.shows)


def _print_evidence(page: Page, evidence: Evidence) -> None:
    where = f"{one_line(source_of(evidence.stream), 40)} " if is_source(evidence.stream) else ""
    page.line((f"{where}{evidence.seq or '-':>6}  ", "bold"), printable(evidence.what))
    if evidence.text:
        page.line(f"        {quoted(evidence.text, TEXT_CHARS)}")


def _print_nearest(page: Page, verdict: Verdict) -> None:
    nearest = verdict.nearest
    assert nearest is not None, "there is one to print"
    match, told = nearest.match, nearest.told
    lacks = f"lacks {', '.join(match.missing)}" if match.missing else "has them all, but far apart"
    page.line()
    page.line(
        ("nearest      ", "dim"),
        f"event {told.seq}, {told.who}: {match.found} of {match.words} words; it {one_line(lacks, 100)}",
    )
    page.line(f"             {quoted(told.text, TEXT_CHARS)}")
