"""Exact counts by a model's own tokenizer, from a file: Hugging Face's tokenizer.json. The only module that imports
`tokenizers`.

Rules. (1) What is counted is the text as the file's model makes tokens of it: without the special tokens that frame a
text, and not cut or padded to a length that the file may name. (2) A file that cannot be read is told at the door
(`check`); later it is said once, and None says that nothing was counted. It is tried again after RETRY_S.
"""

from __future__ import annotations

import contextlib
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from palimpsest.events.errors import BadInput

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NAME: Final = "tokenizer.json"
RETRY_S: Final = 30.0
MOST_BYTES: Final = 256 * 1024 * 1024
"""The largest in use have some 35 MB."""

_SAMPLE: Final = "Hello, world. Größe 12345; नमस्ते, 你好, 😀"

_read: dict[str, Tokenizer] = {}
_failed: dict[str, float] = {}
_reading = threading.Lock()


def count(path: str, text: str) -> int | None:
    """How many tokens the text has; None where the file cannot be read. Thread-safe."""
    if not text:
        return 0
    tokenizer = _read.get(path) or _load(path)
    if tokenizer is None:
        return None
    with contextlib.suppress(Exception):  # the library raises Exception itself: of a vocabulary with no word for this
        return _length(tokenizer, text)
    return None


def _length(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text, add_special_tokens=False).ids)


def check(path: str) -> str:
    """The file's whole path, once it was read. Raises BadInput: it says what to give."""
    file = Path(path)
    try:
        file = file.expanduser().absolute()
        file = file / NAME if file.is_dir() else file
        _length(_from_file(file), _SAMPLE)
    except Exception as error:  # noqa: BLE001 - the library raises Exception itself
        raise BadInput(
            f"'{file}' is no tokenizer that can be read ({_why(error)}): give the {NAME} of the model's repository, or "
            "the folder that it is in."
        ) from None
    return str(file)


def _load(path: str) -> Tokenizer | None:
    """The file's tokenizer, read once a process (some 0.5 s for a vocabulary of 150,000)."""
    with _reading:
        if path not in _read and time.monotonic() >= _failed.get(path, 0.0):
            try:
                _read[path] = _from_file(Path(path))
            except (OSError, ValueError) as error:
                if path not in _failed:
                    import structlog  # half a tenth of a second, which commands that only look things up do without

                    told = "tokens are counted by estimate until it is there again"
                    structlog.get_logger("tokens").warning(told, file=path, why=_why(error))
                _failed[path] = time.monotonic() + RETRY_S
        return _read.get(path)


def _from_file(file: Path) -> Tokenizer:
    """Raises OSError, and ValueError for what is no tokenizer."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise ValueError("it is no file")
    with file.open("rb") as opened:
        content = opened.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES:,} bytes, and so more than any tokenizer")
    from tokenizers import Tokenizer

    try:
        tokenizer: Any = Tokenizer.from_buffer(content)
    except Exception as error:  # noqa: BLE001 - the library raises Exception itself
        raise ValueError(f"it is not as tokenizers of Hugging Face are: {error}") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    made: Tokenizer = tokenizer
    return made


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)[:200]
