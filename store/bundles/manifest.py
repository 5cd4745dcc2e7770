"""What a bundle says of itself: which streams it has, what shaped their contexts, and what was masked."""

from __future__ import annotations

import msgspec

from palimpsest.events.types import Parent


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """What shaped the contexts, as it was where the bundle was made. `prompts` is a digest of the texts that every
    request has (functions' descriptions included); `models` are those of the settings, and those that answered."""

    palimpsest: str = ""
    fold: str = ""
    rendering: int = 0
    prompts: str = ""
    encodings: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    tiktoken: str = ""
    bpe_openai: str = ""
    embedder: str = ""
    python: str = ""


class BundledStream(msgspec.Struct, frozen=True, kw_only=True):
    """A stream in a bundle: its own events `first` to `last`, and its hash there. Those of a fork (`parent`) go on from
    its parent's."""

    name: str
    first: int
    last: int
    hash: bytes
    parent: Parent | None = None

    @property
    def events(self) -> int:
        return self.last - self.first + 1


class Redacted(msgspec.Struct, frozen=True, kw_only=True):
    """What a redaction did to one stream: the seqs of the events in which something was masked, how often, and the
    seqs of the requests whose contexts do not match their fingerprints any more. Its chain is re-made from event
    `rechained` on (0: it is that of the original)."""

    stream: str
    masked: tuple[int, ...]
    places: int
    unprovable: tuple[int, ...]
    rechained: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle holds. `agent` is whose it is, as of its event `at`; of a fork, `streams` has its ancestors too,
    and then the sources that were attached."""

    agent: str
    at: int
    streams: tuple[BundledStream, ...]
    versions: Versions
    redactions: tuple[Redacted, ...] = ()

    @property
    def events(self) -> int:
        return sum(stream.events for stream in self.streams)

    def stream(self, name: str) -> BundledStream:
        return next(stream for stream in self.streams if stream.name == name)

    def makes_sense(self) -> bool:
        """Whether the streams are a history: each name once, and each fork behind its parent, where that ends."""
        ends: dict[str, int] = {}
        for each in self.streams:
            start = ends.get(each.parent.agent) if each.parent else 0
            forked = each.parent.seq if each.parent else 0
            if each.name in ends or each.events < 1 or not start == forked == each.first - 1:
                return False
            ends[each.name] = each.last
        return ends.get(self.agent) == self.at
