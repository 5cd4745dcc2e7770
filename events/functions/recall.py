"""Searching what was said."""

from __future__ import annotations

from typing import Final

from palimpsest.events.formats import SEARCH_FILTERS
from palimpsest.events.functions.entry import PAGE, Function, Parameter

CONVERSATION_SEARCH: Final = Function(
    name="conversation_search",
    description="Searches prior conversation history (recall storage) by words and meaning.",
    brief="Search past conversation.",
    parameters=(
        Parameter("query", "string", "What to search for."),
        Parameter("who", "string", "Only what was said by: user or assistant.", False, SEARCH_FILTERS),
        Parameter("start_date", "string", "Only from this day on, as YYYY-MM-DD.", False, SEARCH_FILTERS),
        Parameter("end_date", "string", "Only up to this day, as YYYY-MM-DD.", False, SEARCH_FILTERS),
        PAGE,
    ),
    carrier="storage",
    label="recall",
    looks_in=frozenset({"recall"}),
    finds="ranking",
)
CONVERSATION_SEARCH_DATE: Final = Function(
    name="conversation_search_date",
    description="Searches prior conversation history by a range of dates, both inclusive.",
    brief="Search it by days, YYYY-MM-DD.",
    parameters=(
        Parameter("start_date", "string", "The first day, as YYYY-MM-DD."),
        Parameter("end_date", "string", "The last day, as YYYY-MM-DD."),
        PAGE,
    ),
    carrier="storage",
    label="recall",
    looks_in=frozenset({"recall"}),
    finds="ranking",
)
