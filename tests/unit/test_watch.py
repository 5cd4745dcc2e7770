"""Who watches an agent speak."""

from __future__ import annotations

import asyncio

import pytest

from actors import watch
from actors.models.protocol import Piece
from actors.watch import AGAIN, Watches


def spoken(watches: Watches, agent: str, turn: int, *words: str) -> None:
    on_piece = watches.listener(agent, turn)
    assert on_piece is not None
    for word in words:
        on_piece(Piece("message", word))


def test_any_number_may_watch_and_each_sees_all() -> None:
    async def look() -> None:
        watches = Watches()
        assert watches.listener("a", 1) is None, "nobody watches yet"
        first = watches.open("a")
        spoken(watches, "a", 1, "Hello", " there")
        second = watches.open("a")
        spoken(watches, "a", 2, "!")
        pieces, first = await watches.pieces("a", first, 0.0)
        assert pieces == [(1, "message", "Hello"), (1, "message", " there"), (2, "message", "!")]
        assert await watches.pieces("a", second, 0.0) == ([(2, "message", "!")], first)
        assert await watches.pieces("a", first, 0.0) == ([], first)

    asyncio.run(look())


def test_a_poll_waits_for_the_first_piece() -> None:
    async def look() -> None:
        watches = Watches()
        cursor = watches.open("a")
        polls = [asyncio.create_task(watches.pieces("a", cursor, 5.0)) for _ in range(3)]
        await asyncio.sleep(0)
        spoken(watches, "a", 1, "Hello")
        for poll in polls:
            assert (await poll)[0] == [(1, "message", "Hello")]

    asyncio.run(look())


def test_a_cursor_of_an_earlier_process_is_told_to_begin_again() -> None:
    async def look() -> None:
        earlier, later = Watches(), Watches()
        cursor = earlier.open("a")
        spoken(earlier, "a", 1, "Hel", "lo")
        _, cursor = await earlier.pieces("a", cursor, 0.0)
        later.open("a")
        spoken(later, "a", 1, "Hello")
        pieces, cursor = await later.pieces("a", cursor, 0.0)
        assert pieces == [AGAIN, (1, "message", "Hello")]
        assert await later.pieces("a", cursor, 0.0) == ([], cursor)

    asyncio.run(look())


def test_what_nobody_fetches_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MAX_PIECES", 10)

    async def look() -> None:
        watches = Watches()
        cursor = watches.open("a")
        spoken(watches, "a", 1, *(f"{number} " for number in range(100)))
        pieces, _ = await watches.pieces("a", cursor, 0.0)
        assert pieces[0] == AGAIN
        assert pieces[-1] == (1, "message", "99 ")
        assert len(pieces) <= 12

    asyncio.run(look())


def test_a_watch_that_nobody_asks_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("actors.watch.time.monotonic", lambda: now)
    watches = Watches()
    watches.open("a")
    watches.open("b")
    assert watches.listener("a", 1) is not None
    now += watch.FORGOTTEN_AFTER_S
    asyncio.run(watches.pieces("b", 0, 0.0))
    now += 1.0
    assert watches.listener("a", 2) is None, "whoever else is watched: an answer is enough"
    assert watches.listener("b", 2) is not None
