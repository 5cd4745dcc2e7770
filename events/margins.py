"""How far an agent's server counts more tokens than we do, learned from its own counts; and whether it cuts requests.

Rules. (1) What a server counted of a request stands beside our count of it as a *reading*, in the state: what follows
from readings is decided here, and said in an event. (2) A margin grows at once, by as much as a request shows, with a
little to spare; it shrinks only when many requests in a row need far less, and never below what the agent was given.
(3) Counts that cannot be are no readings: ours alone then holds.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from msgspec.structs import replace

from palimpsest.events.encodings import is_own
from palimpsest.events.state import Learned, ServerCount, State
from palimpsest.events.types import OFFLINE, CutNoticed, InferenceCompleted, MarginLearned, Settings

READINGS: Final = 8
"""So many of the last are kept."""
SERVERS: Final = 16
"""The margins of so many models are remembered."""

_LEAST_TOKENS: Final = 200
"""A shorter request says nothing: framing and templates are most of it."""
_LEAST_RATIO, _MOST_RATIO = 0.2, 5.0
"""Outside of these the server counts something else than the request."""
_TIGHT: Final = 1.03
_SPARE: Final = 1.08
_SPARE_OF_OWN: Final = 1.02
"""With the model's own tokenizer: what the server's template adds, and no more."""
_MUCH: Final = 0.85

_CUT_READINGS: Final = 4
_GREW: Final = 1.08
_FLAT: Final = 1.02
_BELOW: Final = 0.85
_FAR_BELOW: Final = 0.6
"""No tokenizer makes so few tokens of a text as that, against ours."""


def reading(event: InferenceCompleted, counted_tokens: int) -> ServerCount | None:
    """What the server counted of a request, beside our count of it without margin; None: it did not say."""
    usage = event.usage
    if usage.estimated or usage.prompt <= 0 or counted_tokens < _LEAST_TOKENS:
        return None
    prompt = usage.prompt + usage.cached if usage.cached > usage.prompt else usage.prompt
    made = ServerCount(counted=counted_tokens, prompt=prompt)
    return made if _LEAST_RATIO <= made.ratio <= _MOST_RATIO else None


def taken(state: State, made: ServerCount | None) -> State:
    return replace(state, readings=(*state.readings, made)[-READINGS:]) if made else state


def learned(state: State) -> MarginLearned | None:
    """The margin that the last readings ask for, where it is another than the one in use."""
    settings = state.settings
    if not state.readings or settings.model == OFFLINE:
        return None
    last, now = state.readings[-1], settings.margin
    tight, spare = (1.0, _SPARE_OF_OWN) if is_own(settings.encoding) else (_TIGHT, _SPARE)
    if last.ratio * tight > now:
        target = _rounded(last.ratio * spare)
    else:
        most = max(each.ratio for each in state.readings)
        target = max(_rounded(most * spare), settings.token_margin)
        if len(state.readings) < READINGS or state.cut_tokens or target > now * _MUCH:
            return None
    return MarginLearned(
        model=settings.model,
        base_url=settings.base_url,
        encoding=settings.encoding,
        margin=target,
        counted=last.counted,
        prompt=last.prompt,
    )


def _rounded(margin: float) -> float:
    """Up, to hundredths."""
    return ceil(margin * 100) / 100


def cut_noticed(state: State) -> CutNoticed | None:
    """Where the server's counts stay as they are while requests grow, or are far below any that can be: once."""
    readings = state.readings[-_CUT_READINGS:]
    if state.cut_tokens or len(readings) < _CUT_READINGS or state.settings.model == OFFLINE:
        return None
    first, last = readings[0], readings[-1]
    counts = [each.counted for each in readings]
    grew = counts == sorted(counts) and last.counted >= first.counted * _GREW
    best = max(1.0, *(each.ratio for each in state.readings))
    prompts = [each.prompt for each in readings]
    flat = last.prompt <= first.prompt * _FLAT and max(prompts) <= min(prompts) * _GREW and last.ratio < best * _BELOW
    far_below = all(each.ratio < _FAR_BELOW for each in readings)
    return CutNoticed(tokens=last.prompt, counted=last.counted) if (grew and flat) or far_below else None


def told(event: CutNoticed) -> str:
    """In words, for the user."""
    return (
        f"The server counted {event.tokens:,} tokens in a request that has {event.counted:,} by our count: it cuts "
        f"what is longer, or leaves something out. Start it with more, or give a window that it has (--window)."
    )


def asks(state: State, settings: Settings) -> State:
    """The state with these settings, and what was learned of their model; another's readings are none of its."""
    if _key(settings) != _key(state.settings):
        state = replace(state, readings=(), cut_tokens=0)
    return with_learned(replace(state, settings=settings))


def with_learned(state: State) -> State:
    """The state with the margin that was learned of the model that is asked now."""
    settings = state.settings
    margin = next((each.margin for each in state.margins if _key(each) == _key(settings)), 0.0)
    return replace(state, settings=replace(settings, margin_learned=margin))


def remembered(state: State, event: MarginLearned) -> State:
    mine = Learned(model=event.model, base_url=event.base_url, encoding=event.encoding, margin=event.margin)
    others = (each for each in state.margins if _key(each) != _key(mine))
    return with_learned(replace(state, margins=(*others, mine)[-SERVERS:]))


def _key(of: Learned | Settings) -> tuple[str, str, str]:
    return of.model, of.base_url, of.encoding
