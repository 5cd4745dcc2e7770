"""The closed sets of words: each a `Literal`, with what a word means beside it.

Rules. (1) A word that is compared or written anywhere is of one of these sets, or of one in its own module: so the type
checker refuses a typo. (2) In what is read from a log a field is `Logged[…]`: the type checker holds it to the set, and
the decoder takes any text, since a later Palimpsest may write one word more. So whoever reads such a word has a way for
one that it does not know, and `assert_never` stands only behind words that are made here, or decoded strictly. (3) Sets
only grow: old logs keep their words. (4) Membership is asked of a constant whose type names the set: of a set written
out in place the type checker compares nothing (`tests/house/test_closed_sets.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias, TypeVar, get_args

_Word = TypeVar("_Word", bound=str)

if TYPE_CHECKING:
    Logged: TypeAlias = Annotated[_Word, "any text decodes"]
else:

    class Logged:
        """A word of a closed set, as a log has it: `Logged[Purpose]` is decoded as any text is."""

        def __class_getitem__(cls, _words: object) -> type[str]:
            return str


# --- around an event ----------------------------------------------------------------------------------------------

Topic: TypeAlias = Literal[
    "turn",  # an input, owed a turn by the memory manager; closed by TurnEnded
    "inference",  # owed by the LLM processor
    "storage",  # a storage function, owed by the storage actor
    "timer",  # a timer function, owed by the timer actor
    "alarm",  # a timer that is set: the timer actor owes its firing
    "retirement",  # an agent that is retired: owed by nobody, closed by AgentReinstated; never rests
]
"""The part that owes an answer to an event."""

TOPICS: Final[tuple[Topic, ...]] = get_args(Topic)

Opens: TypeAlias = Topic | Literal[""]
"""What an event opens ("": nothing)."""

DraftOutcome: TypeAlias = Literal[
    "appended",  # it is durable, at the answer's `seq` and `position`
    "duplicate",  # the stream had this key already, at these
    # Of these none of the stream's drafts was taken; `seq` is the stream's, and 0 where it says so.
    "conflict",  # the stream was not at the expected seq, or is there and was to be begun as a fork
    "no parent",  # the stream was to be begun as a fork at a seq that its parent does not have (0)
    "closed",  # one of the stream's drafts closes a request that is not open (any more)
    "withheld",  # the append is to be taken together, and another stream of it could not be
    "refused",  # at the log's door: `again_ms` says when to come again
]
"""What became of a draft, by `store.logs.admission`."""

# --- a turn -------------------------------------------------------------------------------------------------------

Phase: TypeAlias = Literal[
    "ready",  # a request is due
    "inferring",  # an inference is open
    "acting",  # calls of the last answer are to be carried out
    "calling",  # a function is open at another part
    "summarising",  # a summary inference is open
    "failed",  # the last inference failed
]
"""Where a turn stands; `events.phases` has which follows which."""

End: TypeAlias = Literal[
    "yielded",  # the model asked for nothing more
    "stopped",  # by the user
    "step_limit",
    "token_limit",
    "failure_limit",
    "repeating",  # the model goes round in a circle
    "inference_failed",  # no server answered
    "window_too_small",
]
"""Why a turn ended."""

Beat: TypeAlias = Literal[
    "requested",  # by the model, in a call
    "failed",  # a call did
    "silent",  # the user waits, and got no message
]
"""Why control goes back to the model."""

# --- an inference -------------------------------------------------------------------------------------------------

Purpose: TypeAlias = Literal["reply", "summary"]
"""What an inference is for."""

Cut: TypeAlias = Literal[
    "length",  # at the length limit of an answer
    "content_filter",  # by the server's filter
    "interrupted",  # by the server, for a reason of its own
]
"""How an answer ended that did not end by itself."""

CutOrNot: TypeAlias = Cut | Literal[""]
"""The same, or "" for an answer that was not cut."""

Finish: TypeAlias = Literal["stop", "tool_calls"] | Cut
"""How an answer ended."""

FinishOrNone: TypeAlias = Finish | Literal[""]
"""The same, or "" before there is one."""

NoAnswer: TypeAlias = Literal[
    "wrong_key",
    "not_allowed",  # an address that came with an import
    "unknown_model",
    "overflow",  # the request is larger than the window that the server has
    "rate_limited",
    "timeout",
    "unreachable",
    "server_error",
    "bad_request",
    "bad_answer",
]
"""Why a model gave no answer."""

NoAnswerOrNone: TypeAlias = NoAnswer | Literal[""]
"""The same, or "" where nothing failed."""

# --- memory -------------------------------------------------------------------------------------------------------

EntryKind: TypeAlias = Literal[
    "input",  # a packaged input
    "alert",  # a packaged note of the kernel
    "assistant",  # an answer
    "tool",  # a result
]
"""What an entry of the queue is."""

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
"""Whose message it is, in OpenAI's protocol."""

Pressure: TypeAlias = Literal[
    "pressure",  # by our own count
    "overflow",  # the server says so
]
"""Why messages are to leave the queue."""

Author: TypeAlias = Literal["model", "extractive", "bare"]
"""Who wrote a summary: a step of the ladder."""

# --- forks --------------------------------------------------------------------------------------------------------

TimersGo: TypeAlias = Literal[
    "dropped",
    "kept",  # those of the parent are set in the fork too
    "moved",  # those that go over are set there by the events that follow, and cancelled at the parent
]
"""What becomes of the parent's timers in a fork."""
