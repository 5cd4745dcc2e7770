"""What there is in a log."""

from __future__ import annotations

import pytest

from palimpsest.events.codec import draft
from palimpsest.events.errors import UnknownSource
from palimpsest.events.sources import stream_of
from palimpsest.events.types import SourceCreated, SourceUnloaded
from palimpsest.questions.listings import all_agents, all_sources, source_named
from palimpsest.store.logs.contract import Append
from tests.worlds.kernel import Kernel


def made(kernel: Kernel, name: str) -> None:
    event = SourceCreated(passage_tokens=300, overlap_tokens=60)
    kernel.log.append([Append((draft(stream_of(name), 0, event, key="create"),))])


def test_agents_are_listed_with_what_waits_and_without_sources(kernel: Kernel) -> None:
    made(kernel, "docs")
    kernel.ask("ada", "One more thing.")
    ada, ben = all_agents(kernel.log)
    assert (ada.head.stream, ada.waiting, ada.timers, ada.parent) == ("ada", 1, 0, None)
    assert (ben.head.stream, ben.waiting) == ("ben o'neil", 0)
    assert ada.head.seq == kernel.log.read("ada")[-1].seq


def test_sources_are_listed_and_named_unless_they_were_unloaded(kernel: Kernel) -> None:
    made(kernel, "docs")
    made(kernel, "papers")
    assert [each.name for each in all_sources(kernel.log)] == ["docs", "papers"]
    kernel.log.append([Append((draft(stream_of("docs"), 1, SourceUnloaded(), key="gone"),))])
    assert [each.name for each in all_sources(kernel.log)] == ["papers"]
    assert source_named(kernel.log, "papers").passage_tokens == 300
    with pytest.raises(UnknownSource) as unknown:
        source_named(kernel.log, "docs")
    assert (unknown.value.source, unknown.value.known) == ("docs", ("papers",))
