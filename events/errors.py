"""Every error that Palimpsest raises: one root, data as fields.

Rules. (1) A message says what is wrong and what to do next. (2) It names no command and no option: who asked may be a
program. The fields hold what a command line needs to say what to type (`console/worded.py`). (3) Expected outcomes are
events, not exceptions.
"""

from __future__ import annotations

from typing import Any, Final, Literal

NAMED: Final = 12
"""As many agents are named where one is not known."""


class PalimpsestError(Exception):
    """The root. `palimpsest` prints its message as one line and exits with 2."""

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by fields, so that an error crosses a Ray call whole."""
        return (_rebuild, (type(self), self.args, self.__dict__))


def rebuilt(kind: str, message: str, fields: dict[str, Any]) -> PalimpsestError:
    """An error from its class's name, its message and its fields, as they cross from one process to another."""
    return _rebuild(globals().get(kind, PalimpsestError), (message,), fields)


def _rebuild(kind: type[PalimpsestError], args: tuple[object, ...], fields: dict[str, object]) -> PalimpsestError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error


class UnknownAgent(PalimpsestError):
    """There is no agent of this name; `known` ones are named in the message."""

    def __init__(self, agent: str, known: tuple[str, ...] = ()) -> None:
        more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
        named = f"Known agents: {', '.join(known[:NAMED])}{more}." if known else "There is no agent yet."
        super().__init__(f"There is no agent '{agent}'. {named}")
        self.agent = agent
        self.known = known


class UnknownSource(PalimpsestError):
    """There is no source of documents of this name."""

    def __init__(self, source: str, known: tuple[str, ...] = ()) -> None:
        there = f"Known sources: {', '.join(known)}." if known else "There is no source yet."
        super().__init__(f"There is no source '{source}'. {there}")
        self.source = source
        self.known = known


class AgentExists(PalimpsestError):
    """There is an agent of this name already; nothing was made."""

    def __init__(self, agent: str) -> None:
        super().__init__(f"There is an agent '{agent}' already. Choose another name, or use it.")
        self.agent = agent


class AgentIsRetired(PalimpsestError):
    """An input of a retired agent; nothing was taken."""

    def __init__(self, agent: str) -> None:
        super().__init__(
            f"Agent '{agent}' is retired, and takes no inputs; nothing was taken. Take it back, or fork it."
        )
        self.agent = agent


class BadInput(PalimpsestError):
    """An argument or a message that cannot be taken; nothing was written."""


class AtRest(BadInput):
    """What is under way in an agent is owed by no part here, so that nobody would ever go on with it."""

    def __init__(self, agent: str) -> None:
        super().__init__(
            f"What is under way in agent '{agent}' rests (it was imported so, or is a rerun that ended early): nothing "
            "here goes on with it. A fork does."
        )
        self.agent = agent


class NoBoundary(BadInput):
    """A bisection's end is not what it was said to be: the check is good after event `seq`, the bad end; or bad after
    it, the good end. `near`: an event after which it is good (0: none is known)."""

    def __init__(self, seq: int, *, good: bool, near: int = 0) -> None:
        is_, end = ("good", "bad") if good else ("bad", "good")
        hint = f" After event {near} it is good." if near else ""
        super().__init__(f"The check is {is_} after event {seq}, the {end} end: name one at which it is {end}.{hint}")
        self.seq = seq
        self.good = good
        self.near = near


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
            "Check the path, or put back a copy of the data folder."
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


class AcknowledgedLost(PalimpsestError):
    """A log lacks events that its writer has acknowledged: another server than the one that took them has its place."""

    def __init__(self, log: str, acknowledged: int, found: int) -> None:
        super().__init__(
            f"Events {found + 1:,} to {acknowledged:,} of {log} were acknowledged and are not there any more. This "
            "writer ends, and wrote nothing more. A server that lacked them may have taken the place of the one that "
            "had them: put that one back; or start the system again, which then goes on without them."
        )
        self.log = log
        self.acknowledged = acknowledged
        self.found = found


class CommitInDoubt(PalimpsestError):
    """A writer was closed before it could find out what became of its last commit."""

    def __init__(self, log: str) -> None:
        super().__init__(
            f"It is not known whether {log} has taken this: the connection was lost while it was committed, and this "
            "writer was closed before there was another. Send it again with the same keys: it is taken once."
        )
        self.log = log


class OnlyLooked(BadInput):
    """A log in a database is looked into, and nothing more: no system runs on it, and no command writes to it."""

    def __init__(self, place: str) -> None:
        super().__init__(f"The log is in {place}: there it is looked into, and nothing runs on it or writes to it yet.")
        self.place = place


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
        other = "import it into another folder: only the bundle's own agent can be renamed"
        super().__init__(
            f"'{stream}' is here already, with another history than the bundle's (or it is at work). "
            f"Nothing was written: {'give the agent another name' if renamed else other}."
        )
        self.stream = stream
        self.renamed = renamed


class DataFolderBusy(PalimpsestError):
    """Another process has the folder. `how` says what can be done: see `store.folder.How`."""

    def __init__(self, folder: str, holder: str, *, how: str = "alone") -> None:
        end = "Stop that one" if how in ("brief", "alone") else "This needs it alone: end that one"
        super().__init__(
            f"The data folder {folder} is in use by {holder}. {end}, or give another folder. "
            "(What only looks into the log works while it runs.)"
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
            f"{index} was made with the embedder {made}, and {wanted} is set. Set the first one again; or build the "
            "index anew from the log, which may take a while."
        )
        self.index = index
        self.made = made
        self.wanted = wanted


class AgentSetAside(PalimpsestError):
    """An agent whose stream cannot be read. Its inputs are kept; the other agents are served."""

    def __init__(self, agent: str, why: str) -> None:
        super().__init__(
            f"Agent '{agent}' is set aside: {why} What it was sent is kept, and is answered once its stream can be "
            "read again. A replay that proves it shows how far it is sound."
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
            "Give it one; then attach it again."
        )
        self.agent = agent
        self.source = source
        self.window_tokens = window_tokens
        self.least_tokens = least_tokens


class ModelUnavailable(PalimpsestError):
    """A rerun's model cannot be had, so there was no rerun."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"The model cannot be had, so nothing was run and nothing was written. {detail}")


# --- questions: what was asked of a log that it cannot answer -----------------------------------------------------


class NoSuchEvent(BadInput):
    """A stream has events 1 to `last`, and not `seq`, which was asked for as `end` ("at", "from", "good" …, or "")."""

    def __init__(self, agent: str, seq: int, last: int, end: str = "") -> None:
        super().__init__(f"Agent '{agent}' has events 1 to {last}: there is no event {seq}.")
        self.agent = agent
        self.seq = seq
        self.last = last
        self.end = end


class NotAnAgent(BadInput):
    """A source's stream, where only an agent will do."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"'{stream}' is a source, which has no context and no memory of its own: name an agent.")
        self.stream = stream


class NotAnswered(BadInput):
    """An agent that has sent no message yet, so that there is no answer to judge."""

    def __init__(self, agent: str) -> None:
        super().__init__(f"Agent '{agent}' has not answered yet. Give an event to judge it at.")
        self.agent = agent


class HasNoTurns(BadInput):
    """A turn of a source's was asked for."""

    def __init__(self, stream: str) -> None:
        super().__init__(f"'{stream}' is a source, which has no turns.")
        self.stream = stream


class InNoTurn(BadInput):
    """An event that happened between two turns."""

    def __init__(self, agent: str, seq: int, kind: str) -> None:
        super().__init__(f"Event {seq} of agent '{agent}' ({kind}) belongs to no turn.")
        self.agent = agent
        self.seq = seq
        self.kind = kind


class NoSuchTurn(BadInput):
    """An agent has had `turns` turns by event `last`, and no turn of this number."""

    def __init__(self, agent: str, number: int, turns: int, last: int) -> None:
        had = f"{turns:,} turn{'s' * (turns != 1)}"
        super().__init__(f"Agent '{agent}' has had {had} by event {last}: there is no turn {number}.")
        self.agent = agent
        self.number = number
        self.turns = turns
        self.last = last


class NoIndexAtHand(BadInput):
    """A rank would take an index of so many events."""

    def __init__(self, events: int) -> None:
        super().__init__(f"no index is at hand, and to build one of {events:,} events takes a while")
        self.events = events


class NothingToRerun(BadInput):
    """A rerun would end where it begins, or before."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__(f"There is nothing to run again after event {first}, up to event {last}. Begin before.")
        self.first = first
        self.last = last


class ForkedOtherwise(BadInput):
    """A rerun from before event `seq`, where an agent became what no input made it."""

    def __init__(self, agent: str, seq: int) -> None:
        super().__init__(
            f"At event {seq} '{agent}' was forked with another system text, core memory or timers than its parent's, "
            "which no rerun from before does. Begin there or later, or rerun its parent."
        )
        self.agent = agent
        self.seq = seq


class NoSession(BadInput):
    """An agent of which nothing can be shown as a session: its stream differs from its first event on."""

    def __init__(self, agent: str, difference: str) -> None:
        super().__init__(f"Agent '{agent}' cannot be shown: {difference}.")
        self.agent = agent
        self.difference = difference


class EndsSwapped(BadInput):
    """The good end of a bisection does not come before the bad one."""

    def __init__(self, good: int, bad: int) -> None:
        super().__init__(f"The good end, event {good}, must come before the bad end, event {bad}.")
        self.good = good
        self.bad = bad


# --- files --------------------------------------------------------------------------------------------------------


class NoLog(BadInput):
    """There is no log at this path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"There is no log at {path}. Check the path.")
        self.path = path


class NoBundle(BadInput):
    """There is no file at a path, or no bundle: a folder."""

    def __init__(self, path: str, *, folder: bool = False) -> None:
        super().__init__(
            f"{path} is a folder: name a bundle." if folder else f"There is no file {path}. Check the path."
        )
        self.path = path
        self.folder = folder


class NoBundles(BadInput):
    """A folder that is not there, or has no bundle in it."""

    def __init__(self, folder: str, suffix: str, *, there: bool) -> None:
        empty = f"The folder {folder} has no bundle (*{suffix}): nothing was replayed."
        super().__init__(empty if there else f"There is no folder {folder}: name one that has bundles.")
        self.folder = folder
        self.suffix = suffix
        self.there = there


class BundleTooLarge(BadInput):
    """A bundle that memory cannot hold."""

    def __init__(self, path: str) -> None:
        super().__init__(f"The bundle {path} is too large to be read in place: import it.")
        self.path = path


class FileExists(BadInput):
    def __init__(self, path: str) -> None:
        super().__init__(f"There is a file {path} already: give another name.")
        self.path = path


class NameInBundle(BadInput):
    """An agent cannot be imported by the name that another stream of its bundle has."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(f"'{name}' is the name of another stream in {path}: give another one.")
        self.name = name
        self.path = path


class DataFolderUnusable(BadInput):
    """A data folder that cannot be made, is a file, is closed to this user, or has no place to be; `why` says more."""

    def __init__(self, folder: str, flaw: Literal["unmade", "file", "closed", "homeless"], why: str = "") -> None:
        super().__init__(
            {
                "unmade": f"The data folder {folder} cannot be made: {why}. Give another one.",
                "file": f"The data folder {folder} is a file. Give a folder.",
                "closed": f"The data folder {folder} cannot be written to. Change its rights, or give another one.",
                "homeless": "This user has no home folder: say where the data folder is to be.",
            }[flaw]
        )
        self.folder = folder
        self.flaw = flaw
        self.why = why


class EventMissing(LogDamaged):
    """A log lacks event `seq` of a stream. `whole` is the last event before which nothing is missing (0: not known)."""

    def __init__(self, agent: str, seq: int, why: str, whole: int = 0) -> None:
        super().__init__(agent, seq, f"{why}; what is before it can be exported" if whole else why)
        self.whole = whole


class BundleNotProved(LogDamaged):
    """An event of a bundle is not proved by those before it, so that it was not imported."""

    def __init__(self, agent: str, seq: int, what: str, path: str) -> None:
        super().__init__(agent, seq, f"{what} (nothing was imported)")
        self.what = what
        self.path = path


class NoPattern(BadInput):
    def __init__(self, pattern: str, why: str) -> None:
        super().__init__(f"'{pattern}' is no regular expression ({why}). Mend it, or mask a text.")
        self.pattern = pattern
        self.why = why


class NothingToMask(BadInput):
    def __init__(self) -> None:
        super().__init__("There is nothing to mask in an empty text.")


# --- documents ----------------------------------------------------------------------------------------------------


class NoSuchDocument(BadInput):
    """A source has no document of this path or id; `near` are paths that may be meant."""

    def __init__(self, document: str, source: str, near: tuple[str, ...] = ()) -> None:
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        super().__init__(f"There is no document '{document}' in source '{source}'.{hint}")
        self.document = document
        self.source = source
        self.near = near


class PassagesUnusable(BadInput):
    """Documents cannot be cut so: passages have `least` to `most` tokens (else the `usual`); half may overlap."""

    def __init__(self, tokens: int, overlap: int, least: int, most: int, usual: int) -> None:
        super().__init__(
            f"Passages of {tokens} tokens with an overlap of {overlap} cannot be made: give {least} to {most} tokens "
            f"(usual are {usual}), and an overlap of at most half of that."
        )
        self.tokens = tokens
        self.overlap = overlap
        self.least = least
        self.most = most
        self.usual = usual


class PassagesFixed(BadInput):
    """A source has passages of another size than was asked for."""

    def __init__(self, source: str, tokens: int, overlap: int) -> None:
        super().__init__(
            f"Source '{source}' has passages of {tokens} tokens with an overlap of {overlap}, for good. Leave the "
            "sizes out, or load into a source of another name."
        )
        self.source = source
        self.tokens = tokens
        self.overlap = overlap
