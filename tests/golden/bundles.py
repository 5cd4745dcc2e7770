"""Writes the golden bundles: small sessions of every sort, for the gate that replays them with every later code.

    python -m tests.golden.bundles tests/golden/bundles

A file that was released is never written again; a new session gets a new file beside the old ones.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from palimpsest.events.codec import answer, decode, draft
from palimpsest.events.decide import advance
from palimpsest.events.documents import Passage, pack_passages
from palimpsest.events.evolve import fold
from palimpsest.events.inference import job, sent
from palimpsest.events.sources import document_id, stream_of
from palimpsest.events.types import (
    AgentAttached,
    AgentForked,
    DocumentLoaded,
    DocumentOpened,
    Event,
    InferenceCompleted,
    InferenceRequested,
    Parent,
    PassagesLoaded,
    SourceAttached,
    SourceCreated,
    SummaryWritten,
    Timer,
    TimerSet,
    UserMessageReceived,
)
from palimpsest.store.bundles.exporting import export
from palimpsest.store.bundles.file import SUFFIX
from palimpsest.store.logs.contract import Append
from tests.worlds.story import AGENT, MINUTE_MS, Story, call, say

FORK: Final = "fay"


def evictions() -> Story:
    """A small window that overflows twice: a summary of the model's, and one that it could not write."""
    story = Story(summarizer="gpt-small", summary_words=40, window_tokens=3600)
    story.says("I am allergic to nuts.").answers(
        call("core_memory_append", name="human", content="Allergic to nuts."), say("Noted.", "c2")
    )
    for summary in ("Eve is allergic to nuts, and walks.", "words " * 900):
        seen = len(story.all(SummaryWritten))
        while len(story.all(SummaryWritten)) == seen:
            story.says("I went for a walk and thought of many things. " * 20).settles(summary)
    return story.says("What may I not eat?").answers(say("Nuts."))


def timers() -> Story:
    """A timer that fires, one that is cancelled, and heartbeats that are paused."""
    story = Story()
    story.says("Remind me of the tea.").answers(call("set_timer", "c1", note="tea", every_minutes=5), say("Yes.", "c2"))
    tea = Timer(id="timer-1", due_ms=story.now_ms + 5 * MINUTE_MS, note="tea", every_s=300)
    key = f"alarm:{tea.id}:{tea.due_ms}"
    story.returns("Timer timer-1 is set.", draft(AGENT, story.now_ms, TimerSet(timer=tea), key=key, opens="alarm"))
    story.fires(tea).answers(say("Tea!"))
    beat = Timer(id="beat", due_ms=story.now_ms, note="look around", heartbeat=True)
    story.says("Hush.").answers(call("pause_heartbeats", minutes=60), say("I am quiet.", "c2"))
    story.sets(beat).fires(beat)
    return story.says("And?").fails("server_error", "The server fell over.").says("Stop.").stops("enough")


def documents() -> Story:
    """A source with a document, attached in mid-session, and searched."""
    story = Story()
    _load(story, "manuals", "pump.txt", "The valve of the pump opens to the left.\nGrease it every year.\n")
    story.happens(SourceAttached(source="manuals"))
    story.log.append([Append((draft(stream_of("manuals"), story.now_ms, AgentAttached(agent=AGENT), key="attach"),))])
    story.says("How does the valve open?").answers(call("grep_documents", text="valve", request_heartbeat=True))
    story.returns('Showing 1 of 1 results (page 0/0): ["pump.txt, line 1: The valve of the pump opens to the left."]')
    return story.answers(say("To the left.")).says("Thanks.").settles()


def _load(story: Story, source: str, path: str, text: str) -> None:
    document = document_id(path, "00")
    passage = Passage(text=text, first_line=1, last_line=2)
    events: list[Event] = [
        SourceCreated(passage_tokens=200, overlap_tokens=20),
        DocumentOpened(document=document, path=path, media_type="text/plain", size_bytes=len(text), sha256="00"),
        PassagesLoaded(
            document=document, path=path, first=0, count=1, chars=len(text), packed=pack_passages([passage]), line=1
        ),
        DocumentLoaded(document=document, passages=1, chars=len(text)),
    ]
    drafts = (draft(stream_of(source), story.now_ms, each, key=f"load:{n}") for n, each in enumerate(events))
    story.log.append([Append(tuple(drafts))])


def fork() -> Story:
    """An agent, and a fork of it from the midst of a turn, which goes on under another model: the fork's own answer to
    the question that was open, and one more turn."""
    story = Story()
    story.says("I live in Oslo.").answers(
        call("core_memory_append", name="human", content="Lives in Oslo."), say("Noted.", "c2")
    )
    story.says("Where do I live?")
    state, hash = story.state, story.log.hash_at(AGENT, story.state.seq)
    assert hash is not None, "the state has a last event"
    story.answers(say("In Oslo."))
    settings = msgspec.structs.replace(state.settings, model="gpt-other", window_tokens=6000)
    parent = Parent(agent=AGENT, seq=state.seq)
    forked = AgentForked(parent=parent, hash=hash, settings=settings)
    story.log.append([Append((draft(FORK, story.now_ms, forked, key="fork"),), forks={FORK: parent})])
    asked = draft(FORK, story.now_ms, UserMessageReceived(text="And before?"), key="in:1", opens="turn")
    story.log.append([Append((asked,))])
    for text in ("You live in Oslo.", "I do not know."):
        _decide(story)
        _answer(story, text)
    _decide(story)
    return story


def _decide(story: Story) -> None:
    state = fold(story.log.read(FORK))
    assert state is not None, "the fork was begun"
    _, drafts = advance(state, story.count, story.now_ms)
    story.log.append([Append(tuple(drafts), {FORK: state.seq})])


def _answer(story: Story, text: str) -> None:
    (asked,) = story.log.open_requests_of(FORK, "inference")
    state, event = fold(story.log.read(FORK, to=asked.seq)), decode(asked)
    assert state is not None
    assert isinstance(event, InferenceRequested)
    done = job(state, asked, event)
    made = answer(done, InferenceCompleted(calls=(say(text),), sent=sent(done)), story.now_ms)
    story.log.append([Append((made,))])


SESSIONS: Final[dict[str, tuple[Callable[[], Story], str]]] = {
    "evictions": (evictions, AGENT),
    "timers": (timers, AGENT),
    "documents": (documents, AGENT),
    "fork": (fork, FORK),
}
"""Each session, and whose bundle it gives."""


def main(folder: Path) -> None:
    for name, (session, agent) in SESSIONS.items():
        log = session().log
        head = log.head(agent)
        assert head is not None, "the session has the agent"
        done = export(log, agent, head.seq, folder / f"{name}{SUFFIX}")
        sys.stdout.write(f"{done.path}: {done.manifest.events} events, {done.bytes:,} bytes\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
