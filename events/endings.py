"""How an answer ended that did not end by itself: the words of `InferenceCompleted.finish`, told to the model."""

from __future__ import annotations

from typing import Final

CUT: Final = {
    "length": "the answer was cut off at its length limit: say less at once",
    "content_filter": "the server's content filter ended the answer here: put it in other words",
    "interrupted": "the server ended the answer in its middle",
}
