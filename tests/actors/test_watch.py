"""Who watches agents speak."""

from __future__ import annotations

import asyncio

import pytest

from palimpsest.actors.models.protocol import Piece, PieceKind
from palimpsest.actors.parts import watch
from palimpsest.actors.parts.watch import AGAIN, Watches


def spoken(watches: Watches, agent: str, turn: int, *words: str, kind: PieceKind = "message") -> None:
    on_piece = watches.listener(agent, turn)
    assert on_piece is not None
    for word in words:
        on_piece(Piece(kind, word))


def test_any_number_may_watch_and_each_sees_all() -> None:
    async def look() -> None:
        watches = Watches()
        assert watches.listener("a", 1) is None, "nobody watches yet"
        watches.watch("first", ["a"])
        spoken(watches, "a", 1, "Hello", " there")
        watches.watch("second", ["b", "a"])
        spoken(watches, "a", 2, "!")
        spoken(watches, "b", 7, "Yes.")
        assert await watches.pieces("first", 0.0) == [("a", 1, "message", "Hello there"), ("a", 2, "message", "!")]
        assert await watches.pieces("second", 0.0) == [("a", 2, "message", "!"), ("b", 7, "message", "Yes.")]
        assert await watches.pieces("first", 0.0) == []

    asyncio.run(look())


def test_what_is_of_another_kind_or_turn_is_not_joined() -> None:
    async def look() -> None:
        watches = Watches()
        watches.watch("one", ["a"])
        spoken(watches, "a", 1, "Hm", ".", kind="thought")
        spoken(watches, "a", 1, "Hello")
        spoken(watches, "a", 1, "", "", kind="end")
        spoken(watches, "a", 2, "More")
        assert await watches.pieces("one", 0.0) == [
            ("a", 1, "thought", "Hm."),
            ("a", 1, "message", "Hello"),
            ("a", 1, "end", ""),
            ("a", 1, "end", ""),
            ("a", 2, "message", "More"),
        ]

    asyncio.run(look())


def test_a_poll_waits_for_the_first_piece() -> None:
    async def look() -> None:
        watches = Watches()
        names = ["one", "two", "three"]
        for name in names:
            watches.watch(name, ["a"])
        polls = [asyncio.create_task(watches.pieces(name, 5.0)) for name in names]
        await asyncio.sleep(0)
        spoken(watches, "a", 1, "Hello")
        for poll in polls:
            assert await poll == [("a", 1, "message", "Hello")]

    asyncio.run(look())


def test_a_watcher_of_an_earlier_process_is_told_that_nobody_knows_it() -> None:
    async def look() -> None:
        watches = Watches()
        assert await watches.pieces("one", 5.0) is None
        watches.watch("one", ["a"])
        assert await watches.pieces("one", 0.0) == []

    asyncio.run(look())


def test_who_left_hears_no_more() -> None:
    async def look() -> None:
        watches = Watches()
        watches.watch("one", ["a", "b"])
        watches.watch("two", ["a"])
        watches.leave("one", ["a", "unknown"])
        watches.leave("unknown", ["a"])
        spoken(watches, "a", 1, "Hello")
        assert await watches.pieces("one", 0.0) == []
        assert await watches.pieces("two", 0.0) == [("a", 1, "message", "Hello")]
        watches.leave("two", ["a"])
        assert watches.listener("a", 1) is None
        assert watches.listener("b", 1) is not None

    asyncio.run(look())


def test_what_nobody_fetches_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MAX_PIECES", 10)

    async def look() -> None:
        watches = Watches()
        watches.watch("one", ["a"])
        for turn in range(1, 100):
            spoken(watches, "a", turn, f"{turn}")
        pieces = await watches.pieces("one", 0.0)
        assert pieces is not None
        assert pieces[0] == AGAIN
        assert pieces[-1] == ("a", 99, "message", "99")
        assert len(pieces) <= 12

    asyncio.run(look())


def test_a_watcher_that_asks_no_more_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("palimpsest.actors.parts.watch.time.monotonic", lambda: now)
    watches = Watches()
    watches.watch("one", ["a"])
    watches.watch("two", ["b"])
    assert watches.listener("a", 1) is not None
    now += watch.FORGOTTEN_AFTER_S
    asyncio.run(watches.pieces("two", 0.0))
    now += 1.0
    assert watches.listener("a", 2) is None, "whoever else is watched: an answer is enough"
    assert watches.listener("b", 2) is not None
    assert asyncio.run(watches.pieces("one", 0.0)) is None
