"""How `blame` prints an account: a sentence, who wrote it, and on what grounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from shlex import quote
from typing import Final

from palimpsest.console.called import PROGRAM
from palimpsest.console.show import Page, many
from palimpsest.events.debug.blame import Account, Blamed, BlamedSaying, BlamedSummary, Sentence
from palimpsest.events.debug.summaries import Generation, Range
from palimpsest.events.debug.writers import Hint, Writer
from palimpsest.events.kinds import Kind, kind_of
from palimpsest.events.passages import excerpt
from palimpsest.events.types import SummaryWritten
from palimpsest.questions.descriptions import call_text, quoted
from palimpsest.questions.texts import one_line, printable, utc

TEXT_CHARS: Final = 400
HINT_CHARS: Final = 120
STRETCHES: Final = 12


def print_account(page: Page, account: Account, text: str | None, options: tuple[str, ...] = ()) -> None:
    """`options` are those of this call that the next ones need too: where the log is."""
    typed = " ".join(quote(printable(part)) for part in (account.agent, *options))
    if account.matched:
        page.line(("looked for   ", "dim"), f"{quoted(text or '', 200)}, {account.matched}")
    page.line(("agent        ", "dim"), (printable(account.agent), "bold"), f", as of event {account.at}")
    explained: set[int] = set()
    writers = {each.seq: each for each in account.writers}
    for heading, blamed in _headed(account.standing):
        page.line()
        page.line((heading, "bold magenta"))
        for each in blamed:
            _print_sentence(page, typed, each, writers, explained)
    if account.summary is not None:
        _print_summary(page, typed, account.summary, whole=not account.matched)
    for each in account.gone:
        page.line()
        page.line((_once(each.sentence), "bold red"))
        _print_sentence(page, typed, each, writers, explained)
        _print_end(page, typed, writers[each.sentence.until], explained)
    if account.more:
        page.line()
        page.line(f"{many(account.more, 'older place')} that have it, or had it, are not shown: give more words.")
    if not (account.standing or account.summary or account.gone):
        _print_nothing(page, typed, account)


def _print_nothing(page: Page, typed: str, account: Account) -> None:
    page.line()
    if not account.matched:
        page.line("There is nothing written there.")
        return
    page.line("It stands nowhere in core memory, the summary or archival storage, and never did.")
    page.line(
        ("look         ", "dim"), f"{PROGRAM} why {typed} TEXT   says whether it was ever said, and where it went"
    )


def _headed(several: Iterable[Blamed]) -> list[tuple[str, list[Blamed]]]:
    """Sentences of one place together."""
    found: dict[str, list[Blamed]] = {}
    for each in several:
        found.setdefault(_place(each.sentence), []).append(each)
    return list(found.items())


def _place(sentence: Sentence) -> str:
    if sentence.place == "archival":
        return f"archival storage, passage {sentence.seq}.{sentence.chunk}"
    return f"{sentence.place}, {one_line(sentence.label, 60)}" if sentence.label else sentence.place


def _once(sentence: Sentence) -> str:
    return f"{_place(sentence)}: stood there from event {sentence.since} until event {sentence.until}"


# --- a sentence ---------------------------------------------------------------------------------------------------


def _print_sentence(page: Page, typed: str, blamed: Blamed, writers: dict[int, Writer], explained: set[int]) -> None:
    sentence = blamed.sentence
    page.line("  ", (quoted(sentence.text, TEXT_CHARS), "bold"))
    if len(sentence.writers) > 1:
        pieces = (f"{quoted(run.text, TEXT_CHARS)} by {run.seq}" for run in sentence.pieces if run.text.strip())
        _fact(page, "pieces", ", ".join(pieces))
    for seq in sentence.writers:
        each = writers.get(seq)
        if each is None:
            _fact(page, "written by", f"event {seq}, a summary")
            continue
        if seq in explained:
            _fact(page, "written by", f"{seq} {each.kind}, as above")
        else:
            _print_writer(page, typed, each)
        explained.add(seq)
        _print_hints(page, [hint for hint in blamed.hints if each.window and hint.window == each.window.seq])


def _print_end(page: Page, typed: str, writer: Writer, explained: set[int]) -> None:
    """The event that took a sentence away."""
    if writer.seq in explained or writer.kind == _SUMMED:
        _fact(page, "taken away", f"by {writer.seq} {writer.kind}, {utc(writer.time_ms)}")
    else:
        _print_writer(page, typed, writer, "taken away")
    explained.add(writer.seq)


def _print_writer(page: Page, typed: str, writer: Writer, done: str = "written by") -> None:
    _fact(page, done, f"{writer.seq} {writer.kind}, {utc(writer.time_ms)}")
    if writer.over:
        by = ", ".join(map(str, writer.over.writers)) or "nobody"
        _fact(page, "in place of", f"{quoted(writer.over.text, HINT_CHARS)} (written by {by})")
    if writer.input:
        _fact(page, "turn", f"{writer.input.seq} {writer.input.kind} {quoted(writer.input.text, HINT_CHARS)}")
    if writer.answer == 0:
        _fact(page, "reasons", _GIVEN.get(writer.kind, "none: it was not written by the model"))
        return
    _fact(page, "reasons", quoted(writer.reasons, TEXT_CHARS) if writer.reasons.strip() else "the model stated none")
    if writer.call:
        _fact(page, "call", f"{call_text(writer.call.name, writer.call.arguments)} in answer {writer.answer}")
    if writer.window:
        window = writer.window
        figures = f"{many(window.tokens, 'token')}, {many(window.messages, 'message')} in the queue"
        _fact(page, "window", f"asked by event {window.seq}: {figures}, fingerprint {window.fingerprint[:16]}…")
        _fact(page, "look", f"{PROGRAM} context {typed} --at {window.seq}")


_SUMMED: Final = kind_of(SummaryWritten)
_GIVEN: Final[Mapping[Kind, str]] = {
    "AgentCreated": "none: it was given when the agent was made",
    "AgentForked": "none: it was given when the agent was forked",
    "UserMessageReceived": "none: the message was too large for the window, and was archived as it was",
}


def _print_hints(page: Page, hints: Iterable[Hint]) -> None:
    for hint in hints:
        whose = f"{hint.seq} {hint.what}" if hint.seq else hint.what
        shown = excerpt(hint.text, " ".join(hint.words), HINT_CHARS)
        _fact(
            page,
            "may be from",
            f"{one_line(whose, 60)}: {quoted(shown, HINT_CHARS)} ({one_line(', '.join(hint.words), 80)})",
        )


def _fact(page: Page, name: str, text: str) -> None:
    page.line((f"    {name:<12} ", "dim"), printable(text))


# --- the summary --------------------------------------------------------------------------------------------------


def _print_summary(page: Page, typed: str, summary: BlamedSummary, *, whole: bool) -> None:
    page.line()
    if not summary.generations:
        page.line("There is no summary yet: nothing was evicted.")
        return
    last = summary.generations[-1]
    page.line((f"the summary of event {last.seq}", "bold magenta"), f", generation {last.number}, {_author(last)}")
    for each in summary.sayings:
        _print_saying(page, typed, each)
    if whole:
        _print_cover(page, summary)


def _print_saying(page: Page, typed: str, blamed: BlamedSaying) -> None:
    saying = blamed.saying
    page.line("  ", (quoted(saying.text, TEXT_CHARS), "bold"))
    _fact(page, "stands since", _generation(saying.since))
    if saying.origin != saying.since:
        _fact(page, "nearest form", f"{quoted(saying.first_text, HINT_CHARS)}, first in {_generation(saying.origin)}")
    _print_hints(page, blamed.hints)
    _fact(page, "look", f"{PROGRAM} context {typed} --at {max(1, saying.origin.seq - 2)}")


def _generation(generation: Generation) -> str:
    return f"generation {generation.number}, event {generation.seq}, {utc(generation.time_ms)}, {_author(generation)}"


def _author(generation: Generation) -> str:
    note = f" ({one_line(generation.note, 80)})" if generation.note else ""
    return f"{_AUTHORS.get(generation.author, generation.author)}{note}"


_AUTHORS: Final = {
    "model": "written by the model",
    "extractive": "an extract, made without the model",
    "bare": "a bare note, made without the model",
}


def _print_cover(page: Page, summary: BlamedSummary) -> None:
    page.line()
    number = len(summary.generations)
    page.line(("it covers", "bold"), f" {many(len(summary.covers), 'message')}, through {many(number, 'generation')}:")
    stretches = summary.stretches
    for first, last in stretches[:STRETCHES]:
        count = sum(first <= seq <= last for seq in summary.covers)
        page.line(
            f"    {_range((first, last))}: {many(count, 'message')}, with none between them that it does not cover"
        )
    if len(stretches) > STRETCHES:
        page.line(f"    and {len(stretches) - STRETCHES} stretches more (--json has every seq)")
    for generation in summary.generations[-STRETCHES:]:
        page.line(
            (f"    generation {generation.number}: ", "dim"),
            f"event {generation.seq} took in {many(len(generation.covers), 'message')} more, "
            f"{_range((min(generation.covers), max(generation.covers))) if generation.covers else 'none'}",
        )


def _range(stretch: Range) -> str:
    first, last = stretch
    return f"event {first}" if first == last else f"events {first} to {last}"
