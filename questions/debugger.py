"""The debugger for programs: its questions, each a function of a log, which `palimpsest` has at its top.

    from palimpsest import open_log, why_not

    with open_log("~/.palimpsest") as log:
        print(why_not(log, "ada", "sister Ana painter").says)

Rules. (1) A log is only read, also while a system is at work on it; the file of a bundle is a log too. (2) `at` is the
seq of an event of the agent: what was so after it; None is now. (3) Each raises UnknownAgent, NotAnAgent for the name
of a source, and NoSuchEvent; what it raises besides, it says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from palimpsest.store.folder import DataFolder, data_at
from palimpsest.store.logs.contract import LogReader

if TYPE_CHECKING:
    from palimpsest.events.debug.blame import Account
    from palimpsest.events.debug.diff import StateDiff
    from palimpsest.events.debug.verdict import Verdict
    from palimpsest.events.passages import HitPage
    from palimpsest.events.state import State
    from palimpsest.questions.grounds import Grounds
    from palimpsest.questions.replays import Replayed
    from palimpsest.questions.windows import ContextView


@contextlib.contextmanager
def open_log(where: str | Path | DataFolder) -> Iterator[LogReader]:
    """The log of a data folder, of a database (by its URL), or of a bundle's file, for reading. Raises NoLog, NoBundle,
    LogUnreadable, LogUnavailable, BundleUnreadable, NewerFormat."""
    from palimpsest.store.bundles.file import SUFFIX
    from palimpsest.store.bundles.log import read_bundle

    folder = where if isinstance(where, DataFolder) else data_at(where)
    if not folder.database and (folder.path.is_file() or folder.path.suffix == SUFFIX):
        yield read_bundle(folder.path)
        return
    with folder.log().reader() as log:
        yield log


def state_at(log: LogReader, agent: str, at: int | None = None) -> State:
    """All that an agent is: its core memory (`blocks`), its `queue`, its `summary`, its settings, what waits."""
    from palimpsest.questions import windows

    return windows.state_at(log, agent, _seq(log, agent, at), end="at")


def context_at(log: LogReader, agent: str, at: int | None = None) -> ContextView:
    """An agent's context window: the bytes of its `request`, its tokens by part (`shares`), and whether they were
    `proved` to be those that the model got. Without `at` it is the last one that the model was asked with."""
    from palimpsest.questions.windows import view_at

    return view_at(log, agent, at)


def why(log: LogReader, agent: str, at: int | None = None) -> Grounds:
    """Why an agent said what it said at an event, or in the turn there: what it was asked, thought and looked up, and
    what of its window shares words with it. Raises BadInput where it has said nothing by then."""
    from palimpsest.questions.grounds import grounds

    return grounds(log, agent, at)


def why_not(log: LogReader, agent: str, text: str, at: int | None = None, *, exact: bool = False) -> Verdict:
    """Why an agent did not come up with a text in its answer at an event (None: the last one to a question). `cause` is
    one of `events.debug.verdict.Cause`, and `says` has it in words. `exact`: the text counts word for word.

    Raises NotAnswered; BadInput where the text is empty, or the agent had no turn by then.
    """
    from palimpsest.events.debug.phrases import Phrase
    from palimpsest.questions.ranks import Ranks
    from palimpsest.questions.verdicts import verdict_at
    from palimpsest.questions.words import search_terms
    from palimpsest.store.index.settings import IndexSettings

    wanted = Phrase(text, search_terms(), exact=exact)
    return verdict_at(log, agent, wanted, at, Ranks(log, IndexSettings, None))


def blame(
    log: LogReader, agent: str, text: str | None = None, at: int | None = None, *, exact: bool = False, block: str = "",
    summary: bool = False,
) -> Account:  # fmt: skip
    """Who wrote what stands in an agent's memory: all of core memory, or one `block`, or the `summary`, or what has a
    `text` in any of these or in archival storage; sentence by sentence. Raises BadInput for a block that is not there,
    or an empty text."""
    from palimpsest.questions.accounts import Blaming, account

    asked = Blaming(text=text, exact=exact, block=block, summary=summary)
    return account(log, agent, asked, state_at(log, agent, at).seq)


def diff(log: LogReader, agent: str, first: int, second: int | None = None, *, other: str = "") -> StateDiff:
    """What changed from an agent's event `first` to its event `second`, or to that of an `other` agent (None: now):
    what entered the window, what left it and where it went. Raises BadInput where both are the same event."""
    from palimpsest.events.debug.diff import DiffSide
    from palimpsest.questions.differences import difference

    to = other or agent
    return difference(log, DiffSide(agent=agent, seq=first), DiffSide(agent=to, seq=_seq(log, to, second)))


def search(log: LogReader, agent: str, query: str, at: int | None = None, *, page: int = 0) -> dict[str, HitPage]:
    """What an agent finds by its own functions: a page of "recall" (what was said), and one of "archival" (its passages
    and its sources' documents). An index of what it sees is built for it, from the log, in a temporary folder."""
    from palimpsest.questions.searches import found_in, private_index, sight_after
    from palimpsest.store.index.settings import IndexSettings

    sight = sight_after(log, agent, at)
    with private_index(log, sight.all, IndexSettings()) as index:
        return found_in(index, sight, query, page=page)


def verify(log: LogReader, agent: str = "") -> list[Replayed]:
    """Fold an agent (or "": every stream of the log) from its first event, and prove it: the hash chain, every context
    that the model got, the snapshots. `difference` is "" where all is as it was; else it names the first difference."""
    from palimpsest.questions.replays import replay_agent, replay_all
    from palimpsest.questions.streams import head_of
    from palimpsest.store.logs.contract import all_heads

    if agent:
        return [replay_agent(log, head_of(log, agent), verify=True)]
    return list(replay_all(log, all_heads(log), verify=True))


def _seq(log: LogReader, agent: str, at: int | None) -> int:
    from palimpsest.questions.streams import agent_head

    return agent_head(log, agent).seq if at is None else at
