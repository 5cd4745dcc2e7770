"""The offline model walks conversations: what it keeps, answers, looks up, and what it does when things fail."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from palimpsest.actors.models.offline.model import OfflineModel, respond
from palimpsest.actors.models.protocol import ModelFailed, Piece
from palimpsest.events.context import PRESSURE_WARNING
from tests.worlds.offline import START, World, check, encode, page

UNTIL = "Until 2026-11-22: "

# --- statements -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("My name is Sam.", "Name: Sam."),
        ("Hi, I'm Sam!", "Name: Sam."),
        ("call me Sammy", "Likes to be called Sammy."),
        ("I live in Oslo", "They live in Oslo."),
        ("I've just moved to Paris.", "They moved to Paris."),
        ("I'm from Norway", "They are from Norway."),
        ("I work at Acme", "They work at Acme."),
        ("I’m allergic to peanuts and shellfish", "They are allergic to peanuts and shellfish."),  # noqa: RUF001
        ("my sister's birthday is 3 May", "Their sister's birthday is 3 May."),
        ("My dentist is Dr. Smith.", "Their dentist is Dr. Smith."),
        ("I love hiking", "They love hiking."),
        ("My favourite colour is green.", "Their favourite colour is green."),
        ("I have a dog called Rex", "They have a dog called Rex."),
        ("Our team has < 9 and > 5 people", "Their team has < 9 and > 5 people."),
        ("Lotte plays the cello, she's 9", "Lotte plays the cello.\nLotte is 9."),
        ("im 41 and live in Graz", "They are 41 years old.\nThey live in Graz."),
        ("Could you remember that the wifi password is hunter2?", "Note: The wifi password is hunter2."),
    ],
)
def test_a_stated_fact_is_kept_in_one_answer_without_a_heartbeat(said: str, line: str) -> None:
    world = World()
    world.tell(said)
    assert world.blocks["human"] == line
    assert len(world.answers) == 1
    assert world.last_names() == ["core_memory_append", "send_message"]


@pytest.mark.parametrize(
    "said", ["I'm tired", "I like it", "I think so", "My guess is Friday.", "The key is in the shed.", "Hm."]
)
def test_what_is_no_fact_is_not_kept(said: str) -> None:
    world = World()
    world.tell(said)
    assert world.blocks["human"] == ""


def test_several_facts_in_one_message_are_kept_by_one_call() -> None:
    world = World()
    said = world.tell("My name is Sam and I live in Oslo. I work as a nurse at Acme.")
    assert world.blocks["human"].splitlines() == ["Name: Sam.", "They live in Oslo.", "They work as a nurse at Acme."]
    assert len(world.calls("core_memory_append")) == 1
    assert "your name is Sam" in said


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        (
            "Name: Sam.\nLives in Oslo.",
            "I live in Bergen now",
            f"Name: Sam.\nThey live in Bergen.\n{UNTIL}Lives in Oslo.",
        ),
        ("Name: Sam.\nLives in Oslo.", "no, my name is Samuel", "Name: Samuel.\nLives in Oslo."),
        ("Their car is red.", "my car is blue", f"Their car is blue.\n{UNTIL}Their car is red."),
        ("Likes olives.", "I hate olives", f"They hate olives.\n{UNTIL}Likes olives."),
        ("Lives in Oslo.", "I moved: I live in Lima now.", f"They live in Lima.\n{UNTIL}Lives in Oslo."),
        ("Lives in Oslo.", "We moved and live in Lima now.", f"They live in Lima.\n{UNTIL}Lives in Oslo."),
        ("Lives in Oslo.", "My brother said: I live in Rome.", "Lives in Oslo."),
        ("They work in Rome.", "I moved from Rome to Pisa", f"They work in Pisa.\n{UNTIL}They work in Rome."),
        (
            "Lives in Oslo.\nNote: Lives in Oslo.",
            "I moved to Bergen",
            f"They moved to Bergen.\n{UNTIL}Lives in Oslo.\nNote: Lives in Oslo.",
        ),
    ],
)
def test_what_changed_stands_above_what_was_before(before: str, said: str, after: str) -> None:
    world = World(human=before)
    world.tell(said)
    assert world.blocks["human"] == after


def test_a_fact_that_is_known_is_not_written_twice() -> None:
    world = World(human="Lives in Oslo.")
    assert "already" in world.tell("I live in Oslo.")
    assert world.last_names() == ["send_message"]


def test_the_persona_takes_the_agents_name() -> None:
    world = World()
    world.tell("Your name is Sol.")
    assert world.blocks["persona"].endswith("\nMy name is Sol.")
    assert world.tell("What is your name?").startswith("My name is Sol.")


def test_forgetting_takes_the_line_out() -> None:
    world = World(human="Name: Sam.\nLives in Oslo.\nWorks at Acme.")
    assert "Forgotten" in world.tell("forget that I live in Oslo")
    assert world.blocks["human"].startswith("Name: Sam.\nWorks at Acme.\nAsked to forget")
    assert "Oslo" not in world.blocks["human"]
    assert "nothing" in world.tell("forget that I own a boat")


# --- the first message, and what this is --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said", ["hello", "I live in Oslo", "Where is the key?", "Remind me in 5 minutes to go", "¿Qué?"]
)
def test_the_first_answer_speaks_and_says_that_this_is_no_llm(said: str) -> None:
    world = World(greeted=False)
    world.tell(said)
    assert "send_message" in [c.name for c in world.answers[0].calls]
    assert "not an LLM" in world.sent[0]
    world.tell("hello")
    assert "not an LLM" not in world.sent[-1]


@pytest.mark.parametrize("asked", ["Who are you?", "are you an AI?", "What model are you?", "Are you ChatGPT?"])
def test_it_says_what_it_is(asked: str) -> None:
    assert "built-in offline model, not an LLM" in World().tell(asked)


def test_what_is_not_understood_is_quoted_back() -> None:
    assert World().tell("The quick brown fox jumps.") == "Noted: “The quick brown fox jumps.”"


# --- questions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("what is my name?", "Your name is Sam."),
        ("Where do I live?", "You live in Oslo."),
        ("Which city do I live in?", "You live in Oslo."),
        ("When is my sister's birthday?", "Your sister's birthday is 3 May."),
        ("what am I allergic to", "You are allergic to peanuts."),
        ("what is my dog's name?", "You have a dog called Rex."),
        ("What do I do for a living?", "You work as a nurse."),
        ("what's my favorite color?", "Your favourite colour is green."),
        ("do you remember where I am from?", "You come from Norway."),
    ],
)
def test_core_memory_answers_first(asked: str, answer: str) -> None:
    human = (
        "Name: Sam.\nLives in Oslo.\nSister's birthday: 3 May.\nAllergic to peanuts.\nHas a dog called Rex.\n"
        "Works as a nurse.\nFavourite colour: green.\nComes from Norway."
    )
    world = World(human=human)
    assert world.tell(asked) == f"{answer} (From my core memory.)"
    assert len(world.answers) == 1


def test_the_visible_conversation_answers_with_a_date() -> None:
    world = World()
    world.heard("The red box is in the attic.", "2026-11-20 10:00:00 UTC")
    assert world.tell("Where is the red box?") == "On 2026-11-20 you said: “The red box is in the attic.”"


def test_a_later_statement_wins_and_a_question_is_no_answer() -> None:
    world = World()
    world.heard("The spare key is under the mat.", "2026-11-18 10:00:00 UTC")
    world.heard("The spare key is in the shed.", "2026-11-20 10:00:00 UTC")
    world.heard("Where is the spare key?", "2026-11-21 10:00:00 UTC")
    assert "shed" in world.tell("Where is the spare key?")
    assert "shed" in world.tell("Where is the spare key?")


def test_a_number_counts_beside_its_word() -> None:
    world = World()
    world.heard("I put box 11 into room 4.")
    world.heard("I put box 4 into room 11.")
    assert "box 11 into room 4" in world.tell("Where is box 11?")
    assert "box 4 into room 11" in world.tell("What is in room 11?")


def test_the_owner_must_match() -> None:
    world = World()
    world.heard("My brother's locker code is 4711.")
    assert "4711" not in world.tell("What is my sister's locker code?")
    assert "4711" in world.tell("What is my brother's locker code?")


def test_the_summary_answers() -> None:
    world = World()
    world.summarised("I talked with the user. The user said: “The cabin has a blue roof.”")
    assert world.tell("What roof does the cabin have?").startswith("My summary of earlier messages says")


RECALLED = "timestamp: 2026-10-02 09:00:00 UTC, user: We fly to Lisbon with the early plane."
OTHER = "timestamp: 2026-10-01 09:00:00 UTC, user: Nice weather in Oslo today."
ASKED = "timestamp: 2026-10-03 09:00:00 UTC, user: When do we fly to Lisbon?"


def test_recall_is_searched_and_quoted() -> None:
    world = World(conversation_search=[page([ASKED, RECALLED])])
    said = world.tell("When do we fly to Lisbon?")
    assert said == "On 2026-10-02 you said: “We fly to Lisbon with the early plane.”"
    assert [(call["query"], call["page"]) for call in world.calls("conversation_search")] == [("fly lisbon", 0)]
    assert len(world.calls("archival_memory_search")) == 1


def test_the_next_page_is_asked_for_while_the_answer_is_not_there() -> None:
    world = World(conversation_search=[page([ASKED, OTHER], 0, 4, 23), page([RECALLED], 1, 4, 23)])
    assert "early plane" in world.tell("When do we fly to Lisbon?")
    assert [call["page"] for call in world.calls("conversation_search")] == [0, 1]


def test_pages_end() -> None:
    world = World(conversation_search=[page([OTHER], n, 9, 50) for n in range(10)])
    assert "I found nothing about that" in world.tell("When do we fly to Lisbon?")
    assert [call["page"] for call in world.calls("conversation_search")] == [0, 1, 2]


def test_archival_memory_answers_with_its_source() -> None:
    found = "timestamp: 2026-10-02 09:00:00 UTC, memory: The reactor's code is K-42., source: manual.txt"
    world = World(archival_memory_search=[page([found])])
    said = world.tell("What is the reactor's code?")
    assert "K-42" in said
    assert "manual.txt" in said


DOCUMENT = (
    "timestamp: 2026-10-02 09:00:00 UTC, source: plant, document: a: b, c/manual.pdf, page 3, under “Codes: all”: "
    "The reactor's code is K-42. Keep it secret."
)


def test_a_document_is_quoted_and_cited() -> None:
    world = World(archival_memory_search=[page([DOCUMENT])])
    said = world.tell("What is the reactor's code?")
    assert "From the document a: b, c/manual.pdf, page 3, under “Codes: all” (source: plant): “" in said
    assert "K-42" in said


def test_a_documents_sentence_is_quoted_across_its_lines_and_without_its_heading() -> None:
    text = "## Codes\\nMuch has been said.\\nThe reactor's second and last\\ncode is K-42.\\n- a list"
    found = f"timestamp: 2026-10-02 09:00:00 UTC, source: plant, document: codes.md, lines 1-5, under “Codes”: {text}"
    world = World(archival_memory_search=[page([found.replace("\\n", "\n")])])
    said = world.tell("What is the reactor's code?")
    assert "under “Codes” (source: plant): “Much has been said.\n" in said
    assert "The reactor's second and last code is K-42.\n- a list”" in said


def test_the_documents_are_listed_when_asked_for() -> None:
    world = World(list_documents=["Documents 1 to 1 of 1 (page 0/0):\n0a plant: manual.pdf, 3 passages"])
    world.sources = "plant"
    assert "manual.pdf" in world.tell("Which documents do you have?")
    assert world.calls("list_documents") == [{"page": 0, "request_heartbeat": True}]


def test_an_attached_source_is_searched_though_archival_memory_is_empty() -> None:
    world = World(archival_memory_search=[page([DOCUMENT])])
    world.archival, world.sources = 0, "plant"
    assert "K-42" in world.tell("What is the reactor's code?")


def test_nothing_found_is_said_once_and_never_quoted_later() -> None:
    world = World()
    assert "I found nothing" in world.tell("What is the name of my cat?")
    assert "I found nothing" in world.tell("What is the name of my cat?")
    assert len(world.calls("send_message")) == 2


def test_empty_archival_memory_is_not_searched() -> None:
    world = World()
    world.archival = 0
    world.tell("When do we fly to Lisbon?")
    assert not world.calls("archival_memory_search")


def test_a_day_is_looked_up_by_date() -> None:
    item = "timestamp: 2026-11-21 09:00:00 UTC, user: I bought a red bicycle."
    world = World(conversation_search_date=[page([item])])
    assert "red bicycle" in world.tell("What did I tell you yesterday?")
    assert world.calls("conversation_search_date")[0]["start_date"] == "2026-11-21"


def test_a_fact_and_a_question_in_one_message() -> None:
    world = World(conversation_search=[page([RECALLED])])
    said = world.tell("I live in Oslo. When do we fly to Lisbon?")
    assert world.blocks["human"] == "They live in Oslo."
    assert "you live in Oslo" in said
    assert "early plane" in said
    assert len(world.sent) == 1


# --- memory pressure ----------------------------------------------------------------------------------------------


def test_a_warning_saves_what_core_memory_lacks_and_then_answers() -> None:
    world = World(human="Name: Sam.")
    world.heard("My name is Sam. I live in Oslo.")
    world.heard("The red box stands in the attic behind Grandma's old mirror.")
    world.warn_next = True
    assert world.tell("thanks") == "You are welcome."
    assert world.blocks["human"] == "Name: Sam.\nThey live in Oslo."
    (extract,) = world.calls("archival_memory_insert")
    assert "[2026-11-20] user: The red box stands in the attic" in extract["content"]
    assert extract["request_heartbeat"] is True
    assert [len(answer.calls) for answer in world.answers] == [2, 1]


def test_a_warning_with_nothing_to_save_just_answers() -> None:
    world = World()
    world.warn_next = True
    assert world.tell("thanks") == "You are welcome."
    assert len(world.answers) == 1


def test_a_warning_after_the_answer_ends_quietly() -> None:
    world = World()
    world.tell("The red box stands in the attic behind the mirror.")
    world.add("user", type="system_alert", message=PRESSURE_WARNING, time=START)
    sent = len(world.sent)
    world.run()
    assert len(world.sent) == sent
    assert world.last_names() == ["archival_memory_insert"]


def test_what_was_extracted_once_is_not_extracted_again() -> None:
    world = World()
    world.heard("The red box stands in the attic behind Grandma's old mirror.")
    world.warn_next = True
    world.tell("thanks")
    world.warn_next = True
    world.tell("thanks")
    assert len(world.calls("archival_memory_insert")) == 1


def test_what_was_forgotten_is_not_saved_again() -> None:
    world = World()
    world.heard("I live in Oslo.")
    world.heard("Forget that I live in Oslo.")
    world.warn_next = True
    world.tell("thanks")
    assert world.blocks["human"] == ""


# --- failures -----------------------------------------------------------------------------------------------------


def test_a_full_block_sends_the_fact_to_archival_memory() -> None:
    world = World(human="x" * 95, limit=100)
    world.tell("I live in Oslo.")
    assert world.calls("archival_memory_insert")[0]["content"] == "[2026-11-22] About the user: They live in Oslo."
    assert not world.calls("core_memory_append")


def test_a_failed_append_goes_to_archival_memory_and_says_no_more() -> None:
    world = World()
    world.fail["core_memory_append"] = "Edit failed: it would take too much of the window."
    world.tell("I live in Oslo.")
    assert [c.name for a in world.answers for c in a.calls] == [
        "core_memory_append", "send_message", "archival_memory_insert",
    ]  # fmt: skip


def test_a_failed_replace_becomes_an_append() -> None:
    world = World(human="Lives in Oslo.")
    world.fail["core_memory_replace"] = "old_content was not found."
    world.tell("I live in Bergen now")
    assert world.blocks["human"] == "Lives in Oslo.\nThey live in Bergen."


def test_two_failures_are_told_to_the_user() -> None:
    world = World()
    world.fail = {"core_memory_append": "No room.", "archival_memory_insert": "The disk is full."}
    said = world.tell("I live in Oslo.")
    assert "I am sorry, that did not work: The disk is full." in said
    made = [(c.name, c.arguments) for a in world.answers for c in a.calls]
    assert len(made) == len(set(made))


def test_a_failed_search_is_said() -> None:
    world = World()
    world.archival = 0
    world.fail["conversation_search"] = "Storage cannot answer now."
    assert "Storage cannot answer now." in world.tell("When do we fly to Lisbon?")
    assert len(world.calls("conversation_search")) == 1


def test_a_rejected_answer_is_made_good_by_speaking() -> None:
    world = World()
    world.note = "Your first answer must include a call of send_message."
    world.add("user", type="user_message", message="When do we fly to Lisbon?", time=START)
    world.step()
    assert "send_message" in world.last_names()


# --- reminders ----------------------------------------------------------------------------------------------------


def test_a_reminder_is_set_and_confirmed_with_the_result() -> None:
    world = World(set_timer=["Timer t1 is set for 2026-11-22 15:34:15 UTC."])
    said = world.tell("Remind me in 10 minutes to call Ann")
    assert world.calls("set_timer") == [{"note": "call Ann", "in_minutes": 10, "request_heartbeat": True}]
    assert said == "Done: I will remind you in 10 minutes: “call Ann”. (Timer t1 is set for 2026-11-22 15:34:15 UTC.)"


def test_a_reminder_without_a_time_asks_and_takes_the_answer() -> None:
    world = World()
    assert "When should I remind you?" in world.tell("Remind me to call Ann")
    world.tell("tomorrow at 9")
    assert world.calls("set_timer")[0] == {"note": "call Ann", "at": "2026-11-23 09:00", "request_heartbeat": True}


def test_a_refused_timer_is_told() -> None:
    world = World()
    world.fail["set_timer"] = "50 timers are set, which is the limit."
    assert "50 timers are set" in world.tell("Remind me in 10 minutes to call Ann")


def test_a_reminder_is_cancelled_by_its_words() -> None:
    listed = (
        "Timers that are set:\nt-1: water the plants (next 2026-11-23 09:00:00 UTC, cron 0 9 * * *)\n"
        "t-2: call Ann (next 2026-11-24 09:00:00 UTC)"
    )
    world = World(list_timers=[listed])
    said = world.tell("Stop the reminder about the plants, please")
    assert world.calls("cancel_timer") == [{"timer": "t-1", "request_heartbeat": True}]
    assert "cancelled: water the plants" in said


def test_reminders_are_listed() -> None:
    world = World(list_timers=["No timers are set."])
    assert world.tell("What reminders do I have?") == "Your reminders: No timers are set."


# --- interrupts ---------------------------------------------------------------------------------------------------


def test_interrupts_are_answered_in_one_line_each() -> None:
    world = World(human="Name: Sam.")
    assert world.turn(type="timer", timer="t-1", note="call Ann", due=START) == "Reminder: call Ann"
    assert world.turn(type="login", last_login="never").startswith("Hello Sam.")
    assert "notes.txt" in world.turn(type="upload", source="notes.txt", detail="3 passages")
    assert world.turn(type="heartbeat", reason="timed heartbeat").startswith("Checking in")
    assert "disk" in world.turn(type="system_alert", message="The disk is nearly full.")
    assert len(world.answers) == 5


# --- the model as such --------------------------------------------------------------------------------------------


def test_the_same_request_gives_the_same_bytes() -> None:
    world = World(human="Name: Sam.")
    world.heard("I live in Oslo.")
    world.add("user", type="user_message", message="I moved to Bergen. Where is the key?", time=START)
    request = world.request()
    assert msgspec.json.encode(respond(request)) == msgspec.json.encode(respond(request))


def test_pieces_are_the_thoughts_and_the_message() -> None:
    world = World()
    world.add("user", type="user_message", message="The  fox\njumps.", time=START)
    pieces: list[Piece] = []
    answer = asyncio.run(OfflineModel().complete(world.request(), on_piece=pieces.append))
    check(answer)
    assert "".join(p.text for p in pieces if p.kind == "thought") == answer.content
    sent = msgspec.json.decode(answer.calls[0].arguments)["message"]
    assert "".join(p.text for p in pieces if p.kind == "message") == sent
    assert len(pieces) > 4


@pytest.mark.parametrize(
    "request_bytes",
    [b"", b"{", b"[]", b'{"messages":[]}', b'{"messages":[{"role":1}]}', b"\xff\xfe", b"[" * 5000, b'{"messages":{}}'],
)
def test_a_malformed_request_is_refused(request_bytes: bytes) -> None:
    with pytest.raises(ModelFailed) as failed:
        respond(request_bytes)
    assert failed.value.error == "bad_request"


def test_usage_and_finish() -> None:
    world = World()
    world.add("user", type="user_message", message="hello", time=START)
    request = world.request()
    answer = respond(request)
    assert answer.finish == "tool_calls"
    assert answer.usage.prompt == len(request) // 4
    assert answer.usage.completion > 0


def test_without_send_message_it_answers_in_plain_text() -> None:
    world = World()
    world.add("user", type="user_message", message="hello", time=START)
    request = msgspec.json.decode(world.request())
    request["tools"] = [{"type": "function", "function": {"name": "list_timers"}}]
    answer = respond(encode(request).encode())
    assert not answer.calls
    assert answer.content.startswith("Hello")
    assert answer.finish == "stop"
