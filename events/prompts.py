"""The texts that an agent is born with: MemGPT's system instructions in our words, and the first core memory."""

from __future__ import annotations

from math import ceil
from typing import Final

from msgspec.structs import replace

from palimpsest.events.codec import draft
from palimpsest.events.context import PRIMING, Count, measure, with_margin
from palimpsest.events.envelope import GENESIS, place
from palimpsest.events.eviction import BRIEF_CONVERSATION_TOKENS
from palimpsest.events.evolve import evolve
from palimpsest.events.formats import BRIEF, NAMED, NEWBORN, Format, changed
from palimpsest.events.position import UNPLACED
from palimpsest.events.state import UNCOUNTED, State
from palimpsest.events.types import OFFLINE, AgentCreated, Block, Settings

SYSTEM: Final = """\
You are an agent with a memory that outlasts your context window. You live in Palimpsest, a MemGPT system: an operating
system that pages memory in and out of your window for you and with you.

Control flow. You do not run all the time: an event wakes you (a user's message, a login, an upload, a timer, an alert),
you think, and you call functions. Every event comes as JSON with its type and time. What you write outside a function
call is your inner monologue: nobody else reads it; keep it short. The only way to speak to the user is the function
send_message. To call another function after one, or to read what a function returned before you yield, set its
request_heartbeat to true: you are then woken again at once. A function that failed wakes you with its error.

Memory. Your core memory stands below these instructions, in sections: "persona" is who you are, "human" is what you
know of the person you talk with. Edit it with core_memory_append and core_memory_replace as soon as you learn something
that matters; it is small, so keep it condensed. Recall storage holds every message ever exchanged, also those that have
left your window: search it with conversation_search and conversation_search_date. Archival storage is unlimited and
holds whatever you put there with archival_memory_insert, and documents: search it with archival_memory_search. When
you are asked for something that you do not see, search before you say that you do not know.

Memory pressure. When your window fills up you get a system_alert: save what matters then. Older messages are after that
replaced by a summary, which is the first message you see; they stay in recall storage.

The last message of your context is always a memory_status from the system: how much is in storage, and the time. It is
no event: do not answer it."""

PERSONA: Final = (
    "I am a thoughtful assistant with a long memory. I am honest about what I know and what I have looked up."
)
HUMAN: Final = ""


def newborn(settings: Settings, *, persona: str = PERSONA, human: str = HUMAN, system: str = SYSTEM) -> AgentCreated:
    """The first event of an agent with MemGPT's two blocks."""
    return AgentCreated(
        system=system,
        blocks=(
            Block(label="persona", value=persona, description="Who the agent is."),
            Block(label="human", value=human, description="What the agent knows of the user."),
        ),
        settings=settings,
        format=NAMED,
        parts=fitting(NEWBORN, settings.window_tokens),
    )


OFFLINE_RESERVE_TOKENS: Final = 1_024
HOSTED_RESERVE_TOKENS: Final = 4_096
BRIEF_BELOW_TOKENS: Final = 5_120
"""In a smaller window an agent is told what it is told in few words, and keeps less for answer and summary."""
_LEAST_SUMMARY_TOKENS: Final = 128


def fitting(format: Format, window_tokens: int) -> Format:
    """The format in few words, or not, as the window is small or large."""
    part = (BRIEF,)
    return changed(format, add=part) if window_tokens < BRIEF_BELOW_TOKENS else changed(format, remove=part)


def most_reserve_tokens(model: str) -> int:
    """What is kept of a large window for an answer; of a smaller one it is a share."""
    return OFFLINE_RESERVE_TOKENS if model == OFFLINE else HOSTED_RESERVE_TOKENS


def reserve_tokens(model: str, window_tokens: int) -> int:
    """What is kept for an answer: a quarter of the window, an eighth of a small one."""
    return min(most_reserve_tokens(model), window_tokens // (8 if window_tokens < BRIEF_BELOW_TOKENS else 4))


def summary_words(window_tokens: int) -> int:
    """How long a summary may be."""
    return Settings().summary_words if window_tokens >= BRIEF_BELOW_TOKENS else max(16, window_tokens // 48)


def least_window_tokens(born: AgentCreated, count: Count, reserve_tokens: int) -> int:
    """The smallest window for a new agent; see `least_window_of`."""
    return least_window_of(unborn(born), count, reserve_tokens)


def unborn(born: AgentCreated) -> State:
    """The agent that this event makes."""
    return evolve(None, place(draft("", 0, born, key="create"), 1, UNPLACED, GENESIS), born)


def least_window_of(state: State, count: Count, reserve_tokens: int, *, head_counted: bool = False) -> int:
    """The smallest window that holds the agent's system text, core memory and functions in few words (those for the
    sources that it has, too), a summary, a little conversation, and the answer: for it the smaller of `reserve_tokens`
    and an eighth of the window is kept. `head_counted`: the count that the state has of the first three holds."""
    needed = needed_tokens(state, count, head_counted=head_counted)
    return min(needed + reserve_tokens, ceil(needed * 8 / 7))


def needed_tokens(state: State, count: Count, *, head_counted: bool = False) -> int:
    """What of a small window is needed beside the answer's reserve."""
    head_tokens = state.head_tokens if head_counted else UNCOUNTED
    format = changed(state.format, add=(BRIEF,))
    measured = measure(replace(state, queue=(), head_tokens=head_tokens, format=format), count)
    tokens = PRIMING + measured.head + measured.status + _LEAST_SUMMARY_TOKENS + BRIEF_CONVERSATION_TOKENS
    return with_margin(tokens, state.settings)
