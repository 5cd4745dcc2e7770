"""`view`: one page that needs nothing else, shows texts as texts, and says what was proved and what is left out."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace

from palimpsest.console.elements import element, joined, text
from palimpsest.console.session_page import PageFacts, page
from palimpsest.console.story import header, lines
from palimpsest.events.debug.moments import Step, TurnBegan
from palimpsest.events.debug.timeline import story
from palimpsest.questions.sessions import Scene, session
from tests.worlds.command_line import Launch, file_of
from tests.worlds.kernel import Kernel

EVIL = '<script>alert(1)</script> "&<img src=x onerror=y> \x1b[31m \u202eright'
SHOWN = '<script>alert(1)</script> "&<img src=x onerror=y> \\x1b[31m \\x202eright'


class Parsed(HTMLParser):
    """The page's elements, attributes and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.style = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "elements are closed in their order"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text += data

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.attributes if each == name]


def made(kernel: Kernel, agent: str = "ada", *, last: int = 0, most_bytes: int = 20_000_000) -> Parsed:
    facts = PageFacts("0", "2026-01-01 00:00:00", most_bytes)
    whole = "".join(page(session(kernel.log, agent, last=last), facts))
    parsed = Parsed(whole)
    assert parsed.open == []
    return parsed


def leads_somewhere(found: Parsed) -> bool:
    places = found.all("id")
    assert len(places) == len(set(places)), "no place is there twice"
    return {value[1:] for value in found.all("href")} <= set(places)


def test_it_loads_nothing_and_runs_nothing(kernel: Kernel) -> None:
    kernel.talk("ada", [EVIL])
    found = made(kernel)
    assert not found.tags & {"script", "img", "link", "iframe", "object", "form", "input", "base"}
    assert not [name for name, _ in found.attributes if name.startswith("on") or name in ("src", "style")]
    assert all(value.startswith("#") for value in found.all("href"))
    policy = next(value for value in found.all("content") if "default-src" in value)
    style = base64.b64encode(hashlib.sha256(found.style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'"
    assert "url(" not in found.style
    assert "@import" not in found.style


def test_texts_are_shown_as_texts(kernel: Kernel) -> None:
    kernel.talk("ada", [EVIL])
    kernel.create("<b>&\u202e".replace("\u202e", ""))
    found = made(kernel)
    assert found.text.count(SHOWN) >= 2, "in the story, and as the model read it"
    assert "\x1b" not in found.text
    assert "\u202e" not in found.text
    assert "<b>&: a session of 1 event" in made(kernel, "<b>&").text


def test_every_link_leads_somewhere_and_no_place_is_there_twice(kernel: Kernel) -> None:
    assert leads_somewhere(made(kernel))


def test_it_has_every_line_of_the_story(kernel: Kernel) -> None:
    parts = list(story(kernel.log.read("ada")))
    shown = made(kernel).text
    assert all(line.text in shown for part in parts for line in lines(part))
    assert "Before the first turn" in shown
    assert {shown.count(header(part)) for part in parts if isinstance(part, TurnBegan)} == {1}
    steps = sum(isinstance(part, Step) for part in parts)
    assert shown.count("SHA-256 of the request") == steps, "each request unfolds to its window, once"


def test_evictions_and_core_memory_stand_in_it(kernel: Kernel) -> None:
    found = made(kernel)
    assert "We talked about many things." in found.text
    assert "Evictions and summaries" in found.text


def test_it_says_that_the_log_was_proved(kernel: Kernel, launched: Launch, tmp_path: Path) -> None:
    proved = kernel.log.read("ada")[-1].seq
    file = tmp_path / "page.html"
    printed = launched("view", "ada", "-o", str(file))
    assert printed.code == 0
    contexts = [each.kind for each in kernel.log.read("ada")].count("InferenceCompleted")
    said = f"{proved} events by the hash chain, and {contexts} contexts byte for byte"
    assert f"proved when this page was written: {said}" in Parsed(file.read_text()).text
    assert launched("view", "ada", "-o", str(file)).code == 2, "no file is written over"
    assert launched("view", "ada", "-o", str(file), "--force").code == 0


def test_a_log_that_was_altered_is_told_as_far_as_it_goes(kernel: Kernel, launched: Launch, tmp_path: Path) -> None:
    seq = next(each.seq for each in kernel.log.read("ada", after=60) if each.kind == "UserMessageReceived")
    with file_of(kernel) as file:
        file.execute("UPDATE events SET time = time + 1 WHERE stream = 1 AND seq = ?", (seq,))
    place = tmp_path / "page.html"
    printed = launched("view", "ada", "-o", str(place))
    assert printed.code == 1
    assert f"NOT proved: event {seq}: " in printed.err
    shown = Parsed(place.read_text()).text
    assert f"NOT proved when this page was written: event {seq}" in shown
    assert "Message 24" in shown, "the story goes on"
    windows = [seen.seq for scene in session(kernel.log, "ada").scenes for _, seen in scene.told if seen]
    assert max(windows) < seq, "and windows end"


def test_the_last_turns_alone(kernel: Kernel) -> None:
    shown = made(kernel, last=3).text
    assert "The first 22 turns" in shown
    assert "Message 21:" not in re.sub(r"(?s)Messages of the windows.*", "", shown)


def test_a_page_has_a_bound_and_says_what_it_left_out(kernel: Kernel) -> None:
    kernel.talk("ada", ["x" * 30_000])
    found = made(kernel, most_bytes=60_000)
    left = re.search(r"The first (\d+) turns, so", found.text)
    assert left is not None
    assert 10 < int(left[1]) < 26
    assert f"{26 - int(left[1])} turns; a line has" in found.text
    assert "10,002 characters more are left out here" in found.text


def test_whatever_is_left_out_links_lead_somewhere(kernel: Kernel) -> None:
    """Also those to messages that went since the window before, where no model summed them up, and that is left out."""
    told = session(kernel.log, "ada")

    def unasked(scene: Scene) -> Scene:
        windows = (seen if seen and seen.purpose == "reply" else None for _, seen in scene.told)
        return replace(scene, told=list(zip((each for each, _ in scene.told), windows, strict=True)))

    told = replace(told, scenes=tuple(map(unasked, told.scenes)))
    for most_bytes in range(10_000, 20_000, 1_000):
        found = Parsed("".join(page(told, PageFacts("0", "2026-01-01 00:00:00", most_bytes))))
        assert leads_somewhere(found), most_bytes


@pytest.mark.parametrize(
    ("most_bytes", "changes", "evictions"),
    [(1, 24, 5), (2_000, 20, 4), (8_000, 8, 1), (60_000, 0, 0)],
)
def test_changes_of_core_memory_and_evictions_have_a_part_of_it(
    kernel: Kernel, most_bytes: int, changes: int, evictions: int
) -> None:
    kernel.create("eve")
    kernel.talk("eve", [f"Message {number}: " + "the weather is fine, " * 8 for number in range(85)])
    told, found = session(kernel.log, "eve"), made(kernel, "eve", most_bytes=most_bytes)
    places = [value for value in found.all("id") if re.fullmatch(r"[cv]\d+", value)]
    newest = [f"c{each.seq}" for each in told.memory[changes:]], [f"v{each.seq}" for each in told.evictions[evictions:]]
    assert places == [*dict.fromkeys(newest[0]), *newest[1]]
    assert (f"the first {changes} changes of core memory" in found.text) == (changes > 0)
    assert (f"the first {evictions} eviction" in found.text) == (evictions > 0)
    assert leads_somewhere(found), "to none that is left out"
    size = len("".join(page(told, PageFacts("0", "2026-01-01 00:00:00", most_bytes))))
    assert size < most_bytes + 14_000, "one turn, the system text and the style are there in any case"


def test_a_bundle_and_a_masked_one(launched: Launch, call: Launch, tmp_path: Path) -> None:
    bundle, place = str(tmp_path / "a.palimpsest"), tmp_path / "page.html"
    launched("export", "ada", bundle, "--redact", "Message 7")
    assert call("view", "--bundle", bundle, "-o", str(place)).code == 0
    shown = Parsed(place.read_text()).text
    assert "Message 7" not in shown
    assert "texts, before this log had them" in shown
    assert re.search(r"; \d+ contexts? with masked texts cannot be", shown)
    assert "(masked: cannot be proved)" in shown


def test_without_an_agent_or_a_bundle_it_asks_for_one(launched: Launch, tmp_path: Path) -> None:
    printed = launched("view", "-o", str(tmp_path / "p.html"))
    assert printed.code == 2
    assert "There are: ada, ben o'neil." in printed.err


@pytest.mark.parametrize("said", ["<", "&lt;", '"', "a\x00b", "\u2066x\u2069"])
def test_elements_escape_all_that_is_not_one(said: str) -> None:
    found = Parsed(element("p", said, title=said))
    assert found.tags == {"p"}
    assert Parsed(joined("a", element("b", said), text(said))).tags == {"b"}
    assert (found.text, found.all("title")) == (Parsed(text(said)).text, [Parsed(text(said)).text])
