"""What the agents of a bench are told: small talk, and with the mix `memory` also facts and questions about them.

Deterministic: agent i's turn k is always the same text. The small talk holds nothing that the offline model would
keep, so a turn of the mix `chat` is one inference, as it is with a hosted model that just answers.
"""

from __future__ import annotations

from typing import Final

_TALK: Final = (
    "The weather turned this afternoon, and the harbour was full of boats that came in early because of the wind.",
    "We walked along the river with the dog for an hour and met half of the neighbourhood on the way back.",
    "The train was late again, so there was time to read two chapters at the station before it finally arrived.",
    "Somebody repainted the old bridge in green, which looks odd at first but fits the trees behind it quite well.",
    "The bakery at the corner has changed hands, and the new people open at six in the morning even on Sundays.",
    "There was a long meeting about the budget, with many slides, and in the end everything stayed as it was.",
    "The film was slower than the book, though the actress who played the captain carried the whole second half.",
    "It took three attempts to get the bicycle through the hallway without scratching the freshly painted wall.",
)
_CITIES: Final = ("Oslo", "Lyon", "Porto", "Turin", "Ghent", "Graz", "Malmö", "Leeds")
_FACTS: Final = (
    ("I live in {city}.", "Where do I live?"),
    ("My sister's birthday is 14 May.", "When is my sister's birthday?"),
    ("I'm allergic to walnuts.", "What am I allergic to?"),
    ("My favourite colour is green.", "What is my favourite colour?"),
)

MIXES: Final = ("chat", "memory")


def message(mix: str, agent: int, turn: int) -> str:
    """What agent number `agent` is told in its turn number `turn`, both from 0."""
    talk = f"Day {turn + 1}. {_TALK[(agent + turn) % len(_TALK)]}"
    if mix == "chat":
        return talk
    fact, question = _FACTS[(turn // 10) % len(_FACTS)]
    if turn % 10 == 2:
        return fact.format(city=_CITIES[agent % len(_CITIES)])
    if turn % 10 == 7:
        return question
    if turn % 10 == 9:
        return f"Do you remember what I said about the {('bridge', 'bakery', 'bicycle', 'harbour')[agent % 4]}?"
    return talk
