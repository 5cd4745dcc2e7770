"""Whether two indexes of one log rank alike: one that was killed amid its work, and one that is built from nothing."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from palimpsest.events.passages import Hit, HitPage

SCORE_NOISE: Final = 2.5e-6
"""Two of a score's last digit (it has six behind the point)."""


def alike(found: HitPage, wanted: HitPage) -> bool:
    """Whether both pages have as many results, and the same ones, each as good and in its place.

    An engine sums up a score's parts in another order where its segments are cut otherwise, so that the last bits of a
    float differ (0.963486 against 0.963485 was seen), and with them the order of hits that are as good as each other:
    such may have changed places, one beyond the page's end as well. Hits whose scores are the very same, or that have
    none (a listing), have one order, newest first, however the index came to be.
    """
    if (found.total, len(found.hits)) != (wanted.total, len(wanted.hits)):
        return False
    ours, theirs = _scores(found), _scores(wanted)
    if ours == theirs or not any(theirs.values()):
        return found.hits == wanted.hits
    places = zip(found.hits, wanted.hits, strict=True)
    as_good = all(_near(hit.score, other.score) for hit, other in places)
    return as_good and _has_all(theirs, found) and _has_all(ours, wanted)


def _scores(page: HitPage) -> dict[Hit, float]:
    """The scores of what was found, by all else that is said of it."""
    return {replace(hit, score=0.0): hit.score for hit in page.hits}


def _has_all(scores: dict[Hit, float], page: HitPage) -> bool:
    """Whether these are the scores of a page's hits too, but for those that may as well stand on the next page."""
    beyond = page.hits[-1].score if page.total > len(page.hits) else None
    for hit in page.hits:
        score = scores.get(replace(hit, score=0.0), beyond)
        if score is None or not _near(hit.score, score):
            return False
    return True


def _near(score: float, other: float) -> bool:
    return abs(score - other) < SCORE_NOISE
