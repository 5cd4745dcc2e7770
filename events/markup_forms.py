"""The tags by which models write thoughts and calls into their text, and where each was read.

Rule: a tag is a literal text. What a form's body looks like is told by the body itself (`events.markup_calls`), since
models mix them. Forms were taken from the parsers of vLLM (vllm/entrypoints/openai/tool_parsers, vllm/reasoning) and
SGLang (python/sglang/srt/function_call), llama.cpp (common/chat.cpp), and the chat templates that canitoolcall 0.1.1
has as fixtures; all 469 of those are read in tests/events/test_markup_corpus.py.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

TagKind = Literal["thinks", "thought", "call", "channel", "stray"]
"""What a tag begins: a thought, the end of one (all text before it was thought), a call, a header of harmony's; or it
is nothing, and left out."""


class Tag(msgspec.Struct, frozen=True):
    """`closes`: the tags that end what it begins. `token`: it is a token of its own, which no quotation marks protect.
    `inner`: its own text belongs to the body."""

    text: str
    kind: TagKind
    closes: tuple[str, ...] = ()
    models: str = ""
    token: bool = False
    inner: bool = False


_BAR: Final = "\uff5c"  # DeepSeek's bar, and its space
_LOW: Final = "\u2581"
_HARMONY_ENDS: Final = ("<|end|>", "<|call|>", "<|return|>", "<|start|>", "<|channel|>")


def _thoughts(name: str, models: str, *, open: str = "<{}>", close: str = "</{}>", token: bool = False) -> list[Tag]:
    opening, closing = open.format(name), close.format(name)
    return [
        Tag(opening, "thinks", (closing,), models, token),
        Tag(closing, "thought", (), models, token),
    ]


def _calls(open: str, *closes: str, models: str, token: bool = False, inner: bool = False) -> list[Tag]:
    strays = [] if inner else [Tag(close, "stray", (), models, token) for close in closes]
    return [Tag(open, "call", closes, models, token, inner), *strays]


def _dsml() -> list[Tag]:
    """DeepSeek V3.2, V4 and V4.1 (with a space): sections fall away, each `invoke` is a call."""
    tags: list[Tag] = []
    for mark in (f"{_BAR}DSML{_BAR}", f"{_BAR}DSML{_BAR} "):
        for section in ("function_calls", "tool_calls", "calls"):
            both = (f"<{mark}{section}>", f"</{mark}{section}>")
            tags += [Tag(tag, "stray", (), "DeepSeek V3.2 to V4.1", token=True) for tag in both]
        tags += _calls(f"<{mark}invoke ", f"</{mark}invoke>", models="DeepSeek V3.2 to V4.1", token=True, inner=True)
    return tags


def _deepseek() -> list[Tag]:
    """DeepSeek V3, R1 and V3.1; some servers decode the bar and the space as ASCII."""
    tags: list[Tag] = []
    for bar, low in ((_BAR, _LOW), ("|", "_")):

        def token(name: str, bar: str = bar, low: str = low) -> str:
            return f"<{bar}{name.replace(' ', low)}{bar}>"

        if bar == _BAR:
            tags += _calls(token("tool call begin"), token("tool call end"), models="DeepSeek V3, R1, V3.1", token=True)
        for name in ("tool calls begin", "tool calls end", "end of sentence"):
            tags.append(Tag(token(name), "stray", (), "DeepSeek", token=True))
    return tags


TAGS: Final = tuple(
    {
        tag.text: tag
        for tag in (
            *_thoughts("think", "DeepSeek R1, Qwen3, GLM 4.5, Kimi K2, MiniMax M2 and most others"),
            *_thoughts("thinking", "Claude, Granite, prompts of agents"),
            *_thoughts("thought", "prompts of agents"),
            *_thoughts("reasoning", "EXAONE, prompts of agents"),
            *_thoughts("reflection", "Reflection Llama"),
            *_thoughts("scratchpad", "prompts of agents"),
            *_thoughts("scratch_pad", "Hermes 3"),
            *_thoughts("inner_monologue", "prompts of agents"),
            *_thoughts("longcat_think", "LongCat"),
            *_thoughts("seed:think", "Seed-OSS"),
            *_thoughts("mm:think", "MiniMax M3"),
            *_thoughts("THINK", "Magistral, Ministral 3", open="[{}]", close="[/{}]", token=True),
            *_thoughts("THINKING", "Command A", open="<|START_{}|>", close="<|END_{}|>", token=True),
            *_thoughts("think", "Kimi-VL", open="\u25c1{}\u25b7", close="\u25c1/{}\u25b7", token=True),
            *_thoughts("think", "Kimi K3", open="<|open|>{}<|sep|>", close="<|close|>{}<|sep|>", token=True),
            Tag("<|inner_prefix|>", "thinks", ("<|inner_suffix|>",), "Apertus", token=True),
            Tag("<|channel>thought", "thinks", ("<channel|>",), "Gemma 4", token=True),
            Tag("<|channel>", "stray", (), "Gemma 4", token=True),
            Tag("<channel|>", "stray", (), "Gemma 4", token=True),
            # --- calls
            *_calls("<tool_call>", "</tool_call>", models="Hermes 2 and 3, Qwen2.5, Qwen3 and its Coder, GLM 4.5 to 5"),
            *_calls("<tool_calls>", "</tool_calls>", models="Jamba, Hunyuan, ERNIE"),
            *_calls("<function_calls>", "</function_calls>", models="OLMo 3, Claude"),
            *_calls("<function_call>", "</function_call>", models="GigaChat, prompts of agents"),
            *_calls("<functioncall>", "</functioncall>", models="Glaive"),
            *_calls("<TOOLCALL>", "</TOOLCALL>", models="Nemotron", token=True),
            *_calls("<seed:tool_call>", "</seed:tool_call>", models="Seed-OSS", token=True),
            Tag("<minimax:tool_call>", "stray", (), "MiniMax M2", token=True),
            Tag("</minimax:tool_call>", "stray", (), "MiniMax M2", token=True),
            *_calls("<longcat_tool_call>", "</longcat_tool_call>", models="LongCat", token=True),
            *_calls("<start_function_call>", "<end_function_call>", models="FunctionGemma", token=True),
            *_calls("<|tool_call>", "<tool_call|>", models="Gemma 4", token=True),
            *_calls("<|tool_call|>", "<|/tool_call|>", models="Phi-4-mini, Granite 3", token=True),
            *_calls("<|tool_call_start|>", "<|tool_call_end|>", models="LFM2", token=True),
            *_calls("<|tool_call_begin|>", "<|tool_call_end|>", models="Kimi K2", token=True),
            Tag("<|tool_calls_section_begin|>", "stray", (), "Kimi K2", token=True),
            Tag("<|tool_calls_section_end|>", "stray", (), "Kimi K2", token=True),
            *_calls("<|open|>tools<|sep|>", "<|close|>tools<|sep|>", models="Kimi K3", token=True),
            *(
                Tag(f"<|{way}|>{part}<|sep|>", "stray", (), "Kimi K3", token=True)
                for way in ("open", "close")
                for part in ("response", "message")
            ),
            *_calls("[TOOL_CALLS]", models="Mistral 7B v0.3 to Mistral Medium 3.5", token=True),
            *_calls("<|python_tag|>", "<|eom_id|>", "<|eot_id|>", models="Llama 3.1, 3.2, 3.3", token=True),
            *_calls("<|python_start|>", "<|python_end|>", models="Llama 4", token=True),
            *_calls("<|START_ACTION|>", "<|END_ACTION|>", models="Command R7B, Command A", token=True),
            *_calls("<|action_start|><|plugin|>", "<|action_end|>", models="InternLM 2 and 3", token=True),
            *_calls("<|tools_prefix|>", "<|tools_suffix|>", models="Apertus", token=True),
            *_calls("functools[", models="Phi-4-mini", inner=True, token=True),
            *_calls("<function=", "</function>", models="Llama 3.1, Qwen3-Coder", inner=True),
            *_calls("<invoke ", "</invoke>", models="Claude, MiniMax M2", inner=True),
            *_calls("\u273fFUNCTION\u273f", "\u273fRESULT\u273f", models="Qwen-Agent", token=True),
            *_deepseek(),
            *_dsml(),
            # --- harmony
            Tag("<|channel|>", "channel", _HARMONY_ENDS, "gpt-oss", token=True),
            Tag("<|start|>", "channel", _HARMONY_ENDS, "gpt-oss", token=True),
            *(
                Tag(token, "stray", (), "gpt-oss", token=True)
                for token in ("<|end|>", "<|call|>", "<|return|>", "<|message|>", "<|constrain|>")
            ),
            # --- ends of turns that a server let through
            *(
                Tag(token, "stray", (), "all", token=True)
                for token in (
                    "<|im_end|>",
                    "<|endoftext|>",
                    "<|end_of_text|>",
                    "<|eot|>",
                    "<|END_RESPONSE|>",
                    "<|START_RESPONSE|>",
                    "<|START_TEXT|>",
                    "<|END_TEXT|>",
                    "<|end_of_msg|>",
                    "<end_of_turn>",
                    "<turn|>",
                )
            ),
        )
    }.values()
)
"""All of them, each once."""

BY_TEXT: Final = {tag.text: tag for tag in TAGS}
