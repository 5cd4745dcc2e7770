"""`config`: the defaults that count, where each comes from, and a file to set them in.

Rule: `config` itself works with a file that is broken: it says what is wrong with it, and shows what counts without.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import click
import msgspec

from palimpsest.console.called import given_data, shown_data
from palimpsest.console.options import complain, json_option
from palimpsest.console.show import Page, print_json
from palimpsest.events.addresses import public_url
from palimpsest.events.errors import BadInput
from palimpsest.questions.texts import one_line
from palimpsest.store.config import DEFAULTS, config_path, configured, known, put
from palimpsest.store.index.settings import IndexSettings
from palimpsest.store.logs import urls

BAD_FILE = 2


class DefaultShown(msgspec.Struct, frozen=True):
    """A default as it counts in this call, and where its value is from."""

    name: str
    value: str
    whence: str
    about: str


@click.group("config", invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, *, as_json: bool) -> int:
    """Show the defaults that count and where each comes from; set them, or take them away.

    What is typed (--model, --data …) goes before the environment, the environment before the file, and the file before
    what is built in. The file is config.toml in ~/.config/palimpsest ($XDG_CONFIG_HOME): yours, of no data folder.

    Keys are not in it: each belongs to a server, and `keys` keeps them. A base-url that is set here is one that you
    typed, so it gets OPENAI_API_KEY where no key is kept for it, and OpenAI still does.
    """
    if context.invoked_subcommand is not None:
        return 0
    problem, found = "", dict[str, str]()
    try:
        found = configured(os.environ)
    except BadInput as error:
        problem = str(error)
    path, rows = _path(), [row(name, os.environ, found, shown_data(given_data())) for name in DEFAULTS]
    if as_json:
        values = {each.name: {"value": each.value, "whence": each.whence} for each in rows}
        print_json({"file": path, "problem": problem, "values": values})
    else:
        _print(rows, path)
    if problem:
        complain(problem)
    return BAD_FILE if problem else 0


def _path() -> str:
    try:
        return str(config_path(os.environ))
    except BadInput:
        return ""


def row(name: str, environ: Mapping[str, str], found: Mapping[str, str], data: str) -> DefaultShown:
    """What counts of a default. `found` is what the file says, `data` the folder that was typed."""
    default = DEFAULTS[name]
    said = environ.get(default.variable, "").strip()
    if name == "data" and data:
        return DefaultShown(name, data, "--data", default.about)
    if said:
        shown = public_url(said) if name.endswith("-url") else shown_data(said) if name == "data" else said
        return DefaultShown(name, shown, f"${default.variable}", default.about)
    if name in found:
        return DefaultShown(name, found[name], "config.toml", default.about)
    return DefaultShown(name, default.built_in, "built in", default.about)


def _print(rows: list[DefaultShown], path: str) -> None:
    page = Page()
    lines = [(each.name, one_line(each.value, 100) or "-", each.whence, each.about) for each in rows]
    page.table(("default", "value", "from", "what it is"), lines)
    page.line(("The file: ", "dim"), path or "none: there is no home folder")


@command.command("set")
@click.argument("key")
@click.argument("value")
def set_command(key: str, value: str) -> None:
    """Set the default KEY to VALUE from now on, as `config set model llama3`."""
    name = known(key)
    _check_index(name, value)
    is_path = name == "data" and not urls.is_url(urls.checked(value)) and not value.startswith("~")
    path = put(os.environ, name, os.path.abspath(value) if is_path else value)  # noqa: PTH100
    click.echo(f"{name} is {configured(os.environ)[name]} from now on ({path}).")
    _warn_of_environment(name)


@command.command("unset")
@click.argument("key")
def unset_command(key: str) -> None:
    """Take the default KEY away: what is built in counts again."""
    name = known(key)
    if name not in configured(os.environ):
        raise BadInput(f"'{name}' is not set in {config_path(os.environ)}: there is nothing to take away.")
    put(os.environ, name, None)
    click.echo(f"{name} is {DEFAULTS[name].built_in or DEFAULTS[name].about} again.")
    _warn_of_environment(name)


def _check_index(name: str, value: str) -> None:
    """Raises BadInput for an embedder that there is not."""
    if name == "embedder":
        from palimpsest.actors.parts.index import check_settings

        check_settings(IndexSettings(embedder=value.strip()))


def _warn_of_environment(name: str) -> None:
    variable = DEFAULTS[name].variable
    if os.environ.get(variable, "").strip():
        click.echo(f"${variable} is set, and goes before it here.", err=True)
