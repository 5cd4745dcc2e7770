"""A conversation end to end through the client: memory, searches, timers, interrupts, stops, retries, streams."""

from __future__ import annotations

import asyncio
import time

import pytest

from palimpsest.actors.client import Reply, Ticket
from palimpsest.actors.models.protocol import Piece
from palimpsest.actors.parts.process import now_ms
from palimpsest.actors.system import System
from palimpsest.events.errors import AgentExists, BadInput, UnknownAgent
from palimpsest.events.prompts import newborn
from palimpsest.events.types import (
    FunctionCalled,
    FunctionReturned,
    InferenceCancelled,
    MessagesEvicted,
    Settings,
    StopRequested,
    Timer,
    TimerFired,
    TurnEnded,
    UserMessageReceived,
)
from palimpsest.store.folder import DataFolder
from tests.worlds.crowd import (
    SMALL,
    START_MS,
    born,
    check_promises,
    kill,
    log_of,
    run,
    running,
    script,
    stream_of,
    waited_for,
)


def slow(stub_url: str) -> Settings:
    """A model that never answers."""
    return Settings(model="stub-hang", base_url=stub_url)


def test_facts_are_kept_and_asked_for_again(shared: System) -> None:
    async def talk() -> None:
        client = await born(shared, "facts")
        await client.ask("facts", "My name is Sam and I live in Oslo.")
        assert "Oslo" in (await client.ask("facts", "Where do I live?")).text
        await client.ask("facts", "Actually, I live in Lima.")
        reply = await client.ask("facts", "Where do I live?")
        assert "Lima" in reply.text
        assert "Oslo" not in reply.text
        human = next(block.value for block in (await client.state("facts")).blocks if block.label == "human")
        assert "Lima" in human

    run(talk())


def test_what_left_the_window_is_found_by_a_search(shared: System) -> None:
    async def talk() -> None:
        client = await born(shared, "recall", SMALL)
        lines = script(3)
        for number, text in enumerate([*lines, *lines[1:4], *lines[1:4]]):
            await client.send("recall", text, at_ms=START_MS + number)
        reply = await client.ask("recall", "Where is the spare key?")
        assert "flowerpot" in reply.text
        events = await stream_of(shared, "recall")
        assert any(isinstance(event, MessagesEvicted) for event in events)
        asked = [e for e in events if isinstance(e, FunctionCalled) and e.name == "conversation_search"]
        returned = {event.call: event for event in events if isinstance(event, FunctionReturned)}
        found = [returned[call.call] for call in asked]
        assert any("flowerpot" in each.result and each.found and each.total for each in found)

    run(talk())


def test_inputs_that_come_meanwhile_wait_in_order(shared: System) -> None:
    async def talk() -> None:
        client = await born(shared, "queue")
        tickets = [await client.send("queue", f"This is message {number}.") for number in range(12)]
        replies = await asyncio.gather(*(client.wait(ticket) for ticket in tickets))
        assert [reply.reason for reply in replies] == ["yielded"] * 12
        ended = [e.input for e in await stream_of(shared, "queue") if isinstance(e, TurnEnded)]
        assert ended == [ticket.seq for ticket in tickets], "promise 4: answered in order"

    run(talk())


def test_a_stop_cancels_the_running_turn_and_no_other(shared: System, stub_url: str) -> None:
    async def talk() -> None:
        client = await born(shared, "stopped", slow(stub_url))
        first = await client.send("stopped", "Think about everything.")
        second = await client.send("stopped", "And then about this.")
        await waited_for(shared, "stopped", "InferenceRequested")
        await client.change_settings("stopped", Settings())
        await client.stop("stopped", "too slow")
        ended = await client.wait(first)
        assert ended.reason == "stopped"
        assert "too slow" in ended.detail
        assert (await client.wait(second)).reason == "yielded"
        kinds = [type(event) for event in await stream_of(shared, "stopped")]
        assert kinds.count(InferenceCancelled) == kinds.count(StopRequested) == 1
        assert not await client.stop("stopped"), "nothing runs"
        assert await client.stop("stopped", input=second.seq), "it comes too late, and changes nothing"
        assert (await client.ask("stopped", "Hello again!")).reason == "yielded"

    run(talk())


def test_interrupts_lead_to_turns(shared: System) -> None:
    async def talk() -> None:
        client = await born(shared, "interrupts")
        tickets = [
            await client.login("interrupts", last_login="yesterday"),
            await client.upload("interrupts", "report.pdf", "12 pages"),
            await client.alert("interrupts", "The disk is almost full."),
        ]
        replies = [await client.wait(ticket) for ticket in tickets]
        assert [reply.reason for reply in replies] == ["yielded"] * 3
        assert "report.pdf" in replies[1].text
        assert "disk" in replies[2].text

    run(talk())


def test_a_message_sent_again_gets_the_same_turn(shared: System) -> None:
    async def talk() -> None:
        client, other = await born(shared, "twice"), shared.client()
        first = await client.send("twice", "I live in Graz.", message_id="m-1")
        replies = [await client.wait(first), await client.wait(first)]
        again = await other.send("twice", "I live in Graz.", message_id="m-1")
        assert (again.again, again.seq) == (True, first.seq)
        replies += [await other.wait(again), await client.ask("twice", "I live in Graz.", message_id="m-1")]
        assert replies == [replies[0]] * 4
        events = await stream_of(shared, "twice")
        assert len([event for event in events if isinstance(event, UserMessageReceived)]) == 1
        assert len([event for event in events if isinstance(event, TurnEnded)]) == 1

    run(talk())


def test_a_turn_may_be_waited_for_after_a_timeout(shared: System, stub_url: str) -> None:
    async def talk() -> None:
        client = await born(shared, "late", Settings(model="stub-slow", base_url=stub_url))
        ticket = await client.send("late", "Hello.")
        with pytest.raises(TimeoutError):
            await client.wait(ticket, timeout_s=0.05)
        await waited_for(shared, "late", "TurnEnded")
        assert (await client.wait(ticket, timeout_s=10)).reason == "yielded"

    run(talk())


@pytest.mark.parametrize("model", ["offline", "stub"])
def test_the_pieces_of_a_stream_are_the_message(shared: System, stub_url: str, model: str) -> None:
    async def talk() -> None:
        agent = f"stream-{model}"
        client = await born(shared, agent, Settings(model=model, base_url=stub_url))
        before = await client.send(agent, "This is asked first, and shown to nobody.")
        pieces: list[Ticket | Piece | Reply] = [piece async for piece in client.stream(agent, "My name is Sam.")]
        reply = pieces.pop()
        assert isinstance(reply, Reply)
        words = [piece for piece in pieces if isinstance(piece, Piece)]
        assert "".join(piece.text for piece in words if piece.kind == "message") == reply.text
        assert [piece.kind for piece in words][-2:] == ["message", "end"]
        assert reply.input > before.seq

    run(talk())


def test_a_stream_goes_on_when_the_processor_dies(shared: System, stub_url: str) -> None:
    async def talk() -> None:
        client = await born(shared, "cut", Settings(model="stub-slow", base_url=stub_url))

        async def cut() -> None:
            await waited_for(shared, "cut", "InferenceRequested")
            await kill(shared, "llm")

        cutting = asyncio.create_task(cut())
        pieces = [piece async for piece in client.stream("cut", "My name is Sam.")]
        await cutting
        assert isinstance(pieces[-1], Reply)
        assert pieces[-1].reason == "yielded"
        words = ""
        assert isinstance(pieces[0], Ticket)
        for piece in pieces[1:-1]:
            assert isinstance(piece, Piece)
            words = "" if piece.kind == "again" else words + piece.text * (piece.kind == "message")
        assert words in (pieces[-1].text, ""), "what is shown after the break is the whole message, or nothing"

    run(talk())


def test_bad_inputs_are_refused_with_a_reason(shared: System) -> None:
    async def talk() -> None:
        client = await born(shared, "plain")
        with pytest.raises(AgentExists, match="plain"):
            await client.create("plain", newborn(Settings()))
        with pytest.raises(UnknownAgent, match=r"nobody.*Known agents"):
            await client.send("nobody", "Hello?")
        for text in ("", "  \n "):
            with pytest.raises(BadInput, match="empty"):
                await client.send("plain", text)
        with pytest.raises(BadInput, match="4,000,000"):
            await client.send("plain", "x" * 4_000_001)
        with pytest.raises(BadInput, match="no time"):
            await client.send("plain", "Hello", at_ms=2**63)
        with pytest.raises(BadInput, match="cron"):
            await client.set_timer("plain", Timer(id="t", due_ms=now_ms(), cron="every now and then"))
        with pytest.raises(UnknownAgent):
            await client.set_timer("nobody", Timer(id="t", due_ms=now_ms()))
        assert len(await stream_of(shared, "plain")) == 1, "nothing was logged"
        assert (await client.ask("plain", "Hello!")).reason == "yielded", "and the system is well"

    run(talk())


def test_a_message_larger_than_the_window_is_paged_in(shared: System) -> None:
    async def talk() -> None:
        client = await born(shared, "large")
        text = " ".join(f"Item {number} costs {number * 7} crowns." for number in range(40_000))[:1_000_000]
        assert (await client.ask("large", f"{text} The password is swordfish.")).reason == "yielded"
        state = await client.state("large")
        assert state.archival_passages > 100
        assert (await client.ask("large", "Hello!")).reason == "yielded"

    run(talk())


# --- timers -------------------------------------------------------------------------------------------------------


def test_the_model_sets_a_timer_that_fires(shared: System) -> None:
    async def talk() -> None:
        client = await born(shared, "reminded")
        reply = await client.ask("reminded", "Remind me in 0.01 minutes to drink water.")
        assert reply.reason == "yielded"
        fired = await waited_for(shared, "reminded", "TimerFired")
        ended = await waited_for(shared, "reminded", "TurnEnded", after=fired.seq)
        spoken = [e for e in await stream_of(shared, "reminded") if isinstance(e, TimerFired)]
        assert len(spoken) == 1
        assert spoken[0].timer.note == "drink water"
        assert ended.turn == fired.seq
        assert await client.timers("reminded") == []

    run(talk())


def test_clients_set_list_and_cancel_timers(shared: System) -> None:
    async def talk() -> None:
        client = await born(shared, "timers")
        now = now_ms()
        once = Timer(id="once", due_ms=now + 200, note="once")
        every = Timer(id="every", due_ms=now + 250, note="every hour", every_s=3600)
        cron = Timer(id="cron", due_ms=now + 300, note="at nine", cron="0 9 * * *")
        never = Timer(id="never", due_ms=now + 3_600_000, note="never")
        for timer in (once, every, cron, never, never):
            assert await client.set_timer("timers", timer) == timer
        assert await client.cancel_timer("timers", "never")
        assert not await client.cancel_timer("timers", "never")
        assert not await client.cancel_timer("timers", "unheard of")
        seq = 0
        for _ in range(3):
            seq = (await waited_for(shared, "timers", "TimerFired", after=seq)).seq
        await waited_for(shared, "timers", "TurnEnded", after=seq)
        fired = [e.timer.id for e in await stream_of(shared, "timers") if isinstance(e, TimerFired)]
        assert sorted(fired) == ["cron", "every", "once"]
        left = {timer.id: timer for timer in await client.timers("timers")}
        assert sorted(left) == ["cron", "every"]
        assert left["every"].due_ms == every.due_ms + 3_600_000
        later = Timer(id="every", due_ms=now + 7_200_000)
        await client.set_timer("timers", later)
        assert later in await client.timers("timers"), "one of the same id is replaced"
        assert await client.cancel_timer("timers", "every")
        assert await client.cancel_timer("timers", "cron")
        assert await client.timers("timers") == []

    run(talk())


def test_retries_and_timers_outlive_a_restart(folder: DataFolder) -> None:
    """A message sent again after a restart gets its old turn; a timer that was missed fires, once."""

    async def before() -> Reply:
        async with running(folder) as system:
            client = await born(system, "sam")
            reply = await client.ask("sam", "I live in Oslo.", message_id="m-1")
            await client.set_timer("sam", Timer(id="tea", due_ms=now_ms() + 1000, note="tea", every_s=60))
            await client.set_timer("sam", Timer(id="gone", due_ms=now_ms() + 1000))
            await client.cancel_timer("sam", "gone")
        return reply

    async def after(reply: Reply) -> None:
        async with running(folder) as system:
            client = system.client()
            assert await client.ask("sam", "I live in Oslo.", message_id="m-1") == reply
            fired = await waited_for(system, "sam", "TimerFired")
            await waited_for(system, "sam", "TurnEnded", after=fired.seq)
            await kill(system, "timer")
            await kill(system, "log")
            assert (await client.ask("sam", "Where do I live?")).text.startswith("You live in Oslo")
            (tea,) = await client.timers("sam")
            assert tea.due_ms > now_ms()

    reply = run(before())
    due_s = time.time() + 1
    run(after(reply))
    assert time.time() > due_s
    with log_of(folder) as log:
        kinds = [envelope.kind for envelope in log.read("sam")]
    assert kinds.count("TimerFired") == 1, "promise 3: it fired once"
    assert kinds.count("UserMessageReceived") == 2
    check_promises(folder)
