"""An agent whose server refuses its requests takes what mends them, by itself, in an event; and it goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bench.openai_stub import Stub
from palimpsest.actors.models.hosted.openai import OpenAIModel
from palimpsest.events.formats import (
    ALTERNATING,
    BARE_CALLS,
    BLANK_REASONING,
    BRIEF,
    DUMMY_SIGNATURES,
    EMPTY_CONTENT,
    NEWBORN,
    NO_CONTENT,
    NO_SYSTEM,
    OWN_FIELDS,
    OWN_REASONING,
    SHORT_IDS,
    TEXT_CALLS,
    Format,
)
from palimpsest.events.replay import replay
from palimpsest.events.types import FormatChanged, Settings
from tests.worlds.one_process import Parts, parts, run


@asynccontextmanager
async def at_a_server(folder: Path) -> AsyncIterator[tuple[Parts, str]]:
    """The parts, and the address of a stub that their hosted models are at."""
    stub, model = Stub(), OpenAIModel(max_retries=0)
    port = await stub.start()
    try:
        async with parts(folder, hosted=model) as here:
            yield here, f"http://127.0.0.1:{port}/v1"
    finally:
        await model.aclose()
        await stub.aclose()


def settings(model: str, url: str, **changes: Any) -> Settings:
    return Settings(model=model, base_url=url, **{"window_tokens": 4096, "reserve_tokens": 512, **changes})


async def moved(here: Parts, agent: str) -> list[FormatChanged]:
    """The changes of an agent's format; its whole log is proved."""
    proof = replay(agent, await here.log.read(agent))
    assert proof.difference is None, proof.difference
    return await here.events(agent, "FormatChanged")


def _taken(formats: list[Format]) -> list[str]:
    """The parts in the order in which they were taken; few words, which a small window brings about, are no remedy."""
    return [part for before, after in pairwise(formats) for part in after if part not in (*before, BRIEF)]


@pytest.mark.parametrize(
    ("model", "has", "takes"),
    [
        ("strict-mistral", NEWBORN, [ALTERNATING, SHORT_IDS]),
        ("strict-mistral-jinja", NEWBORN, [ALTERNATING, SHORT_IDS]),
        ("strict-mistral-api", NEWBORN, [BARE_CALLS, SHORT_IDS, ALTERNATING]),
        ("strict-null", (), [EMPTY_CONTENT]),
        ("strict-content", (), [EMPTY_CONTENT]),
        ("strict-blocks", NEWBORN, [NO_CONTENT]),
        ("strict-ollama", NEWBORN, [TEXT_CALLS]),
        ("strict-jinja", NEWBORN, [TEXT_CALLS]),
        ("strict-vllm", NEWBORN, [TEXT_CALLS]),
        ("strict-openrouter", NEWBORN, [TEXT_CALLS]),
        ("strict-turns", NEWBORN, [ALTERNATING, TEXT_CALLS]),
        ("strict-gemma", NEWBORN, [NO_SYSTEM, ALTERNATING, TEXT_CALLS]),
        ("strict-gemini", NEWBORN, []),
        ("strict-gemini", (EMPTY_CONTENT,), [OWN_FIELDS]),
        ("strict-kimi", NEWBORN, [OWN_REASONING]),
        ("strict-deepseek", NEWBORN, [OWN_REASONING]),
        ("strict-fields", NEWBORN, []),
    ],
)
def test_it_goes_on_with_the_parts_that_its_server_wants(
    tmp_path: Path, model: str, has: Format, takes: list[str]
) -> None:
    async def told() -> None:
        async with at_a_server(tmp_path) as (here, url):
            await here.born("ada", settings=settings(model, url), parts=has)
            for number in range(12):
                reply = await here.says("ada", f"{number}: " + "I walked and thought of many things. " * 20)
                assert reply.messages[0].startswith(f'You said: "{number}: I walked'), reply
            formats = [has, *(change.parts for change in await moved(here, "ada"))]
            assert _taken(formats) == takes
            assert await here.events("ada", "SummaryWritten"), "the window filled up, and was cut"

    run(told())


@pytest.mark.parametrize(
    ("model", "takes"),
    [("strict-gemini", [OWN_REASONING, DUMMY_SIGNATURES]), ("strict-kimi", [OWN_REASONING, BLANK_REASONING])],
)
def test_a_history_of_another_model_is_taken_too_and_its_fields_go_to_nobody_else(
    tmp_path: Path, model: str, takes: list[str]
) -> None:
    async def told() -> None:
        async with at_a_server(tmp_path) as (here, url):
            await here.born("ada", settings=settings("stub", url))
            for name in ("stub", model, "strict-fields", model):
                await here.client.change_settings("ada", settings(name, url))
                reply = await here.says("ada", f"Hello, {name}.")
                assert reply.messages == (f'You said: "Hello, {name}."',), reply
            formats = [NEWBORN, *(change.parts for change in await moved(here, "ada"))]
            assert _taken(formats) == takes
            for kind in ("SummaryWritten", "MessageSent"):
                assert not any("SECRETTHOUGHT" in event.text for event in await here.events("ada", kind))

    run(told())
