"""Events as plain data."""

from __future__ import annotations

import json

import msgspec
import pytest

from palimpsest.events.codec import draft
from palimpsest.events.envelope import GENESIS, place
from palimpsest.events.types import (
    ALL_EVENTS,
    Event,
    Settings,
)
from palimpsest.questions.plain import as_object, plain
from tests.questions.test_descriptions import filled
from tests.worlds.positions import nth


@pytest.mark.parametrize("kind", ALL_EVENTS, ids=lambda kind: kind.__name__)
def test_each_kind_is_plain_data_with_all_its_fields(kind: type[Event]) -> None:
    event = filled(kind)
    envelope = place(draft("ada", 1, event, key="k"), 1, nth(7), GENESIS)
    row = json.loads(json.dumps(as_object(envelope, event)))
    assert set(row["event"]) == set(kind.__struct_fields__)
    assert bytes.fromhex(row["hash"]) == envelope.hash
    assert (row["seq"], row["position"]) == (1, 7)


def test_plain_data_goes_through_json() -> None:
    value = plain(Settings())
    assert msgspec.convert(value, Settings) == Settings()
