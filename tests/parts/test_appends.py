"""Each append has an outcome of its own: what is wrong with one is told to its caller, and harms no other."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from msgspec.structs import replace
from structlog.testing import capture_logs

from palimpsest.actors.links import wire
from palimpsest.actors.links.log_client import LogClient
from palimpsest.actors.parts.owed import append_owed
from palimpsest.actors.parts.process import until_taken
from palimpsest.actors.requests.outbox import AT_ONCE_BYTES, Outbox
from palimpsest.events.codec import draft
from palimpsest.events.envelope import Draft
from palimpsest.events.errors import BadInput, Fenced, LogUnavailable, Overloaded, PalimpsestError
from palimpsest.events.kinds import kinds_of
from palimpsest.events.types import AlertRaised, Event, StopRequested, Timer
from palimpsest.store.logs.contract import Append, Appended
from palimpsest.store.logs.sqlite_log import SqliteLog
from tests.worlds.one_process import LIMIT_S, parts, run
from tests.worlds.positions import nth

LONE = "half \ud800"
NEVER_MS = 2**63
"""A time that packs, and that SQLite cannot hold."""


def made(key: str, agent: str = "ada", time_ms: int = 1) -> Draft:
    return draft(agent, time_ms, StopRequested(), key=key)


@pytest.mark.parametrize(
    "bad", [made(LONE), made("k", agent=LONE), made("k", time_ms=NEVER_MS), made("k", time_ms=2**70)]
)
def test_one_bad_append_fails_alone(tmp_path: Path, bad: Draft) -> None:
    async def live() -> None:
        async with parts(tmp_path) as here:
            await here.born("ada")
            outbox = Outbox(here.log)
            drafts = [made("first"), bad, made("last")]
            appends = (outbox.append(Append((each,))) for each in drafts)
            first, failed, last = await asyncio.gather(*appends, return_exceptions=True)
            assert isinstance(failed, BadInput)
            assert isinstance(first, list) and isinstance(last, list)
            assert [answer.outcome for answer in (*first, *last)] == ["appended", "appended"]
            assert await here.kinds("ada") == ["AgentCreated", "StopRequested", "StopRequested"]

    run(live())


def test_who_waits_for_what_comes_is_told_that_the_log_is_closed(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path) as here:
            waiting = asyncio.create_task(here.log.tail(await here.position(), 1, 2 * LIMIT_S))
        with pytest.raises(LogUnavailable, match="is stopping"):
            await waiting

    run(live())


async def exchanged(log: LogClient, append: Append, wait_s: float) -> tuple[list[str], list[str] | None]:
    """The outcomes of an append, and the kinds of what came then."""
    answers, batch = await log.exchange(append, nth(0), 100, wait_s, kinds=kinds_of(AlertRaised))
    kinds: list[str] | None = None if batch is None else [envelope.kind for envelope in batch.envelopes]
    return [answer.outcome for answer in answers], kinds


def test_who_appends_and_waits_does_both_in_one_call(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path) as here:
            await here.born("ada")
            assert await exchanged(here.log, Append((made("a"),)), 0.0) == (["appended"], [])
            waiting = asyncio.create_task(exchanged(here.log, Append((made("b"),)), 2 * LIMIT_S))
            alert = draft("ada", 1, AlertRaised(text="Fire."), key="alert")
            await here.log.append(Append((alert,)))
            assert await waiting == (["appended"], ["AlertRaised"])

    run(live())


def test_who_appends_in_vain_does_not_wait(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path) as here:
            await here.born("ada")
            for append, outcome in (
                (Append((made("a"),), {"ada": 7}), "conflict"),
                (Append((replace(made("b"), closes="nothing"),)), "closed"),
            ):
                assert await exchanged(here.log, append, 2 * LIMIT_S) == ([outcome], None)
            with pytest.raises(BadInput):
                await exchanged(here.log, Append((made("c", time_ms=NEVER_MS),)), 2 * LIMIT_S)
            waiting = asyncio.create_task(exchanged(here.log, Append((made("d"),)), 2 * LIMIT_S))
        assert await waiting == (["appended"], None), "the log is closed, and tells what was appended"

    run(live())


def test_a_turn_takes_three_commits_and_five_calls_of_the_log(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path) as here:
            await here.born("ada")
            await here.client.ask("ada", "Hello.")
            calls, commits = here.log_calls.copy(), (await here.log.status())["commits"]
            await here.client.ask("ada", "Hello again.")
            assert (await here.log.status())["commits"] - commits == 3
            made_calls = here.log_calls - calls - Counter(status=2)
            assert made_calls == Counter(append=2, exchange=1, tail=3)

    run(live())


def test_an_answer_is_taken_alone_where_what_follows_from_it_was_overtaken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def live() -> None:
        async with parts(tmp_path) as here:
            await here.born("ada")
            desk = here.processor._desk
            decided = desk.followed

            def overtaken(*asked: Any) -> tuple[tuple[Draft, ...], int | None]:
                drafts, expected = decided(*asked)
                assert expected is not None
                return drafts, expected - 1

            monkeypatch.setattr(desk, "followed", overtaken)
            for text in ("Hello.", "Hello again."):
                assert (await here.client.ask("ada", text)).text == "I am here."
            kinds = Counter(await here.kinds("ada"))
            assert (kinds["InferenceCompleted"], kinds["MessageSent"], kinds["TurnEnded"]) == (2, 2, 2)

    run(live())


def test_snapshots_are_kept_also_where_turns_end_with_their_answers(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, snapshot_every=10) as here:
            await here.born("ada")
            for number in range(12):
                await here.client.ask("ada", f"Hello {number}.")
        with SqliteLog.open_readonly(tmp_path / "log.sqlite") as log:
            head = log.head("ada")
            assert head is not None
            newest = log.snapshots("ada", limit=1)
            assert newest and newest[0].seq > head.seq - 2 * 10

    run(live())


def test_errors_cross_with_their_fields() -> None:
    outcomes: list[list[Appended] | BaseException] = [
        [Appended("appended", 3, nth(4))],
        Fenced(1, 2),
        LogUnavailable("full"),
        Overloaded("Too much.", 1.5),
    ]
    came = wire.unpack_answered(wire.pack([wire.answered(outcome) for outcome in outcomes]))
    assert came[0] == [Appended("appended", 3, nth(4))]
    assert [(type(error), str(error)) for error in came[1:]] == [(type(error), str(error)) for error in outcomes[1:]]
    assert isinstance(came[1], Fenced) and (came[1].epoch, came[1].current) == (1, 2)
    assert isinstance(came[3], Overloaded) and came[3].retry_after_s == 1.5


def test_what_is_no_error_of_ours_fails_the_call() -> None:
    with pytest.raises(ZeroDivisionError):
        wire.answered(ZeroDivisionError())


def test_a_call_over_several_commits_tells_each_append_what_became_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palimpsest.actors.log.MAX_DRAFTS_A_COMMIT", 2)

    async def live() -> None:
        async with parts(tmp_path) as here:
            await here.born("ada")
            drafts = [made("1"), made("2"), made("3", time_ms=NEVER_MS), made("4"), made("5")]
            outcomes = await here.log.append_packed([wire.packed(Append((each,))) for each in drafts])
            assert [isinstance(outcome, BadInput) for outcome in outcomes] == [False, False, True, False, False]
            assert len(await here.envelopes("ada", "StopRequested")) == 4

    run(live())


def test_what_is_gathered_stays_small_enough_for_a_call(tmp_path: Path) -> None:
    calls: list[list[msgspec.Raw]] = []

    class Counting(LogClient):
        async def append_packed(self, items: Sequence[msgspec.Raw]) -> list[list[Appended] | PalimpsestError]:
            calls.append(list(items))
            return await super().append_packed(items)

    async def live() -> None:
        async with parts(tmp_path) as here:
            await here.born("ada")
            outbox = Outbox(Counting(here.parts.log))
            sizes = (10, *[AT_ONCE_BYTES // 4] * 9, 2 * AT_ONCE_BYTES, 10)
            drafts = [draft("ada", 1, AlertRaised(text="x" * size), key=f"{n}") for n, size in enumerate(sizes)]
            await asyncio.gather(*(outbox.append(Append((each,))) for each in drafts))
            assert sum(map(len, calls)) == len(drafts)
            assert all(len(call) == 1 or sum(len(bytes(item)) for item in call) <= AT_ONCE_BYTES for call in calls)
            assert max(map(len, calls)) > 1
            assert len(await here.envelopes("ada", "AlertRaised")) == len(drafts)

    run(live())


def test_a_part_drops_only_the_answer_that_no_log_can_hold(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path) as here:
            await here.born("ada")
            groups = [[made("1")], [made("2"), made("3", time_ms=NEVER_MS)], [made("4")]]
            with capture_logs() as lines:
                settled = await append_owed(here.log, groups, structlog.get_logger())
            assert settled == 2
            assert [e.key for e in await here.envelopes("ada", "StopRequested")] == ["1", "4"]
            dropped = [line for line in lines if line["event"].startswith("answer dropped")]
            assert [(line["agent"], line["keys"]) for line in dropped] == [("ada", ["2", "3"])]

    run(live())


def test_what_can_never_be_taken_is_not_tried_again() -> None:
    tried = []

    async def attempt() -> None:
        tried.append(1)
        raise BadInput("No.")

    with pytest.raises(BadInput):
        run(until_taken(attempt, structlog.get_logger(), "append"))
    assert len(tried) == 1


def test_an_agent_whose_next_events_no_log_can_hold_is_set_aside_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unholdable(agent: str, time: int, event: Event, **options: Any) -> Draft:
        return draft(agent, NEVER_MS if agent == "bad" else time, event, **options)

    monkeypatch.setattr("palimpsest.events.decide.draft", unholdable)

    async def live() -> None:
        async with parts(tmp_path) as here:
            await here.born("bad", "good")
            drafts = [
                draft(agent, 1, AlertRaised(text="Wake up."), key="in:1", opens="turn") for agent in ("bad", "good")
            ]
            await here.log.append_drafts(drafts)
            assert (await here.says("good", "Hello.")).text == "I am here."
            assert list(here.memory.streams.aside) == ["bad"]
            assert await here.kinds("bad") == ["AgentCreated", "AlertRaised"]

    run(live())


LARGE = "x" * 4_000_001


def test_what_a_client_may_not_send_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path) as here:
            await here.born("ada")
            client = here.client
            refused: dict[str, list[Coroutine[Any, Any, object]]] = {
                "message id": [client.send("ada", "Hi.", message_id=id) for id in ("x" * 201, "a\nb", LONE, " ")],
                "user's name": [client.send("ada", "Hi.", name=name) for name in (LONE, "x" * 1001)],
                "time of the last login": [client.login("ada", last_login=LONE)],
                "alert": [client.alert("ada", text) for text in ("", LONE, LARGE)],
                "upload's source": [client.upload("ada", source) for source in ("", LONE, "x" * 1001)],
                "upload's detail": [client.upload("ada", "f", text) for text in (LONE, LARGE)],
                "reason": [client.stop("ada", reason) for reason in (LONE, "x" * 1001)],
                "timer's id": [client.set_timer("ada", Timer(id=id, due_ms=1)) for id in ("", LONE, "x" * 201)],
                "timer's note": [
                    client.set_timer("ada", Timer(id="t", due_ms=1, note=n)) for n in (LONE, "x" * 10_001)
                ],
                "agent's name": [client.send(LONE, "Hi."), client.stop("a\nb")],
            }
            for what, attempts in refused.items():
                for attempt in attempts:
                    with pytest.raises(BadInput, match=what):
                        await attempt
            assert await here.kinds("ada") == ["AgentCreated"]

    run(live())
