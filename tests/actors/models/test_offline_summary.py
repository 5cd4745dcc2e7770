"""Summaries without an LLM: limits, what is kept, what is replaced."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palimpsest.actors.models.offline.model import respond

SYSTEM = "Your job is to summarize a history. Use the first person. Write at most {} words. Only output the summary."


def summary(messages: str, previous: str = "", words: int = 100) -> str:
    user = (f"Previous summary:\n{previous}\n\n" if previous else "") + f"Messages:\n{messages}"
    request = {
        "model": "offline",
        "messages": [{"role": "system", "content": SYSTEM.format(words)}, {"role": "user", "content": user}],
    }
    answer = respond(msgspec.json.encode(request))
    assert not answer.calls
    assert answer.content.strip()
    assert len(answer.content.split()) <= words
    return answer.content


TALK = """\
[2026-11-20 10:00:00 UTC] user: My name is Sam. I live in Oslo.
assistant (thinking): The user told me something to keep.
assistant called core_memory_append({"name": "human", "content": "Lives in Oslo."})
assistant: Noted: you live in Oslo.
[2026-11-21 10:00:00 UTC] user: The red box stands in the attic behind Grandma's mirror.
Where is the blue one?
assistant: I recommend the Vigeland park for a walk on Sunday.
result: Showing 1 of 1 results (page 0/0): ["secret result"]
[2026-11-21 11:00:00 UTC] system_alert: Warning: the conversation history will soon reach its maximum length.
[2026-11-22 09:00:00 UTC] Sam: actually I live in Bergen now
"""


def test_it_keeps_the_facts_that_hold_and_what_was_said() -> None:
    text = summary(TALK)
    assert text.startswith("I talked with the user from 2026-11-20 to 2026-11-22.")
    assert "They live in Bergen." in text
    assert "Oslo" not in text
    assert "Name: Sam." in text
    assert "On 2026-11-21 the user said: “The red box stands in the attic behind Grandma's mirror.”" in text
    assert "I said: “I recommend the Vigeland park" in text
    assert not any(gone in text for gone in ("Where is", "secret", "Warning", "Noted"))


def test_a_summary_is_taken_up_by_the_next() -> None:
    first = summary(TALK)
    text = summary("[2026-12-01 10:00:00 UTC] user: I moved to Rome.\nassistant: Noted: you live in Rome.\n", first)
    assert text.startswith("I talked with the user from 2026-11-20 to 2026-12-01.")
    assert "They moved to Rome." in text
    assert "Bergen" not in text
    assert "red box" in text


def test_what_is_forgotten_and_what_is_secret_is_not_summed_up() -> None:
    talk = (
        "[2026-11-20 10:00:00 UTC] user: My phone is 555-1234.\n"
        "[2026-11-20 10:01:00 UTC] user: The gate code is 7781.\n"
        "[2026-11-20 10:02:00 UTC] user: I live in Oslo.\n[2026-11-20 10:03:00 UTC] user: Delete my phone number.\n"
    )
    text = summary(talk, "On 2026-11-02 the user said: “My phone number is 555-1234.”")
    assert "Oslo" in text
    assert "555" not in text
    assert "7781" not in text


def test_another_models_summary_is_kept_too() -> None:
    previous = "We spoke of a trip to Lisbon in May. The user fears flying."
    text = summary("[2026-12-01 10:00:00 UTC] user: I bought two tickets for the opera.", previous)
    assert "Lisbon" in text
    assert "opera" in text


@pytest.mark.parametrize("words", [1, 5, 12, 30, 100])
def test_the_limit_is_kept(words: int) -> None:
    many = "".join(f"[2026-11-20 10:00:00 UTC] user: Box {n} stands in room {n} of house {n}.\n" for n in range(200))
    assert summary(many, words=words)


def test_text_without_spaces_counts_by_its_characters() -> None:
    text = summary("".join(f"[2026-11-20 10:00:00 UTC] user: {'山' * 300}{n}\n" for n in range(20)), words=50)
    assert len(text) < 400


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400), st.text(max_size=200), st.integers(1, 200))
def test_any_text_can_be_summarised(messages: str, previous: str, words: int) -> None:
    assert summary(messages, previous, words) == summary(messages, previous, words)
