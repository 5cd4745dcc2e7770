# ruff: noqa: RUF001 (the marks of Japanese sentences)
"""Which passage of a document answers, and what of it is quoted."""

from __future__ import annotations

import pytest

from palimpsest.actors.models.offline.documents import answer
from palimpsest.actors.models.offline.pages import Item
from palimpsest.actors.models.offline.question import read_question
from palimpsest.actors.models.offline.search import told


def passage(text: str, source: str = "a.md (source: s)") -> Item:
    return Item("document", text, "", source)


PAGE = (
    passage("The red valve is behind the door. It is turned by hand."),
    passage("id: INC-104\nservice: search\nfixed_by: Olena"),
    passage("- Removed: export to XLS.\n- New: alarms.", "releases.md, under “Firmware > 4.1.0” (source: s)"),
    passage("圧力センサーは半年ごとに校正してください。電池は二年ごとに交換します。"),
    passage("Belege müssen innerhalb von sechs Wochen eingereicht werden."),
)


@pytest.mark.parametrize(
    ("question", "quote"),
    [
        ("Where is the red valve?", "The red valve is behind the door. It is turned by hand."),
        ("Who fixed INC-104?", "id: INC-104\nservice: search\nfixed_by: Olena"),
        ("What was removed in 4.1.0?", "- Removed: export to XLS.\n- New: alarms."),
        (
            "圧力センサーはどのくらいの間隔で校正しますか？",
            "圧力センサーは半年ごとに校正してください。 電池は二年ごとに交換します。",
        ),
        (
            "圧力ｾﾝｻｰはどのくらいの間隔で校正しますか？",
            "圧力センサーは半年ごとに校正してください。 電池は二年ごとに交換します。",
        ),
        ("Bis wann muss ich Belege einreichen?", "Belege müssen innerhalb von sechs Wochen eingereicht werden."),
    ],
)
def test_it_quotes_what_has_most_of_the_questions_words_or_its_key(question: str, quote: str) -> None:
    """By the language of the question, by what a heading says, and with lists and records in their lines."""
    found = answer(read_question(question), [PAGE])
    assert found is not None
    assert found.quote == quote


@pytest.mark.parametrize(
    "question",
    [
        "What is the name of my dog?", "How old is Olena's brother Max?", "猫の名前は何ですか？", "Who fixed INC-109?",
        "Where was Greta born?", "How old is Greta?",
    ],
)  # fmt: skip
def test_what_shares_only_a_common_word_is_no_answer(question: str) -> None:
    assert (
        answer(
            read_question(question),
            [(*PAGE, passage("name: Olena\nage: 41"), passage("Present: Max, Greta. The bed is new."))],
        )
        is None
    )


def test_numbers_and_hyphens_are_found_in_either_form_and_the_searchs_order_counts() -> None:
    fees = passage("The annual fee is 1,250,000 NOK."), passage("e-mail: olena@halden.example")
    assert (found := answer(read_question("Is it 1250000?"), [fees])) is not None and "1,250,000" in found.quote
    assert (found := answer(read_question("What is the email of Olena?"), [fees])) is not None and "@" in found.quote
    twice = passage("The pump is red."), passage("The pump is blue.")
    assert (found := answer(read_question("Which colour is the pump?"), [twice])) is not None
    assert found.quote == "The pump is red."


PRICES = "\n".join(f"{letter * 3} of the small kind | {n}.50" for n, letter in enumerate("abcdefghijklmnopqrstuvwxyz"))


@pytest.mark.parametrize(
    ("text", "question", "quote"),
    [
        ("server:\n  port: 8443\n  idle: 20", "What is the port of the server?", "server:\n  port: 8443\n  idle: 20"),
        (
            "def pounds_to_kg(pounds):\n    return pounds * 0.45",
            "Which function turns pounds into kilograms?",
            "def pou",
        ),
        ("INC-7\nThe fridge was warm.", "Which incident was about the fridge?", "INC-7\nThe fridge was warm."),
        ("pump: P1\nowner: Abara\nseal: cracked", "What is the matter with Mr Abara's pump?", "pump: P1\nowner: Abara"),
        (f"# Prices\n{PRICES}", "What does the zzz of the small kind cost?", "zzz of the small kind | 25.50"),
        ("Write to us@site.example.", "What is the e-mail to write to?", "Write to us@site.example."),
        ("Fox, 17 Cooper Row, Ellesford", "What is the address of the Fox?", "Fox, 17 Cooper Row, Ellesford"),
        ("El remolque se deja en la lonja.", "¿Dónde puedo dejar el remolque?", "El remolque se deja en la lonja."),
        ("Las patatas se cascan.", "¿Cuántas patatas se cascan?", "Las patatas se cascan."),
    ],
)
def test_short_passages_are_quoted_whole_and_keep_their_lines(text: str, question: str, quote: str) -> None:
    """For what is said by its shape too (an address), and by other words than the question's that any thing has."""
    found = answer(read_question(question), [[passage(text)]])
    assert (found.quote if found else "").startswith(quote)


def test_of_a_mail_the_body_is_quoted_after_who_wrote_it() -> None:
    head = "From: Ife Bakare <i@c.example>\nDate: Wed, 8 Apr 2026\n"
    text = f"Received: from mx\n\tby mail\n{head}Content-Type: text/plain\n\nDear all,\n{'It is a long story. ' * 40}"
    found = answer(read_question("What does Mrs Bakare want?"), [[passage(f"{text}The basin has no water.")]])
    assert found is not None and found.quote.startswith(f"{head}Dear all,\nIt is a long story.")


def test_what_is_denied_is_answered_by_what_denies_it() -> None:
    texts = passage("What is covered: accidents."), passage("What is not covered: teeth.")
    found = answer(read_question("What is not covered?"), [texts])
    assert found is not None and found.quote == "What is not covered: teeth."


def test_of_two_that_are_as_good_both_are_quoted() -> None:
    texts = passage("Wren: rudder cracked"), passage("Wren: hit a pot", "b.md"), passage("Robin: ready", "c.md")
    found = answer(read_question("What is wrong with Wren?"), [texts])
    assert found is not None
    assert told(found) == (
        "From the document a.md (source: s): “Wren: rudder cracked”\nFrom the document b.md: “Wren: hit a pot”"
    )


def test_a_rare_word_of_the_first_of_many_answers() -> None:
    others = [passage(f"Each instructor has a boat. {n}") for n in range(4)]
    page = [passage("Your mailbox is made by Osgood."), *others]
    question = read_question("Who makes the mailbox of an instructor?")
    assert (found := answer(question, [page])) is not None and "Osgood" in found.quote
