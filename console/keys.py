"""`keys`: which model server gets which key. It shows servers, and never a key.

Rule: a key comes by a prompt that does not show it, or by standard input; never as an argument, which others can see.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import click

from palimpsest.console.called import as_typed
from palimpsest.console.options import data_folder, json_option
from palimpsest.console.show import Page, print_json
from palimpsest.events.addresses import Address, address_of, secrets_in_query
from palimpsest.events.errors import BadInput
from palimpsest.questions.texts import one_line
from palimpsest.store.folder import DataFolder
from palimpsest.store.keys.files import KeyFiles, key_files
from palimpsest.store.keys.imported import imported
from palimpsest.store.keys.keys import Access, Credentials, Keys, keys_in, merged


@click.group("keys", invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, *, as_json: bool) -> None:
    """Say which model server gets which key, and keep keys for servers. Without a command: list them.

    A key belongs to a server: an address and what lies below it. It rests in a file that you alone can read
    (~/.config/palimpsest/keys.json, or the file in $PALIMPSEST_KEYS), or is in the environment as
    PALIMPSEST_KEY_NAME="URL KEY". It is never in the log. A running chat takes up what changes here.

    OPENAI_API_KEY goes to OpenAI, to OPENAI_BASE_URL, and to a --base-url that you type; to no other server.
    """
    if context.invoked_subcommand is None:
        files = key_files(os.environ)
        rows = _rows(files, data_folder())
        _say(files)
        if as_json:
            print_json({"file": str(files.path or ""), "servers": rows})
        else:
            _print(files, rows)


@command.command("add")
@click.argument("url")
@click.option("--header", metavar="NAME", default="", help="Send it as this header (Azure: api-key), not as the key.")
def add_command(url: str, header: str) -> None:
    """Keep a key for the server at URL. It is asked for, and not shown; or it is read from standard input.

    Azure's hosts get it in the header `api-key` by themselves. Headers that are secret may be added beside a key, each
    by a call of its own.
    """
    address = _address(url)
    files, header = key_files(os.environ), header.strip()
    files.trusted(), files.servers()  # what is broken is said before a key is asked for
    secret = _secret(f"The {header} header for {address}" if header else f"The key for {address}")
    if header:
        server = Credentials(url=str(address), headers={header: secret})
    else:
        server = Credentials(url=str(address), key=secret.removeprefix("Bearer ").strip())
    files.keep(server)
    _say(files)
    what = f"The header {header}" if header else "The key"
    click.echo(f"{what} for {address} is kept in {files.path}, and goes to no other server.")


@command.command("remove")
@click.argument("url")
def remove_command(url: str) -> None:
    """Forget the key of the server at URL, and that you typed or allowed this address."""
    files = key_files(os.environ)
    address = _address(url)
    if not files.remove(str(address)):
        raise BadInput(f"Nothing is known of {address}: `keys` lists the servers of which there is.")
    _say(files)
    click.echo(f"{address} is forgotten.")


@command.command("allow")
@click.argument("url")
def allow_command(url: str) -> None:
    """Let agents that came with an import call the server at URL. No key goes there but one that you add for it."""
    files = key_files(os.environ)
    address = _address(url)
    files.remember(allowed=(str(address),), now_ms=now_ms())
    click.echo(as_typed(f"{address} may be called. It gets no key but one that you add: `keys add {address}`."))


def remember(urls: tuple[str, ...]) -> None:
    """Remember addresses that the user typed; where that cannot be, say so."""
    try:
        key_files(os.environ).remember(typed=urls, now_ms=now_ms())
    except BadInput as error:
        click.echo(f"{error} Until then what you type is not remembered.", err=True)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _address(url: str) -> Address:
    address = address_of(url.strip())
    if address is None:
        raise BadInput(f"'{one_line(url, 80)}' is no server's address: give it as https://HOST/v1.")
    if "@" in url.partition("?")[0] or secrets_in_query(url.partition("?")[2]):
        raise BadInput(f"A secret stands in the address: give the address alone, {address}, and the key when asked.")
    return address


def _secret(what: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()


def _say(files: KeyFiles) -> None:
    for note in files.notes:
        click.echo(note, err=True)


# --- the list -----------------------------------------------------------------------------------------------------


def _rows(files: KeyFiles, folder: DataFolder) -> list[dict[str, Any]]:
    """A row for each address of which anything is known: what goes there, and how it came to be known."""
    servers, trusted, around = files.servers(), files.trusted(), keys_in(os.environ)
    came = imported(folder)
    keys = merged(Keys(servers=servers, trusted=trusted, imported=came), around)
    known = {str(address_of(each.url)): "key file" for each in servers}
    known |= {str(address_of(each.url)): "environment" for each in around.servers}
    named = [*known, *((around.openai.url,) if around.openai.url else ()), *trusted.typed, *trusted.allowed, *came]
    rows: dict[str, dict[str, Any]] = {}
    for url in dict.fromkeys(str(address_of(each) or each) for each in named):
        how = "typed" if url in trusted.typed else "allowed" if url in trusted.allowed else "OPENAI_BASE_URL"
        how = "imported" if keys.refusal(url) else known.get(url, how)
        sends = _sent(keys.access(url))
        if sends == "no key" and how in ("typed", "OPENAI_BASE_URL"):
            sends = "OPENAI_API_KEY, which is not set"
        rows[url] = {"url": url, "known": how, "sends": sends, "refused": bool(keys.refusal(url))}
    return list(rows.values())


def _sent(access: Access) -> str:
    """What goes along, in words that hold nothing of it."""
    if access.whence == "OPENAI_API_KEY":
        return "OPENAI_API_KEY"
    said = ["a key"] if access.key else []
    said += [f"the header {name}" for name in access.headers]
    return " and ".join(said) or "no key"


def _print(files: KeyFiles, rows: list[dict[str, Any]]) -> None:
    page = Page()
    for row in rows:
        what = "refused: it came with an import (`keys allow URL`)" if row["refused"] else f"gets {row['sends']}"
        page.line((one_line(row["url"], 200), "bold"), f"  {what}", (f"  ({row['known']})", "dim"))
    if not rows:
        page.line(as_typed("No server is known by name: `keys add URL` keeps a key for one."))
    page.line(("Keys rest in ", "dim"), str(files.path) if files.path else "no file: there is no home folder")
