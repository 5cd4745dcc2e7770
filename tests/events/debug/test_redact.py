"""Redaction: what is masked is nowhere any more, in whatever form; what can still be proved is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.events.codec import decode, draft
from palimpsest.events.debug.redact import BLOCK, Masks, Redactor, mask_event
from palimpsest.events.documents import Passage, pack_passages, unpack_passages
from palimpsest.events.envelope import GENESIS, Envelope, place
from palimpsest.events.errors import BadInput, LogDamaged
from palimpsest.events.replay import Replayer
from palimpsest.events.types import Event, InferenceCompleted, PassagesLoaded, ToolCall, TurnEnded, UserMessageReceived
from tests.worlds.positions import nth
from tests.worlds.simulated import World
from tests.worlds.story import Story, call, say

SECRET = 'Zoë\'s "PIN"\n\\42 🦊'


def only(event: Event, agent: str = "ada") -> Envelope:
    return place(draft(agent, 1, event, key="k"), 1, nth(1), GENESIS)


def masked(event: Event, texts: Sequence[str], patterns: Sequence[str] = ()) -> tuple[Event, int]:
    at = only(event)
    body, places = mask_event(at, Masks(texts, patterns))
    return decode(msgspec.structs.replace(at, body=body)), places


def redacted(events: Iterable[Envelope], masks: Masks) -> tuple[list[Envelope], Redactor]:
    redactor = Redactor("ada", masks)
    return [redactor.take(each) for each in events], redactor


@pytest.mark.slow
@settings(max_examples=40)
@given(st.text(min_size=1, max_size=8).filter(str.strip), st.integers(0, 3), st.booleans())
def test_a_text_is_masked_however_often_it_was_escaped(secret: str, times: int, ascii_only: bool) -> None:
    form = secret
    for _ in range(times):
        form = json.dumps(form, ensure_ascii=ascii_only)[1:-1]
    text = f"<<{form}>>"
    event, places = masked(UserMessageReceived(text=text), [secret])
    assert isinstance(event, UserMessageReceived)
    assert places >= 1
    assert len(event.text) == len(text), "what counts characters stays right"
    assert BLOCK * len(form) in event.text


def test_arguments_stay_json() -> None:
    arguments = json.dumps({"message": f"It is {SECRET}, as you said."})
    event, places = masked(InferenceCompleted(calls=(ToolCall(id="c", name="say", arguments=arguments),)), [SECRET])
    assert isinstance(event, InferenceCompleted)
    assert places == 1
    told = json.loads(event.calls[0].arguments)["message"]
    assert told.replace(BLOCK, "") == "It is , as you said."


def test_words_of_ours_stay_for_the_fold() -> None:
    event, places = masked(TurnEnded(input=2, reason="yielded", detail="yielded"), ["yielded"])
    assert event == TurnEnded(input=2, reason="yielded", detail=BLOCK * 7)
    assert places == 1


def test_a_pattern_masks_what_it_matches() -> None:
    event, places = masked(UserMessageReceived(text="Call 555-1234 or 555-9876."), [], [r"\d{3}-\d{4}"])
    assert event == UserMessageReceived(text=f"Call {BLOCK * 8} or {BLOCK * 8}.")
    assert places == 2


@pytest.mark.parametrize(("texts", "patterns"), [([""], []), ([" "], []), ([], ["("]), ([], ["x*"])])
def test_what_cannot_be_masked_is_refused(texts: list[str], patterns: list[str]) -> None:
    with pytest.raises(BadInput):
        Masks(texts, patterns)


def test_masks_may_overlap() -> None:
    event, places = masked(UserMessageReceived(text="abcdef"), ["abcd", "cdef"])
    assert (event, places) == (UserMessageReceived(text=BLOCK * 6), 1)


def test_documents_are_masked_across_the_ends_of_passages_too() -> None:
    passages = [
        Passage(text="The door code is 12", heading="The door"),
        Passage(text="is 1234, they say.", overlap=5),
        Passage(text="Nothing here."),
    ]
    event = PassagesLoaded(document="d", path="p", first=0, count=3, chars=50, packed=pack_passages(passages))
    made, places = masked(event, ["1234", "door"])
    assert isinstance(made, PassagesLoaded)
    texts = [passage.text for passage in unpack_passages(made.packed)]
    assert texts == [f"The {BLOCK * 4} code is {BLOCK * 2}", f"is {BLOCK * 4}, they say.", "Nothing here."]
    assert unpack_passages(made.packed)[0].heading == f"The {BLOCK * 4}"
    assert places == 3


def test_what_has_nothing_to_mask_keeps_its_very_bytes() -> None:
    at = only(UserMessageReceived(text="plain"))
    assert mask_event(at, Masks(["other"])) == (at.body, 0)


# --- histories


def story() -> Story:
    """The secret is said in the third turn, and is in the window from then on."""
    story = Story()
    story.says("One.").settles().says("Two.").settles()
    story.says(f"It is {SECRET}.").answers(
        call("core_memory_append", name="human", content=f"PIN: {SECRET}"), say(f"I keep {SECRET}.", "c2")
    )
    story.settles()
    return story.says("Four.").settles()


def test_what_came_before_the_secret_is_proved_and_the_rest_is_named() -> None:
    events = story().log.read("ada")
    made, redactor = redacted(events, Masks([SECRET]))
    trace = redactor.traces["ada"]
    first = trace.masked[0]
    assert isinstance(decode(events[first - 1]), UserMessageReceived)
    assert made[: first - 1] == events[: first - 1], "they are the original's, hashes included"
    assert trace.rechained == first
    replayer = Replayer("ada")
    differences = [difference for each in made if (difference := replayer.feed(each))]
    assert {difference.context for difference in differences} == {True}, "the chain is sound, and it folds"
    assert [difference.seq for difference in differences] == trace.unprovable != []
    asked = [each.seq for each in events if each.kind == "InferenceRequested"]
    assert trace.unprovable == [seq for seq in asked if seq > first], "it stays in the window to the end"
    assert replayer.contexts == len(asked) - len(trace.unprovable) > 0
    assert "Zoë" not in str([decode(each) for each in made])


def test_a_broken_chain_is_not_hidden() -> None:
    events = story().log.read("ada")
    events[4] = msgspec.structs.replace(events[4], time=0)
    with pytest.raises(LogDamaged, match="Event 5"):
        redacted(events, Masks(["One"]))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), text=st.sampled_from(["words", "hello", "Fact", "1: hello", "tea", "o", "user"]))
def test_any_session_can_be_redacted(seed: int, text: str) -> None:
    """It folds, its chain is sound, lengths stay, and the text is gone."""
    world = World(seed, agents=1, inputs=5)
    world.run()
    events = world.log.read(world.names[0])
    made, redactor = redacted(events, Masks([text]))
    replayer = Replayer("ada")
    unprovable = [difference.seq for each in made if (difference := replayer.feed(each)) and difference.context]
    assert replayer.events == len(events)
    assert unprovable == (redactor.traces[world.names[0]].unprovable if redactor.traces else [])
    for before, after in zip(events, made, strict=True):
        if isinstance(event := decode(after), UserMessageReceived):
            said = decode(before)
            assert isinstance(said, UserMessageReceived)
            assert text not in event.text
            assert len(event.text) == len(said.text)
