"""A line to a PostgreSQL server that is cut, or held, at a COMMIT: what a network may do at the worst moment."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from typing import Literal

Where = Literal["before", "sent", "answered", "held"]
"""The server has all but the COMMIT; it was sent the COMMIT, too; it has answered it, and the answer is lost; or it has
all but the COMMIT and the line stays, silent."""

_COMMIT = b"COMMIT\0"
"""As a statement that is sent, and as what is answered when it is done."""
_SESSIONS_NUMBER = re.compile(rb"(K\x00\x00\x00.)....", re.DOTALL)
_BEFORE_ITS_TEXT = 6
"""A message's kind, its length, and the empty name of a statement."""


class CutLine:
    """Listens at `port`; what connects is connected to the server's."""

    def __init__(self, server_port: int, *, pooled: bool = False) -> None:
        """`pooled`: sessions have other numbers here than on the server, as a pooler's have."""
        self._pooled = pooled
        self.refuses = False
        """Whether nothing more is let through."""
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._cut_at: list[Where] = []
        self._open: list[socket.socket] = []
        self.at_commit = threading.Event()
        """Set when a line was cut, or is held."""
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_at(self, *where: Where) -> None:
        """Cut at the next COMMITs, each at one."""
        self.at_commit.clear()
        self._cut_at = list(where)

    def cut_now(self) -> None:
        lines, self._open = self._open, []
        for line in lines:
            _end(line)

    def close(self) -> None:
        _end(self._listener)
        self.cut_now()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it is closed
            while True:
                client, _ = self._listener.accept()
                if self.refuses:
                    _end(client)
                    continue
                server = socket.create_connection(("127.0.0.1", self._server_port))
                self._open += [client, server]
                threading.Thread(target=self._up, args=(client, server), daemon=True).start()
                threading.Thread(target=self._down, args=(server, client), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        """From the client to the server."""
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 20):
                at = data.find(_COMMIT)
                where = self._cut_at[0] if self._cut_at and at >= 0 else "answered"
                if where == "answered":
                    server.sendall(data)
                    continue
                self._cut_at.pop(0)
                server.sendall(data if where == "sent" else data[: at - _BEFORE_ITS_TEXT])
                self.at_commit.set()
                if where != "held":
                    break
                return
        _end(client, server)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        """From the server to the client."""
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 20):
                if self._pooled:
                    data = _SESSIONS_NUMBER.sub(lambda found: found[1] + b"\0\0\0\1", data)
                if self._cut_at[:1] == ["answered"] and _COMMIT in data:
                    self._cut_at.pop(0)
                    self.at_commit.set()
                    break
                client.sendall(data)
        _end(client, server)


def _end(*lines: socket.socket) -> None:
    for line in lines:
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
        line.close()
