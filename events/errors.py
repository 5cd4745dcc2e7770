"""Every error that Palimpsest raises: one root, few leaves, data as fields.

A message says what is wrong and what to do next. Expected outcomes are events, not exceptions.
"""

from __future__ import annotations

from shlex import quote
from typing import Any, Final

NAMED: Final = 12
"""As many agents are named where one is not known."""


class PalimpsestError(Exception):
    """The root. `palimpsest` prints its message as one line and exits with 2."""

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by fields, so that an error crosses a Ray call whole."""
        return (_rebuild, (type(self), self.args, self.__dict__))


def rebuilt(kind: str, message: str, fields: dict[str, Any]) -> PalimpsestError:
    """An error from its class's name, its message and its fields, as they cross from one process to another."""
    return _rebuild(globals()[kind], (message,), fields)


def _rebuild(kind: type[PalimpsestError], args: tuple[object, ...], fields: dict[str, object]) -> PalimpsestError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error


class UnknownAgent(PalimpsestError):
    """There is no agent of this name; `known` ones are named in the message."""

    def __init__(self, agent: str, known: tuple[str, ...] = ()) -> None:
        more = f" and {len(known) - NAMED} more (`agents` lists them)" if len(known) > NAMED else ""
        named = f" Known agents: {', '.join(known[:NAMED])}{more}."
        hint = named if known else " There is no agent yet: `chat NAME` makes one."
        super().__init__(f"There is no agent '{agent}'.{hint}")
        self.agent = agent


class UnknownSource(PalimpsestError):
    """There is no source of documents of this name."""

    def __init__(self, source: str, known: tuple[str, ...] = ()) -> None:
        there = f"Known sources: {', '.join(known)}." if known else "There is no source yet."
        super().__init__(f"There is no source '{source}'. {there} `load {quote(source)} PATH` makes one.")
        self.source = source


class AgentExists(PalimpsestError):
    """There is an agent of this name already; nothing was made."""

    def __init__(self, agent: str) -> None:
        super().__init__(f"There is an agent '{agent}' already. Choose another name, or use it: `chat {quote(agent)}`.")
        self.agent = agent


class BadInput(PalimpsestError):
    """An argument or a message that cannot be taken; nothing was written."""


class AtRest(BadInput):
    """What is under way in an agent is owed by no part here, so that nobody would ever go on with it."""

    def __init__(self, agent: str) -> None:
        super().__init__(
            f"What is under way in agent '{agent}' rests (it was imported so, or is a rerun that ended early): nothing "
            f"here goes on with it. A fork does: `fork {quote(agent)} --as NAME`, then `resume NAME` or `chat "
            "NAME`."
        )
        self.agent = agent


class NoBoundary(BadInput):
    """A bisection's end is not what it was said to be: the check is good after event `seq`, the bad end; or bad after
    it, the good end."""

    def __init__(self, seq: int, *, good: bool) -> None:
        mend = "by --bad SEQ name an event at which it is bad" if good else "by --good SEQ name one at which it is good"
        super().__init__(
            f"The check is {'good' if good else 'bad'} after event {seq}, the {'bad' if good else 'good'} end: {mend}; "
            "or, if it is the other way round, give --not."
        )
        self.seq = seq
        self.good = good


class Overloaded(PalimpsestError):
    """Refused at the door: nothing was acknowledged. Try again after `retry_after_s`."""

    def __init__(self, what: str, retry_after_s: float) -> None:
        super().__init__(f"{what} Nothing was taken. Send it again in {retry_after_s:g} s.")
        self.retry_after_s = retry_after_s


class Fenced(PalimpsestError):
    """This writer was replaced by a newer one and can no longer append."""

    def __init__(self, epoch: int, current: int) -> None:
        super().__init__(f"This log writer (epoch {epoch}) was replaced by a newer one (epoch {current}) and stops.")
        self.epoch = epoch
        self.current = current


class LogDamaged(PalimpsestError):
    """An event's bytes are not those that were written: names the first such event."""

    def __init__(self, agent: str, seq: int, why: str) -> None:
        super().__init__(f"Event {seq} of agent '{agent}' is damaged: {why}.")
        self.agent = agent
        self.seq = seq
        self.why = why


class LogUnreadable(PalimpsestError):
    """The log's file is not a log, or its bytes are damaged below the level of events."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"The log {path} cannot be read: {why}. Nothing was changed. "
            "Check the path (--data DIR), or put back a copy of the data folder."
        )
        self.path = path
        self.why = why


class LogReadOnly(PalimpsestError):
    """A write through a log that is only read here: its opener never became the writer."""

    def __init__(self, log: str) -> None:
        super().__init__(f"Nothing was written: {log} is open for reading only. A writer calls open_epoch() first.")
        self.log = log


class LogUnavailable(PalimpsestError):
    """The log could not write (a full disk, say). What was not acknowledged was not written."""


class NewerFormat(PalimpsestError):
    """Written by a newer Palimpsest than this one."""


class BundleUnreadable(PalimpsestError):
    """A file that is no bundle, or not all of one, or not the one that was written."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"The bundle {path} cannot be read: {why}. Nothing was changed. Copy it again from where it was made "
            "(in binary mode), or have it exported again."
        )
        self.path = path
        self.why = why


class BundleUnwritable(PalimpsestError):
    """The disk took no bundle; nothing was left there."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"The bundle {path} cannot be written: {why}. Nothing was left there. "
            "Make room, check the folder's rights, or name another place."
        )
        self.path = path
        self.why = why


class NameTaken(PalimpsestError):
    """A stream of this name has another history here, or goes on by itself; nothing was written."""

    def __init__(self, stream: str, *, renamed: bool) -> None:
        other = "give the agent another name (`import FILE --as NAME`)" if renamed else "import it into another folder"
        other += "" if renamed else " (`--data DIR`): only the bundle's own agent can be renamed"
        super().__init__(
            f"'{stream}' is here already, with another history than the bundle's (or it is at work). "
            f"Nothing was written: {other}."
        )
        self.stream = stream


class DataFolderBusy(PalimpsestError):
    """Another process has the folder. `how` says what can be done: see `store.folder.How`."""

    def __init__(self, folder: str, holder: str, *, how: str = "alone") -> None:
        end = "Stop that one" if how in ("brief", "alone") else "This needs it alone: end that one (`palimpsest down`)"
        super().__init__(
            f"The data folder {folder} is in use by {holder}. {end}, or give another folder with --data DIR. "
            "(What only looks into the log works while it runs: `events`, `context`, `state`, `why`, `replay`, ….)"
        )
        self.folder = folder
        self.holder = holder
        self.how = how


class StorageUnavailable(PalimpsestError):
    """Recall and archival storage cannot answer now (engine locked, corrupt or down)."""


class StorageDamaged(StorageUnavailable):
    """The files of a vector index cannot be read, or are not those that are wanted: it is built again from the log."""


class StorageAway(StorageUnavailable):
    """What storage needs elsewhere (a Qdrant server, an embeddings server) does not answer, or refuses: it is tried
    again, and what needs it waits, or fails with an event that says so."""


class EmbedderChanged(PalimpsestError):
    """An index was made with another embedder than the one that is set; both as a setting names them."""

    def __init__(self, index: str, made: str, wanted: str) -> None:
        super().__init__(
            f"{index} was made with the embedder {made}, and {wanted} is set. Give `--embedder "
            f"{made.partition(' ')[0]}` again; or build the index anew from the log, which may take a while: "
            f"`palimpsest reindex --embedder {wanted.partition(' ')[0]}`."
        )
        self.made = made
        self.wanted = wanted


class AgentSetAside(PalimpsestError):
    """An agent whose stream cannot be read. Its inputs are kept; the other agents are served."""

    def __init__(self, agent: str, why: str) -> None:
        super().__init__(
            f"Agent '{agent}' is set aside: {why} What it was sent is kept, and is answered once its stream can be "
            f"read again. `replay {quote(agent)} --verify` shows how far it is sound."
        )
        self.agent = agent
        self.why = why


class ActorLost(PalimpsestError):
    """A part of the system does not answer: it has ended `for_good`, or is being started anew."""

    def __init__(self, what: str, *, for_good: bool = True) -> None:
        super().__init__(what)
        self.for_good = for_good


class DocumentUnreadable(PalimpsestError):
    """A file that gives no passages, or not all of them. `reason` stands for itself in a load's report."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} cannot be read: {reason}")
        self.path = path
        self.reason = reason


class WindowTooSmall(BadInput):
    """An agent's window cannot hold the functions on documents beside all else."""

    def __init__(self, agent: str, window_tokens: int, least_tokens: int, source: str) -> None:
        super().__init__(
            f"Source '{source}' cannot be attached to agent '{agent}': with the functions that read documents it needs "
            f"a window of at least {least_tokens:,} tokens, and has one of {window_tokens:,}. "
            f"`chat {quote(agent)} --window {least_tokens}` gives it one; then attach it again."
        )
        self.agent = agent
        self.least_tokens = least_tokens


class ModelUnavailable(PalimpsestError):
    """A rerun's model cannot be had, so there was no rerun."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"The model cannot be had, so nothing was run and nothing was written. {detail}")
