"""Ray as this program has it: one of its own, or a cluster's that it joins.

A Ray of our own has a folder of its own, which goes with it: so another user's, one that was killed, or one that lies
too deep for the names of its sockets is no matter. What stands in the environment, or was ever started on this machine,
is joined only where the user says so (`--address`).
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from events.errors import BadInput

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
LONGEST: Final = 40
"""Of a temporary folder's path: Ray's sockets lie 62 characters deeper, and a socket's path has 107 at most."""
_PREFIX: Final = "pal-"
_PLACES: Final = ("/tmp", "/var/tmp", "/dev/shm")


def start(address: str) -> tuple[str, ...]:
    """Connect to a cluster, or start Ray here, quietly and with no dashboard. What its user should know, in lines.

    Raises BadInput where that cannot be, with what to do.
    """
    for name, value in QUIET_RAY.items():
        os.environ.setdefault(name, value)
    import ray

    quiet: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": logging.ERROR}
    # Workers import this checkout's rooms, wherever the driver was started.
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join([str(_home()), os.environ.get("PYTHONPATH", "")])}}
    if address:
        _show_token()
        try:
            ray.init(address=address, runtime_env=environment, **quiet)
        except ConnectionError as error:
            raise BadInput(
                f"No Ray cluster answers at {address}: {error}. Start one with `ray start --head`; if it is up, it may "
                "ask for a token that is not this user's: set RAY_AUTH_TOKEN_PATH to a file that has it."
            ) from None
        return ()
    _check_loopback()
    folder = _own_folder()
    try:
        with _executable(folder):
            ray.init(
                address="local",
                num_cpus=max(4, os.cpu_count() or 1),
                include_dashboard=False,
                object_store_memory=100 * 1024 * 1024,
                runtime_env=environment,
                _temp_dir=str(folder),
                **quiet,
            )
    except (RuntimeError, OSError, ValueError, TimeoutError) as error:
        words = last_words() or " ".join(str(error).split())
        stop()
        raise BadInput(f"Ray could not be started. Its own last words: {words[:_WORDS_CHARS]}") from None
    except BaseException:
        stop()
        raise
    elsewhere = os.environ.get("RAY_ADDRESS", "").strip()
    return (f"RAY_ADDRESS names {elsewhere}, which was not joined: give --address for that.",) if elsewhere else ()


def stop() -> None:
    """Leave Ray; one of our own ends, and its folder goes with it."""
    import ray

    ray.shutdown()
    if _held:
        own, lock = _held.pop()
        shutil.rmtree(own, ignore_errors=True)
        os.close(lock)


def last_words(folder: Path | None = None) -> str:
    """What the processes of our own Ray complained of last ("": nothing)."""
    if folder is None and not _held:
        return ""
    logs = folder or _held[0][0]
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


# --- the folder ---------------------------------------------------------------------------------------------------


def _own_folder() -> Path:
    """A new folder for a Ray of this process, which holds it; those that nobody holds any more are cleared away. Raises
    BadInput."""
    refusals = []
    for place in dict.fromkeys((tempfile.gettempdir(), *_PLACES)):
        if len(place) > LONGEST - 20:
            refusals.append(f"{place} (its path is too long for a socket)")
            continue
        try:
            _clear(Path(place))
            made = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
            _held.append((made, _locked(made)))
            return made
        except OSError as error:
            refusals.append(f"{place} ({error.strerror})")
    raise BadInput(
        f"Ray finds no folder for its sockets: {', '.join(refusals)}. Set TMPDIR to a short one that is free."
    )


def _clear(place: Path) -> None:
    """Remove the folders that processes left behind which were killed: the kernel let their locks go."""
    for found in place.glob(f"{_PREFIX}*-*"):
        with contextlib.suppress(OSError):
            if found.stat().st_uid == os.getuid():
                lock = _locked(found)
                shutil.rmtree(found, ignore_errors=True)
                os.close(lock)


def _locked(folder: Path) -> int:
    """The folder, held until the descriptor is closed. Raises BlockingIOError where somebody has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


_held: list[tuple[Path, int]] = []
"""The folder of this process's own Ray, and its lock; at most one."""


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


def _show_token() -> None:
    """Show a cluster the token that this user has: `ray start` asks for it where there is one, and `ray.init` does not
    send it by itself. A cluster that asks for none is not troubled by it."""
    from ray._private.authentication import authentication_token_setup as setup

    level = setup.logger.level
    setup.logger.setLevel(logging.ERROR)  # it warns of what is as it should be
    setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    setup.logger.setLevel(level)


def _home() -> Path:
    return Path(__file__).resolve().parent.parent
