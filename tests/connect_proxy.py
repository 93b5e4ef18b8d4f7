"""A small HTTP proxy that only tunnels (CONNECT), as a company's proxy does for HTTPS."""

from __future__ import annotations

import base64
import select
import socket
import socketserver
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_HEADERS = 65_536


class ConnectProxy(socketserver.ThreadingTCPServer):
    """Listens on a free loopback port.

    Args:
        login: `user:password` that it asks for; none if missing.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, login: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.login = login
        self.asked: list[str] = []
        """Hosts and ports that were asked for."""
        self.seen = bytearray()
        """All that it was told or passed on to a host."""

    @property
    def address(self) -> str:
        """Host and port."""
        host, port = self.server_address[:2]
        return f"{host}:{port}"

    def admits(self, headers: bytes) -> bool:
        if self.login is None:
            return True
        expected = base64.b64encode(self.login.encode())
        return b"proxy-authorization: basic " + expected.lower() in headers.lower()


class _Tunnel(socketserver.BaseRequestHandler):
    server: ConnectProxy

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _MOST_HEADERS:
            piece = self.request.recv(4096)
            if not piece:
                return
            head += piece
        self.server.seen += head
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        self.server.asked.append(target)
        if method != "CONNECT":
            self.request.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
        elif not self.server.admits(head):
            self.request.sendall(
                b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                b'Proxy-Authenticate: Basic realm="company"\r\nContent-Length: 0\r\n\r\n'
            )
        else:
            host, _, port = target.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=10) as beyond:
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._pass_on(beyond)

    def _pass_on(self, beyond: socket.socket) -> None:
        ends = {self.request: beyond, beyond: self.request}
        while True:
            ready, _, _ = select.select(list(ends), [], [], 30)
            for end in ready:
                try:
                    piece = end.recv(65_536)
                    ends[end].sendall(piece)
                except OSError:
                    piece = b""
                if not piece:
                    return
                if end is self.request:
                    self.server.seen += piece


@contextmanager
def connect_proxy(login: str | None = None) -> Iterator[ConnectProxy]:
    """Run a proxy for the time of the context."""
    with ConnectProxy(login) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
