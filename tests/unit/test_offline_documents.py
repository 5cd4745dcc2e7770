# ruff: noqa: RUF001 (the marks of Japanese sentences)
"""Which passage of a document answers, and what of it is quoted."""

from __future__ import annotations

import pytest

from actors.models.offline_documents import answer
from actors.models.offline_pages import Item
from actors.models.offline_question import read_question


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
    ["What is the name of my dog?", "How old is Olena's brother Max?", "猫の名前は何ですか？", "Who fixed INC-109?"],
)
def test_what_shares_only_a_common_word_is_no_answer(question: str) -> None:
    assert answer(read_question(question), [(*PAGE, passage("name: Olena\nage: 41"))]) is None


def test_numbers_and_hyphens_are_found_in_either_form_and_the_searchs_order_counts() -> None:
    fees = passage("The annual fee is 1,250,000 NOK."), passage("e-mail: olena@halden.example")
    assert (found := answer(read_question("Is it 1250000?"), [fees])) is not None and "1,250,000" in found.quote
    assert (found := answer(read_question("What is the email of Olena?"), [fees])) is not None and "@" in found.quote
    twice = passage("The pump is red."), passage("The pump is blue.")
    assert (found := answer(read_question("Which colour is the pump?"), [twice])) is not None
    assert found.quote == "The pump is red."
