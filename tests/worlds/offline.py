"""A kernel small enough to read, for tests of the offline model: it renders requests and carries out the calls."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from palimpsest.actors.models.offline.model import respond
from palimpsest.actors.models.protocol import Answer
from palimpsest.events.context import PRESSURE_WARNING
from palimpsest.events.formats import NEWBORN
from palimpsest.events.functions import all_functions, given_by, schemas

TOOLS: Final = tuple(function.name for function in all_functions())
START: Final = "2026-11-22 15:24:15 UTC"
SYSTEM: Final = "You are an agent with a memory that outlasts your context window.\n\n### Core memory\nLimited in size."


def encode(value: object) -> str:
    return msgspec.json.encode(value).decode()


def page(items: list[str], number: int = 0, last: int = 0, total: int | None = None) -> str:
    """A search's result page."""
    if not items:
        return "No results found."
    return f"Showing {len(items)} of {total or len(items)} results (page {number}/{last}): {encode(items)}"


class World:
    """One agent's context. `results` scripts what searches and timers return: name -> results in order."""

    def __init__(self, *, greeted: bool = True, human: str = "", limit: int = 2000, **results: list[str]) -> None:
        self.blocks = {"persona": "I am a thoughtful assistant.", "human": human}
        self.limit = limit
        self.time = START
        self.queue: list[dict[str, Any]] = []
        self.results = {name: list(given) for name, given in results.items()}
        self.fail: dict[str, str] = {}
        self.warn_next = False
        self.note = ""
        self.recall, self.archival = 12, 3
        self.sources = ""
        self.answers: list[Answer] = []
        self.sent: list[str] = []
        if greeted:
            self.add("user", type="user_message", message="Good evening.", time="2026-11-01 08:00:00 UTC")
            self.say("Good evening to you.")

    def add(self, role: str, **package: object) -> None:
        self.queue.append({"role": role, "content": encode(package)})

    def say(self, text: str) -> None:
        """Something that the agent said earlier."""
        call = {"name": "send_message", "arguments": encode({"message": text})}
        id = f"call_{len(self.queue):08x}"
        made = [{"id": id, "type": "function", "function": call}]
        self.queue.append({"role": "assistant", "content": "I speak.", "tool_calls": made})
        result = encode({"status": "OK", "message": "None", "time": self.time})
        self.queue.append({"role": "tool", "tool_call_id": id, "content": result})

    def heard(self, text: str, time: str = "2026-11-20 10:00:00 UTC") -> None:
        """Something that the user said earlier, and the agent's plain reply."""
        self.add("user", type="user_message", message=text, time=time)
        self.say("I see.")

    def summarised(self, text: str) -> None:
        note = (
            "Note: prior messages (40 of 60 total messages) have been hidden from view due to conversation memory "
            f"constraints.\nThe following is a summary of the previous 40 messages:\n{text}"
        )
        content = encode({"type": "system_alert", "message": note, "time": self.time})
        self.queue.insert(0, {"role": "user", "content": content})

    def request(self) -> bytes:
        memory = "\n".join(
            f'<{label} characters="{len(text)}/{self.limit}">\n{text}\n</{label}>'
            for label, text in self.blocks.items()
        )
        status: dict[str, object] = {"type": "memory_status", "recall_messages": self.recall}
        status |= {"archival_passages": self.archival, "time": self.time}
        if self.sources:
            status["attached_sources"] = self.sources
        if self.note:
            status["note"] = self.note
        messages = [
            {"role": "system", "content": f"{SYSTEM}\n{memory}"},
            *self.queue,
            {"role": "user", "content": encode(status)},
        ]
        return msgspec.json.encode(
            {
                "model": "offline",
                "messages": messages,
                "tools": schemas(given_by(NEWBORN, sources=bool(self.sources)), NEWBORN),
                "max_completion_tokens": 1024,
            }
        )

    # --- turns ----------------------------------------------------------------------------------------------------

    def tell(self, text: str) -> str:
        """A user's message: what the agent says to it by the end of the turn."""
        return self.turn(type="user_message", message=text)

    def turn(self, **package: object) -> str:
        self.add("user", **package, time=self.time)
        return self.run()

    def run(self) -> str:
        before = len(self.sent)
        for _ in range(12):
            if self.warn_next:
                self.warn_next = False
                self.add("user", type="system_alert", message=PRESSURE_WARNING, time=self.time)
            if not self.step():
                return " | ".join(self.sent[before:])
        raise AssertionError(f"The turn did not end: {[c.name for a in self.answers[-12:] for c in a.calls]}")

    def step(self) -> bool:
        """One inference and its calls; whether control goes back to the model."""
        answer = respond(self.request())
        check(answer)
        self.answers.append(answer)
        calls = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for c in answer.calls
        ]
        self.queue.append({"role": "assistant", "content": answer.content, "tool_calls": calls})
        failed = beats = False
        for call in answer.calls:
            arguments = msgspec.json.decode(call.arguments, type=dict[str, Any])
            ok, text = self.carry_out(call.name, arguments)
            content = encode({"status": "OK" if ok else "Failed", "message": text, "time": self.time})
            self.queue.append({"role": "tool", "tool_call_id": call.id, "content": content})
            failed |= not ok
            beats |= arguments.get("request_heartbeat") is True
        if failed or beats:
            why = "Function call failed" if failed else "Function called using request_heartbeat=true"
            self.add("user", type="heartbeat", reason=f"{why}, returning control", time=self.time)
        return failed or beats

    def carry_out(self, name: str, arguments: dict[str, Any]) -> tuple[bool, str]:
        if name in self.fail:
            return False, self.fail[name]
        match name:
            case "send_message":
                self.sent.append(arguments["message"])
            case "core_memory_append":
                return self._edit(
                    arguments["name"], f"{self.blocks[arguments['name']]}\n{arguments['content']}".strip()
                )
            case "core_memory_replace":
                block = self.blocks[arguments["name"]]
                if block.count(arguments["old_content"]) != 1:
                    return False, "old_content was not found once."
                return self._edit(arguments["name"], block.replace(arguments["old_content"], arguments["new_content"]))
            case "conversation_search" | "archival_memory_search" | "conversation_search_date":
                scripted = self.results.get(name) or ["No results found."]
                return True, scripted.pop(0)
            case "set_timer" | "list_timers" | "cancel_timer" | "list_documents":
                return True, (self.results.get(name) or ["None"]).pop(0)
        return True, "None"

    def _edit(self, label: str, value: str) -> tuple[bool, str]:
        if len(value) > self.limit:
            return False, f"Edit failed: it exceeds the {self.limit} character limit of '{label}'."
        self.blocks[label] = value
        return True, "None"

    # --- looking back ---------------------------------------------------------------------------------------------

    def calls(self, *names: str) -> list[dict[str, Any]]:
        """The arguments of all calls made of these functions, in order."""
        return [
            msgspec.json.decode(c.arguments, type=dict[str, Any])
            for answer in self.answers
            for c in answer.calls
            if c.name in names
        ]

    def last_names(self) -> list[str]:
        return [c.name for c in self.answers[-1].calls]


def check(answer: Answer) -> None:
    """What holds of every answer to a request that offers functions."""
    assert answer.calls, "an answer without a call"
    assert answer.content, "an answer without inner thoughts"
    assert len({c.id for c in answer.calls}) == len(answer.calls)
    for call in answer.calls:
        assert call.name in TOOLS
        arguments = msgspec.json.decode(call.arguments, type=dict[str, Any])
        if call.name == "send_message":
            assert arguments["message"].strip()
