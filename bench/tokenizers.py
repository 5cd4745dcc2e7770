"""How many tokens the tokenizers of open models make of texts in many scripts, beside our count for a model that is not
known (`store.tokens.scripts`).

    python bench/tokenizers.py FILE...      # a GGUF file (its vocabulary is enough), or Hugging Face's tokenizer.json

The source of llama-cpp-python, as PyPI has it, carries the vocabularies of many models (vendor/llama.cpp/models). For
GGUF files llama-cpp-python must be installed, for the others `tokenizers`.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import sys
import uuid
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final

SPOKEN: Final = Path(__file__).with_name("tokenizer_texts.json")


def texts() -> dict[str, str]:
    """Texts by script, and such as no language has."""
    dice = random.Random(7)
    return {
        **json.loads(SPOKEN.read_text(encoding="utf-8")),
        "numbers": " ".join(str(dice.randrange(10**9)) for _ in range(60)),
        "table": ",".join(f"{dice.random() * 1000:.4f}" for _ in range(60)),
        "UUIDs": " ".join(str(uuid.UUID(int=dice.getrandbits(128))) for _ in range(20)),
        "hex": " ".join(f"{dice.getrandbits(256):064x}" for _ in range(10)),
        "base64": base64.b64encode(dice.randbytes(600)).decode(),
    }


def tokenizer(file: Path) -> Callable[[str], int]:
    """What counts as this file says."""
    if file.suffix == ".json":
        read = import_module("tokenizers").Tokenizer.from_file(str(file))
        return lambda text: len(read.encode(text, add_special_tokens=False).ids)
    model = import_module("llama_cpp").Llama(model_path=str(file), vocab_only=True, verbose=False)
    return lambda text: len(model.tokenize(text.encode(), add_bos=False, special=False))


def main() -> None:
    parser = argparse.ArgumentParser(description="Tokens of open models' tokenizers, beside our count.")
    parser.add_argument("files", nargs="+", type=Path)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from palimpsest.store.tokens.counting import UNKNOWN_MARGIN, count, encoding_for

    encoding, _ = encoding_for("a model that nobody knows")
    counters = {file.stem.removeprefix("ggml-vocab-")[:12]: tokenizer(file) for file in parser.parse_args().files}
    print(f"{'':12}{'o200k':>8}{'ours':>8}" + "".join(f"{name:>14}" for name in counters) + "   most / ours")
    for name, text in texts().items():
        ours, found = count(encoding, text), [counter(text) for counter in counters.values()]
        most = max(found) / ours
        row = f"{name:12}{count('o200k_base', text):8}{ours:8}" + "".join(f"{tokens:14}" for tokens in found)
        print(f"{row}   {most:.2f}{'' if most <= UNKNOWN_MARGIN else '  above the margin'}")


if __name__ == "__main__":
    main()
