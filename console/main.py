"""Palimpsest's command line: what can be typed, and which room answers it.

Every command lives in a module of `console` that is imported when it is called, so that looking things up starts no
Ray and `--help` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from palimpsest.console.called import PROGRAM

COMMANDS: Final = {
    "Run": {
        "up": ("palimpsest.console.up:command", "Start the system of a data folder, and leave it running."),
        "down": ("palimpsest.console.down:command", "End it."),
        "status": ("palimpsest.console.status:command", "Say what runs: parts, figures, who is connected, what waits."),
    },
    "Talk": {
        "chat": ("palimpsest.console.chat:command", "Talk with an agent; it is made if there is none."),
        "ask": ("palimpsest.console.ask:command", "Say one thing to an agent, and print what it answers."),
        "keys": ("palimpsest.console.keys:command", "Say which model server gets which key."),
        "config": ("palimpsest.console.config:command", "Show the defaults that count, or set them."),
        "demo": ("palimpsest.console.tour:command", "See it all in a minute: no key, no server."),
    },
    "Agents": {
        "agents": ("palimpsest.console.agents:command", "List the agents: what they do, and what they said last."),
        "create": ("palimpsest.console.create:command", "Make an agent, or a whole fleet from a file."),
        "show": ("palimpsest.console.show_agent:command", "Show an agent: what it runs on, knows, and does."),
        "set": ("palimpsest.console.set_agent:command", "Show or change an agent's settings."),
        "rename": ("palimpsest.console.lifecycle:rename_command", "Give an agent a title."),
        "retire": ("palimpsest.console.lifecycle:retire_command", "Retire agents, or take them back (--undo)."),
        "timezone": ("palimpsest.console.timezone:command", "Show the time zone of an agent, or move it to another."),
        "format": (
            "palimpsest.console.format:command",
            "Show or change the parts that an agent's contexts are rendered with.",
        ),
    },
    "Documents": {
        "load": ("palimpsest.console.load:load_command", "Load files and folders for agents to search and read."),
        "sources": ("palimpsest.console.sources:sources_command", "List the sources, or the documents of one."),
        "attach": ("palimpsest.console.sources:attach_command", "Let agents see a source."),
        "detach": ("palimpsest.console.sources:detach_command", "Take a source from agents."),
        "unload": ("palimpsest.console.sources:unload_command", "Remove documents, or a whole source."),
    },
    "Look into the log (starts nothing, and works while a chat runs)": {
        "events": ("palimpsest.console.timeline:command", "Tell what ever happened to an agent, turn by turn."),
        "transcript": ("palimpsest.console.transcript:command", "Write down what was said, by whom and when."),
        "view": (
            "palimpsest.console.view:command",
            "Write a session as one HTML file, for whoever lacks this tool.",
        ),
        "context": ("palimpsest.console.context:command", "Show an agent's context window, as it was at any event."),
        "state": (
            "palimpsest.console.state:command",
            "Show an agent's memory, queue and what is open, as of any event.",
        ),
        "diff": ("palimpsest.console.diff:command", "Show what changed between two events, or between two agents."),
        "search": ("palimpsest.console.search:search_command", "Search an agent's memory, as of now or of any event."),
        "blame": ("palimpsest.console.blame:command", "Show who wrote what stands in an agent's memory, and why."),
        "why": ("palimpsest.console.why:command", "Say why an agent did not come up with what it was told."),
        "bisect": ("palimpsest.console.bisect:command", "Find the event after which a check on an agent turns bad."),
        "rerun": ("palimpsest.console.rerun:command", "Run an agent again under other settings, and compare."),
        "replay": ("palimpsest.console.replay:command", "Fold agents from the log alone, and prove every context."),
    },
    "Fork": {
        "fork": (
            "palimpsest.console.fork:command",
            "Make an agent that goes on from any event of one, without a copy.",
        ),
        "resume": (
            "palimpsest.console.resume:command",
            "Let a fork go on with what was under way where it was forked.",
        ),
    },
    "Agents as files (starts nothing)": {
        "export": (
            "palimpsest.console.bundles:export_command",
            "Write an agent, with all that its contexts hang on, to one file.",
        ),
        "import": ("palimpsest.console.bundles:import_command", "Take such a file in; the agent is at rest."),
        "copy": ("palimpsest.console.copy:command", "Copy a whole log into a database, or back into a folder."),
    },
    "Mend and measure": {
        "reindex": ("palimpsest.console.search:reindex_command", "Build the index of all memory again from the log."),
        "bench": ("palimpsest.console.bench:command", "Measure what a turn costs."),
        "completion": ("palimpsest.console.shells:command", "Print what makes a shell complete these commands."),
    },
}

HELP: Final = f"""\
Palimpsest: agents with a memory that outlasts their context window, every move of which is an event in a log.

\b
Try first:
  {PROGRAM} demo                     a tour in a minute: no key, no server
  {PROGRAM} chat                     talk (with the built-in offline model)
  {PROGRAM} replay --all --verify    prove what the agents ever had in mind

\b
With a real model:
  OPENAI_API_KEY=… {PROGRAM} chat --model gpt-4o-mini
  {PROGRAM} chat --base-url http://localhost:11434/v1 --model llama3

`{PROGRAM} COMMAND --help` says more of each command.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        from palimpsest.console.options import LazyGroup, run  # a tenth of a second, in which Ctrl-C may come too
    except KeyboardInterrupt:
        return 130
    return run(LazyGroup(sections=COMMANDS, help=HELP), arguments)
