"""Where keys rest: a user's own files, outside of every data folder.

`keys.json` holds each server's key and secret headers, for this user's eyes alone; `servers.json` beside it the
addresses that the user typed or allowed, and no key. They lie in ~/.config/palimpsest ($XDG_CONFIG_HOME), or where
$PALIMPSEST_KEYS says.

Rules. (1) A file of keys that others can read is mended, with a word, or refused. (2) A file is written whole or not at
all. (3) What cannot be read is an error that says what to do, and holds nothing of what is in the file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from palimpsest.events.addresses import address_of
from palimpsest.events.errors import BadInput
from palimpsest.store.folder import expanded
from palimpsest.store.keys.keys import Access, Credentials, Keys, Trusted, checked, keys_in, merged

PLACE: Final = "PALIMPSEST_KEYS"
LOOK_S: Final = 0.2
"""How often a process that asks servers looks whether the files have changed: it was a twentieth of each request."""
_OTHERS: Final = 0o077
_T = TypeVar("_T")


class _KeyFile(msgspec.Struct, frozen=True):
    servers: tuple[Credentials, ...] = ()


class KeyFiles:
    """One user's two files. `notes` has what was mended, in lines for the user."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        """Of the file of keys; None: this user has no home, and so none."""
        self.notes: list[str] = []

    @property
    def servers_path(self) -> Path | None:
        return self.path.with_name("servers.json") if self.path else None

    def servers(self) -> tuple[Credentials, ...]:
        """Those that have keys. Raises BadInput where the file cannot be used as it is."""
        if self.path is None or not self._is_private(self.path):
            return ()
        return tuple(checked(server) for server in read(self.path, _KeyFile, _KeyFile()).servers)

    def trusted(self) -> Trusted:
        return read(self.servers_path, Trusted, Trusted()) if self.servers_path else Trusted()

    def keep(self, server: Credentials) -> None:
        """Keep a server's key or header; what the server has besides stays."""
        with self._writing() as path:
            there = {each.url: each for each in self.servers()}
            before = there.get(server.url, server)
            there[server.url] = replace(
                checked(server), key=server.key or before.key, headers={**before.headers, **server.headers}
            )
            write_whole(path, _KeyFile(tuple(there.values())))

    def remove(self, url: str) -> bool:
        """Forget all that is known of an address: its key, and that it was typed or allowed. Whether there was any."""
        with self._writing() as path:
            servers, trusted = self.servers(), self.trusted()
            kept = tuple(each for each in servers if not _same(each.url, url))
            typed = tuple(each for each in trusted.typed if not _same(each, url))
            allowed = tuple(each for each in trusted.allowed if not _same(each, url))
            write_whole(path, _KeyFile(kept))
            write_whole(path.with_name("servers.json"), replace(trusted, typed=typed, allowed=allowed))
        return (kept, typed, allowed) != (servers, trusted.typed, trusted.allowed)

    def remember(self, *, typed: tuple[str, ...] = (), allowed: tuple[str, ...] = (), now_ms: int = 0) -> None:
        """Remember addresses that the user typed or allowed, without a secret in them. Writes nothing that is there."""

        def added(before: Trusted) -> Trusted:
            return Trusted(
                since_ms=before.since_ms or now_ms,
                typed=tuple(dict.fromkeys((*before.typed, *map(_address, typed)))),
                allowed=tuple(dict.fromkeys((*before.allowed, *map(_address, allowed)))),
            )

        if added(self.trusted()) != self.trusted():
            with self._writing() as path:
                write_whole(path.with_name("servers.json"), added(self.trusted()))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Path]:
        """The file's path, in a folder that is there, held against whoever writes it too. Raises BadInput."""
        if self.path is None:
            raise BadInput(
                f"There is no place for keys: this user has no home folder. Set HOME, or {PLACE} to a file for them."
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            raise _not_written(self.path, error) from None
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield self.path
            os.fsync(folder)
        except OSError as error:
            raise _not_written(self.path, error) from None
        finally:
            os.close(folder)

    def _is_private(self, path: Path) -> bool:
        """Whether the file is there; this user's alone, or made so. Raises BadInput."""
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise BadInput(f"{path} is no file, and so none of keys: set {PLACE} to one, or remove what is there.")
            if found.st_mode & _OTHERS:
                path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
                self.notes.append(f"Others could read the keys in {path}: now it is this user's alone (mode 600).")
        except FileNotFoundError:
            return False
        except OSError as error:
            raise BadInput(
                f"The keys in {path} cannot be used: {error.strerror}. It is to be a file that this user alone can "
                f"read: `chmod 600` it, or set {PLACE} to another."
            ) from None
        return True


def key_files(environ: Mapping[str, str]) -> KeyFiles:
    """This user's, by what the environment says."""
    if environ.get(PLACE, "").strip():
        return KeyFiles(expanded(Path(environ[PLACE].strip())).absolute())
    folder = config_folder(environ)
    return KeyFiles(folder / "keys.json" if folder else None)


def config_folder(environ: Mapping[str, str]) -> Path | None:
    """Where a user's own files lie, whatever the data folder; None: this user has no home."""
    try:
        folder = Path(environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    except RuntimeError:  # no HOME, and no entry of this user's that names one
        return None
    return folder / "palimpsest" if folder.is_absolute() else None


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """What one process hands to another that asks servers: all that is known, and where it may be read anew."""

    environment: Keys = Keys()
    filed: Keys = Keys()
    path: str = ""

    def __repr__(self) -> str:
        return "Handed(…)"


def handed(environ: Mapping[str, str], *, imported: tuple[str, ...] = (), typed: tuple[str, ...] = ()) -> Handed:
    """What this user has now; `typed` counts beside what is remembered. Raises BadInput where a file or a variable
    cannot be used."""
    files = key_files(environ)
    said = replace(keys_in(environ), imported=imported, trusted=Trusted(typed=typed))
    filed = Keys(servers=files.servers(), trusted=files.trusted())
    return Handed(environment=said, filed=filed, path=str(files.path) if files.path else "")


class LiveKeys:
    """The keys of a process that asks servers, as they are at each moment: a file that changes is read again."""

    def __init__(self, given: Handed) -> None:
        self._given = given
        self._files = KeyFiles(Path(given.path) if given.path else None)
        self._stamp: tuple[object, ...] = ()
        self._looked = -LOOK_S
        self._keys = merged(given.filed, given.environment)
        self._asked: dict[str, tuple[Access, str]] = {}
        self._seen: set[str] = self._keys.secrets()

    def take(self, more: Handed) -> None:
        """Know also what somebody else hands over."""
        environment = merged(self._given.environment, more.environment)
        self._given = replace(self._given, environment=environment, filed=merged(self._given.filed, more.filed))
        self._stamp, self._looked = (), -LOOK_S
        self._now()

    def access(self, url: str) -> tuple[Access, str]:
        """What goes along with a request, and why nothing may be sent there ("": it may). Raises BadInput where the
        files cannot be read."""
        keys = self._now()
        if url not in self._asked:
            self._asked[url] = keys.access(url), keys.refusal(url)
        return self._asked[url]

    def secrets(self) -> set[str]:
        """All that were ever known: what a server quotes may be a key of before."""
        return self._seen

    def _now(self) -> Keys:
        if time.monotonic() < self._looked + LOOK_S:
            return self._keys
        stamp = (_stamp(self._files.path), _stamp(self._files.servers_path))
        if stamp != self._stamp:
            filed = self._given.filed
            if stamp[0] and _is_readable(self._files.path):
                filed = replace(filed, servers=self._files.servers())
            if stamp[1] and _is_readable(self._files.servers_path):
                filed = replace(filed, trusted=self._files.trusted())
            self._keys = merged(filed, self._given.environment)
            self._stamp = stamp
            self._asked.clear()
            self._seen = self._seen | self._keys.secrets()
        self._looked = time.monotonic()
        return self._keys


# --- bytes --------------------------------------------------------------------------------------------------------


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    """What changes with a file; None: there is none here."""
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ino, found.st_size) if found else None


def _is_readable(path: Path | None) -> bool:
    """A cluster's processes may be another user's: they keep to what they were handed."""
    return path is not None and os.access(path, os.R_OK)


def read(path: Path, kind: type[_T], none: _T) -> _T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return none
    except OSError as error:
        why = error.strerror or type(error).__name__
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        why = str(error)
    raise BadInput(
        f"{path} cannot be read: {why}. Mend it, or remove it and give anew what was in it: `palimpsest keys`."
    )


def write_whole(path: Path, content: msgspec.Struct) -> None:
    put_whole(path, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


def put_whole(path: Path, data: bytes) -> None:
    """Whole or not at all, for this user alone from its first byte on."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def _not_written(path: Path, error: OSError) -> BadInput:
    return BadInput(
        f"{path} cannot be written: {error.strerror}. Mend its folder's rights, or set {PLACE} to a file elsewhere."
    )


def _address(url: str) -> str:
    return str(address_of(url) or url)


def _same(one: str, other: str) -> bool:
    return address_of(one) == address_of(other)
