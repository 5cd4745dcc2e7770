"""Errors: below the console they name no command and no option; the console says what to type."""

from __future__ import annotations

import pickle
import re

import pytest

from palimpsest.console.worded import _WORDS, worded
from palimpsest.events import errors
from palimpsest.events.errors import PalimpsestError

MANY = tuple(f"agent-{number:02}" for number in range(15))
TAKEN = "is here already, with another history than the bundle's (or it is at work). Nothing was written:"

SAID: list[tuple[PalimpsestError, str]] = [
    (errors.UnknownAgent("eve"), "There is no agent 'eve'. There is no agent yet: `chat NAME` makes one."),
    (errors.UnknownAgent("eve", ("ada", "ben")), "There is no agent 'eve'. Known agents: ada, ben."),
    (
        errors.UnknownAgent("eve", MANY),
        f"There is no agent 'eve'. Known agents: {', '.join(MANY[:12])} and 3 more (`agents` lists them).",
    ),
    (
        errors.UnknownSource("my docs"),
        "There is no source 'my docs'. There is no source yet. `load 'my docs' PATH` makes one.",
    ),
    (
        errors.UnknownSource("docs", ("papers",)),
        "There is no source 'docs'. Known sources: papers. `load docs PATH` makes one.",
    ),
    (
        errors.AgentExists("ben o'neil"),
        """There is an agent 'ben o'neil' already. Choose another name, or use it: `chat 'ben o'"'"'neil'`.""",
    ),
    (
        errors.AtRest("ada"),
        "What is under way in agent 'ada' rests (it was imported so, or is a rerun that ended early): nothing here "
        "goes on with it. A fork does: `fork ada --as NAME`, then `resume NAME` or `chat NAME`.",
    ),
    (
        errors.NoBoundary(9, good=True),
        "The check is good after event 9, the bad end: by --bad SEQ name an event at which it is bad; or, if it is the "
        "other way round, give --not.",
    ),
    (
        errors.NoBoundary(3, good=False, near=7),
        "The check is bad after event 3, the good end: by --good SEQ name one at which it is good; or, if it is the "
        "other way round, give --not. After event 7 it is good: --good 7.",
    ),
    (
        errors.LogUnreadable("/d/log", "it is damaged"),
        "The log /d/log cannot be read: it is damaged. Nothing was changed. Check the path (--data DIR), or put back a "
        "copy of the data folder.",
    ),
    (errors.NameTaken("ada", renamed=True), f"'ada' {TAKEN} give the agent another name (`import FILE --as NAME`)."),
    (
        errors.NameTaken("source:x", renamed=False),
        f"'source:x' {TAKEN} import it into another folder (`--data DIR`): only the bundle's own agent can be renamed.",
    ),
    (
        errors.DataFolderBusy("/d", "pid 1 (chat ada)"),
        "The data folder /d is in use by pid 1 (chat ada). Stop that one, or give another folder with --data DIR. "
        "(What only looks into the log works while it runs: `events`, `context`, `state`, `why`, `replay`, ….)",
    ),
    (
        errors.EmbedderChanged("The index /d", "wordllama (256 dimensions)", "minilm (384 dimensions)"),
        "The index /d was made with the embedder wordllama (256 dimensions), and minilm (384 dimensions) is set. Give "
        "`--embedder wordllama` again; or build the index anew from the log, which may take a while: `palimpsest "
        "reindex --embedder minilm`.",
    ),
    (
        errors.AgentIsRetired("ada"),
        "Agent 'ada' is retired, and takes no inputs; nothing was taken. `palimpsest retire --undo ada` takes it back, "
        "or `palimpsest fork ada --as NAME` makes another that goes on from it.",
    ),
    (
        errors.AgentSetAside("ada", "Event 3 is damaged."),
        "Agent 'ada' is set aside: Event 3 is damaged. What it was sent is kept, and is answered once its stream can "
        "be read again. `replay ada --verify` shows how far it is sound.",
    ),
    (
        errors.WindowTooSmall("ada", 1400, 1778, "docs"),
        "Source 'docs' cannot be attached to agent 'ada': with the functions that read documents it needs a window of "
        "at least 1,778 tokens, and has one of 1,400. `chat ada --window 1778` gives it one; then attach it again.",
    ),
    (errors.NoSuchEvent("ada", 9, 5, "at"), "Agent 'ada' has events 1 to 5: there is no event 9 (--at SEQ)."),
    (errors.NoSuchEvent("ada", 9, 5), "Agent 'ada' has events 1 to 5: there is no event 9."),
    (
        errors.NotAnAgent("source:docs"),
        "'source:docs' is a source, which has no context and no memory of its own: name an agent. `sources docs` and "
        "`events source:docs` show what it has.",
    ),
    (
        errors.OnlyLooked("postgresql://ada@db/agents"),
        "The log is in postgresql://ada@db/agents: there it is looked into, and nothing runs on it or writes to it "
        "yet. `copy postgresql://ada@db/agents DIR` brings it into a folder, where all works.",
    ),
    (errors.NotAnswered("ada"), "Agent 'ada' has not answered yet. Give an event to judge it at (--at SEQ)."),
    (errors.HasNoTurns("source:docs"), "'source:docs' is a source, which has no turns: leave out --turn."),
    (
        errors.InNoTurn("ada", 4, "SettingsChanged"),
        "Event 4 of agent 'ada' (SettingsChanged) belongs to no turn. `events ada --from 4`",
    ),
    (errors.NoSuchTurn("ada", 22, 1, 30), "Agent 'ada' has had 1 turn by event 30: there is no 22nd."),
    (
        errors.NoIndexAtHand(30_000),
        "no index is at hand, and to build one of 30,000 events takes a while: --rank does it",
    ),
    (
        errors.NothingToRerun(9, 7),
        "There is nothing to run again after event 9: --to is 7. Give a smaller --from.",
    ),
    (
        errors.ForkedOtherwise("fay", 7),
        "At event 7 'fay' was forked with another system text, core memory or timers than its parent's, which no rerun "
        "from before does. Give --from 7 or more, or rerun its parent.",
    ),
    (errors.NoSession("ada", "event 1: x"), "Agent 'ada' cannot be shown: event 1: x. `replay` says more."),
    (
        errors.EndsSwapped(9, 3),
        "The good end, event 9, must come before the bad end, event 3 (--good SEQ, --bad SEQ).",
    ),
    (
        errors.NoLog("/d/log-0.sqlite"),
        "There is no log at /d/log-0.sqlite. Check the path (--data DIR); the first `chat`, `create`, `load` or "
        "`import` makes one.",
    ),
    (errors.NoBundle("/b"), "There is no file /b. Check the path; `export AGENT FILE` writes a bundle."),
    (errors.NoBundle("/b", folder=True), "/b is a folder: name a bundle, the file that `export` writes."),
    (errors.NoBundles("/b", ".x", there=False), "There is no folder /b: name one that has bundles (--against DIR)."),
    (
        errors.NoBundles("/b", ".x", there=True),
        "The folder /b has no bundle (*.x): nothing was replayed. `export AGENT FILE.x` writes one.",
    ),
    (errors.BundleTooLarge("/b"), "The bundle /b is too large to be read in place: `import /b` takes it in."),
    (errors.FileExists("/b"), "There is a file /b already: give another name, or --force to write over it."),
    (
        errors.NameInBundle("ben", "/b"),
        "'ben' is the name of another stream in /b: give another one with --as NAME.",
    ),
    (
        errors.DataFolderUnusable("/d", "unmade", "Read-only file system (/d)"),
        "The data folder /d cannot be made: Read-only file system (/d). Give another one with --data DIR, or in "
        "PALIMPSEST_HOME.",
    ),
    (errors.DataFolderUnusable("/d", "file"), "The data folder /d is a file. Give a folder with --data DIR."),
    (
        errors.DataFolderUnusable("/d", "closed"),
        "The data folder /d cannot be written to. Change its rights (`chmod u+rwx`), or give another one with --data "
        "DIR.",
    ),
    (
        errors.DataFolderUnusable("", "homeless"),
        "This user has no home folder: give the data folder with --data DIR, or in PALIMPSEST_HOME.",
    ),
    (
        errors.EventMissing("ada", 9, "the log lacks it, or the stream's first"),
        "Event 9 of agent 'ada' is damaged: the log lacks it, or the stream's first: `replay ada --verify` shows more.",
    ),
    (
        errors.EventMissing("ada", 9, "the log lacks it", whole=8),
        "Event 9 of agent 'ada' is damaged: the log lacks it; what is before it can be exported (--at 8).",
    ),
    (
        errors.BundleNotProved("ada", 9, "its hash is another", "/b"),
        "Event 9 of agent 'ada' is damaged: its hash is another (`replay --all --verify --bundle /b` shows more; "
        "nothing was imported).",
    ),
    (
        errors.NoPattern("(", "missing )"),
        "'(' is no regular expression (missing )). Mend it, or use --redact.",
    ),
    (errors.NothingToMask(), "There is nothing to mask in an empty text (--redact TEXT)."),
    (
        errors.NoSuchDocument("a.txt", "docs", ("b.txt", "c.txt")),
        "There is no document 'a.txt' in source 'docs'. Did you mean b.txt or c.txt? `sources docs` lists all.",
    ),
    (
        errors.PassagesUnusable(9, 1, 50, 2000, 300),
        "Passages of 9 tokens with an overlap of 1 cannot be made: give --passage-tokens 50 to 2000 (without it: 300), "
        "and --overlap-tokens of at most half of that.",
    ),
    (
        errors.PassagesFixed("docs", 300, 60),
        "Source 'docs' has passages of 300 tokens with an overlap of 60, for good. Leave --passage-tokens and "
        "--overlap-tokens out, or load into a source of another name.",
    ),
]
"""Each with what the command line says of it."""


@pytest.mark.parametrize(("error", "said"), SAID, ids=lambda value: type(value).__name__)
def test_an_error_is_worded_with_what_to_type(error: PalimpsestError, said: str) -> None:
    assert worded(error) == said


@pytest.mark.parametrize("error", [error for error, _ in SAID], ids=lambda error: type(error).__name__)
def test_below_the_console_it_names_no_command_and_no_option(error: PalimpsestError) -> None:
    assert not re.search(r"`|--[a-z]|[A-Z]{3}", str(error)), str(error)


@pytest.mark.parametrize(("error", "said"), SAID, ids=lambda value: type(value).__name__)
def test_it_is_worded_the_same_when_it_came_from_another_process(error: PalimpsestError, said: str) -> None:
    assert worded(pickle.loads(pickle.dumps(error))) == said
    assert worded(errors.rebuilt(type(error).__name__, str(error), dict(vars(error)))) == said


def test_every_error_in_the_table_is_looked_at() -> None:
    assert {type(error) for error, _ in SAID} == set(_WORDS)


def test_what_is_not_in_the_table_says_it_all_itself() -> None:
    assert worded(errors.Overloaded("Too much is waiting.", 2)) == (
        "Too much is waiting. Nothing was taken. Send it again in 2 s."
    )
