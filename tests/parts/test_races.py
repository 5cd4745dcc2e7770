"""Fixes of the shell that a change could undo unseen: each has the one order of events in which it matters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from palimpsest.actors.log import LogActor
from palimpsest.actors.timer import Timers
from palimpsest.events.codec import draft
from palimpsest.events.envelope import Draft
from palimpsest.events.kinds import kinds_of
from palimpsest.events.types import (
    Event,
    FunctionCalled,
    InferenceFailed,
    InferenceRequested,
    Timer,
    TimerCancelled,
    TimerSet,
    ToolCall,
    TurnStarted,
    UserMessageReceived,
)
from palimpsest.store.logs.contract import Append
from tests.worlds.one_process import MINUTE_MS, parts, run
from tests.worlds.story import START_MS, call, say


def made(event: Event, key: str, **options: Any) -> Draft:
    return draft("ada", START_MS, event, key=key, **options)


class Racing:
    """A reader behind whose back an input is committed right after its first read."""

    def __init__(self, actor: LogActor) -> None:
        self._actor = actor
        self._reader = actor._reader
        self._committed = False

    def __getattr__(self, name: str) -> Any:
        read = getattr(self._reader, name)

        def raced(*args: object) -> object:
            found = read(*args)
            if not self._committed:
                self._committed = True
                late = Append((made(UserMessageReceived(text="Late."), "in:late", opens="turn"),))
                self._actor._thread.submit(lambda: self._actor._store.commit([late])).result()
            return found

        return raced


def test_what_is_opened_while_open_requests_are_read_is_told_now_or_by_the_tail(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path) as here:
            await here.born("ada")
            here.log_actor._reader = Racing(here.log_actor)
            opened = await here.log.open_requests("turn")
            late = (await here.envelopes("ada", "UserMessageReceived"))[0]
            assert late in opened.envelopes or late.position > opened.position

    run(live())


def test_a_repeating_timer_goes_on_where_a_timer_of_its_id_was_once_set_for_that_moment(tmp_path: Path) -> None:
    first = Timer(id="t", due_ms=START_MS + MINUTE_MS, every_s=60)
    gone = Timer(id="t", due_ms=START_MS + 2 * MINUTE_MS, every_s=60)
    key, key_of_gone = (f"alarm:t:{timer.due_ms}" for timer in (first, gone))

    async def live() -> None:
        async with parts(tmp_path) as here:
            await here.born("ada")
            await here.log.append_drafts(
                [
                    made(TimerSet(timer=gone), key_of_gone, opens="alarm"),
                    made(TimerCancelled(timer_id="t"), f"cancel:{key_of_gone}", closes=key_of_gone),
                    made(TimerSet(timer=first), key, opens="alarm"),
                ]
            )
            for fired in (1, 2):
                await here.passes(1)
                assert len(await here.envelopes("ada", "TimerFired")) == fired
            assert [timer.due_ms for timer in await here.client.timers("ada")] == [START_MS + 3 * MINUTE_MS]

    run(live())


def test_a_repeating_timer_that_is_cancelled_as_it_fires_is_not_set_again(tmp_path: Path) -> None:
    async def live(by_the_model: bool) -> None:
        folder = tmp_path / str(by_the_model)
        folder.mkdir()
        async with parts(folder, {"No more": (call("cancel_timer", timer="t"), say("Cancelled."))}) as here:
            await here.born("ada")
            await here.client.set_timer("ada", Timer(id="t", due_ms=START_MS + MINUTE_MS, every_s=60))
            await here.timers.step(0.0)
            late = Timers(here.log, lambda: here.now_ms)  # knows of the timer, and not of its end
            await late.recover()
            if by_the_model:
                assert (await here.says("ada", "No more.")).text == "Cancelled."
            else:
                assert await here.client.cancel_timer("ada", "t")
            late._position = await here.position()
            here.now_ms += MINUTE_MS
            for timers in (here.timers, late):
                await timers.step(0.0)
            assert await here.client.timers("ada") == []
            assert await here.envelopes("ada", "TimerFired") == []

    run(live(by_the_model=False))
    run(live(by_the_model=True))


def test_a_timer_whose_setting_was_stopped_is_not_set(tmp_path: Path) -> None:
    async def live() -> None:
        async with parts(tmp_path, {"Remind": (call("set_timer", note="tea", in_minutes=5),)}) as here:
            await here.born("ada")
            await here.says("ada", "Hello.")
            ticket = await here.client.send("ada", "Remind me.")
            assert ticket.position is not None
            await here.log.tail(ticket.position, 100, 10.0, kinds=kinds_of(FunctionCalled))
            (asked,) = (await here.log.open_requests("timer")).envelopes
            await here.client.stop("ada")
            assert (await here.client.wait(ticket)).reason == "stopped"
            await here.timers._append([here.timers._take(asked)])  # the answer that was under way
            assert await here.envelopes("ada", "TimerSet") == []

    run(live())


def test_a_request_that_is_not_the_one_asked_for_is_not_sent(tmp_path: Path) -> None:
    asked = InferenceRequested(purpose="reply", fingerprint=b"another one".ljust(32), tokens=1)

    async def live() -> None:
        async with parts(tmp_path) as here:
            await here.born("ada")
            await here.log.append_drafts(
                [
                    made(UserMessageReceived(text="Hi."), "in:1", opens="turn"),
                    made(TurnStarted(input=2), "m3", turn=2),
                    made(asked, "m4", turn=2, opens="inference"),
                ]
            )
            reply = await here.ended(await here.last_input("ada"))
            assert reply.reason == "inference_failed"
            assert "was not the one that was asked for, so it was not sent" in reply.detail
            failures = await here.events("ada", "InferenceFailed")
            assert [(type(each), each.error) for each in failures] == [(InferenceFailed, "bad_request")]
            assert here.model.requests == []
            assert (await here.says("ada", "Again.")).reason == "yielded", "the next request is rendered afresh"

    run(live())


def test_an_answer_that_no_log_can_hold_ends_the_turn_and_not_the_waiting(tmp_path: Path) -> None:
    script = {"Odd": (ToolCall(id="c", name="send_message", arguments='{"message": "half \ud800"}'),)}

    async def live() -> None:
        async with parts(tmp_path, script) as here:
            await here.born("ada")
            reply = await here.says("ada", "Odd, please.")
            assert reply.reason == "inference_failed"
            assert [each.error for each in await here.events("ada", "InferenceFailed")] == ["bad_answer"]
            assert (await here.says("ada", "Hello.")).reason == "yielded"

    run(live())
