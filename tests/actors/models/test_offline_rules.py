"""The offline model's rules, one by one: what it is told, what it is asked, and what it says."""

from __future__ import annotations

from time import process_time

import pytest

from palimpsest.actors.models.offline.unsay import request_of
from palimpsest.actors.models.offline.words import _ALIKE, words
from tests.worlds.offline import World, page


def chat(*said: str) -> tuple[World, str]:
    """A world that was told these messages, a minute apart, and its last answer."""
    here, answer = World(), ""
    for minute, text in enumerate(said):
        here.time = f"2026-11-22 15:{minute:02d}:00 UTC"
        answer = here.tell(text)
    return here, answer.removesuffix(" (From my core memory.)")


# --- questions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "asked", "answer"),
    [
        ("I have two dogs.", "How many dogs do I have?", "You have two dogs."),
        ("I row three times a week", "how often do i row", "You row three times a week."),
        ("We pay 900 euros rent", "How much is the rent?", "You pay 900 euros rent."),
        ("Lotte is 9 years old", "How old is Lotte?", "Lotte is 9 years old."),
        ("I'm 41", "how old am I?", "You are 41 years old."),
        ("My brother Jan owns a mill", "Who owns a mill?", "Your brother Jan owns a mill."),
        ("My desk is next to the door", "Where's my desk?", "Your desk is next to the door."),
        ("Our flight is on 3 May", "when's our flight?", "Your flight is on 3 May."),
        ("I moved to Rome because of my job", "Why did I move to Rome?", "You moved to Rome because of your job."),
        ("I drive a Volvo", "Which car do I drive?", "You drive a Volvo."),
        ("I'm allergic to nuts", "Am I allergic to nuts?", "You are allergic to nuts."),
        ("My passport is blue", "is my passport blue", "Your passport is blue."),
        ("My wife is a vet", "What does my wife do?", "Your wife is a vet."),
        ("I'm a translator", "What do I do for a living?", "You are a translator."),
        ("Call me Dima", "What do you call me?", "You like to be called Dima."),
    ],
)
def test_each_question_word_finds_its_fact(told: str, asked: str, answer: str) -> None:
    world, said = chat(told, asked)
    assert said == answer
    assert not world.calls("conversation_search"), "core memory has it"


def test_a_question_that_needs_a_number_or_a_time_takes_no_line_without() -> None:
    assert "I don't know that yet" in chat("Sonja loves her birthday cake", "When is Sonja's birthday?")[1]


def test_a_question_about_the_user_takes_no_line_about_another() -> None:
    assert "I don't know that yet" in chat("My mother lives in Recife", "Where do I live?")[1]


def test_of_two_that_answer_the_one_that_looks_like_an_answer_is_told() -> None:
    told = ("Lotte has piano on Tuesdays at 16:30", "Lotte is 9")
    assert chat(*told, "How old is Lotte?")[1] == "Lotte is 9."
    assert chat(*told, "When does Lotte have piano?")[1] == "Lotte has piano on Tuesdays at 16:30."


def test_a_name_stands_for_whom_it_names() -> None:
    told = ("My sister Ana is a nurse", "Ana moved to Lisbon")
    assert chat(*told, "Where does my sister live?")[1] == "Ana moved to Lisbon."


def test_words_of_searching_inside_a_question_are_part_of_it() -> None:
    world, said = chat("My search service is owned by Priya", "Who owns the search service?")
    assert said == "Your search service is owned by Priya."
    world, _ = chat("Who owns the search service?")
    assert [call["query"] for call in world.calls("conversation_search")] == ["owns search service"]
    world, _ = chat("Can you look up the owner of the search service?")
    assert [call["query"] for call in world.calls("conversation_search")] == ["owner search service"]


def test_what_is_not_said_is_counted() -> None:
    said = chat("My sister Ana is a nurse", "My brother Jan is tall", "How many siblings do I have?")[1]
    assert said == "I count 2: Your sister Ana is a nurse. Your brother Jan is tall."


@pytest.mark.parametrize(
    "asked",
    [
        "Summarize what you know about me.",
        "What do you know about me?",
        "Tell me everything you know about me",
        "recap",
    ],
)
def test_what_it_knows_is_told_whole(asked: str) -> None:
    said = chat("My name is Mara", "I have two dogs", "I had a cat", asked)[1]
    if asked != "recap":
        assert said == "From my core memory: Your name is Mara. You have two dogs. You had a cat."


def test_all_about_somebody_is_told() -> None:
    said = chat("Ana is a nurse", "I have a dog", "Ana plays chess", "Tell me about Ana")[1]
    assert said == "Ana is a nurse. Ana plays chess."


def test_a_page_may_tell_more_of_a_message_in_brackets() -> None:
    said = "timestamp: 2026-11-02 09:00:00 UTC, user (said 3 times, last 2026-11-03 10:00:00 UTC): The vet is: Dr. Ox."
    world = World(conversation_search=[page([said])])
    assert world.tell("Who is the vet?") == "On 2026-11-02 you said: “The vet is: Dr. Ox.”"
    said = (
        "timestamp: 2026-11-02 09:00:00 UTC, user (corrected 2026-11-03 10:00:00 UTC: no, Dr. Elk): The vet is Dr. Ox."
    )
    world = World(conversation_search=[page([said])])
    assert "(corrected: no, Dr. Elk" in world.tell("Who is the vet?")


# --- statements ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        (
            "My husband is called Joris and he teaches chemistry",
            "Their husband is called Joris.\nJoris teaches chemistry.",
        ),
        ("We adopted a cat, she's called Pixel", "They adopted a cat.\nTheir cat is called Pixel."),
        ("name's Tariq btw", "Name: Tariq."),
        ("fave food is biryani", "Their fave food is biryani."),
        ("started a new job at Volta", "They started a new job at Volta."),
        ("Before Ghent we lived in Warsaw", "They lived in Warsaw before Ghent."),
        ("Jonas here", "Name: Jonas."),
        ("Lotte is my daughter", "Lotte is the user's daughter."),
        ("I keep it if x < 5 and y > 3", ""),
        ("My limit is x < 5 and y > 3", "Their limit is x < 5 and y > 3."),
        ("I have to go now", ""),
        ("My doctor is Dr. Sousa. I like her.", "Their doctor is Dr. Sousa."),
    ],
)
def test_statements_as_people_write_them(said: str, lines: str) -> None:
    assert chat(said)[0].blocks["human"] == lines


def test_a_pronoun_may_stand_for_what_the_last_message_named() -> None:
    world, _ = chat("My friend Luca lives in Turin", "he speaks Greek")
    assert world.blocks["human"].splitlines()[1] == "Their friend Luca speaks Greek."


@pytest.mark.parametrize(
    ("told", "now", "line"),
    [
        ("We have 12 days left", "took two off, so ten days left", "They have ten days left."),
        ("We have four employees", "We hired two more, so six employees now", "They have six employees."),
        ("I have 12 pupils", "two pupils left, so ten pupils now", "They have ten pupils."),
        ("We invited 90 people", "it's 100 people now", "They invited 100 people."),
    ],
)
def test_a_new_number_of_the_same_things_goes_into_the_line(told: str, now: str, line: str) -> None:
    assert chat(told, now)[0].blocks["human"].startswith(line)


# --- what changes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "ended", "asked", "answer"),
    [
        ("I have two dogs", "I don't have dogs anymore", "How many dogs do I have?", "You don't have dogs anymore."),
        ("I work at Acme", "I no longer work at Acme", "Do I work at Acme?", "You no longer work at Acme."),
        (
            "I play football on Thursdays",
            "I stopped playing football",
            "Do I still play football?",
            "You stopped playing football.",
        ),
        ("Our car is a red Skoda", "We sold the Skoda", "Do I have the Skoda?", "You sold the Skoda."),
        ("I'm learning Rust", "I gave up Rust", "Am I learning Rust?", "You gave up Rust."),
        (
            "My doctor is Dr. Amsel",
            "Dr. Amsel retired, my new doctor is Dr. Huber",
            "Who is my doctor?",
            "Your doctor is Dr. Huber.",
        ),
    ],
)
def test_what_ended_is_not_told_as_if_it_held(told: str, ended: str, asked: str, answer: str) -> None:
    world, said = chat(told, ended, asked)
    assert said.startswith(answer)
    assert "Until 2026-11-22: " in world.blocks["human"]


def test_what_ends_something_else_ends_nothing() -> None:
    world, _ = chat("My phone is 555-1234", "I sold my old phone", "Lotte plays chess", "Wout left")
    assert "Until" not in world.blocks["human"]


@pytest.mark.parametrize(
    ("told", "corrected", "line"),
    [
        ("My favourite colour is blue", "no wait, it's green", "Their favourite colour is green."),
        ("The meeting is on Tuesday at 3 pm", "sorry, Thursday", "The meeting is on Thursday at 3 pm."),
        (
            "Noodle has to see the vet on Friday at 10",
            "Sorry, the vet is on Thursday, not Friday.",
            "Noodle has to see the vet on Thursday at 10.",
        ),
        (
            "I meet the school on Monday at 8:30",
            "Sorry, I meant Tuesday at 8:45",
            "They meet the school on Tuesday at 8:45.",
        ),
        ("I live in Porto", "I live not in Porto but in Braga", "They live in Braga."),
        (
            "Falcon has to ship by October 15",
            "correction: Falcon ships on October 29",
            "Falcon has to ship by October 29.",
        ),
        ("We're flying to Rome on 14 May", "no, I meant the flight is on 16 May", "They are flying to Rome on 16 May."),
        ("Sprint planning is on Mondays at 9 am", "it's on Tuesdays, sorry", "Sprint planning is on Tuesdays at 9 am."),
        ("We have a cat", "actually, two cats", "They have two cats."),
    ],
)
def test_a_correction_goes_into_what_it_corrects_and_leaves_nothing_behind(
    told: str, corrected: str, line: str
) -> None:
    assert chat(told, corrected)[0].blocks["human"] == line


def test_a_correction_reaches_behind_other_messages() -> None:
    world, _ = chat("Lotte has piano on Friday", "I like tea", "Sorry, Lotte's piano is on Monday, not Friday")
    assert world.blocks["human"] == "Lotte has piano on Monday.\nThey like tea."


@pytest.mark.parametrize(
    ("told", "moved", "line"),
    [
        (
            "My dentist appointment is on 3 May at 11",
            "the dentist appointment got moved to 10 May",
            "Their dentist appointment is on 10 May at 11.",
        ),
        ("Our rent is 640 euros", "the landlord raised the rent to 690 euros", "Their rent is 690 euros."),
        ("We use Airflow at work", "we replaced Airflow with Dagster", "They use Dagster at work."),
        ("My insulin dose is 12 units", "my insulin dose is 14 units", "Their insulin dose is 14 units."),
    ],
)
def test_another_time_or_number_goes_into_the_line_that_it_is_of(told: str, moved: str, line: str) -> None:
    world, _ = chat(told, moved)
    assert world.blocks["human"].startswith(f"{line}\nUntil 2026-11-22: ")


@pytest.mark.parametrize(
    ("told", "asked", "answer"),
    [
        (
            ("I live in Ghent", "I moved to Warsaw"),
            "Where did I live before Warsaw?",
            "You used to live in Ghent (until 2026-11-22).",
        ),
        (
            ("I live in Rome", "I moved to Ghent", "I moved to Oslo"),
            "Where did I live before Ghent?",
            "You used to live in Rome (until 2026-11-22).",
        ),
        (
            ("My boss is Ann", "my boss is Bea now"),
            "Who was my boss before?",
            "Your boss used to be Ann (until 2026-11-22).",
        ),
        (("I drive a Golf", "I sold the Golf"), "What car did I use to drive?", "You sold the Golf."),
        (
            ("I lived in Bonn before Ghent", "I live in Ghent"),
            "Where did I live before Ghent?",
            "You lived in Bonn before Ghent.",
        ),
    ],
)
def test_what_was_before_is_told_when_that_is_asked(told: tuple[str, ...], asked: str, answer: str) -> None:
    assert chat(*told, asked)[1].startswith(answer)


@pytest.mark.parametrize(
    ("told", "asked", "answer"),
    [
        ("My first landlady was Mrs. Quill.", "Who was my first landlady?", "Quill"),
        ("My first novel came out in 2009.", "When did my first novel come out?", "2009"),
        ("The bank on the corner opens at half past nine.", "When does the bank on the corner open?", "half past nine"),
        ("Don't let me forget the milk", "What shouldn't I forget?", "the milk"),
        ("The baker sends up sixty loaves each Friday.", "How many loaves does the baker send?", "sixty"),
    ],
)
def test_the_first_and_the_hour_in_words_are_answers(told: str, asked: str, answer: str) -> None:
    assert answer in chat(told, asked)[1]


# --- what stays, and what was said later --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "then"),
    [
        ("My rent is 380 warm", "strings: an A string costs 42 euros if you buy < 3 sets"),
        ("I'm allergic to strawberries, which is a pity with an allotment", "I've given up the allotment"),
        ("I'm allergic to cats", "Ben got rid of two of the cats"),
        ("My rent is 380 warm", "no way!!"),
        ("Magnus drives a Skoda", "I sold my Skoda"),
    ],
)
def test_a_fact_is_kept_where_little_speaks_against_it(told: str, then: str) -> None:
    before, after = chat(told)[0].blocks["human"], chat(told, then)[0].blocks["human"]
    assert before in after.splitlines()


@pytest.mark.parametrize(
    ("told", "asked", "first", "then"),
    [
        (
            ("the repair of the bow costs 130 €", "wait no it was 150, they added VAT"),
            "how much was the repair of the bow?",
            "150",
            "",
        ),
        (
            ("we're moving house in march", "oh and the move's been put back, it's going to be may now"),
            "when are we moving house",
            "may now",
            "Before that: You are moving house in march",
        ),
        (
            ("Alphonse ploughs my lane for $40", "Alphonse has put his price up to $50 a time"),
            "What does Alphonse charge for ploughing my lane?",
            "$50",
            "Before that: Alphonse ploughs your lane for $40",
        ),
        (
            ("I keep bees. There are nine hives.", "I lost two hives to the cold, so there are seven now."),
            "How many hives do I have?",
            "seven",
            "",
        ),
        (("I do yoga on Mondays", "Yoga is off the table until May"), "Do I still do yoga?", "off the table", ""),
    ],
)
def test_what_was_said_later_is_told_first(told: tuple[str, ...], asked: str, first: str, then: str) -> None:
    said = chat(*told, asked)[1]
    assert first in said
    assert said.find(first) < said.find(then) or not then


def test_the_reason_is_told_that_stands_beside_what_is_asked() -> None:
    told = "I've given up the allotment. My knees won't have it."
    assert "My knees" in chat(told, "Why did I give up the allotment?")[1]


@pytest.mark.parametrize(
    ("told", "asked", "answer"),
    [
        (
            ("I'm a nurse at St James", "I'm now a nurse at Burton Croft"),
            "where did I work before Burton Croft?",
            "Before that: You are a nurse at St James.",
        ),
        (
            ("I'm an SRE at Parcelwise", "before that I was at a startup called Fennel"),
            "where did I work before Parcelwise?",
            "You were at a startup called Fennel before that.",
        ),
        (
            ("Dom works at the Lido", "Dom works as a chef at the Orchard now"),
            "Where did Dom work before?",
            "Earlier: On 2026-11-22 you said: “Dom works at the Lido”",
        ),
    ],
)
def test_what_was_before_is_told_where_both_hold(told: tuple[str, ...], asked: str, answer: str) -> None:
    assert chat(*told, asked)[1].startswith(answer)


def test_a_sentence_without_a_subject_goes_on_with_the_one_before() -> None:
    said = chat("I drive a Subaru", "I sold the Subaru!! Bought a blue Toyota instead.", "What car do I drive?")[1]
    assert said.startswith("You sold the Subaru, bought a blue Toyota instead.")


def test_a_message_that_speaks_of_it_is_read_with_the_one_before() -> None:
    said = chat("my bike got stolen", "bought a new one, 620 euros", "how much did the new bike cost?")[1]
    assert "620 euros" in said


def test_who_somebody_is_may_be_corrected_in_the_same_breath() -> None:
    assert (
        chat("my favourite composer is Britten, sorry Bach")[0].blocks["human"] == "Their favourite composer is Bach."
    )


# --- forgetting ---------------------------------------------------------------------------------------------------

SECRET = "555-1234"


def test_what_is_deleted_is_not_said_again() -> None:
    world, said = chat("My phone is 555-1234.", "Call 555-1234 if I am late", "Delete my phone number.")
    assert SECRET not in said
    assert "The log still holds it: in your messages of 2026-11-22 15:00:00 UTC" in said
    assert SECRET not in world.blocks["human"]
    for asked in ("What is my phone number?", "Whom shall you call if I am late?", "What do you know about me?"):
        world.time = "2026-11-22 16:00:00 UTC"
        assert SECRET not in world.tell(asked)


@pytest.mark.parametrize("key", sorted({*words(_ALIKE), "student number", "bank card pin"} - {"from"}))
def test_whatever_it_is_called_it_is_forgotten(key: str) -> None:
    """Each word that may stand for another is known again, on whichever side it stands."""
    world, said = chat(
        f"My {key} is zz-9931-q.", f"Forget my {key}", f"What is my {key}?", "What do you know about me?"
    )
    assert "zz-9931" not in f"{world.sent[-1]} {world.sent[-2]} {world.sent[-3]} {said}"
    assert "zz-9931" not in world.blocks["human"]


def test_what_is_forgotten_is_not_quoted_from_storage_nor_summed_up() -> None:
    told = "timestamp: 2026-11-20 09:00:00 UTC, user: The vault password is swordfish."
    world = World(conversation_search=[page([told]), page([told])], human="Their vault password is swordfish.")
    world.tell("Forget my vault password")
    world.time = "2026-11-22 16:00:00 UTC"
    assert "swordfish" not in world.tell("Where did I put swordfish as a word?")
    world.summarised("The user said: “The vault password is swordfish.”")
    assert "swordfish" not in world.tell("What did I say of the vault?")


def test_what_was_evicted_is_looked_for_to_name_it() -> None:
    told = "timestamp: 2026-10-02 09:00:00 UTC, user: The gate code is 7781."
    world = World(conversation_search=[page([told])])
    world.summarised("We spoke of the gate.")
    said = world.tell("Please delete the gate code")
    assert "in your message of 2026-10-02 09:00:00 UTC" in said
    assert "7781" not in said + world.blocks["human"]


def test_what_is_said_after_it_was_forgotten_is_said_again() -> None:
    assert chat("My phone is 555-1234", "Delete my phone number", "My phone is 555-9", "What is my phone number?")[
        1
    ] == ("Your phone is 555-9.")


@pytest.mark.parametrize("asked", ["Delete that.", "Forget what I just said", "please erase this"])
def test_the_last_message_can_be_forgotten(asked: str) -> None:
    world, said = chat("I like tea", "My pin is 4402, and the box is green", asked)
    assert said.startswith("Forgotten: “what you said at 2026-11-22 15:01:00 UTC”")
    assert world.blocks["human"].startswith("They like tea.\nAsked to forget")
    world.time = "2026-11-22 16:00:00 UTC"
    assert "4402" not in world.tell("What is my pin?")


def test_everything_can_be_forgotten() -> None:
    world, _ = chat("I like tea", "My pin is 4402", "Forget everything about me")
    assert world.blocks["human"].startswith("Asked to forget")
    assert world.tell("What do I like?").startswith("You asked me to forget “everything”")


@pytest.mark.parametrize(
    "said",
    [
        "Forget it",
        "I always forget my password",
        "Don't forget my birthday is 3 May",
        "Don't let me forget the password",
        "My boss said, delete the password",
        "remove the old tyres tomorrow",
        "The laptop with my password was wiped",
    ],
)
def test_what_asks_to_forget_nothing_forgets_nothing(said: str) -> None:
    world, answer = chat("My password is x-1234", said)
    assert "Asked to forget" not in world.blocks["human"]
    assert "x-1234" in world.tell("What is my password?")
    assert "nothing to forget" not in answer


@pytest.mark.parametrize(
    ("said", "topics"),
    [
        ("pls delete my iban", ("my iban",)),
        ("could u forget the wifi password", ("the wifi password",)),
        ("oops, shouldn't have told you that, erase it", ()),
        ("Please don't remember my address", ("my address",)),
        ("remove what I said about my divorce", ("my divorce",)),
        ("I don\u2019t want you to know my salary any more", ("my salary",)),
        ("Forget my phone number and my address", ("my phone number", "my address")),
        ("Would you mind deleting my address?", ("my address",)),
        ("forget my pin, it's private", ("my pin",)),
        ("delete all you know about my sister from your memory, thanks", ("my sister",)),
        ("the door code - delete it please", ("the door code",)),
        ("I'd like my address deleted", ("my address",)),
        ("What I told you about the diagnosis should not stay in your head, please.", ("the diagnosis",)),
        ("wipe everything you know about me", ("*",)),
        ("You can drop the safe combination from your memory now, I've had it changed.", ("the safe combination",)),
        ("Get my email password out of your memory.", ("my email password",)),
        ("could u pls lose my insurance number", ("my insurance number",)),
        ("I'd rather you didn't keep my passport number", ("my passport number",)),
        ("Would you mind not storing my date of birth?", ("my date of birth",)),
        ("Scratch the bit about Tobias and the horses", ("Tobias and the horses",)),
    ],
)
def test_however_it_is_asked_it_is_known_what_is_to_be_forgotten(said: str, topics: tuple[str, ...]) -> None:
    request = request_of(said)
    assert request and request.topics == topics


def test_where_core_memory_is_full_others_make_room_for_what_is_not_to_be_said() -> None:
    lines = [f"Their colleague number {at} collects old stamps and maps of Norway." for at in range(30)]
    world = World(human="\n".join([*lines, "Their library card is 2087 4415."]))
    assert "Forgotten" in world.tell("Delete my library card number, please.")
    world.time = "2026-11-22 16:00:00 UTC"
    assert "Asked to forget (" in world.blocks["human"]
    assert "2087" not in world.blocks["human"]
    assert lines[-1] in world.blocks["human"]
    assert any(lines[0] in c.arguments for c in world.answers[0].calls if c.name == "archival_memory_insert")


def full(secret: str = "Their pin is 4711.") -> tuple[World, list[str]]:
    """A world whose core memory is full to the last characters, and its lines."""
    lines = [f"Their friend Nr{at} lives in Town{at}." for at in range(10)]
    text = "\n".join([*lines, secret])
    return World(human=text, limit=len(text) + 5), lines


def stored(world: World) -> str:
    """What core memory holds, and what archival storage was given and took."""
    taken = [c.arguments for a in world.answers for c in a.calls if c.name == "archival_memory_insert"]
    return "\n".join([world.blocks["human"], *([] if "archival_memory_insert" in world.fail else taken)])


def test_nothing_is_lost_where_what_makes_room_cannot_be_stored() -> None:
    world, lines = full()
    world.fail["archival_memory_insert"] = "The storage is full."
    world.tell("forget my pin")
    assert all(line in world.blocks["human"] for line in lines)


def test_what_makes_room_is_stored_before_it_goes_also_while_memory_is_short() -> None:
    world, lines = full()
    world.warn_next = True
    said = world.tell("forget my pin")
    assert all(line in stored(world) for line in lines)
    assert "4711" not in world.blocks["human"] + said
    assert "Asked to forget (" in world.blocks["human"]


def test_all_that_a_message_asks_to_forget_is_forgotten() -> None:
    world = World(human="They live in Oslo.\nTheir pin is 4711.\nTheir iban is DE99.")
    said = world.tell("forget my pin. forget my iban.")
    assert world.blocks["human"].startswith("They live in Oslo.\nAsked to forget (")
    assert "DE99" not in world.blocks["human"] + said


def test_forgetting_the_last_message_leaves_what_only_shares_a_word() -> None:
    told = ("My sister is a great cook", "I work at Acme", "My pin is 4711. It was great. It works.", "forget that")
    world, _ = chat(*told)
    assert world.blocks["human"].startswith("Their sister is a great cook.\nThey work at Acme.\nAsked")


def test_forgetting_a_name_leaves_others_of_that_name() -> None:
    world, _ = chat("My ex Peter broke the car", "My brother Peter has 2 dogs", "forget my ex")
    assert "Their brother Peter has 2 dogs." in world.blocks["human"]


@pytest.mark.parametrize(
    "text",
    [
        "my " + "a" * 3_900 + "; delete it",
        "forget my" + " " * 3_900,
        "forget " + ", " * 1_950,
        "delete " + "-" * 3_900,
        "no," + " " * 3_900 + "it is x",
        "-" * 3_990,
        "the a b c d - " * 280 + "delete it",
    ],
    ids=lambda text: text[:12],
)
def test_no_text_holds_the_model_up(text: str) -> None:
    began_s = process_time()
    chat(text)
    assert process_time() - began_s < 1.0


def test_a_number_that_is_forgotten_takes_no_sentence_along_that_has_none() -> None:
    told = ("My telephone number is 555-1234", "my sister telephones me twice a week", "Delete my telephone number")
    assert "twice a week" in chat(*told, "How often does my sister telephone me?")[1]
    assert SECRET not in chat(*told, "What is my phone number?")[1]


@pytest.mark.parametrize(
    ("told", "asked", "secret"),
    [
        ("I was diagnosed with Crohn's disease", "Wipe the thing about my diagnosis", "Crohn"),
        ("I was born on 3 October 1974", "forget my date of birth", "1974"),
        ("My address is 12 Baker Street, Oslo", "Erase that please, I shouldn't have typed it.", "Baker"),
    ],
)
def test_another_word_for_it_is_known_again(told: str, asked: str, secret: str) -> None:
    world, said = chat("I like tea", told, asked, "What do you know about me?")
    assert secret not in said + world.tell("What is my diagnosis?") + world.tell("When was I born?")
    assert "tea" in said


def test_what_names_a_thing_is_forgotten_with_it() -> None:
    world, said = chat("My ex Peter Quill broke the car", "Peter Quill wants the dog", "forget my ex, pls")
    assert "Peter" not in said + world.tell("Who wants the dog?") + world.tell("What do you know about me?")


def test_a_code_of_an_alarm_is_no_reminder() -> None:
    assert chat("My alarm code is 7781", "Delete the alarm code")[1].startswith("Forgotten")


# --- what a chat asks of what it was told --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "asked", "answer"),
    [
        ("My shift goes from 10 pm to 6 am.", "What hours do I work?", "Your shift goes from 10 pm to 6 am."),
        ("work 7 to 3:30 mon thru thu", "what are my hours at work?", "You work 7 to 3:30 mon thru thu."),
        ("Before nursing I drove a taxi.", "What did I do before nursing?", "You drove a taxi before nursing."),
        ("before i went solo i was at the Globe", "where did i work before i went solo?", "at the Globe before"),
        ("my sister is doin a phd on kelp", "what does my sister do?", "Your sister is doin a phd on kelp."),
        ("We're going to Crete instead.", "Where are we going on vacation?", "You are going to Crete instead."),
        ("we r moving! got a flat in Bergen", "where are we moving?", "You are moving, got a flat in Bergen."),
        ("got a beagle named Bo", "whats my dogs name", "You got a beagle named Bo."),
        ("bought the boat!! used Nordic 25", "what boat did i buy?", "used Nordic 25"),
    ],
)
def test_a_question_in_other_words_finds_what_was_told(told: str, asked: str, answer: str) -> None:
    assert answer in chat("I row.", told, asked)[1]


def test_what_has_the_number_of_something_counts_it() -> None:
    told = ("Three kids: Ole is 14, Ida is 9 and Per is 6.", "Carl has the kids one weekend a month.")
    assert "Three kids" in chat(*told, "How many kids do I have?")[1]


def test_what_is_new_takes_the_place_of_all_that_was_told_of_the_one_before() -> None:
    world, said = chat(
        "My tutor is a guy named Dale.", "My tutor never smiles.", "Our new tutor is Ines.", "Who's my tutor?"
    )
    assert said == "Your tutor is Ines."
    assert "Dale" in world.tell("Who was my tutor before?")


def test_a_trip_that_is_off_is_no_plan() -> None:
    world, _ = chat("I've booked a week in Malta for July.", "Malta's off, too hot.")
    assert "booked" not in world.tell("What do you know about me?")


@pytest.mark.parametrize("said", ["Pardon, not Mondays — we rehearse on Fridays.", "Not Mondays, Fridays, pardon"])
def test_not_this_but_that_is_a_correction(said: str) -> None:
    assert "Monday" not in chat("We rehearse on Mondays.", said, "When do we rehearse?")[1].partition("Before")[0]
    assert "Friday" in chat("We rehearse on Mondays.", said, "When do we rehearse?")[1]


def test_a_value_that_is_denied_is_told_as_before() -> None:
    told = ("the wedding is on october 18", "not october 18 either, venue is double booked. november 1 now")
    assert chat(*told, "so when is the wedding?")[1].startswith("Later you said: “not october 18 either")


def test_what_is_to_be_kept_in_mind_is_no_question() -> None:
    told = "Could you keep in mind that the inspector is due on 9 April?"
    assert "9 April" in chat("I bake.", told, "When does the inspector come?")[1]


def test_a_correction_of_what_core_memory_lacks_keeps_no_value_that_never_held() -> None:
    world, said = chat("Rehearsal is at 6 on Friday.", "No, not Friday, Saturday.", "When is the rehearsal?")
    assert "Friday" not in world.blocks["human"]
    assert "Saturday" in said.partition("Before")[0]


def test_a_number_alone_counts_what_was_told_last() -> None:
    assert chat("I've 19 students.", "One of them quit today, so 18.", "How many students do I have?")[1][9:11] == "18"


def test_whose_mother_it_is_says_nothing_of_her_child() -> None:
    told = ("Petra's mother Gun is 78.", "Petra is away in Berlin.")
    assert chat(*told, "How old is Petra's mother?")[1] == "Petra's mother Gun is 78."
