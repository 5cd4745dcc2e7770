"""Words by the language of a text: what is one word, what says nothing, whom a question means."""

from __future__ import annotations

import pytest

from palimpsest.events.passages import DAY_MS
from palimpsest.store.index.projection import MemoryIndex
from palimpsest.store.index.search import named
from palimpsest.store.words import lexical
from palimpsest.store.words.languages import ENGLISH, language_of
from palimpsest.store.words.terms import TermTokenizer
from tests.worlds.journal import START_MS, Journal, feed, own

WORDS = TermTokenizer()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where did I park the car?", ENGLISH),
        ("We saw La La Land and Die Hard at the cinema", ENGLISH),
        ("Wo habe ich das Auto geparkt?", "german"),
        ("¿Dónde aparqué el coche?", "spanish"),
        ("Où est-ce que j'ai garé la voiture ?", "french"),
        ("我把车停在哪里了", "chinese"),
        ("車はどこに停めた", "japanese"),
        ("أين السيارة", "arabic"),
        ("गाड़ी कहाँ है", "hindi"),
        ("Zanzibar 4711", ""),
        ("", ""),
    ],
)
def test_a_language_is_told_by_script_and_stop_words(text: str, language: str) -> None:
    assert language_of(text) == language


def shared(fact: str, question: str) -> set[int]:
    return set(WORDS.counts(lexical.ready(fact))) & set(WORDS.asked(lexical.ready(question)))


@pytest.mark.parametrize(
    ("fact", "question"),
    [
        ("She is allergic", "her allergies"),
        ("He teaches", "is he a teacher"),
        ("They married there", "the marriage"),
        ("a grey colour", "gray colors"),
        ("We organised it", "organizing"),
        ("Ich habe einen Arzttermin in der Stadt", "Wann muss ich zum Arzt?"),
        ("Der Termin ist am Montag", "Wie war das mit dem Arzttermin?"),
        ("Die Häuser sind nicht alt", "Haus"),
        ("Soy alérgico a los gatos", "¿Qué alergia tengo?"),
        ("Nous habitons à Lyon", "Où est-ce que j'habite ?"),
        ("मेरी बहनें वहाँ हैं", "मेरी बहन कहाँ है"),
        ("हमारे घर", "घरों में"),
        ("she writes C++", "who knows C++?"),
        ("a visa for the US", "US visa"),
    ],
)
def test_forms_of_one_word_meet(fact: str, question: str) -> None:
    assert shared(fact, question)


@pytest.mark.parametrize(
    ("fact", "question"),
    [
        ("she writes C", "C++"),
        ("give it to us", "the US"),
        ("Wo ist meine Uhr", "Wo ist meine Tasche"),
        ("El perro es de la casa", "¿Dónde está el gato?"),
        ("我的狗在这里", "我的猫在哪里"),
        ("犬の名前は", "猫はどこですか"),
    ],
)
def test_stop_words_and_other_words_do_not(fact: str, question: str) -> None:
    assert not shared(fact, question)


@pytest.mark.parametrize(
    ("query", "who"),
    [
        ("What is my name?", ("user", True)),
        ("Can you tell me what my dentist is called?", ("user", True)),
        ("Do you remember where I parked?", ("user", True)),
        ("What did you recommend to me?", ("assistant", True)),
        ("Your advice on boats", ("assistant", True)),
        ("Wann muss ich zum Arzt?", ("user", True)),
        ("¿Cuál es mi alergia?", ("user", True)),
        ("Où est ma voiture ?", ("user", True)),
        ("我喜欢什么", ("user", True)),
        ("私の犬は", ("user", True)),
        ("boats", ("", False)),
    ],
)
def test_whom_a_question_means(query: str, who: tuple[str, bool]) -> None:
    assert named(query, ("user", "assistant")) == who


@pytest.mark.parametrize(
    ("facts", "query", "found"),
    [
        (("मेरी गाड़ी लाल है", "मेरा घर बड़ा है", "चाय मीठी है"), "गाड़ियाँ", 1),
        (("السيارة حمراء", "البيت كبير", "القهوة حلوة"), "بيت", 1),
        (("我的车是红色的", "房子很大", "咖啡很甜"), "咖啡", 1),
        (("車は赤い", "家は大きい", "お茶は甘い"), "お茶", 1),
    ],
)
def test_in_scripts_that_the_embedder_does_not_know_totals_are_what_words_find(
    index: MemoryIndex, journal: Journal, facts: tuple[str, ...], query: str, found: int
) -> None:
    for n, fact in enumerate(facts):
        journal.say("ann", fact, time_ms=START_MS + n * DAY_MS)
    feed(index, journal)
    page = index.search(own("ann"), kind="message", query=query, page=0, size=5)
    assert page.total == len(page.hits) == found


@pytest.mark.parametrize("query", ["was war am 22. November 2026", "el 22 de noviembre de 2026", "11月22日"])
def test_days_are_found_by_their_names(index: MemoryIndex, journal: Journal, query: str) -> None:
    journal.say("ann", "Granite.", time_ms=START_MS)
    journal.say("ann", "Marble.", time_ms=START_MS - 40 * DAY_MS)
    feed(index, journal)
    page = index.search(own("ann"), kind="message", query=query, page=0, size=5)
    assert page.hits[0].text == "Granite."


@pytest.mark.parametrize(
    "table",
    [
        "Vessel; Length\nRazorbill; 31 m\nGuillemot; 12 m",
        "Name Length Built Home port\nRazorbill 31.4 1988 Den Helder\nFulmar 12 1990 Puerto de la Cruz",
    ],
)
def test_units_and_places_do_not_make_a_table_of_another_language(table: str) -> None:
    assert language_of(table) == ""
    assert shared(table, "How long is Razorbill?")


def test_a_name_is_found_in_texts_of_any_language() -> None:
    for fact in ("Der Tölpel heißt Razorbill.", "El barco se llama Razorbill.", "Le bateau s'appelle Razorbill."):
        assert language_of(fact) not in {ENGLISH, ""}
        assert shared(fact, "How long is Razorbill?")
