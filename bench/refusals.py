"""What strict servers and chat templates refuse: the stub behaves so for a model of one of these names.

Rule: every refusal names where it was read, and uses the words that stand there, since those are what a client can go
by. What is not refused is answered as by the model "stub".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

Body = dict[str, Any]
"""A request's body."""


class Refusal(msgspec.Struct, frozen=True):
    """`objection` gives what is wrong with a request, in the server's words ("": nothing); `read`: where they stand."""

    objection: Callable[[Body], str]
    read: str
    status: int = 400
    silent: bool = False
    """Its model calls functions and thinks nothing beside."""
    beside_content: Body = {}
    beside_calls: Body = {}
    """Fields of its own: of its messages, and of their first calls."""

    def body(self, words: str) -> bytes:
        return msgspec.json.encode({"error": {"message": words, "type": "invalid_request_error"}})


# --- who speaks when ----------------------------------------------------------------------------------------------


def mistral_template(body: Body) -> str:
    """User and assistant in turn; calls and their results do not count."""
    turn = 0
    for each in _without_system(body):
        if each["role"] == "user" or (each["role"] == "assistant" and not each.get("tool_calls")):
            if (each["role"] == "user") != (turn % 2 == 0):
                return (
                    "After the optional system message, conversation roles must alternate user and assistant roles "
                    "except for tool calls and results."
                )
            turn += 1
        for call in each.get("tool_calls") or ():
            if len(call["id"]) != 9:
                return "Tool call IDs should be alphanumeric strings with length 9!"
    return ""


def jinja_mistral(body: Body) -> str:
    words = mistral_template(body)
    return f"Unable to generate parser for this template. Jinja Exception: {words}" if words else ""


_FOLLOWS: Final = {
    "system": {"user", "assistant", "system"},
    "user": {"assistant", "system", "user"},
    "assistant": {"assistant", "user", "tool"},
    "tool": {"assistant", "tool"},
}


def mistral_common(body: Body) -> str:
    """The validator of Mistral's own API, and of vLLM with Mistral's tokenizer."""
    before = ""
    for each in body["messages"]:
        role = each["role"]
        if before and role not in _FOLLOWS[before]:
            return f"Unexpected role '{role}' after role '{before}'"
        if role == "assistant" and bool(each.get("content")) == bool(each.get("tool_calls")):
            return "Assistant message must have either content or tool_calls, but not both."
        for id in [call["id"] for call in each.get("tool_calls") or ()]:
            if not re.fullmatch("[a-zA-Z0-9]{9}", id):
                return f"Tool call id was {id} but must be a-z, A-Z, 0-9, with a length of 9."
        before = role
    return "" if before in {"user", "tool"} else f"Expected last role User or Tool for serving but got {before}"


def gemma_template(body: Body) -> str:
    """No system message, and nobody but user and assistant, in turn."""
    messages = body["messages"]
    if messages[0]["role"] == "system":
        return "System role not supported"
    for number, each in enumerate(messages):
        if (each["role"] == "user") != (number % 2 == 0):
            return "Conversation roles must alternate user/assistant/user/assistant/..."
    return ""


def strict_alternation(body: Body) -> str:
    """Mistral's first templates, Llama 2's: nobody but user and assistant, in turn, after a system message."""
    for number, each in enumerate(_without_system(body)):
        if (each["role"] == "user") != (number % 2 == 0):
            return "Conversation roles must alternate user/assistant/user/assistant/..."
    return ""


def _without_system(body: Body) -> list[Body]:
    messages: list[Body] = body["messages"]
    return messages[1:] if messages[0]["role"] == "system" else messages


# --- what a message may hold --------------------------------------------------------------------------------------


def null_content(body: Body) -> str:
    return "Expected 'content' to be a string or an array" if any(_contents(body, None)) else ""


def missing_content(body: Body) -> str:
    """llama-cpp-python checks messages by their types, and its templates add to the content."""
    if any("content" not in each for each in body["messages"]):
        return "'messages.2.assistant.content': Field required"
    return 'can only concatenate str (not "NoneType") to str' if any(_contents(body, None)) else ""


def empty_content(body: Body) -> str:
    """Servers before Anthropic's models, which make an empty block of an empty text."""
    return "messages: text content blocks must be non-empty" if any(_contents(body, "")) else ""


def _contents(body: Body, wanted: object) -> Iterator[bool]:
    return ("content" in each and each["content"] == wanted for each in body["messages"])


def repeated_ids(body: Body) -> str:
    """Ids that are used twice in a conversation."""
    seen: set[str] = set()
    for each in body["messages"]:
        for call in each.get("tool_calls") or ():
            if call["id"] in seen:
                return f"messages: `tool_use` ids must be unique ({call['id']})"
            seen.add(call["id"])
    return ""


# --- functions ----------------------------------------------------------------------------------------------------


def _no_tools(words: str) -> Callable[[Body], str]:
    return lambda body: words if body.get("tools") else ""


# --- fields of a server's own -------------------------------------------------------------------------------------

SIGNATURE: Final[Body] = {"extra_content": {"google": {"thought_signature": "Q29uZmlkZW50aWFs"}}}
SIGNATURES: Final = ("Q29uZmlkZW50aWFs", "skip_thought_signature_validator")
THOUGHT: Final = "SECRETTHOUGHT: I say what I heard."


def _answers(body: Body) -> Iterator[tuple[int, Body]]:
    return ((number, each) for number, each in enumerate(body["messages"]) if each["role"] == "assistant")


def gemini(body: Body) -> str:
    """Gemini 3: the first call of each step has its signature, or the one that is documented for foreign calls."""
    for number, each in _answers(body):
        for call in (each.get("tool_calls") or ())[:1]:
            if call.get("extra_content", {}).get("google", {}).get("thought_signature") not in SIGNATURES:
                return (
                    "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                    f"work correctly. Additional data, function call `default_api:{call['function']['name']}`, "
                    f"position {number}."
                )
    return ""


def kimi(body: Body) -> str:
    for number, each in _answers(body):
        if each.get("tool_calls") and not each.get("reasoning_content"):
            return (
                f"thinking is enabled but reasoning_content is missing in assistant tool call message at index {number}"
            )
    return ""


def deepseek(body: Body) -> str:
    if all(isinstance(each.get("reasoning_content"), str) for _, each in _answers(body)):
        return ""
    return "The `reasoning_content` in the thinking mode must be passed back to the API."


def unknown_fields(body: Body) -> str:
    """A server that takes no field of another's."""
    known = {"role", "content", "tool_calls", "tool_call_id", "name"}
    for number, each in enumerate(body["messages"]):
        strange = [
            *(set(each) - known),
            *({*call} - {"id", "type", "function"} for call in each.get("tool_calls") or ()),
        ]
        if any(strange):
            return f"body.messages.{number}: Extra inputs are not permitted"
    return ""


REFUSALS: Final[dict[str, Refusal]] = {
    "strict-blocks": Refusal(empty_content, "requestyai/ai-sdk-requesty pull request 1", silent=True),
    "strict-mistral": Refusal(
        mistral_template, "vllm-project/vllm examples/tool_chat_template_mistral.jinja; Mistral Small's own template"
    ),
    "strict-mistral-jinja": Refusal(
        jinja_mistral,
        "the same in llama.cpp, which has 500 for what a template raises: its issue of LM Studio too",
        500,
    ),
    "strict-mistral-api": Refusal(
        mistral_common, "mistralai/mistral-common src/mistral_common/protocol/instruct/validator.py (V1 to V3)"
    ),
    "strict-gemma": Refusal(gemma_template, "google/gemma-2-9b-it tokenizer_config.json, chat_template"),
    "strict-null": Refusal(null_content, "ggml-org/llama.cpp issue 13471", 500, silent=True),
    "strict-content": Refusal(missing_content, "abetlen/llama-cpp-python issue 1805", 500, silent=True),
    "strict-turns": Refusal(strict_alternation, "mistralai/Mistral-7B-Instruct-v0.1 tokenizer_config.json"),
    "strict-ollama": Refusal(
        _no_tools("registry.ollama.ai/library/gemma3:4b does not support tools"), "ollama/ollama server/routes.go"
    ),
    "strict-jinja": Refusal(_no_tools("tools param requires --jinja flag"), "ggml-org/llama.cpp tools/server", 500),
    "strict-vllm": Refusal(
        _no_tools('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
        "vllm-project/vllm vllm/entrypoints/openai/serving_chat.py",
    ),
    "strict-openrouter": Refusal(
        _no_tools('No endpoints found that support tool use. Try disabling "send_message".'), "OpenRouter's API", 404
    ),
    "strict-gemini": Refusal(
        gemini, "ai.google.dev/gemini-api/docs/thought-signatures; Gitlawb/openclaude issue 67", beside_calls=SIGNATURE
    ),
    "strict-kimi": Refusal(
        kimi, "bytedance/deer-flow issue 3043", beside_content={"reasoning_content": THOUGHT}, silent=True
    ),
    "strict-deepseek": Refusal(
        deepseek, "MoonshotAI/kimi-cli issue 2141", beside_content={"reasoning_content": THOUGHT}, silent=True
    ),
    "strict-fields": Refusal(unknown_fields, "mistralai/mistral-common, pydantic models with extra=forbid", 422),
    "strict-ids": Refusal(repeated_ids, "Anthropic's API, as routers pass its words on"),
}
"""What a model's name has the stub refuse."""
