"""Writes a golden log: a realistic session of one agent in which every kind of event happens.

    python -m tests.golden.make tests/golden/part-empty_content.msgpack

A file that was released is never written again: old logs must fold for ever. A new version of an event, a new event,
and a new part of the format, gets a new file beside the old ones: it is named after the event or the part, which the
agent has from the middle of the session on. The file is a msgpack list of envelopes, as the log keeps them.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import astuple

from palimpsest.events.codec import draft
from palimpsest.events.envelope import Envelope
from palimpsest.events.formats import EMPTY_CONTENT, NEWBORN, TEXT_CALLS, ordered
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.state import FOLD, to_bytes
from palimpsest.events.types import (
    AlertRaised,
    FormatChanged,
    Own,
    Server,
    SourceAttached,
    SourceDetached,
    Timer,
    TimerSet,
    TimeZoneSet,
    TitleChanged,
    ToolCall,
    UploadFinished,
    Usage,
    UserLoggedIn,
)
from tests.worlds.story import AGENT, MINUTE_MS, Story, call, say

WINDOW_TOKENS = 4096
"""What a story has: small enough to fill up. Functions that are told in the text take more room."""
OWN = Own(
    model="gpt-test", message='{"reasoning_content":"Tea, then."}', calls=('{"extra_content":{"a":"signature"}}', "")
)
SYSTEM = "You are Ada, an agent whose memory outlasts her window. Everything but send_message is private."


def session(part: str = EMPTY_CONTENT) -> Story:
    """Some days of an agent's life, in a window small enough to fill up."""
    without = tuple(name for name in NEWBORN if name != part)
    agent: dict[str, Any] = {"model": "gpt-test", "summarizer": "gpt-small"}
    if part == TEXT_CALLS:
        agent["window_tokens"] = 2 * WINDOW_TOKENS
    story = Story(met=False, parts=without, system=SYSTEM, human="Name: Eve.", **agent)
    _first_day(story)
    story.happens(FormatChanged(parts=ordered((*without, part))))
    _sources(story)
    _timers(story)
    _circle(story)
    _abroad(story)
    _large_and_late(story)
    _counts(story)
    _servers(story)
    _retirement(story)
    _pressure(story)
    return story


def _first_day(story: Story) -> None:
    story.comes(UserLoggedIn(last_login="")).answers(content="")
    story.answers(say("Hello, Eve."), content="Greet her.", usage=Usage(prompt=900, completion=20, cached=512))
    story.says("I live in Oslo, and I am allergic to nuts. — Ève 🦊", name="Eve")
    story.answers(
        call("core_memory_append", "c1", name="human", content="Lives in Oslo. Allergic to nuts."),
        call("archival_memory_insert", "c2", content="Eve told me where she lives. " * 60),
        say("Noted.", "c3"),
        content="Two facts worth keeping.",
    )
    story.says("Bergen now.").answers(
        call("core_memory_replace", "c1", name="human", old_content="Oslo", new_content="Bergen"), say("Changed.", "c1")
    )
    story.says("Where did I live before?").answers(
        call("conversation_search", query="lives in", request_heartbeat=True)
    )
    story.returns('Showing 1 of 1 results (page 0/0): ["timestamp: 2026-11-22, user: I live in Oslo"]')
    story.answers(content="In Oslo.")
    story.says("Fly to the moon!").answers(
        call("fly", where="moon"), ToolCall(id="", name="send_message", arguments="{'a")
    )
    story.answers(say("I cannot fly."))


def _abroad(story: Story) -> None:
    """Eve moves to New York, and is woken there every morning."""
    story.happens(TimeZoneSet(zone="America/New_York", offset_s=-5 * 3600))
    story.says("Wake me at nine, every day.").answers(
        call("set_timer", "c1", note="wake", cron="0 9 * * *"),
        call("list_timers", "c2", request_heartbeat=True),
    )
    nine_ms = 1_795_442_400_000  # 2026-11-23 09:00 in New York
    timer = Timer(
        id="timer-0", due_ms=nine_ms, note="wake", cron="0 9 * * *", zone="America/New_York", offset_s=-5 * 3600
    )
    key = f"alarm:{timer.id}:{timer.due_ms}"
    story.returns("Timer timer-0 is set.", draft(AGENT, story.now_ms, TimerSet(timer=timer), key=key, opens="alarm"))
    story.answers(say("I will."))
    story.fires(timer).answers(say("Good morning."))


def _circle(story: Story) -> None:
    story.says("I like tea.")
    while "RepetitionNoted" not in story.kinds:
        if story.phase == "summarising":
            story.answers(content="Eve lives in Bergen.")
        else:
            story.answers(call("core_memory_append", name="human", content="Likes tea.", request_heartbeat=True))
    story.answers(content="You like tea, and I wrote it down more often than once, since", finish="length")


def _timers(story: Story) -> None:
    story.says("Remind me of the tea.").answers(
        call("set_timer", "c1", note="tea", every_minutes=5), say("Yes.", "c2"), own=OWN
    )
    timer = Timer(id="timer-1", due_ms=story.now_ms + 5 * MINUTE_MS, note="tea", every_s=300)
    key = f"alarm:{timer.id}:{timer.due_ms}"
    story.returns("Timer timer-1 is set.", draft(AGENT, story.now_ms, TimerSet(timer=timer), key=key, opens="alarm"))
    story.fires(timer).answers(say("Tea!"))
    story.sets(msgspec.structs.replace(timer, due_ms=timer.due_ms + 5 * MINUTE_MS))
    story.says("No more tea.").answers(call("cancel_timer", timer="timer-1"), say("Cancelled.", "c2"))
    story.says("Look around every hour.").answers(
        call("set_timer", "c1", note="look", every_minutes=60, heartbeat=True), say("I will.", "c2")
    )
    look = Timer(id="timer-2", due_ms=story.now_ms + 60 * MINUTE_MS, note="look", every_s=3600, heartbeat=True)
    key = f"alarm:{look.id}:{look.due_ms}"
    story.returns(
        "Timed heartbeat timer-2 is set.", draft(AGENT, story.now_ms, TimerSet(timer=look), key=key, opens="alarm")
    )
    story.fires(look).answers(content="All is quiet.")
    story.says("Hush.").answers(call("pause_heartbeats", minutes=60), say("I am quiet.", "c2"))
    beat = Timer(id="beat", due_ms=story.now_ms, note="look around", heartbeat=True)
    story.sets(beat).fires(beat)


def _large_and_late(story: Story) -> None:
    text = "".join(f"Line {number} of the report says that all is well.\n" for number in range(900))
    story.comes(UploadFinished(source="report.txt", detail=text)).answers(say("I have the report."))
    story.says("Think about it.").stops("changed my mind")
    story.says("Think again.")
    story.stops("enough", input=story.state.turn.input if story.state.turn else 0)
    story.says("Search it.").answers(call("archival_memory_search", query="line 7", page=1), say("x", "c2")).stops()
    story.comes(AlertRaised(text="The disk is almost full.")).fails("server_error", "The server fell over.")
    story.changes(window_tokens=story.state.settings.window_tokens - 96, encoding="cl100k_base", token_margin=1.05)


def _counts(story: Story) -> None:
    """A server that counts more than we do, and then one that cuts what it gets."""
    story.says("Count this.")
    while story.phase == "summarising":
        story.answers(content="Eve and I talked.")
    turn = story.state.turn
    story.answers(say("One."), usage=Usage(prompt=int(1.6 * turn.asked_tokens) if turn else 0, completion=9))
    for number in range(4):
        story.says(f"And this, {number}.").settles(usage=Usage(prompt=500, completion=9))


def _retirement(story: Story) -> None:
    """She gets a title, is retired with a timer set and an input on its way, and is taken back."""
    story.happens(TitleChanged(title="Ada, of the front desk"))
    water = Timer(id="water", due_ms=story.now_ms + 24 * 60 * MINUTE_MS, note="the plants", every_s=86_400)
    story.sets(water).retires("on holiday")
    story.says("Are you still there?")
    story.now_ms += 3 * 24 * 60 * MINUTE_MS
    story.returns_to_work(msgspec.structs.replace(water, due_ms=story.now_ms + 60 * MINUTE_MS))
    story.says("Welcome back.").settles()


def _sources(story: Story) -> None:
    story.happens(SourceAttached(source="manuals"))
    story.says("What do the manuals say of valves?").answers(
        call("grep_documents", text="valve", request_heartbeat=True)
    )
    story.returns("Showing 1 of 1 results (page 0/0): []").answers(say("Nothing."))
    story.happens(SourceDetached(source="manuals"))


def _servers(story: Story) -> None:
    """Its server is down, then the first fallback, then the server is back; and a summariser elsewhere from here on."""
    local = Server(model="llama-test", base_url="http://localhost:8080/v1", output_parameter="max_tokens")
    small = Server(model="small-test", window_tokens=3500, encoding="cl100k_base", token_margin=1.1)
    writer = Server(model="writer-test", base_url="http://localhost:8081/v1", window_tokens=3000, reserve_tokens=300)
    story.changes(fallbacks=(local, small), summarizer_at=writer)
    story.says("Are you there?").fails("unreachable", "No connection.").answers(say("Here."))
    story.says("And now?").fails("timeout", "No answer in 60 s.").answers(say("Still here."))
    story.now_ms += 15 * MINUTE_MS
    story.says("Back?").answers(say("Back."))


def _pressure(story: Story) -> None:
    bad = ["model", "fails", "long"]
    for number in range(60):
        story.says(f"Day {number}. " + "I went for a walk and thought of many things. " * 4)
        while story.state.turn:
            if story.phase != "summarising":
                story.answers(say("How nice."))
            elif (how := bad[len(story.requested("summary")) % 3]) == "fails":
                story.fails("timeout", "No answer in 60 s.")
            else:
                story.answers(content="Eve lives in Bergen and walks a lot. " * (1 if how == "model" else 200))
    story.says("And?").fails("overflow", "The context is too long.").settles()
    story.says("This one is still open.")


def read(path: Path) -> list[Envelope]:
    """The events of a file. It was begun when a position was a number alone, and has numbers still."""
    rows = msgspec.msgpack.decode(path.read_bytes())
    return [msgspec.convert((*row[:2], (FIRST_PARTITION, row[2]), *row[3:]), Envelope) for row in rows]


def written(envelopes: list[Envelope]) -> bytes:
    rows = [astuple(each) for each in envelopes]
    return msgspec.msgpack.encode([(*row[:2], row[2].number, *row[3:]) for row in rows])


def main(path: Path) -> None:
    name = path.stem
    story = session(name.removeprefix("part-")) if name.startswith("part-") else session()
    path.write_bytes(written(story.log.read(AGENT)))
    sys.stdout.write(f"{story.state.seq} events; fold {FOLD}: {hashlib.sha256(to_bytes(story.state)).hexdigest()}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
