"""Texts cut to a length: the one way in which the kernel shortens what it shows."""

from __future__ import annotations


def clip(text: str, chars: int) -> str:
    """The text's beginning, at most so many characters, marked where it was cut."""
    return text if len(text) <= chars else text[: max(0, chars - 2)] + " …"
