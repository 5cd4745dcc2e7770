"""A copied log is the log: whatever a reader can ask of the two is answered alike, and what is open stays so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from palimpsest.events.debug.redact import Masks
from palimpsest.events.envelope import Draft
from palimpsest.events.errors import BadInput, LogDamaged, LogUnreadable
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.vocabulary import TOPICS, Opens
from palimpsest.store.bundles.exporting import export
from palimpsest.store.bundles.importing import import_bundle
from palimpsest.store.logs.contract import Append, LogReader, LogStore, resting
from palimpsest.store.logs.copying import Copied, check_whole, copy
from palimpsest.store.logs.in_memory import InMemoryLog, Volume
from palimpsest.store.logs.sqlite_log import SqliteLog
from tests.events.test_lifecycle import TEA
from tests.simulation.test_reruns import session
from tests.store.test_bundle import forked
from tests.worlds.story import Story

Sources = Callable[[Path], LogReader]


def sessions(_tmp: Path) -> LogReader:
    return session(7)[0]


def forks(_tmp: Path) -> LogReader:
    return forked(11, 0.4)[0]


def at_rest_and_at_work(tmp: Path) -> LogReader:
    """A timer that is set and a turn under way, and the same of an agent that was imported: there they rest."""
    story = Story().sets(TEA).says("And?")
    export(story.log, "ada", story.state.seq, tmp / "bundle")
    import_bundle(story.log, tmp / "bundle", name="bob")
    return story.log


def in_memory(_tmp: Path) -> LogStore:
    return InMemoryLog()


def in_a_file(tmp: Path) -> LogStore:
    return SqliteLog(tmp / "copy.sqlite")


def told(log: LogReader) -> list[object]:
    """All that a reader can ask."""
    end = log.position(FIRST_PARTITION)
    heads = log.heads()
    topics = [each for topic in TOPICS for each in (topic, resting(topic))]
    return [
        log.tail(end.moved(-end.number), end.number + 1),
        heads,
        [log.lineage(head.stream) for head in heads],
        [log.snapshots(head.stream) for head in heads],
        [log.redaction(head.stream) for head in heads],
        [log.open_requests(topic, FIRST_PARTITION) for topic in topics],
        log.cursor("memory", FIRST_PARTITION),
    ]


@pytest.mark.parametrize("made", [sessions, forks, at_rest_and_at_work])
@pytest.mark.parametrize("place", [in_memory, in_a_file])
def test_a_copy_answers_whatever_is_asked_as_its_source_does(
    made: Sources, place: Callable[[Path], LogStore], tmp_path: Path
) -> None:
    source = made(tmp_path)
    with place(tmp_path) as target:
        target.open_epoch()
        done = copy(source, target, at_once=7)
        assert done == Copied(streams=len(source.heads()), events=source.position(FIRST_PARTITION).number, there=0)
        assert told(target) == told(source)
        back = InMemoryLog()
        back.open_epoch()
        copy(target, back)
        assert told(back) == told(source)


def test_what_was_at_rest_rests_and_what_was_open_is_open(tmp_path: Path) -> None:
    source = at_rest_and_at_work(tmp_path)
    target = InMemoryLog()
    target.open_epoch()
    copy(source, target)
    assert [each.stream for each in target.open_requests("alarm", FIRST_PARTITION)] == ["ada"]
    assert [each.stream for each in target.open_requests(resting("alarm"), FIRST_PARTITION)] == ["bob"]


def test_a_copy_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    source, target = forks(tmp_path), InMemoryLog()
    target.open_epoch()

    with pytest.raises(KeyboardInterrupt):
        copy(source, target, cut, at_once=10)
    steps: list[int] = []
    assert copy(source, target, steps.append, at_once=10).there == 10
    assert sum(steps) == source.position(FIRST_PARTITION).number - 10
    assert told(target) == told(source)
    assert copy(source, target).there == source.position(FIRST_PARTITION).number, "once more, there is nothing to do"


def masked(tmp: Path) -> LogReader:
    """An agent that was imported with a text of it masked."""
    story = Story().sets(TEA).says("My number is 555-0199.")
    export(story.log, "ada", story.state.seq, tmp / "masked", masks=Masks(("555-0199",), ()))
    log = InMemoryLog()
    log.open_epoch()
    import_bundle(log, tmp / "masked")
    return log


def test_what_was_masked_is_known_in_the_copy(tmp_path: Path) -> None:
    source, target = masked(tmp_path), InMemoryLog()
    assert source.redaction("ada") is not None
    target.open_epoch()
    copy(source, target, at_once=3)
    assert told(target) == told(source)


def test_a_copy_that_is_not_whole_is_known_for_one(tmp_path: Path) -> None:
    source, target = forks(tmp_path), InMemoryLog()
    target.open_epoch()
    with pytest.raises(KeyboardInterrupt):
        copy(source, target, cut, at_once=10)
    with pytest.raises(LogUnreadable, match="a copy that was cut off"):
        check_whole(target, "here")
    copy(source, target)
    check_whole(target, "here")


@pytest.mark.parametrize("what", ["an event", "a request"])
def test_a_copy_that_was_worked_on_is_not_said_to_be_whole(what: str, tmp_path: Path) -> None:
    source, target = sessions(tmp_path), InMemoryLog()
    assert isinstance(source, InMemoryLog)
    target.open_epoch()
    agent = source.heads()[0].stream

    def meddle(_: int) -> None:
        if source.position(FIRST_PARTITION) == target.position(FIRST_PARTITION):
            opens: Opens = "" if what == "an event" else "timer"
            target.append([Append((Draft(agent, 1, "TurnStarted", 1, "theirs", b"", opens=opens),))])

    with pytest.raises(BadInput, match="worked on meanwhile"):
        copy(source, target, meddle)
    with pytest.raises(LogUnreadable):
        check_whole(target, "here")


def cut(_: int) -> None:
    raise KeyboardInterrupt


def test_a_stream_at_another_place_is_another_log(tmp_path: Path) -> None:
    """One bundle that was imported into both: its hashes are the same, and its positions are not."""
    story = Story().says("Hello.")
    export(story.log, "ada", story.state.seq, tmp_path / "greeting")
    source, target = at_rest_and_at_work(tmp_path), InMemoryLog()
    assert isinstance(source, InMemoryLog)
    target.open_epoch()
    for log in (source, target):
        import_bundle(log, tmp_path / "greeting", name="zed")
    with pytest.raises(BadInput, match="another log already"):
        copy(source, target)


def test_another_log_is_not_mixed_with_it(tmp_path: Path) -> None:
    for other in (session(8)[0], at_rest_and_at_work(tmp_path)):
        target = InMemoryLog()
        target.open_epoch()
        copy(other, target)
        before = told(target)
        with pytest.raises(BadInput, match=r"another log already|has events that its source has not"):
            copy(session(7)[0], target)
        assert told(target) == before


def test_an_altered_event_is_not_copied() -> None:
    source, volume = InMemoryLog(), Volume()
    source.open_epoch()
    drafts = [Draft("ada", n, "TurnStarted", 1, f"k{n}", b"body") for n in range(4)]
    source.append([Append(tuple(drafts))])
    events = source.tail(source.position(FIRST_PARTITION).moved(-4), 9)[0]
    volume.events[:] = [*events[:2], replace(events[2], body=b"other"), events[3]]
    bad = InMemoryLog(volume)
    target = InMemoryLog()
    target.open_epoch()
    with pytest.raises(LogDamaged, match="Event 3"):
        copy(bad, target)
    assert target.position(FIRST_PARTITION).number == 0
