"""Positions of the one partition that a data folder has."""

from __future__ import annotations

from palimpsest.events.position import FIRST_PARTITION, Position


def nth(number: int) -> Position:
    return Position(FIRST_PARTITION, number)
