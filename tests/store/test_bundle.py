"""Bundles: what is exported comes back to the last byte, and what is not whole is refused by name."""

from __future__ import annotations

import resource
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from palimpsest import __version__
from palimpsest.events.codec import draft
from palimpsest.events.debug.redact import Masks
from palimpsest.events.envelope import Envelope
from palimpsest.events.errors import (
    BadInput,
    BundleUnreadable,
    BundleUnwritable,
    FileExists,
    LogDamaged,
    LogUnavailable,
    NameTaken,
    NewerFormat,
)
from palimpsest.events.evolve import fold
from palimpsest.events.position import FIRST_PARTITION
from palimpsest.events.prompts import newborn
from palimpsest.events.replay import Replayer, replay
from palimpsest.events.sources import stream_of
from palimpsest.events.state import State
from palimpsest.events.types import Parent, Settings, SourceAttached, UserMessageReceived
from palimpsest.events.vocabulary import TOPICS
from palimpsest.questions.streams import unprovable
from palimpsest.store.bundles.exporting import Exported, export
from palimpsest.store.bundles.file import BundleReader
from palimpsest.store.bundles.importing import import_bundle
from palimpsest.store.bundles.log import BundleLog, read_bundle
from palimpsest.store.bundles.versions import versions_now
from palimpsest.store.logs.contract import DECIDER, Append, LogReader, LogStore
from palimpsest.store.logs.in_memory import InMemoryLog
from palimpsest.store.logs.sqlite_log import SqliteLog
from palimpsest.store.logs.states import is_good, load, snapshot_of
from tests.worlds.forking import Continuation, replayed
from tests.worlds.library import Desk, lines
from tests.worlds.positions import nth
from tests.worlds.simulated import World

ROOT = Path(__file__).parents[2]


def placeless(log: LogReader, agent: str, to: int | None = None) -> list[Envelope]:
    """An agent's events without their positions."""
    return [replace(each, position=0) for each in log.read(agent, to=to)]


def opened(log: LogReader) -> list[tuple[str, str]]:
    return [(each.stream, each.key) for topic in TOPICS for each in log.open_requests(topic, FIRST_PARTITION)]


@pytest.fixture
def desk() -> Desk:
    """An agent that has a source, which was added to before, between and after its own events."""
    desk = Desk()
    desk.add("ada", newborn(Settings(model="gpt-test", summarizer="gpt-small"), system="Hi."))
    desk.source("manuals")
    desk.document("manuals", "pump.txt", lines(1, 20))
    desk.add("ada", SourceAttached(source="manuals"))
    desk.add("ada", UserMessageReceived(text="What does the manual say?"))
    desk.document("manuals", "late.txt", lines(1, 4))
    return desk


def exported(log: LogReader, folder: Path, agent: str = "ada", at: int | None = None) -> Path:
    head = log.head(agent)
    assert head is not None
    path = folder / "ada.palimpsest"
    export(log, agent, at or head.seq, path, force=True)
    return path


@pytest.fixture
def bundle(desk: Desk, tmp_path: Path) -> Path:
    return exported(desk, tmp_path)


# --- the identity


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.floats(0, 1))
def test_export_import_and_verify_is_the_identity(
    seed: int, cut: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of any session, up to any event: what is read, and what is imported, are the very events; and the bundle of what
    was imported is the same file."""
    world = World(seed, agents=1, inputs=5)
    world.run()
    (agent,) = world.names
    head = world.log.head(agent)
    assert head is not None
    at = max(1, round(cut * head.seq))
    path = exported(world.log, tmp_path_factory.mktemp("bundle"), agent, at)
    wanted = placeless(world.log, agent, at)
    assert placeless(read_bundle(path), agent) == wanted
    here = InMemoryLog()
    here.open_epoch()
    done = import_bundle(here, path)
    assert placeless(here, agent) == wanted
    proof = replay(agent, here.read(agent))
    assert (proof.difference, proof.contexts) == (None, done.contexts)
    again = exported(here, tmp_path_factory.mktemp("bundle"), agent)
    assert again.read_bytes() == path.read_bytes()


def test_a_source_comes_along_as_far_as_it_was_seen(desk: Desk, tmp_path: Path) -> None:
    log = read_bundle(exported(desk, tmp_path))
    seen = desk.seq_at(stream_of("manuals"), desk.read("ada")[-1].position)
    assert placeless(log, stream_of("manuals")) == placeless(desk, stream_of("manuals"), seen)
    position = log.read("ada", 1, 2)[0].position
    assert log.seq_at(stream_of("manuals"), position) == seen, "what was as of an event still is"
    early = read_bundle(exported(desk, tmp_path, at=1))
    assert [head.stream for head in early.heads()] == ["ada"], "it had no source then"


def test_what_the_agent_waits_for_is_open_in_a_bundle(tmp_path: Path) -> None:
    log = InMemoryLog()
    log.open_epoch()
    log.append([Append((draft("ada", 1, newborn(Settings()), key="create"),))])
    made = [draft("ada", 2, UserMessageReceived(text="?"), key=f"in:{n}", opens="turn") for n in range(2)]
    log.append([Append(tuple(made))])
    path = exported(log, tmp_path)
    assert opened(read_bundle(path)) == opened(log) == [("ada", "in:0"), ("ada", "in:1")]


def test_the_manifest_says_what_shaped_the_contexts(bundle: Path) -> None:
    with BundleReader(bundle) as reader:
        manifest = reader.manifest
    assert manifest.versions == versions_now(models=("gpt-test", "gpt-small"), encodings=("o200k_base",))
    assert manifest.versions.palimpsest == __version__
    assert all((manifest.versions.prompts, manifest.versions.tiktoken, manifest.versions.embedder))


# --- forks


def forked(seed: int, cut: float) -> tuple[InMemoryLog, str, int]:
    """A session, a fork of it that went on, a fork of that one in the midst; the last fork's name, and its end."""
    world = World(seed, agents=1, inputs=4)
    world.stops = False
    world.run()
    name = world.names[0]
    for fork in ("fay", "gus"):
        places = replayed(world.log, name)
        continued = Continuation(world.log, name, max(1, round(cut * len(places))), fork, places)
        if not continued.changed_since_asked():
            continued.run()
        name = fork
    head = world.log.head("gus")
    assert head is not None
    return world.log, "gus", head.seq


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 500), cut=st.floats(0.1, 0.9))
def test_a_fork_comes_with_its_ancestors(seed: int, cut: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    log, name, end = forked(seed, cut)
    path = exported(log, tmp_path_factory.mktemp("bundle"), name, end)
    read = read_bundle(path)
    wanted = placeless(log, name, end)
    assert placeless(read, name) == wanted
    assert read.lineage(name) == log.lineage(name)
    assert [read.hash_at(name, seq) for seq in (0, 1, end, end + 1)] == [None, wanted[0].hash, wanted[-1].hash, None]
    here = InMemoryLog()
    here.open_epoch()
    import_bundle(here, path)
    assert placeless(here, name) == wanted
    assert opened(here) == []
    assert here.cursor(DECIDER, FIRST_PARTITION) == here.position(FIRST_PARTITION)
    assert replay(name, here.read(name)).difference is None
    assert exported(here, tmp_path_factory.mktemp("bundle"), name).read_bytes() == path.read_bytes()


def test_a_fork_joins_the_parent_that_is_here_already(tmp_path: Path) -> None:
    log, name, _ = forked(3, 0.5)
    here = InMemoryLog()
    here.open_epoch()
    parent = log.lineage(name)[-1].agent
    import_bundle(here, exported(log, tmp_path, parent))
    done = import_bundle(here, exported(log, tmp_path, name))
    assert [stream.written for stream in done.streams if stream.name == parent] == [0]
    assert placeless(here, name) == placeless(log, name)
    renamed = import_bundle(here, exported(log, tmp_path, name), name="ivy")
    assert [stream.name for stream in renamed.streams if stream.written] == ["ivy"]
    assert replay("ivy", here.read("ivy")).difference is None
    assert [each.body for each in here.read("ivy")] == [each.body for each in log.read(name)]


def test_a_fork_is_redacted_through_its_parent(tmp_path: Path) -> None:
    log, name, end = forked(3, 0.5)
    done = export(log, name, end, tmp_path / "gus", masks=Masks(["hello"]))
    first = done.manifest.redactions[0]
    assert first.stream == log.lineage(name)[-1].agent
    assert {each.rechained for each in done.manifest.redactions[1:]} == {
        each.first for each in done.manifest.streams if each.parent
    }, "whoever goes on from what was masked has another chain from its beginning"
    read = read_bundle(tmp_path / "gus")
    replayer = Replayer(name)
    differing = [found for each in read.read(name) if (found := replayer.feed(each))]
    assert all(found.context for found in differing)
    assert {found.seq for found in differing} == unprovable(read, name) != set()


@pytest.mark.parametrize("name", ["", "ivy"])
def test_what_was_masked_is_known_where_it_was_imported(here: LogStore, tmp_path: Path, name: str) -> None:
    log, agent, end = forked(3, 0.5)
    done = export(log, agent, end, tmp_path / "masked", masks=Masks(["hello"]))
    imported = import_bundle(here, tmp_path / "masked", name=name).agent
    replayer = Replayer(imported)
    differing = [found for each in here.read(imported) if (found := replayer.feed(each))]
    assert (
        {found.seq for found in differing}
        == unprovable(here, imported)
        == unprovable(read_bundle(tmp_path / "masked"), agent)
    )
    assert differing
    again = export(here, imported, end, tmp_path / "again")
    assert again.manifest.redactions == tuple(
        replace(each, stream=imported) if each.stream == agent else each for each in done.manifest.redactions
    )
    parent = here.lineage(imported)[0]
    begun = draft("zoe", 0, UserMessageReceived(text="Go on."), key="k", opens="turn")
    fork = Parent(agent=parent.agent, seq=min(unprovable(here, parent.agent)) - 1)
    here.append([Append((begun,), {"zoe": 0}, forks={"zoe": fork})])
    assert unprovable(here, "zoe") == frozenset(), "what comes after the fork is its parent's own"


@pytest.mark.parametrize("name", ["", "ivy"])
def test_what_was_imported_has_snapshots_that_are_good(
    here: InMemoryLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("palimpsest.store.bundles.importing.SNAPSHOT_EVENTS", 7)
    log, agent, end = forked(3, 0.5)
    done = import_bundle(here, exported(log, tmp_path, agent), name=name)
    found = here.snapshots(done.agent)
    assert len(found) > 3
    for each in found:
        assert is_good(each, here.hash_at(done.agent, each.seq))
        assert snapshot_of(fold_of(here, done.agent, each.seq), each.chain) == each
    assert load(here, done.agent) == fold_of(here, done.agent, end)


def fold_of(log: LogReader, agent: str, to: int) -> State:
    state = fold(log.read(agent, to=to))
    assert state is not None
    return state


# --- what is not whole


def refused(path: Path) -> str:
    with pytest.raises(BundleUnreadable) as error:
        read_bundle(path)
    return error.value.why


@pytest.fixture
def small(desk: Desk, tmp_path: Path) -> Path:
    return exported(desk, tmp_path, at=1)


def test_a_bundle_that_is_cut_off_anywhere_is_refused(small: Path) -> None:
    data = small.read_bytes()
    for size in range(1, len(data)):
        small.write_bytes(data[:size])
        assert refused(small) in ("it is cut off", "it is no bundle"), size


def test_one_altered_bit_anywhere_is_refused(small: Path) -> None:
    data = small.read_bytes()
    for at in range(len(data)):
        small.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        assert refused(small), at


def test_what_stands_behind_the_seal_is_refused(bundle: Path) -> None:
    bundle.write_bytes(bundle.read_bytes() + b"\n")
    assert "altered" in refused(bundle)


def test_an_empty_or_strange_file_is_no_bundle(tmp_path: Path) -> None:
    path = tmp_path / "x"
    cases = {b"": "it is empty", b"\x00" * 100: "it is no bundle", b"palimpsest-bundle 1": "it is cut off"}
    for data, why in cases.items():
        path.write_bytes(data)
        assert refused(path) == why


def test_a_newer_format_is_refused_by_its_number(bundle: Path) -> None:
    said = b"palimpsest-bundle 2"
    rest = bundle.read_bytes().split(b"\n", 1)[1]
    bundle.write_bytes(said + b" %08x\n" % zlib.crc32(said) + rest)
    with pytest.raises(NewerFormat, match="format 2, and this Palimpsest knows 1"):
        read_bundle(bundle)


@pytest.mark.parametrize("announced", [100, 2**32 - 1])
def test_a_bomb_does_not_go_off(bundle: Path, announced: int) -> None:
    """A frame that would unpack to far more than it says, and one that says that it is giant."""
    line = bundle.read_bytes().split(b"\n", 1)[0] + b"\n"
    packed = zlib.compress(bytes(5_000_000))
    check = zlib.crc32(packed, zlib.crc32(b"M %d %d" % (len(packed), announced)))
    bundle.write_bytes(line + struct.pack(">cIII", b"M", len(packed), announced, check) + packed)
    assert "altered" in refused(bundle)


def test_a_folder_and_a_missing_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder"):
        read_bundle(tmp_path)
    with pytest.raises(BadInput, match="There is no file"):
        read_bundle(tmp_path / "none")


# --- writing


def test_a_file_that_is_there_is_left_alone_without_force(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "ada"
    path.write_text("mine")
    with pytest.raises(FileExists, match="give another name"):
        export(desk, "ada", 1, path)
    assert path.read_text() == "mine"
    export(desk, "ada", 1, path, force=True)
    assert read_bundle(path).manifest.at == 1
    assert [each.name for each in tmp_path.iterdir()] == ["ada"]


def test_a_folder_or_a_device_is_no_place(desk: Desk, tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none" / "ada", Path("/dev/null")):
        with pytest.raises(BadInput):
            export(desk, "ada", 1, place, force=True)


@pytest.fixture
def little_room() -> Iterator[None]:
    """No file of this process may grow beyond 1,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("little_room")
def test_a_disk_that_is_full_leaves_no_half_file(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(BundleUnwritable, match="File too large"):
        export(desk, "ada", 3, tmp_path / "ada")
    assert list(tmp_path.iterdir()) == []


def test_events_that_the_log_lacks_are_named(desk: Desk, tmp_path: Path) -> None:
    del desk._volume.streams["ada"][2]
    with pytest.raises(LogDamaged, match="Event 3 of agent 'ada'"):
        export(desk, "ada", 3, tmp_path / "ada")
    assert list(tmp_path.iterdir()) == []


# --- import


@pytest.fixture
def here() -> InMemoryLog:
    here = InMemoryLog()
    here.open_epoch()
    return here


def test_an_imported_agent_is_at_rest(here: InMemoryLog, tmp_path: Path) -> None:
    """Up to any event of a session: nothing is owed, and the memory manager is told of nothing."""
    world = World(3, agents=1)
    world.run()
    (agent,) = world.names
    opening = [each.seq for each in world.log.read(agent) if each.opens]
    resting = []
    for at in opening[:20]:
        here = InMemoryLog()
        here.open_epoch()
        resting.append(import_bundle(here, exported(world.log, tmp_path, agent, at)).resting)
        assert opened(here) == []
        assert here.cursor(DECIDER, FIRST_PARTITION) == here.position(FIRST_PARTITION) == nth(at)
    assert any(resting), "it says where a turn was under way"


def test_the_same_again_is_nothing_to_do(here: InMemoryLog, bundle: Path) -> None:
    first = import_bundle(here, bundle)
    before = here.position(FIRST_PARTITION)
    assert first.written == before.number == sum(stream.events for stream in first.streams)
    again = import_bundle(here, bundle)
    assert (again.written, here.position(FIRST_PARTITION)) == (0, before)


def test_an_import_that_was_interrupted_goes_on(desk: Desk, here: InMemoryLog, tmp_path: Path) -> None:
    import_bundle(here, exported(desk, tmp_path, at=2))
    done = import_bundle(here, exported(desk, tmp_path))
    assert [stream.written for stream in done.streams] == [1, 0]
    assert placeless(here, "ada") == placeless(desk, "ada")
    assert import_bundle(here, exported(desk, tmp_path, at=2)).written == 0, "an older one has nothing new"


def test_a_name_that_is_taken_is_refused(desk: Desk, here: InMemoryLog, bundle: Path) -> None:
    here.append([Append((draft("ada", 1, newborn(Settings()), key="create"),))])
    with pytest.raises(NameTaken, match="give the agent another name"):
        import_bundle(here, bundle)
    assert here.position(FIRST_PARTITION) == nth(1)
    done = import_bundle(here, bundle, name="ada the second")
    assert (done.agent, done.written) == ("ada the second", here.position(FIRST_PARTITION).number - 1)
    assert [each.body for each in here.read("ada the second")] == [each.body for each in desk.read("ada")]


def test_an_agent_that_works_here_is_not_written_to(desk: Desk, here: InMemoryLog, tmp_path: Path) -> None:
    """It has the bundle's beginning, and something to do."""
    events = [replace(each, position=0) for each in desk.read("ada")]
    import_bundle(here, exported(desk, tmp_path, at=2))
    asked = draft("ada", 5, UserMessageReceived(text="?"), key="mine", opens="turn")
    here.append([Append((asked,))])
    with pytest.raises(NameTaken, match="or it is at work"):
        import_bundle(here, exported(desk, tmp_path))
    assert placeless(here, "ada")[:2] == events[:2]


def test_a_source_that_is_another_here_is_refused(bundle: Path) -> None:
    other = Desk()
    other.source("manuals")
    other.document("manuals", "other.txt", lines(1, 4))
    with pytest.raises(NameTaken, match=r"source:manuals.*another folder"):
        import_bundle(other, bundle)
    assert other.head("ada") is None


def test_another_name_has_a_chain_of_its_own(desk: Desk, here: InMemoryLog, bundle: Path) -> None:
    done = import_bundle(here, bundle, name="eve")
    proof = replay("eve", here.read("eve"))
    assert (proof.difference, proof.hash) == (None, done.streams[0].hash)
    assert [each.body for each in here.read("eve")] == [each.body for each in desk.read("ada")]
    assert import_bundle(here, bundle, name="eve").written == 0
    with pytest.raises(BadInput, match="another stream"):
        import_bundle(here, bundle, name=stream_of("manuals"))


def altered(log: LogStore, agent: str, seq: int) -> BundleLog:
    """The log with one event's time moved."""
    memory = InMemoryLog()
    for each in log.read(agent):
        made = replace(each, time=each.time + 1) if each.seq == seq else each
        memory._volume.events.append(made)
        memory._volume.streams.setdefault(agent, []).append(made)
    return memory  # type: ignore[return-value]


def test_a_bundle_that_is_not_sound_is_not_imported(desk: Desk, here: InMemoryLog, tmp_path: Path) -> None:
    """The damage of a log goes into its bundle as it is, and is found there."""
    path = exported(altered(desk, "ada", 2), tmp_path)
    assert replay("ada", read_bundle(path).read("ada")).difference is not None
    with pytest.raises(LogDamaged, match=r"Event 2 of agent 'ada'.*nothing was imported"):
        import_bundle(here, path)
    assert here.position(FIRST_PARTITION) == nth(0)


def test_a_full_disk_takes_nothing_and_the_same_import_goes_through_later(tmp_path: Path) -> None:
    world = World(3, agents=1)
    world.run()
    bundle = exported(world.log, tmp_path, world.names[0])
    log = SqliteLog(tmp_path / "log.sqlite")
    log.open_epoch()
    log.limit_pages(1)
    with pytest.raises(LogUnavailable):
        import_bundle(log, bundle)
    assert log.heads() == []
    log.limit_pages(None)
    assert import_bundle(log, bundle).written > 0
    log.close()


def test_an_export_says_what_it_wrote(desk: Desk, tmp_path: Path) -> None:
    done = export(desk, "ada", 3, tmp_path / "ada")
    assert isinstance(done, Exported)
    assert done.bytes == (tmp_path / "ada").stat().st_size
    assert [stream.name for stream in done.manifest.streams] == ["ada", "source:manuals"]
