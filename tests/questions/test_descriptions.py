"""Every kind of event has its line, whatever text it holds."""

from __future__ import annotations

from typing import Any, Final

import pytest

from palimpsest.events.types import (
    ALL_EVENTS,
    Block,
    CoreMemoryReplaced,
    Counted,
    Event,
    Found,
    FunctionReturned,
    InferenceCompleted,
    InferenceFailed,
    InferenceRequested,
    Own,
    Parent,
    Settings,
    SummaryWritten,
    Timer,
    ToolCall,
    Usage,
)
from palimpsest.questions.descriptions import call_text, describe, seqs
from palimpsest.questions.texts import one_line, printable

NASTY: Final = "two\nlines\tand \x1b[2J a screen \x00 wiped \u202e" + "x" * 5000
SAMPLES: Final[dict[str, object]] = {
    "Own | None": Own(server=NASTY, message=NASTY, calls=(NASTY,)),
    "Counted | None": Counted(tokens=1234, head=1000, entries=((0, 12), (1, 34))),
    "str": NASTY,
    "int": 12_345,
    "int | None": -18_000,
    "tuple[int, int] | None": (1_763_800_000_000, 1_763_886_399_999),
    "float": 1.5,
    "bool": True,
    "bytes": b"\x01" * 32,
    "tuple[int, ...]": tuple(range(2, 2000, 2)),
    "tuple[str, ...]": (NASTY, "b"),
    "tuple[Block, ...]": (Block(label=NASTY),),
    "tuple[ToolCall, ...]": (ToolCall(id="a", name=NASTY, arguments=NASTY), ToolCall(id="b", name="f", arguments="{}")),
    "tuple[Found, ...]": (Found(seq=3),),
    "Settings": Settings(model=NASTY, base_url=NASTY),
    "Parent": Parent(agent=NASTY, seq=9),
    "Parent | None": Parent(agent=NASTY, seq=9),
    "Settings | None": Settings(model=NASTY, base_url=NASTY),
    "tuple[Block, ...] | None": (Block(label=NASTY),),
    "str | None": NASTY,
    "tuple[Timer, ...]": (Timer(id=NASTY, due_ms=1_763_800_000_000, note=NASTY),),
    "Timer": Timer(id=NASTY, due_ms=1_763_800_000_000, note=NASTY, cron="0 9 * * 1"),
    "Usage": Usage(prompt=10, completion=2, cached=5),
    "dict[str, str | int | float | bool]": {NASTY: NASTY, "page": 0, "request_heartbeat": True},
}


def filled(kind: type[Event]) -> Event:
    """An event of this kind with the nastiest of each field; a log may hold any text for a word."""
    types = {name: str(kind.__annotations__[name]) for name in kind.__struct_fields__}
    fields: dict[str, Any] = {n: SAMPLES["str" if type.startswith("Logged[") else type] for n, type in types.items()}
    return kind(**fields)


@pytest.mark.parametrize("kind", ALL_EVENTS, ids=lambda kind: kind.__name__)
def test_each_kind_is_one_short_printable_line(kind: type[Event]) -> None:
    said = describe(filled(kind))
    assert said.strip()
    assert said.isprintable(), said
    assert len(said) < 1200


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (
            InferenceRequested(purpose="reply", fingerprint=b"\xab" * 32, tokens=2180),
            "reply, 2,180 tokens, fingerprint",
        ),
        (
            CoreMemoryReplaced(call="c", label="human", old="Lives in Oslo.", new="Lives in Bergen."),
            'human: "Lives in Oslo." -> "Lives in Bergen."',
        ),
        (
            InferenceCompleted(
                content="Hm.",
                calls=(ToolCall(id="a", name="conversation_search", arguments='{"query":"key","page":0}'),),
                usage=Usage(prompt=2000, completion=20),
                duration_ms=7,
            ),
            'conversation_search(query="key", page=0) | thinks "Hm." [2,000 + 20 tokens, 7 ms]',
        ),
        (FunctionReturned(call="c", result="A.", found=(Found(seq=1),), total=7), '1 of 7 found: "A."'),
        (
            SummaryWritten(text="We met.", covers=(2, 3, 4, 9), previous=8, author="model", tokens=20),
            'model, covers 2-4, 9 and the summary of event 8, 20 tokens: "We met."',
        ),
    ],
)
def test_the_line_says_what_happened(event: Event, said: str) -> None:
    assert describe(event).startswith(said)


def test_a_command_that_an_event_names_stays_as_it_was_written() -> None:
    failed = InferenceFailed(error="wrong_key", detail="Give it by `palimpsest keys add URL`.", attempts=1)
    assert describe(failed).endswith(": Give it by `palimpsest keys add URL`.")


def test_seqs_are_ranges() -> None:
    assert seqs((2, 3, 4, 7, 9, 10)) == "2-4, 7, 9-10"
    assert seqs(()) == "none"


@pytest.mark.parametrize("arguments", ["", "{", "[1]", "null", '{"a": tru', "\ud800"])
def test_a_call_with_broken_arguments_is_shown_as_it_is(arguments: str) -> None:
    assert call_text("f", arguments).startswith("f(")


def test_text_keeps_its_lines_and_loses_its_power() -> None:
    assert printable("a\r\nb\x1b[31m\tc") == "a\nb\\x1b[31m    c"
    assert one_line("a \n\n b", 10) == "a b"
    assert len(one_line("x" * 1000, 50)) == 50


def test_a_repaired_call_shows_what_the_model_wrote() -> None:
    repaired = ToolCall(id="1", name="send_message", arguments='{"message":"hi"}', raw="{'message': 'hi',}")
    said = describe(InferenceCompleted(calls=(repaired,)))
    assert "(repaired; the model wrote: {'message': 'hi',})" in said
