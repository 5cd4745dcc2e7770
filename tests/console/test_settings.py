"""From flags to settings: for a new agent, and for one that there is."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from palimpsest.actors.models.hosted.window import UNKNOWN, UNREACHED, ServedWindow
from palimpsest.console.settings import (
    Flags,
    born,
    check_window,
    differences,
    settings_changed,
    settings_for_new,
    window_said,
)
from palimpsest.events.codec import draft
from palimpsest.events.context import measure, with_margin
from palimpsest.events.decide import advance
from palimpsest.events.envelope import GENESIS, place
from palimpsest.events.errors import BadInput
from palimpsest.events.evolve import evolve
from palimpsest.events.prompts import least_window_tokens, newborn
from palimpsest.events.types import Settings, TurnEnded, UserMessageReceived
from palimpsest.store.tokens.counting import count
from tests.worlds.positions import nth

OLLAMA = "http://localhost:11434/v1"


def test_with_no_flag_it_is_the_offline_model() -> None:
    settings = settings_for_new(Flags(), {})
    assert (settings.model, settings.window_tokens, settings.reserve_tokens) == ("offline", 8192, 1024)
    assert (settings.encoding, settings.token_margin) == ("o200k_base", 1.0)


def test_the_environment_names_a_model_and_a_flag_overrides_it() -> None:
    environ = {"PALIMPSEST_MODEL": "gpt-4o-mini"}
    assert settings_for_new(Flags(), environ).model == "gpt-4o-mini"
    assert settings_for_new(Flags(model="offline"), environ).model == "offline"


def test_a_hosted_model_has_a_large_window_and_its_own_parameter() -> None:
    hosted = settings_for_new(Flags(model="gpt-4o-mini"), {})
    assert (hosted.window_tokens, hosted.reserve_tokens, hosted.token_margin) == (32_768, 4096, 1.0)
    assert hosted.output_parameter == "max_completion_tokens"
    local = settings_for_new(Flags(model="llama3", base_url=OLLAMA, window=6000), {})
    assert (local.window_tokens, local.reserve_tokens, local.token_margin) == (6000, 1500, 1.3)
    assert local.output_parameter == "max_tokens"


@pytest.mark.parametrize("flags", [Flags(base_url=OLLAMA), Flags(model="llama3", base_url="localhost:11434")])
def test_a_server_needs_a_model_and_an_address(flags: Flags) -> None:
    with pytest.raises(BadInput, match=r"--model NAME|begins with http"):
        settings_for_new(flags, {})


@pytest.mark.parametrize("flags", [Flags(), Flags(model="offline"), Flags(window=8192)])
def test_flags_that_say_the_same_change_nothing(flags: Flags) -> None:
    assert settings_changed(Settings(), flags) is None


def test_a_window_changes_the_reserve_and_nothing_else() -> None:
    now = replace(Settings(), model="llama3", base_url=OLLAMA, temperature=0.5, reserve_tokens=4096)
    changed = settings_changed(now, Flags(window=6000))
    assert changed == replace(now, window_tokens=6000, reserve_tokens=1500)
    assert differences(now, changed) == "window 8,192 -> 6,000 tokens"


def test_a_model_comes_with_its_server() -> None:
    now = settings_for_new(Flags(model="llama3", base_url=OLLAMA), {})
    changed = settings_changed(now, Flags(model="gpt-4o-mini"))
    assert changed is not None
    assert (changed.base_url, changed.output_parameter, changed.token_margin) == ("", "max_completion_tokens", 1.0)
    assert differences(now, changed) == f"model llama3 at {OLLAMA} -> gpt-4o-mini"


def test_a_window_that_is_too_small_is_refused_with_the_least_that_works() -> None:
    least = least_window_tokens(newborn(Settings()), count, 1024)
    with pytest.raises(BadInput, match=f"--window {least} or more"):
        born(settings_for_new(Flags(window=least - 1), {}), count)
    event = born(settings_for_new(Flags(window=least), {}), count)
    assert event.settings.window_tokens == least


@pytest.mark.parametrize("model", ["offline", "llama3"])
def test_in_the_least_window_an_agent_can_be_talked_with(model: str) -> None:
    flags = Flags(model=model, base_url=OLLAMA * (model != "offline"))
    large = settings_for_new(flags, {})
    least = least_window_tokens(newborn(large), count, 1024 if model == "offline" else 4096)
    event = born(settings_for_new(replace(flags, window=least), {}), count)
    state = evolve(None, place(draft("ada", 0, event, key="create"), 1, nth(1), GENESIS), event)
    said = UserMessageReceived(text="Hello, who are you?")
    state = evolve(state, place(draft("ada", 1, said, key="in:1", opens="turn"), 2, nth(2), GENESIS), said)
    state, drafts = advance(state, count, 1)
    assert [made.kind for made in drafts] == ["TurnStarted", "InferenceRequested"]
    assert TurnEnded.__name__ not in {made.kind for made in drafts}
    free = least - state.settings.reserve_tokens - with_margin(measure(state, count).total, state.settings)
    assert free > 0


def test_the_core_memory_that_there_is_counts() -> None:
    event = newborn(settings_for_new(Flags(window=2048), {}))
    check_window(event, count)
    full = tuple(replace(block, value="many words " * 180) for block in event.blocks)
    with pytest.raises(BadInput, match="too small"):
        check_window(replace(event, blocks=full), count)


def test_a_window_that_nobody_asked_for_is_what_the_server_serves_at_most() -> None:
    flags = Flags(model="llama3", base_url=OLLAMA)

    def window(served: ServedWindow) -> int:
        return settings_for_new(flags, {}, served).window_tokens

    assert window(UNKNOWN) == 32_768
    assert window(ServedWindow(served=4096, trained=131_072)) == 4096
    assert window(ServedWindow(served=131_072)) == 32_768
    assert window(ServedWindow(trained=8192)) == 8192
    assert window(ServedWindow(trained=131_072)) == 32_768
    assert settings_for_new(replace(flags, window=6000), {}, ServedWindow(served=4096)).window_tokens == 6000


def test_what_is_said_of_a_window_names_who_said_so() -> None:
    def said(served: ServedWindow, window: int = 0) -> str:
        flags = Flags(model="llama3", base_url=OLLAMA, window=window)
        return window_said(settings_for_new(flags, {}, served), served, asked=bool(window))

    props = ServedWindow(served=4096, source="llama.cpp's /props")
    assert said(props) == "window 4,096 tokens (the server serves 4,096: llama.cpp's /props)"
    large = ServedWindow(served=131_072, source="/v1/models")
    assert said(large) == "window 32,768 tokens (the server serves 131,072: /v1/models; --window makes it larger)"
    assert said(props, 8192) == (
        "window 8,192 tokens, and the server serves only 4,096 (llama.cpp's /props): what is longer is refused or cut "
        "there. Give --window 4096"
    )
    assert "the server did not answer when it was asked what it serves" in said(UNREACHED)
    assert said(UNKNOWN) == (
        "window 32,768 tokens; the server does not say what it serves: if that is less, give it by --window"
    )
    assert "(the model was trained for 131,072: Ollama's /api/show); the server does not say" in said(
        ServedWindow(trained=131_072, source="Ollama's /api/show")
    )
    assert window_said(settings_for_new(Flags(), {}), UNKNOWN, asked=False) == "window 8,192 tokens"


def test_a_server_that_serves_too_little_is_to_be_started_with_more() -> None:
    served = ServedWindow(served=1024, source="llama.cpp's /props")
    settings = settings_for_new(Flags(model="llama3", base_url=OLLAMA), {}, served)
    with pytest.raises(BadInput, match=r"too small.*serves 1,024 \(llama.cpp's /props\): start it with more"):
        born(settings, count, served)


def test_the_reserve_can_be_given_and_changed() -> None:
    assert settings_for_new(Flags(reserve=600), {}).reserve_tokens == 600
    now = Settings()
    assert settings_changed(now, Flags(reserve=1024)) is None
    changed = settings_changed(now, Flags(reserve=600))
    assert changed == replace(now, reserve_tokens=600)
    assert differences(now, changed) == "reserve 1,024 -> 600 tokens"
    both = settings_changed(now, Flags(window=16_384, reserve=2000))
    assert both == replace(now, window_tokens=16_384, reserve_tokens=2000)


@pytest.mark.parametrize("reserve", [8191, 8192, 7000])
def test_a_reserve_that_leaves_no_room_is_refused(reserve: int) -> None:
    with pytest.raises(BadInput, match="reserve"):
        born(settings_for_new(Flags(reserve=reserve), {}), count)


def test_a_new_server_that_serves_less_makes_the_window_smaller() -> None:
    now = settings_for_new(Flags(model="llama3", base_url=OLLAMA), {})
    moved = settings_changed(now, Flags(model="qwen", base_url=OLLAMA), {}, ServedWindow(served=2048))
    assert moved is not None
    assert (moved.window_tokens, moved.reserve_tokens, moved.summary_words) == (2048, 256, 42)
    back = settings_changed(moved, Flags(window=32_768))
    assert back is not None
    assert (back.reserve_tokens, back.summary_words) == (4096, 100)
