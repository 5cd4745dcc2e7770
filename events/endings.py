"""How an answer ended that did not end by itself: the words of `InferenceCompleted.finish`, told to the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from palimpsest.events.vocabulary import Cut, CutOrNot, FinishOrNone

CUT: Final[Mapping[Cut, str]] = {
    "length": "the answer was cut off at its length limit: say less at once",
    "content_filter": "the server's content filter ended the answer here: put it in other words",
    "interrupted": "the server ended the answer in its middle",
}

WHOLE: Final[frozenset[FinishOrNone]] = frozenset({"stop", "tool_calls"})
"""How an answer ends by itself."""


def cut_of(finish: FinishOrNone) -> CutOrNot:
    """How the answer was cut off ("": it was not)."""
    match finish:
        case "length" | "content_filter" | "interrupted":
            return finish
        case _:
            return ""
