"""What was said: every message once, on the agent's clock, from anywhere on, in bounded memory."""

from __future__ import annotations

import tracemalloc

from palimpsest.events.codec import draft
from palimpsest.events.prompts import newborn
from palimpsest.events.types import (
    MessageSent,
    Settings,
    Timer,
    TimeZoneSet,
    TurnEnded,
    TurnStarted,
    UserMessageReceived,
)
from palimpsest.questions.stretch import Bound, bounded
from palimpsest.questions.utterances import Extras, Utterance, spoken
from palimpsest.store.logs.contract import Append
from tests.worlds.kernel import START_MS, Kernel


def said(kernel: Kernel, agent: str = "ada", *, extras: Extras = Extras()) -> list[Utterance]:  # noqa: B008
    return list(spoken(kernel.log, bounded(kernel.log, agent, None, None), extras))


def test_it_has_every_message_once_and_in_order(kernel: Kernel) -> None:
    told = said(kernel)
    assert [each.who for each in told] == ["user", "agent"] * 25
    log = {each.seq: each.kind for each in kernel.log.read("ada")}
    assert [each.seq for each in told if each.who == "user"] == [
        s for s, k in log.items() if k == "UserMessageReceived"
    ]
    assert [each.seq for each in told if each.who == "agent"] == [s for s, k in log.items() if k == "MessageSent"]
    assert {each.name for each in told} == {"user", "ada"}
    assert told[1].text == "Heard you."


def test_thoughts_and_calls_only_where_they_are_asked_for(kernel: Kernel) -> None:
    whole = said(kernel, extras=Extras(thoughts=True, calls=True))
    assert sum(each.who == "thought" for each in whole) == 25
    calls = [each.text for each in whole if each.who == "call"]
    assert calls[0].startswith('core_memory_append(name="human", content="Kind.") -> ')


def test_what_interrupts_stands_between(kernel: Kernel) -> None:
    kernel.sets("ada", Timer(id="tea", due_ms=START_MS + 10_000_000, note="water"))
    kernel.rings("ada")
    told = said(kernel)
    assert told[-2].who == "interrupt"
    assert told[-2].text.startswith('timer fired: tea "water", due ')
    assert told[-1].who == "agent"


def test_times_are_the_agents_clocks(kernel: Kernel) -> None:
    born = newborn(Settings(window_tokens=4096, reserve_tokens=400))
    at_home = draft("eve", START_MS, TimeZoneSet(zone="America/New_York", offset_s=-18_000), key="zone")
    kernel.log.append([Append((draft("eve", START_MS, born, key="create"), at_home))])
    kernel.talk("eve", ["Hi"])
    assert said(kernel, "eve")[0].time == "2025-11-22 03:26:42 -05:00"
    part = list(spoken(kernel.log, bounded(kernel.log, "eve", Bound(6)), Extras()))
    assert part[0].who == "agent"
    assert part[0].time == "2025-11-22 03:26:40 -05:00", "from the middle on it is the same clock"


def turns(kernel: Kernel, agent: str, number: int) -> None:
    """Turns without a model, written at once."""
    head = kernel.log.head(agent)
    assert head is not None, "it was made"
    made = []
    for input in range(head.seq + 1, head.seq + 1 + 4 * number, 4):
        said = (UserMessageReceived(text="x" * 400), TurnStarted(input=input), MessageSent(text="y" * 400))
        events = (*said, TurnEnded(input=input))
        made += [draft(agent, START_MS, each, key=f"{input}-{n}", turn=input) for n, each in enumerate(events)]
    kernel.log.append([Append(tuple(made))])


def test_a_long_history_takes_no_more_memory_than_a_short_one(kernel: Kernel) -> None:
    kernel.create("long")
    turns(kernel, "long", 1_250)

    def peak() -> int:
        tracemalloc.start()
        number = sum(1 for _ in spoken(kernel.log, bounded(kernel.log, "long", None, None), Extras()))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert number == 2 * (bounded(kernel.log, "long", None, None).last // 4)
        return size

    peak()
    short = peak()
    turns(kernel, "long", 5_000)
    assert peak() < 1.5 * short, "a chunk of 2,000 events, whatever comes after it"
