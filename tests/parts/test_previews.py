"""How a client hears agents speak: few calls for many agents, and nothing lost in silence."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, cast

from palimpsest.actors.models.protocol import Piece, PieceKind
from palimpsest.actors.parts.watch import AgentPiece, Watches
from palimpsest.actors.requests.previews import Previews
from tests.worlds.one_process import run


class Speaker:
    """An LLM processor of which only the watches are there; it counts what it is asked, and can be started anew."""

    def __init__(self) -> None:
        self.watches = Watches()
        self.calls: Counter[str] = Counter()

    async def watch(self, watcher: str, agents: list[str]) -> None:
        self.calls["watch"] += 1
        self.watches.watch(watcher, agents)

    async def pieces(self, watcher: str, wait_s: float, left: list[str]) -> list[AgentPiece] | None:
        self.calls["pieces"] += 1
        self.watches.leave(watcher, left)
        return await self.watches.pieces(watcher, min(wait_s, 0.01))

    def says(self, agent: str, turn: int, *words: str) -> None:
        on_piece = self.watches.listener(agent, turn)
        if on_piece is not None:
            for word in words:
                on_piece(Piece("message", word))
            on_piece(Piece("end", ""))


async def heard(previews: Previews, speaker: Speaker, agent: str, turn: int, *words: str) -> str:
    """What is heard of one turn that says these words, and then ends."""
    async with previews.hear(agent) as place:
        speaker.says(agent, turn - 1, "Of another turn.")
        speaker.says(agent, turn, *words)
        place.put(None)
        return "".join([piece.text async for piece in place.rest(turn, 1)])


def local(speaker: Speaker) -> Any:
    return speaker


def test_many_are_heard_by_one_call() -> None:
    async def listen() -> None:
        speaker = Speaker()
        previews = Previews(local(speaker))
        for turn in (10, 20, 30):
            hearing = (heard(previews, speaker, f"a{n}", turn, f"Turn {turn} ", f"of {n}.") for n in range(50))
            assert await asyncio.gather(*hearing) == [f"Turn {turn} of {n}." for n in range(50)]
        assert speaker.calls["watch"] == 1
        assert speaker.calls["pieces"] <= 12, "not one for each agent"
        await previews.close()

    run(listen())


def test_one_that_is_started_anew_is_watched_again() -> None:
    async def listen() -> None:
        speaker = Speaker()
        previews = Previews(local(speaker))
        async with previews.hear("a") as place:
            speaker.says("a", 1, "Lost")
            speaker.watches = Watches()
            pieces = place.of_turn(1)
            assert (await anext(pieces)).kind == "again"
            assert place.disturbed
            speaker.says("a", 1, "Said anew.")
            assert [await anext(pieces), await anext(pieces)] == [Piece("message", "Said anew."), Piece("end", "")]
        await previews.close()

    run(listen())


def test_a_piece_of_a_kind_that_is_not_known_here_is_passed_over() -> None:
    async def listen() -> None:
        speaker = Speaker()
        previews = Previews(local(speaker))
        async with previews.hear("a") as place:
            on_piece = speaker.watches.listener("a", 1)
            assert on_piece is not None
            on_piece(Piece(cast(PieceKind, "hummed"), "Hm hm."))
            speaker.says("a", 1, "One.")
            assert await anext(place.of_turn(1)) == Piece("message", "One.")
        await previews.close()

    run(listen())


def test_what_was_said_before_the_end_comes_before_the_end() -> None:
    async def listen() -> None:
        speaker = Speaker()
        previews = Previews(local(speaker))
        async with previews.hear("a") as place:
            speaker.says("a", 1, "One.")
            pieces = place.of_turn(1)
            assert await anext(pieces) == Piece("message", "One.")
            place.put(None)
            assert [piece async for piece in pieces] == [Piece("end", "")]
            speaker.says("a", 1, "Two.")
            assert [piece async for piece in place.rest(1, 2)] == [Piece("message", "Two."), Piece("end", "")]
        await previews.close()

    run(listen())
