"""The command line from a checkout, installed or not: `python launch.py …` does what `palimpsest …` does."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> int:
    sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))
    try:
        from palimpsest.console.main import main

        return main()
    except ModuleNotFoundError as missing:
        print(
            f"Error: {missing.name} is not installed for {sys.executable}. `make venv` makes an environment that has "
            "what is needed; then: .venv/bin/python launch.py",
            file=sys.stderr,
        )
        return 2


if __name__ == "__main__":
    sys.exit(main())
