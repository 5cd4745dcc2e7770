"""What every command shares: the data folder's option, commands that are imported when they are called, and an end
without tracebacks.

Rules. (1) `--data` stands before or after a command's name. (2) Exit codes: 0 all is well, 1 a difference or a turn
that failed, 2 an error that the user can mend, 130 Ctrl-C, 141 the reader of a pipe went away. (3) Errors go to
standard error, in one line that says what to do.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

import click
from click.exceptions import NoArgsIsHelpError, NoSuchCommand
from click.shell_completion import shell_complete

from palimpsest.console.called import BUNDLE, DATA, NAME, PROGRAM, as_typed, given_bundle, given_data
from palimpsest.events.errors import BadInput, PalimpsestError
from palimpsest.store.folder import DataFolder, data_at, default_data_folder, expanded
from palimpsest.store.index.settings import DEFAULT, OPENAI, IndexSettings

INTERRUPTED: Final = 130
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
NO_WAY: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP})
"""What a user can mend who gave a path; any other error of the system's is a fault of ours, and is shown whole."""
PIPE_CLOSED: Final = 141
_COMPLETE: Final = f"_{NAME.upper()}_COMPLETE"
_CLOSED: Final = "palimpsest.closed"
_EMBEDDER: Final = "palimpsest.embedder"
_QDRANT_URL: Final = "palimpsest.qdrant-url"
_REHOME: Final = "palimpsest.rehome"


def _keeper(name: str) -> Callable[[click.Context, click.Parameter, str | Path | bool | None], None]:
    """What keeps the value of an option for the rest of the call, under this name."""

    def keep(context: click.Context, _option: click.Parameter, value: str | Path | bool | None) -> None:
        if value is not None:
            kept = expanded(value) if isinstance(value, Path) else value
            context.meta[name] = kept.strip() if isinstance(kept, str) and name != DATA else kept

    return keep


def _kept_option(
    flag: str, name: str, metavar: str, help: str, type: click.Path | None = None
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Decorates a command with an option that is not among its arguments, but kept under this name."""
    return click.option(flag, metavar=metavar, type=type, expose_value=False, callback=_keeper(name), help=help)


def data_option() -> click.Option:
    """`--data DIR`; what is given is found by `data_folder`."""
    return click.Option(
        ["--data"],
        metavar="DIR",
        type=click.Path(),
        expose_value=False,
        callback=_keeper(DATA),
        help="The folder of the log and its indexes, or the URL of the database that has the log (postgresql://…). "
        "Default: $PALIMPSEST_HOME, else `config`'s, else ~/.palimpsest.",
    )


def _version_option() -> click.Option:
    def show(context: click.Context, _option: click.Parameter, value: bool) -> None:
        if value:
            from palimpsest import __version__

            click.echo(f"palimpsest {__version__}")
            context.exit()

    return click.Option(
        ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=show, help="Print the version."
    )


def data_folder() -> DataFolder:
    given = given_data()
    if given:
        return data_at(given)
    from palimpsest.store.config import around

    return default_data_folder(around(os.environ))


def only_looks() -> bool:
    """Whether this call's log is one that is not written to here: a bundle's, or a database's."""
    return given_bundle() is not None or bool(data_folder().database)


def given_folder() -> Path | None:
    """The folder that `--data` names; None: none. Raises BadInput where it names a database."""
    given = given_data()
    if not given:
        return None
    folder = data_at(given)
    folder.check_is_worked_on()
    return folder.path


bundle_option = _kept_option(
    "--bundle",
    BUNDLE,
    "FILE",
    "Read this bundle (a file that `export` wrote) in place of the data folder.",
    click.Path(path_type=Path),
)
"""Decorates a command that reads by `console.inspect.reading`: with `--bundle FILE` it reads a bundle."""


_address = click.option("--address", default="", metavar="A", help="Join the Ray cluster at this address, or `auto`.")
_rehome = click.option(
    "--rehome",
    is_flag=True,
    expose_value=False,
    callback=_keeper(_REHOME),
    help="With --address: the data folder was moved to this machine, or its log replaced, on purpose: let the cluster "
    "forget where it was.",
)


def address_option(command: Callable[..., object]) -> Callable[..., object]:
    """Decorates a command with what says which cluster it joins; `rehomed` finds what is given."""
    return _address(_rehome(command))


def rehomed() -> bool:
    return bool(click.get_current_context().meta.get(_REHOME))


# --- the index's settings -----------------------------------------------------------------------------------------

_embedder_option = _kept_option(
    "--embedder",
    _EMBEDDER,
    "NAME",
    "What makes the index's dense vectors: wordllama, minilm or openai:MODEL (its key in $OPENAI_API_KEY, its server "
    "in $OPENAI_BASE_URL). Default: $PALIMPSEST_EMBEDDER, else `config`'s, else wordllama. To change it, `reindex` "
    "with it.",
)
_url_option = _kept_option(
    "--qdrant-url",
    _QDRANT_URL,
    "URL",
    "Keep the index on this Qdrant server, with the key in $QDRANT_API_KEY. Default: $QDRANT_URL, else `config`'s, "
    "else in the data folder.",
)


def index_options(command: Callable[..., object]) -> Callable[..., object]:
    """Decorates a command with what says which index it has; `index_settings` finds what is given."""
    return _embedder_option(_url_option(command))


def index_settings() -> IndexSettings:
    """What this call's options and the environment say. Raises BadInput where that can never work."""
    from palimpsest.actors.parts.index import check_settings
    from palimpsest.store.config import around

    given, said = click.get_current_context().meta, around(os.environ)
    embedder = given.get(_EMBEDDER) or said.get("PALIMPSEST_EMBEDDER") or DEFAULT
    settings = IndexSettings(
        embedder=embedder,
        embedder_url=os.environ.get("OPENAI_BASE_URL", "") if embedder.startswith(OPENAI) else "",
        qdrant_url=given.get(_QDRANT_URL, said.get("QDRANT_URL", "")),
    )
    check_settings(settings)
    return settings


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, and which lists them without.

    `sections` maps a heading to its commands: name -> ("module:attribute", one line of help).
    """

    def __init__(self, *, sections: Mapping[str, Mapping[str, tuple[str, str]]], help: str) -> None:
        super().__init__(
            help=help,
            params=[data_option(), _version_option()],
            context_settings={"help_option_names": ["-h", "--help"]},
        )
        self._sections = sections
        self._targets = {name: target for commands in sections.values() for name, (target, _) in commands.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self._targets)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in self._targets:
            return None
        module, _, attribute = self._targets[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        if not any("--data" in option.opts for option in command.params):
            command.params.append(data_option())
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but told of the names that a mistyped command may have meant."""
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            raise NoSuchCommand(error.command_name, possibilities=self._targets, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        for heading, commands in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name, line) for name, (_, line) in commands.items()])


def _open_streams() -> frozenset[int]:
    """Open on nothing those of the three standard streams that are closed, so that no file gets their numbers, and
    whoever reads or writes them finds one; which these are."""
    closed = frozenset(number for number in range(3) if not _is_open(number))
    for number in closed:
        nothing = os.open(os.devnull, os.O_RDWR)
        if nothing != number:
            os.dup2(nothing, number)
            os.close(nothing)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - it has no path, and stays open
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    return closed


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def stdin_is_closed() -> bool:
    """Whether this call was begun without a standard input."""
    return 0 in click.get_current_context().meta.get(_CLOSED, ())


def run(group: click.Group, arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    closed = _open_streams()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a letter is no reason to die
    try:
        if _COMPLETE in os.environ:
            return shell_complete(group, {}, NAME, _COMPLETE, os.environ[_COMPLETE])
        given = sys.argv[1:] if arguments is None else list(arguments)
        _check_text(given)
        with group.make_context(PROGRAM, given) as context:  # `main` would answer Ctrl-C and a closed pipe its own way
            context.meta[_CLOSED] = closed
            code = _invoked(group, context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        complain(_one_line(error))
        return error.exit_code
    except PalimpsestError as error:
        return _complained(error)
    except BrokenPipeError:
        _let_go_of_output()
        return PIPE_CLOSED
    except OSError as error:
        return _blocked(error)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _invoked(group: click.Group, context: click.Context) -> object:
    """What the command returns. Its errors are told while it is known with what options it was called."""
    try:
        return group.invoke(context)
    except PalimpsestError as error:
        return _complained(error)


def _complained(error: PalimpsestError) -> int:
    from palimpsest.console.worded import worded

    complain(worded(error))
    return 2


def _one_line(error: click.ClickException) -> str:
    """What click found wrong with what was typed, and where it says what can be."""
    message = " ".join(error.format_message().split())
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message} `{context.command_path} --help` says what can be given." if context else message


def _blocked(error: OSError) -> int:
    """The exit code for what the system would not do, said in a line. Raises it again where nobody can mend it."""
    if error.errno in NO_WAY and error.filename is not None:
        complain(f"{error.filename}: {error.strerror}. Check the path and its rights, or give another one.")
        return 2
    if error.errno not in NO_ROOM:
        raise error
    _let_go_of_output()
    complain(f"What was to be written could not be: {error.strerror}. Make room, or write it somewhere else.")
    return 2


def _check_text(arguments: Sequence[str]) -> None:
    """Raises BadInput for bytes that are no text; a file may have any name that the file system gave it."""
    for number, argument in enumerate(arguments, 1):
        is_text = argument.isascii() or not any("\ud800" <= char <= "\udfff" for char in argument)
        if not is_text and not os.path.lexists(argument):
            raise BadInput(
                f"Argument {number}, {argument!r}, is not UTF-8: names and texts must be. Write it in a UTF-8 "
                "terminal, or turn it into UTF-8 first."
            )


def complain(what: str) -> None:
    """One line on standard error."""
    click.echo(f"{click.style('Error:', fg='red') if _colours() else 'Error:'} {as_typed(what)}", err=True)


def _colours() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def _let_go_of_output() -> None:
    """Point standard output at nothing, so that Python's last flush has nobody to complain of."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
