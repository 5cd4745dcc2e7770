"""Ray as this program has it: one of its own, or a cluster's that it joins.

A Ray of our own has a folder of its own, which goes with it: so another user's, one that was killed, or one that lies
too deep for the names of its sockets is no matter. What stands in the environment, or was ever started on this machine,
is joined only where the user says so (`--address`).
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import re
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import palimpsest
from palimpsest.events.errors import BadInput
from palimpsest.store.own_folder import OwnFolder, is_full

NAMESPACE: Final = "palimpsest"
QUIET_RAY: Final[Mapping[str, str]] = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # No workers in reserve: each is a process of 80 MB that we never use, and they slow the start.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_worker_prestart": "0",
    # No record of every call, which Ray keeps for a dashboard that is not there: 60 MB after some thousand calls.
    "RAY_task_events_report_interval_ms": "0",
    # The parts are the service: Ray's usual 15 would have them wait for whatever else the machine does, a load's own
    # reading before all.
    "RAY_worker_niceness": "0",
}
DEEP: Final = 62
"""So many characters below our own folder Ray has its sockets."""
STORE: Final = 100 * 1024 * 1024
"""Bytes for what Ray's processes hand to each other, in memory where there is as much."""
ANSWER_S: Final = 10.0
"""So long a cluster's head is waited for."""
ROOM: Final = 2 * STORE
"""Bytes that are to be free where our own Ray has its files."""


def start(address: str) -> tuple[str, ...]:
    """Connect to a cluster, or start Ray here, quietly and with no dashboard. What its user should know, in lines.

    Raises BadInput where that cannot be, with what to do.
    """
    for name, value in QUIET_RAY.items():
        os.environ.setdefault(name, value)
    _keep_lines_back()
    quiet = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": logging.ERROR}
    with _ending_in_order():
        if address:
            return _join(address, runtime_env={"env_vars": {"PYTHONPATH": _import_path()}}, **quiet)
        return _begin(**quiet)


def _import_path() -> str:
    """Workers import what the driver imports, whether it is installed or stands in a checkout."""
    return os.pathsep.join(filter(None, [str(_home()), os.environ.get("PYTHONPATH", "")]))


def _join(address: str, **options: Any) -> tuple[str, ...]:
    import ray

    _check_answers(address)
    _show_token()
    try:
        ray.init(address=address, **options)
    except ConnectionError as error:
        raise BadInput(
            f"No Ray cluster answers at {address}: {error}. Start one with `ray start --head`; if it is up, it may "
            "ask for a token that is not this user's: set RAY_AUTH_TOKEN_PATH to a file that has it."
        ) from None
    return ()


def _check_answers(address: str) -> None:
    """Raises BadInput where nobody listens at HOST:PORT: Ray itself asks there for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_S).close()
    except (OSError, OverflowError) as error:
        why = "no answer" if isinstance(error, TimeoutError) else getattr(error, "strerror", None) or error
        raise BadInput(f"No Ray cluster answers at {address}: {why}. Start one with `ray start --head`.") from None


def _begin(**options: Any) -> tuple[str, ...]:
    import ray

    _check_loopback()
    own = OwnFolder(below=DEEP, room=ROOM)
    _held.append(own)
    folder = own.path
    try:
        with _executable(folder), _token(folder), _imports_inherited(), _few_processes():
            ray.init(
                address="local",
                num_cpus=max(4, os.cpu_count() or 1),
                include_dashboard=False,
                object_store_memory=STORE,
                _plasma_directory=str(folder) if is_full(Path("/dev/shm"), ROOM) else None,
                _temp_dir=str(folder),
                **options,
            )
    except Exception as error:  # noqa: BLE001 - Ray raises the bare class too: a node that came up too late
        words = (last_words() or " ".join(str(error).split()))[:_WORDS_CHARS]
        room = f" {_little_room(folder)}" * is_full(folder, ROOM)
        late = " If this machine is busy, try again." * ("timed out" in str(error))
        stop()
        raise BadInput(f"Ray could not be started. Its own last words: {words}{late}{room}") from None
    except BaseException:
        stop()
        raise
    elsewhere = os.environ.get("RAY_ADDRESS", "").strip()
    notes = [f"RAY_ADDRESS names {elsewhere}, which was not joined: give --address for that."] * bool(elsewhere)
    return (*notes, *[_little_room(folder)] * is_full(folder, ROOM))


def _little_room(folder: Path) -> str:
    return (
        f"There are less than {ROOM >> 20} MB free in {folder.parent}, where Ray has its files, and no more elsewhere: "
        "it may fail. Free some, or set TMPDIR to a short path with room."
    )


def _keep_lines_back() -> None:
    """Ray prints on standard output what becomes of its processes and calls, also without `log_to_driver`: nothing that
    a user could act on. All of it passes a filter of Ray's. (Its log files have all.)"""
    from ray._private import ray_logging

    for each in (ray_logging.stdout_deduplicator, ray_logging.stderr_deduplicator):
        each.skip_re = re.compile(".")


@contextlib.contextmanager
def _ending_in_order() -> Iterator[None]:
    """Let Ctrl-C end Ray's start at once, and SIGTERM and SIGHUP this program as an error would, by way of all that is
    to be closed: Ray's own handlers, set meanwhile, print addresses of its code. The program's own stay."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except SystemExit as end:
        raise SystemExit(128 + signal.SIGTERM if end.code == signal.SIGTERM else end.code) from None  # it was Ray's
    finally:
        atexit.register(stop)
        for number, handler in before.items():
            if handler is not None:  # one that is not Python's: it cannot be set again
                signal.signal(number, _ended if handler == signal.SIG_DFL else handler)


def _ended(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def stop() -> None:
    """Leave Ray; one of our own ends, and its folder goes with it."""
    import ray

    ray.shutdown()
    if _held:
        _held.pop().close()


_held: list[OwnFolder] = []
"""The folder of this process's own Ray; at most one."""


def last_words(folder: Path | None = None) -> str:
    """What the processes of our own Ray complained of last ("": nothing)."""
    if folder is None and not _held:
        return ""
    logs = folder or _held[0].path
    found = sorted(logs.glob("session_*/logs/*.err"), key=lambda path: path.stat().st_mtime)
    found += sorted(logs.glob("session_*/logs/*.out"), key=lambda path: path.stat().st_mtime)
    for path in found:
        lines = path.read_text("utf-8", "replace")[-_TAIL_CHARS:].splitlines()
        wrong = [line.strip() for line in lines if _WRONG.search(line)]
        if wrong:
            return wrong[-1]
    return ""


_TAIL_CHARS: Final = 20_000
_WORDS_CHARS: Final = 500
_WRONG: Final = re.compile(r"(?i) [EFC] |error|not found|no such|denied|cannot|failed")


def _check_loopback() -> None:
    """Ray's parts speak to each other over this machine's own network."""
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as listening,
            socket.create_connection(listening.getsockname(), timeout=5),
        ):
            pass
    except OSError as error:
        raise BadInput(
            f"This machine does not reach itself at 127.0.0.1 ({error.strerror or error}), which Ray needs: bring its "
            "loopback up (`ip link set lo up`)."
        ) from None


@contextlib.contextmanager
def _executable(folder: Path) -> Iterator[None]:
    """An interpreter whose path has no blank, which Ray's commands for workers cannot have: by a link, if need be."""
    own = Path(sys.executable)
    if " " not in sys.executable:
        yield
        return
    link = folder / "python"
    link.symlink_to(own.parent.parent, target_is_directory=True)
    sys.executable = str(link / own.parent.name / own.name)
    try:
        yield
    finally:
        sys.executable = str(own)


@contextlib.contextmanager
def _imports_inherited() -> Iterator[None]:
    """Let Ray's processes have the import path from their parent. As a `runtime_env`, each worker would start Python
    twice for it."""
    before, ours = os.environ.get("PYTHONPATH"), _import_path()
    os.environ["PYTHONPATH"] = ours
    try:
        yield
    finally:
        if os.environ.get("PYTHONPATH") == ours:  # nobody else has changed it meanwhile
            os.environ.pop("PYTHONPATH")
            os.environ.update({} if before is None else {"PYTHONPATH": before})


@contextlib.contextmanager
def _few_processes() -> Iterator[None]:
    """Let a Ray of our own start without what nobody asks here: the autoscaler's monitor, the dashboard's server, and
    what carries workers' lines to the driver. Each is a Python more."""
    from ray._private import node

    whole: Any = node.Node
    unused = dict.fromkeys(("start_monitor", "start_api_server", "start_log_monitor"), lambda *_, **__: None)
    module: Any = node
    module.Node = type(whole.__name__, (whole,), unused)
    try:
        yield
    finally:
        module.Node = whole


@contextlib.contextmanager
def _token(folder: Path) -> Iterator[None]:
    """A token for a Ray of our own, which keeps one in the user's home: where that cannot be written, in its folder."""
    if _home_is_writable() or any(os.environ.get(name) for name in _TOKENS):
        yield
        return
    path = folder / "token"
    path.touch(0o600)
    path.write_text(_OWN_TOKEN)
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)
    try:
        yield
    finally:
        del os.environ["RAY_AUTH_TOKEN_PATH"]


def _home_is_writable() -> bool:
    try:
        home = Path.home()
    except RuntimeError:  # this user has none
        return False
    kept = home / ".ray"
    return os.access(kept if kept.exists() else home, os.W_OK)


_TOKENS: Final = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_OWN_TOKEN: Final = secrets.token_hex(32)
"""One for all that this process starts: Ray reads it once a process."""


def _show_token() -> None:
    """Show a cluster the token that this user has: `ray start` asks for it where there is one, and `ray.init` does not
    send it by itself. A cluster that asks for none is not troubled by it."""
    from ray._private.authentication import authentication_token_setup as setup

    level = setup.logger.level
    setup.logger.setLevel(logging.ERROR)  # it warns of what is as it should be
    setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    setup.logger.setLevel(level)


def _home() -> Path:
    """The folder that `palimpsest` is imported from."""
    return Path(palimpsest.__path__[0]).absolute().parent
