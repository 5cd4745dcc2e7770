"""Events to bytes and back: every kind, every version, and bytes that are none."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from palimpsest.events import codec
from palimpsest.events.codec import KINDS, decode, draft, encode
from palimpsest.events.envelope import GENESIS, Draft, Envelope, place
from palimpsest.events.errors import LogDamaged, NewerFormat
from palimpsest.events.kinds import Kind, kind_of
from palimpsest.events.types import (
    ALL_EVENTS,
    INPUTS,
    AgentCreated,
    Event,
    MessageSent,
    Settings,
    ToolCall,
    UserMessageReceived,
)
from tests.worlds.positions import nth

_FILLED: dict[type, Any] = {str: "text", int: 7, bytes: b"\x01", float: 0.5, bool: True}


def filled(kind: type[msgspec.Struct]) -> msgspec.Struct:
    """A struct with every field set to something that is not its default, if its type is simple."""
    fields = {field.name: _value(field.type) for field in msgspec.structs.fields(kind)}
    return kind(**fields)


def _value(type_: Any) -> Any:
    text = str(type_)
    if type_ in _FILLED:
        return _FILLED[type_]
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return filled(type_)
    if text.startswith("tuple[") and not text.endswith("None"):
        return (_value(type_.__args__[0]), _value(type_.__args__[0]))
    if text.startswith("dict["):
        return {"a": "b", "c": 3}
    return _value(next(arg for arg in type_.__args__ if arg is not type(None)))


def envelope(event: Event, **changes: Any) -> Envelope:
    placed = place(draft("ada", 0, event, key="k"), 5, nth(5), GENESIS)
    return msgspec.structs.replace(placed, **changes)


@pytest.mark.parametrize("kind", ALL_EVENTS, ids=lambda kind: kind.__name__)
def test_every_kind_comes_back_as_it_went(kind: type[Event]) -> None:
    event = filled(kind)
    assert isinstance(event, Event)
    assert decode(envelope(event)) == event
    assert kind_of(event) == kind.__name__


def test_the_list_of_kinds_is_whole() -> None:
    defined = {kind for kind in Event.__subclasses__() if kind.__module__ == "palimpsest.events.types"}
    assert set(ALL_EVENTS) == defined == set(KINDS.values())
    assert set(INPUTS) < defined


def test_defaults_take_no_bytes() -> None:
    assert encode(MessageSent(text="hi")) == b"\x81\xa4text\xa2hi"
    assert msgspec.msgpack.decode(encode(AgentCreated(system="", blocks=(), settings=Settings()))) == {
        "system": "",
        "blocks": [],
        "settings": {},
    }


def test_fields_that_a_later_code_added_are_passed_over() -> None:
    body = msgspec.msgpack.encode({"text": "hi", "mood": "cheerful"})
    assert decode(envelope(MessageSent(text=""), body=body)) == MessageSent(text="hi")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": 2}, "MessageSent has version 2, and this code knows 1"),
        ({"kind": "DreamDreamt"}, "its kind 'DreamDreamt' is unknown"),
    ],
)
def test_what_a_newer_code_wrote_is_refused_by_name(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(NewerFormat, match="Event 5 of agent 'ada' was written by a newer Palimpsest") as caught:
        decode(envelope(MessageSent(text="hi"), **changes))
    assert says in str(caught.value)
    assert "upgrade" in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [b"", b"\x90", b"\xc1", b"\x80", b"\x81\xa4text\x01", b"\x81\xa4text\xa2\xff\xff", b"\x91" * 5000, b"\x81\xa4te"],
)
def test_bytes_that_are_no_event_are_named(body: bytes) -> None:
    with pytest.raises(LogDamaged, match="Event 5 of agent 'ada' is damaged"):
        decode(envelope(MessageSent(text="hi"), body=body))


def test_a_draft_decodes_too() -> None:
    made = draft("ada", 1, UserMessageReceived(text="hi"), key="k", turn=3, cause="c", opens="turn", closes="x")
    assert made == Draft(
        "ada", 1, "UserMessageReceived", 1, "k", encode(UserMessageReceived(text="hi")), 3, "c", "turn", "x"
    )
    assert decode(made) == UserMessageReceived(text="hi")


# --- versions -----------------------------------------------------------------------------------------------------


class Said(Event, frozen=True, kw_only=True):
    """A kind in its third version: `text` was `words`, and `tone` was none."""

    version = 3
    text: str
    tone: str


@pytest.fixture
def third_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def second(fields: dict[str, Any]) -> dict[str, Any]:
        return {"text": fields.pop("words")} | fields

    def third(fields: dict[str, Any]) -> dict[str, Any]:
        return fields | {"tone": "plain"}

    monkeypatch.setattr(codec, "KINDS", {"Said": Said})
    monkeypatch.setattr(codec, "_versions", {"Said": 3})
    monkeypatch.setattr(codec, "_decoders", {"Said": msgspec.msgpack.Decoder(Said)})
    monkeypatch.setattr(codec, "UPCASTERS", {("Said", 1): second, ("Said", 2): third})


SAID = cast(Kind, "Said")


def said(version: int, **fields: object) -> Draft:
    return Draft("ada", 0, SAID, version, "k", msgspec.msgpack.encode(fields))


@pytest.mark.usefixtures("third_version")
def test_older_versions_are_lifted_one_at_a_time() -> None:
    expected = Said(text="hi", tone="plain")
    assert decode(said(1, words="hi")) == decode(said(2, text="hi")) == expected
    assert decode(said(3, text="hi", tone="loud")) == Said(text="hi", tone="loud")


@pytest.mark.usefixtures("third_version")
@pytest.mark.parametrize("made", [said(1, nothing="hi"), said(2), said(1, words=7), said(0, words="hi")])
def test_older_bytes_that_do_not_lift_are_damage(made: Draft) -> None:
    with pytest.raises(LogDamaged, match=r"version \d is unreadable"):
        decode(made)


@pytest.mark.usefixtures("third_version")
def test_an_old_body_that_is_no_object_is_damage() -> None:
    with pytest.raises(LogDamaged, match="version 1 is unreadable"):
        decode(Draft("ada", 0, SAID, 1, "k", b"\x90"))


def test_a_call_of_a_model_is_kept_with_its_own_text() -> None:
    call = ToolCall(id="a", name="f", arguments="{}", raw="{'}")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(call), type=ToolCall) == call
