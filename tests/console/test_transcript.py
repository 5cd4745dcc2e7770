"""`transcript`: who said what when, in text, Markdown and JSON; of forks, stretches and bundles."""

from __future__ import annotations

import json
from pathlib import Path

from tests.worlds.command_line import Launch
from tests.worlds.kernel import Kernel


def test_the_text_says_who_and_when_and_drives_no_terminal(launched: Launch) -> None:
    printed = launched("transcript", "ben o'neil")
    assert printed.code == 0
    first, blank, *lines = printed.lines
    assert first == "Transcript of ben o'neil, events 1 to 13, on its own clock."
    assert blank == ""
    assert lines[0] == "[2025-11-22 08:26:41 UTC] user: Hello!"
    assert lines[1] == "[2025-11-22 08:26:40 UTC] ben o'neil: Heard you."
    assert lines[2:4] == ["[2025-11-22 08:26:47 UTC] user: My name", "    is \\x1b[31mBen\\x1b[0m."]


def test_markdown_quotes_what_was_said_and_shows_markup(kernel: Kernel, launched: Launch, tmp_path: Path) -> None:
    kernel.create("*star*")
    kernel.talk("*star*", ["# Not a heading\n<script>x</script> `<b>`\n```\n<i>\n```"])
    file = tmp_path / "t.md"
    assert launched("transcript", "*star*", "--markdown", "-o", str(file)).text.startswith(
        "2 entries of *star* are in "
    )
    text = file.read_text()
    assert text.startswith("# Transcript of \\*star\\*, events 1 to ")
    assert "**user** · 2025-11-22 08:26:41 UTC · event 2\n\n> # Not a heading\n" in text
    assert "> &lt;script>x&lt;/script> `&lt;b>`\n> ```\n> &lt;i>\n> ```\n" in text
    assert "**\\*star\\*** · " in text
    again = launched("transcript", "*star*", "-o", str(file))
    assert (again.code, file.read_text()) == (2, text)
    assert launched("transcript", "*star*", "-o", str(file), "--force").code == 0


def test_a_stretch_by_seq_and_by_time(launched: Launch, kernel: Kernel) -> None:
    lines = [json.loads(line) for line in launched("transcript", "ada", "--json").lines]
    head, told = lines[0], lines[1:]
    assert head == {
        "type": "transcript", "agent": "ada", "first": 1, "last": kernel.log.read("ada")[-1].seq,
        "forked_from": [], "masked": False,
    }  # fmt: skip
    middle = told[21]["seq"]
    cut = [json.loads(line) for line in launched("transcript", "ada", "--from", str(middle), "--json").lines[1:]]
    assert cut == told[21:]
    until = launched("transcript", "ada", "--to", str(middle), "--json").lines[1:]
    assert [json.loads(line) for line in until] == told[:22]
    nothing = launched("transcript", "ada", "--since", "2030-01-01", "--json")
    assert len(nothing.lines) <= 1


def test_a_fork_begins_with_its_parents_part(kernel: Kernel, launched: Launch) -> None:
    at = kernel.log.read("ada")[-1].seq
    assert launched("fork", "ada", "--as", "eva").code == 0
    kernel.log.open_epoch()
    kernel.talk("eva", ["And now?"])
    printed = launched("transcript", "eva").text
    assert f"Up to event {at} it is ada's, which it was forked from." in printed
    assert f"(note): forked from ada at its event {at}: what stands above was said with that one" in printed
    assert printed.count("user: Message") == 25
    assert printed.index("(note): forked") < printed.index("user: And now?")
    own = launched("transcript", "eva", "--from", str(at + 1), "--json").lines
    assert json.loads(own[0])["forked_from"] == []


def test_a_bundle_gives_the_same_and_a_masked_one_says_so(launched: Launch, call: Launch, tmp_path: Path) -> None:
    whole, masked = str(tmp_path / "a.palimpsest"), str(tmp_path / "b.palimpsest")
    launched("export", "ada", whole)
    launched("export", "ada", masked, "--redact", "Message 7")
    assert call("transcript", "ada", "--bundle", whole).out == launched("transcript", "ada").out
    printed = call("transcript", "ada", "--bundle", masked).text
    assert "were masked" in printed
    assert "Message 7" not in printed


def test_a_fork_of_one_that_came_masked_says_so_of_its_parents_part_alone(launched: Launch, tmp_path: Path) -> None:
    bundle = str(tmp_path / "a.palimpsest")
    launched("export", "ada", bundle, "--redact", "Message 7")
    assert launched("import", bundle, "--as", "anna").code == 0
    assert launched("fork", "anna", "--as", "eva").code == 0
    whole = json.loads(launched("transcript", "eva", "--json").lines[0])
    own = json.loads(launched("transcript", "eva", "--from", str(whole["last"]), "--json").lines[0])
    assert [each["agent"] for each in whole["forked_from"]] == ["anna"]
    assert whole["masked"]
    assert (own["forked_from"], own["masked"]) == ([], False)


def test_an_unknown_agent_a_source_and_two_forms_are_refused(launched: Launch) -> None:
    for arguments in (("nobody",), ("ada", "--json", "--markdown"), ("ada", "--from", "9999"), ("ada", "-o", "/no/x")):
        printed = launched("transcript", *arguments)
        assert (printed.code, printed.out) == (2, b"")
