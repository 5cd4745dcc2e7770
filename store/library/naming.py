"""Documents as a model names them: without their source's name, and what it is told where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from palimpsest.events.sources import Source
from palimpsest.events.texts import clip


def bare(source: Source, wanted: str) -> str:
    """A document's name without its source's, where that stands before it."""
    for mark in (": ", ":", "/"):
        if wanted.startswith(source.name + mark):
            return wanted[len(source.name) + len(mark) :].strip()
    return wanted


def unknown(sources: Sequence[Source], wanted: str) -> str:
    """What a model is told that names no document, with those that it may mean."""
    shown = clip(wanted, 80)
    for source in sources:
        if any(wanted in (document.path, document.id) for document in source.loading):
            return f"'{shown}' is still being loaded. Search what is there, or try again later."
    paths = [document.path for source in sources for document in source.loaded]
    if not paths:
        return f"There is no document '{shown}': the attached sources hold none yet."
    near = get_close_matches(wanted.lower(), paths[:5000], n=3, cutoff=0.4) or paths[:3]
    named = ", ".join(f"'{clip(path, 80)}'" for path in near)
    return f"There is no document '{shown}'. There are {len(paths)}, among them {named}; list_documents shows all."
