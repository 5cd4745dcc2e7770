"""How the measurements print what they found: a line a figure, and with `--json` one object as the last line."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

Figures = Mapping[str, Any]


def add_json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")


def show(figures: Figures, *, as_json: bool) -> None:
    """Print each figure by its name, the numbers one below the other."""
    wide = max(map(len, figures)) + 2
    for name, value in figures.items():
        print(f"{name:<{wide}}{value:>14,}" if type(value) in (int, float) else f"{name:<{wide}}{value}")
    if as_json:
        print(json.dumps(figures))
