"""The command line's data folder, without the command line."""

from __future__ import annotations

from tests.console.conftest import kernel

__all__ = ["kernel"]
