"""actors/models/hosted/waiting.py: a silent model is said to be waited for, at growing distances, and not after."""

from __future__ import annotations

import asyncio
import selectors

from palimpsest.actors.models.hosted.waiting import AT_SERVER, IN_LINE, Waiting
from palimpsest.actors.models.protocol import Piece


class Skipping(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer."""

    def __init__(self) -> None:
        never = Never()
        super().__init__(never)
        never.loop = self
        self.now_s = 0.0

    def time(self) -> float:
        return self.now_s

    def run_until(self, at_s: float) -> None:
        self.call_at(at_s, self.stop)
        self.run_forever()


class Never(selectors.SelectSelector):
    """Waits for nothing: it tells its loop that the time is over."""

    loop: Skipping

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout:
            self.loop.now_s += timeout
        return []


def silent(until_s: float, *, answered_s: float | None = None, closed_s: float | None = None) -> list[Piece]:
    """What was said of a request, up to a moment; each of them on the loop's clock."""
    said: list[Piece] = []
    loop = Skipping()

    async def begin() -> Waiting:
        return Waiting(said.append)

    waiting = loop.run_until_complete(begin())
    if answered_s is not None:
        loop.call_at(answered_s, waiting.came)
    if closed_s is not None:
        loop.call_at(closed_s, waiting.close)
    loop.run_until(until_s)
    waiting.close()
    loop.run_until(until_s + 1000)
    loop.close()
    return said


def test_each_pause_is_twice_the_one_before() -> None:
    assert [piece.text for piece in silent(151)] == [f"{IN_LINE}, {seconds} s" for seconds in (10, 20, 40, 80)]


def test_nothing_is_said_of_an_answer_that_comes_in_time() -> None:
    assert silent(15, answered_s=9) == []


def test_it_counts_anew_from_whatever_came() -> None:
    """The one timer was set for the 40th second, and is not set anew."""
    assert [piece.text for piece in silent(60, answered_s=25)] == [f"{IN_LINE}, {s} s" for s in (10, 20, 15, 20)]


def test_nothing_is_said_once_it_is_over() -> None:
    assert len(silent(200, closed_s=15)) == 1


def test_it_says_what_is_waited_for_now_and_nobody_is_told_who_does_not_watch() -> None:
    said: list[Piece] = []
    loop = Skipping()

    async def begin() -> Waiting:
        Waiting(None).close()
        return Waiting(said.append)

    loop.run_until_complete(begin()).doing = AT_SERVER
    loop.run_until(11)
    loop.close()
    assert said == [Piece("waiting", f"{AT_SERVER}, 10 s")]
