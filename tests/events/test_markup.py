"""events/markup.py: what is said, thought and called in a text is told apart, and no markup is ever said."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palimpsest.events.formats import NEWBORN
from palimpsest.events.functions import UNREAD, BadCall, Call, all_functions, check, parameter_types
from palimpsest.events.markup import MarkupReading, Splitter, read
from palimpsest.events.markup_calls import function_name
from palimpsest.events.markup_forms import TAGS
from palimpsest.events.markup_given import PieceKind
from palimpsest.events.text_calls import call_text
from palimpsest.events.types import ToolCall

FUNCTIONS = parameter_types()
HI = {"message": "Hi from markup"}
KEEP = {"name": "human", "content": "Likes <b>tea</b> & </tool_call> {x}."}
BAR, LOW = "\uff5c", "\u2581"


def calls(reading: MarkupReading) -> list[tuple[str, object]]:
    return [(call.name, json.loads(call.arguments)) for call in reading.calls]


def dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


SAY = [("send_message", HI)]
CALLS = {
    "hermes": (f'<tool_call>\n{{"name": "send_message", "arguments": {dumps(HI)}}}\n</tool_call>', SAY),
    "hermes, not closed": (f'<tool_call>{{"name": "send_message", "arguments": {dumps(HI)}}}', SAY),
    "hermes, two": (
        f'<tool_call>{dumps({"name": "core_memory_append", "arguments": KEEP})}</tool_call>\n'
        f'<tool_call>{dumps({"name": "send_message", "arguments": HI})}</tool_call>',
        [("core_memory_append", KEEP), *SAY],
    ),
    "hermes, python": (f"<tool_call>{{'name': 'send_message', 'arguments': {HI}}}</tool_call>", SAY),
    "qwen coder": (
        "<tool_call>\n<function=send_message>\n<parameter=message>\nHi from markup\n</parameter>\n</function>\n"
        "</tool_call>",
        SAY,
    ),
    "qwen coder, bare": ("<function=send_message><parameter=message>Hi from markup</parameter></function>", SAY),
    "llama, json": (f'{{"name": "send_message", "parameters": {dumps(HI)}}}', SAY),
    "llama, tag": (f'<|python_tag|>{{"name": "send_message", "parameters": {dumps(HI)}}}<|eom_id|>', SAY),
    "llama, function": (f"<function=send_message>{dumps(HI)}</function>", SAY),
    "llama, openai": (dumps({"type": "function", "function": {"name": "send_message", "parameters": HI}}), SAY),
    "llama 4": ('[send_message(message="Hi from markup")]', SAY),
    "mistral, list": (f'[TOOL_CALLS] [{{"name": "send_message", "arguments": {dumps(HI)}}}]', SAY),
    "mistral, name": (f"[TOOL_CALLS]send_message[ARGS]{dumps(HI)}", SAY),
    "mistral, two": (
        f"[TOOL_CALLS]core_memory_append[ARGS]{dumps(KEEP)}[TOOL_CALLS]send_message[ARGS]{dumps(HI)}",
        [("core_memory_append", KEEP), *SAY],
    ),
    "deepseek v3": (
        f"<{BAR}tool{LOW}calls{LOW}begin{BAR}><{BAR}tool{LOW}call{LOW}begin{BAR}>function<{BAR}tool{LOW}sep{BAR}>"
        f"send_message\n```json\n{dumps(HI)}\n```<{BAR}tool{LOW}call{LOW}end{BAR}><{BAR}tool{LOW}calls{LOW}end{BAR}>",
        SAY,
    ),
    "deepseek v3.1": (
        f"<{BAR}tool{LOW}calls{LOW}begin{BAR}><{BAR}tool{LOW}call{LOW}begin{BAR}>send_message<{BAR}tool{LOW}sep{BAR}>"
        f"{dumps(HI)}<{BAR}tool{LOW}call{LOW}end{BAR}><{BAR}tool{LOW}calls{LOW}end{BAR}><{BAR}end{LOW}of{LOW}sentence{BAR}>",
        SAY,
    ),
    "deepseek v3.2": (
        '<!function_calls>\n<!invoke name="send_message">\n<!parameter name="message" string="true">Hi from markup'
        "</!parameter>\n</!invoke>\n</!function_calls>".replace("!", f"{BAR}DSML{BAR}"),
        SAY,
    ),
    "minimax": (
        '<minimax:tool_call>\n<invoke name="send_message">\n<parameter name="message">Hi from markup</parameter>\n'
        "</invoke>\n</minimax:tool_call>",
        SAY,
    ),
    "claude": (
        '<function_calls>\n<invoke name="send_message">\n<parameter name="message">Hi from markup</parameter>\n'
        "</invoke>\n</function_calls>",
        SAY,
    ),
    "kimi k2": (
        f"<|tool_calls_section_begin|><|tool_call_begin|>functions.send_message:0<|tool_call_argument_begin|>{dumps(HI)}"
        "<|tool_call_end|><|tool_calls_section_end|>",
        SAY,
    ),
    "glm": (
        "<tool_call>send_message\n<arg_key>message</arg_key>\n<arg_value>Hi from markup</arg_value>\n</tool_call>",
        SAY,
    ),
    "gemma 4": ('<|tool_call>call:send_message{message:<|"|>Hi from markup<|"|>}<tool_call|>', SAY),
    "command": (f'<|START_ACTION|>[{{"tool_name": "send_message", "parameters": {dumps(HI)}}}]<|END_ACTION|>', SAY),
    "phi": (f'functools[{{"name": "send_message", "arguments": {dumps(HI)}}}]', SAY),
    "fence": (f'```json\n{{"name": "send_message", "arguments": {dumps(HI)}}}\n```', SAY),
    "fence of python": ('```tool_code\nsend_message(message="Hi from markup")\n```', SAY),
    "harmony": (
        f"<|channel|>commentary to=functions.send_message <|constrain|>json<|message|>{dumps(HI)}<|call|>",
        SAY,
    ),
    "harmony, role": (
        f"<|start|>assistant to=functions.send_message<|channel|>commentary<|constrain|>json<|message|>{dumps(HI)}",
        SAY,
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", CALLS)
@pytest.mark.parametrize(
    "before", ["", "I shall greet them.\n", "<think>Greet <them>.</think>\n\n", "Greet.</think>\n"]
)
def test_a_call_in_any_form_is_a_call(form: str, before: str) -> None:
    text, wanted = CALLS[form]
    reading = read(before + text, FUNCTIONS)
    assert calls(reading) == wanted
    assert reading.text == ("I shall greet them." if before.startswith("I") else "")
    assert reading.thoughts == {"<": "Greet <them>.", "G": "Greet."}.get(before[:1], "")
    assert not reading.unread


@pytest.mark.parametrize("form", CALLS)
def test_a_call_that_is_cut_off_is_never_carried_out(form: str) -> None:
    text, wanted = CALLS[form]
    message = text.rindex("Hi from markup")
    for end in range(1, message + len("Hi from mark")):
        reading = read(text[:end], FUNCTIONS)
        good = [call for call in reading.calls if isinstance(check(call, all_functions(), NEWBORN), Call)]
        assert len(good) < len(wanted), text[:end]
        assert "Hi" not in reading.text


@pytest.mark.parametrize(
    ("text", "said", "thought"),
    [
        ("<think>\nSECRET: be kind.\n</think>\n\nHello, friend.", "Hello, friend.", "SECRET: be kind."),
        ("SECRET: be kind.\n</think>\n\nHello.", "Hello.", "SECRET: be kind."),
        ("<think></think>Hello.", "Hello.", ""),
        ("<thinking>a</thinking>Hello.", "Hello.", "a"),
        ("<reasoning>a</reasoning>\nHello.", "Hello.", "a"),
        ("[THINK]a[/THINK]Hello.", "Hello.", "a"),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>Hello.<|END_RESPONSE|>", "Hello.", "a"),
        ("<seed:think>a</seed:think>Hello.", "Hello.", "a"),
        ("<|channel>thought\na\n<channel|>Hello.", "Hello.", "a"),
        ("\u25c1think\u25b7a\u25c1/think\u25b7Hello.", "Hello.", "a"),
        ("Well <think>a</think> then.", "Well then.", "a"),
        ("<think>never closed", "", "never closed"),
        ("<think>a</think>One.<think>b</think>Two.", "One.Two.", "a\nb"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>", "Hi", "a"),
        ("<|channel|>final<|message|>Hello.", "Hello.", ""),
        ("Hello.<|im_end|>", "Hello.", ""),
    ],
)  # fmt: skip
def test_thoughts_are_thoughts(text: str, said: str, thought: str) -> None:
    reading = read(text, FUNCTIONS)
    assert (reading.text, reading.thoughts, reading.calls) == (said, thought, ())


@pytest.mark.parametrize(
    "text",
    [
        "Hello!",
        "  Two spaces, and a line.\n",
        "Qwen writes `<tool_call>` and `</tool_call>` around a call.",
        'The tag "<think>" begins a thought, and "</think>" ends it.',
        "An example:\n```\n<tool_call>{\"name\": \"send_message\", \"arguments\": {}}</tool_call>\n```\nThat is it.",
        "```xml\n<think>what</think>\n```",
        '{"name": "Ada", "born": 1815}',
        '{"name": "fly", "arguments": {"to": "the moon"}}',
        '[{"name": "Ada"}, {"name": "Grace"}]',
        "```json\n{\"name\": \"Ada\", \"arguments\": {}}\n```",
        "```python\nprint('hi')\n```",
        "a < b, and b > a; x[0] = {1}; f(x) <- y",
        "The <think> tag is not closed here.",
        "[1] a note, [send_message] another.",
        "Use ``` to fence.",
        "<div>HTML</div>",
        "Mail me at <me@example.org>",
    ],
)  # fmt: skip
def test_what_only_talks_of_markup_stays_as_it_is(text: str) -> None:
    assert read(text, FUNCTIONS) == MarkupReading(text)


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>",
        "<tool_call>send it to them, please</tool_call>",
        '<tool_call>{"name": "send_message", "arguments": {"message": "so',
        '<tool_call>{"name": "send_message", "arguments": {"message": "a "b" c"}}</tool_call>',
        '<tool_call>{"name": "send_message", "arguments": {"message": "a"}}}</tool_call>',
        '<tool_call>{"name": "send_message", "arguments": {"message": "a", "message": "b"}}</tool_call>',
        '{"name": "send_message", "parameters": {"message": "so',
        "<function=send_message><parameter=message>so",
        "<function=core_memory_append><parameter=name>human\n<parameter=content>x</parameter></function>",
        "[TOOL_CALLS]send_message[ARGS]{\"message\": \"so",
        "<|channel|>commentary to=functions.send_message<|message|>{\"message\": \"so",
        "<|start|>assistant to=functions.send_message<|channel|>comm",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_call_that_fails(text: str) -> None:
    reading = read("One moment.\n" + text, FUNCTIONS)
    assert reading.text == "One moment."
    (call,) = reading.calls
    assert len(reading.unread) == 1
    checked = check(call, all_functions(), NEWBORN)
    assert isinstance(checked, BadCall)
    assert "othing was done" in checked.error


def test_an_unread_call_is_told_with_its_text() -> None:
    checked = check(ToolCall(id="", name=UNREAD, arguments="send it\nto them"), all_functions(), NEWBORN)
    assert isinstance(checked, BadCall)
    assert "It begins: send it to them" in checked.error
    assert "<tool_call>" in checked.error


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("send_message", "send_message"),
        ("send_message<|channel|>commentary", "send_message"),
        ("send_message<|channel|>analysis<|constrain|>json", "send_message"),
        ("functions.send_message", "send_message"),
        ("functions.send_message:0", "send_message"),
        ("send_message:12", "send_message"),
        (" send_message ", "send_message"),
        ("default_api.send_message", "send_message"),
        ("send_messages", "send_messages"),
        ("resend_message", "resend_message"),
        ("functions.fly:0", "functions.fly:0"),
        ("", ""),
    ],
)
def test_a_name_is_read_through_what_stands_around_it(written: str, meant: str) -> None:
    assert function_name(written, FUNCTIONS) == meant


TEXTS = st.lists(
    st.sampled_from(
        [tag.text for tag in TAGS]
        + [text for text, _ in CALLS.values()]
        + [
            "Hello",
            " ",
            "\n",
            "`",
            "```",
            "```json\n",
            "{",
            "[",
            '"',
            "'",
            "}",
            " to=functions.send_message",
            "so.",
            "<",
            "name",
        ]
    ),
    max_size=8,
).map("".join)


@given(TEXTS | st.text(max_size=30), st.data())
def test_wherever_the_text_is_cut_the_pieces_join_to_the_same_whole(text: str, data: st.DataObject) -> None:
    whole = read(text, FUNCTIONS)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    splitter = Splitter(FUNCTIONS)
    pieces = [
        piece for a, b in itertools.pairwise([0, *cuts, len(text)]) for piece in splitter.feed(text[a:b])
    ] + splitter.end()
    assert splitter.reading() == whole
    assert said(pieces) == whole.text


def said(pieces: list[tuple[PieceKind, str]]) -> str:
    shown = ""
    for kind, text in pieces:
        shown = shown + text if kind == "message" else "" if kind == "withdrawn" else shown
    return shown


@pytest.mark.parametrize(
    "text", [f"{before}{text}" for text, _ in CALLS.values() for before in ("", "So. <think>a</think>")]
)
def test_cut_at_every_character(text: str) -> None:
    splitter = Splitter(FUNCTIONS)
    pieces = [piece for char in text for piece in splitter.feed(char)] + splitter.end()
    assert splitter.reading() == read(text, FUNCTIONS)
    assert said(pieces) == splitter.reading().text


def test_text_is_given_as_it_comes() -> None:
    splitter = Splitter(FUNCTIONS)
    assert splitter.feed("Hello, ") == [("message", "Hello,")]
    assert splitter.feed("friend. 1 <") == [("message", " friend. 1")]
    assert splitter.feed(" 2") == [("message", " < 2")]
    assert splitter.feed("<thi") == []
    assert splitter.feed("nk>") == []
    splitter = Splitter(FUNCTIONS)
    assert splitter.feed("<think>I think") == [("thought", "I think")]
    assert splitter.feed("</think>") == [("thought", "\n")]
    assert splitter.feed("\nHello") == [("message", "Hello")]


def test_a_thought_without_a_beginning_is_withdrawn_once_and_then_expected() -> None:
    splitter = Splitter(FUNCTIONS)
    assert splitter.feed("SECRET.") == [("message", "SECRET.")]
    assert splitter.feed("</think>Hello") == [("withdrawn", ""), ("message", "Hello")]
    assert splitter.withdrew
    expected = Splitter(FUNCTIONS, thinking=True)
    assert expected.feed("SECRET.") == [("thought", "SECRET.")]
    assert expected.feed("</think>Hello") == [("thought", "\n"), ("message", "Hello")]
    assert expected.end() == []
    assert expected.reading() == MarkupReading("Hello", "SECRET.")


def test_one_that_was_expected_to_think_and_did_not_has_said_it() -> None:
    splitter = Splitter(FUNCTIONS, thinking=True)
    splitter.feed("Hello.")
    assert splitter.end() == [("message", "Hello.")]
    assert splitter.reading() == MarkupReading("Hello.")


@given(st.sampled_from(sorted(FUNCTIONS)), st.dictionaries(st.text(), st.text() | st.integers() | st.booleans()))
def test_what_text_calls_write_is_read(name: str, arguments: dict[str, object]) -> None:
    reading = read("Well.\n" + call_text(name, json.dumps(arguments)), FUNCTIONS)
    assert reading.text == "Well."
    assert calls(reading) == [(name, arguments)]


@given(TEXTS)
def test_no_token_is_ever_said_outside_of_code_and_quotes(text: str) -> None:
    if any(sign in text for sign in "`\"'"):
        return
    said = read(text, FUNCTIONS).text
    assert not any(tag.text in said for tag in TAGS if tag.token)
