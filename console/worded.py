"""An error in the words of the command line: what is wrong, and which command or option mends it.

Rules. (1) Below the console an error names no command: its fields say what is wrong, and this table what to type. (2) A
command stands in backticks, called as `palimpsest` or by its own name: `console/called.py` has it as it can be typed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from shlex import quote
from typing import Any, Final

from palimpsest.console.show import many
from palimpsest.console.story import ordinal
from palimpsest.events import errors
from palimpsest.events.errors import NAMED
from palimpsest.events.sources import source_of


def worded(error: Exception) -> str:
    """What is printed of an error; one that is not in the table says it all itself."""
    word = _WORDS.get(type(error))
    return word(error) if word else str(error)


def _open(error: Exception) -> str:
    """What an error says, to be gone on with."""
    return str(error).removesuffix(".")


def _unknown_agent(error: errors.UnknownAgent) -> str:
    if not error.known:
        return f"There is no agent '{error.agent}'. There is no agent yet: `chat NAME` makes one."
    return f"{_open(error)} (`agents` lists them)." if len(error.known) > NAMED else str(error)


def _no_boundary(error: errors.NoBoundary) -> str:
    is_, end, one = ("good", "bad", "an event") if error.good else ("bad", "good", "one")
    hint = f" After event {error.near} it is good: --good {error.near}." if error.near else ""
    mend = f"by --{end} SEQ name {one} at which it is {end}; or, if it is the other way round, give --not."
    return f"The check is {is_} after event {error.seq}, the {end} end: {mend}{hint}"


def _log_unreadable(error: errors.LogUnreadable) -> str:
    mend = "Check the path (--data DIR), or put back a copy of the data folder."
    return f"The log {error.path} cannot be read: {error.why}. Nothing was changed. {mend}"


def _name_taken(error: errors.NameTaken) -> str:
    into = "import it into another folder (`--data DIR`): only the bundle's own agent can be renamed"
    return (
        f"'{error.stream}' is here already, with another history than the bundle's (or it is at work). Nothing was "
        f"written: {'give the agent another name (`import FILE --as NAME`)' if error.renamed else into}."
    )


def _busy(error: errors.DataFolderBusy) -> str:
    alone = "This needs it alone: end that one (`palimpsest down`)"
    end = "Stop that one" if error.how in ("brief", "alone") else alone
    return (
        f"The data folder {error.folder} is in use by {error.holder}. {end}, or give another folder with "
        "--data DIR. (What only looks into the log works while it runs: `events`, `context`, `state`, `why`, "
        "`replay`, ….)"
    )


def _embedder_changed(error: errors.EmbedderChanged) -> str:
    made, wanted = (name.partition(" ")[0] for name in (error.made, error.wanted))
    return (
        f"{error.index} was made with the embedder {error.made}, and {error.wanted} is set. Give `--embedder {made}` "
        "again; or build the index anew from the log, which may take a while: "
        f"`palimpsest reindex --embedder {wanted}`."
    )


def _retired(error: errors.AgentIsRetired) -> str:
    name = quote(error.agent)
    return (
        f"Agent '{error.agent}' is retired, and takes no inputs; nothing was taken. `palimpsest retire --undo {name}` "
        f"takes it back, or `palimpsest fork {name} --as NAME` makes another that goes on from it."
    )


def _set_aside(error: errors.AgentSetAside) -> str:
    return (
        f"Agent '{error.agent}' is set aside: {error.why} What it was sent is kept, and is answered once its stream "
        f"can be read again. `replay {quote(error.agent)} --verify` shows how far it is sound."
    )


def _window_too_small(error: errors.WindowTooSmall) -> str:
    return (
        f"Source '{error.source}' cannot be attached to agent '{error.agent}': with the functions that read documents "
        f"it needs a window of at least {error.least_tokens:,} tokens, and has one of {error.window_tokens:,}. "
        f"`chat {quote(error.agent)} --window {error.least_tokens}` gives it one; then attach it again."
    )


def _no_event(error: errors.NoSuchEvent) -> str:
    return f"{_open(error)} (--{error.end} SEQ)." if error.end else str(error)


def _no_bundle(error: errors.NoBundle) -> str:
    if error.folder:
        return f"{_open(error)}, the file that `export` writes."
    return f"{_open(error)}; `export AGENT FILE` writes a bundle."


def _no_bundles(error: errors.NoBundles) -> str:
    if error.there:
        return f"{error} `export AGENT FILE{error.suffix}` writes one."
    return f"{_open(error)} (--against DIR)."


def _no_turn(error: errors.NoSuchTurn) -> str:
    had = many(error.turns, "turn")
    return f"Agent '{error.agent}' has had {had} by event {error.last}: there is no {ordinal(error.number)}."


def _forked_otherwise(error: errors.ForkedOtherwise) -> str:
    return (
        f"At event {error.seq} '{error.agent}' was forked with another system text, core memory or timers than its "
        f"parent's, which no rerun from before does. Give --from {error.seq} or more, or rerun its parent."
    )


def _unusable(error: errors.DataFolderUnusable) -> str:
    match error.flaw:
        case "unmade":
            return f"{_open(error)} with --data DIR, or in PALIMPSEST_HOME."
        case "file":
            return f"{_open(error)} with --data DIR."
        case "closed":
            mend = "Change its rights (`chmod u+rwx`), or give another one with --data DIR."
            return f"The data folder {error.folder} cannot be written to. {mend}"
        case "homeless":
            return "This user has no home folder: give the data folder with --data DIR, or in PALIMPSEST_HOME."


def _event_missing(error: errors.EventMissing) -> str:
    mend = f" (--at {error.whole})" if error.whole else f": `replay {quote(error.agent)} --verify` shows more"
    return f"{_open(error)}{mend}."


def _not_proved(error: errors.BundleNotProved) -> str:
    more = f"`replay --all --verify --bundle {quote(str(error.path))}` shows more; nothing was imported"
    return f"Event {error.seq} of agent '{error.agent}' is damaged: {error.what} ({more})."


def _passages(error: errors.PassagesUnusable) -> str:
    return (
        f"Passages of {error.tokens} tokens with an overlap of {error.overlap} cannot be made: give --passage-tokens "
        f"{error.least} to {error.most} (without it: {error.usual}), and --overlap-tokens of at most half of that."
    )


def _passages_fixed(error: errors.PassagesFixed) -> str:
    had = f"passages of {error.tokens} tokens with an overlap of {error.overlap}"
    leave = "Leave --passage-tokens and --overlap-tokens out, or load into a source of another name."
    return f"Source '{error.source}' has {had}, for good. {leave}"


_WORDS: Final[Mapping[type[Exception], Callable[[Any], str]]] = {
    errors.UnknownAgent: _unknown_agent,
    errors.UnknownSource: lambda e: f"{e} `load {quote(e.source)} PATH` makes one.",
    errors.AgentExists: lambda e: f"{_open(e)}: `chat {quote(e.agent)}`.",
    errors.AgentIsRetired: _retired,
    errors.AtRest: lambda e: f"{_open(e)}: `fork {quote(e.agent)} --as NAME`, then `resume NAME` or `chat NAME`.",
    errors.NoBoundary: _no_boundary,
    errors.LogUnreadable: _log_unreadable,
    errors.NameTaken: _name_taken,
    errors.DataFolderBusy: _busy,
    errors.EmbedderChanged: _embedder_changed,
    errors.AgentSetAside: _set_aside,
    errors.WindowTooSmall: _window_too_small,
    errors.NoSuchEvent: _no_event,
    errors.NotAnAgent: lambda e: (
        f"{e} `sources {quote(source_of(e.stream))}` and `events {quote(e.stream)}` show what it has."
    ),
    errors.NotAnswered: lambda e: f"{_open(e)} (--at SEQ).",
    errors.HasNoTurns: lambda e: f"{_open(e)}: leave out --turn.",
    errors.InNoTurn: lambda e: f"{e} `events {quote(e.agent)} --from {e.seq}`",
    errors.NoSuchTurn: _no_turn,
    errors.NoIndexAtHand: lambda e: f"{e}: --rank does it",
    errors.NothingToRerun: lambda e: (
        f"There is nothing to run again after event {e.first}: --to is {e.last}. Give a smaller --from."
    ),
    errors.ForkedOtherwise: _forked_otherwise,
    errors.NoSession: lambda e: f"{e} `replay` says more.",
    errors.EndsSwapped: lambda e: f"{_open(e)} (--good SEQ, --bad SEQ).",
    errors.NoLog: lambda e: f"{_open(e)} (--data DIR); the first `chat`, `create`, `load` or `import` makes one.",
    errors.NoBundle: _no_bundle,
    errors.NoBundles: _no_bundles,
    errors.OnlyLooked: lambda e: f"{e} `copy {quote(e.place)} DIR` brings it into a folder, where all works.",
    errors.BundleTooLarge: lambda e: (
        f"The bundle {e.path} is too large to be read in place: `import {quote(str(e.path))}` takes it in."
    ),
    errors.FileExists: lambda e: f"{_open(e)}, or --force to write over it.",
    errors.NameInBundle: lambda e: f"{_open(e)} with --as NAME.",
    errors.DataFolderUnusable: _unusable,
    errors.EventMissing: _event_missing,
    errors.BundleNotProved: _not_proved,
    errors.NoPattern: lambda e: f"'{e.pattern}' is no regular expression ({e.why}). Mend it, or use --redact.",
    errors.NothingToMask: lambda e: f"{_open(e)} (--redact TEXT).",
    errors.NoSuchDocument: lambda e: f"{e} `sources {quote(e.source)}` lists all.",
    errors.PassagesUnusable: _passages,
    errors.PassagesFixed: _passages_fixed,
}
"""By its class, an error that has more to say on a command line."""
