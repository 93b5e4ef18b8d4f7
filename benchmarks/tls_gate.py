"""A proxy that takes the sandbox for the host that is asked for, TLS included.

For peers whose address of Mixpanel is fixed: they are pointed at it by `HTTPS_PROXY`, and trust its
authority. It runs in the process of the sandbox, which is not measured.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import socketserver
import ssl
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, cast

import trustme

if TYPE_CHECKING:
    from typing_extensions import Self

_PIECE_BYTES = 256 * 1024
_END_OF_HEAD = b"\r\n\r\n"


class TlsGate:
    """A context manager: leads to one port while it is open.

    Args:
        port: Of the sandbox, on this machine.
        host: Whose certificate it shows.
    """

    def __init__(self, port: int, host: str = "data.mixpanel.com") -> None:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(host).configure_cert(context)
        self._folder = Path(tempfile.mkdtemp())
        trusted = self._folder / "authority.pem"
        authority.cert_pem.write_to_path(trusted)
        self._server = _Server(port, context)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        own_port = self._server.server_address[1]
        self.environment = {
            "HTTPS_PROXY": f"http://127.0.0.1:{own_port}",
            "SSL_CERT_FILE": str(trusted),
            "REQUESTS_CA_BUNDLE": str(trusted),
        }
        """Variables that lead a peer through it."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        shutil.rmtree(self._folder)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.port = port
        self.context = context


class _Tunnel(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        """Show the certificate behind `CONNECT`, and pass on what is said inside."""
        server = cast("_Server", self.server)
        head = b""
        while _END_OF_HEAD not in head:
            if not (piece := self.request.recv(4096)):
                return
            head += piece
        self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        # A client that goes away is an everyday event.
        with contextlib.suppress(OSError):
            inside = server.context.wrap_socket(self.request, server_side=True)
            with inside, socket.create_connection(("127.0.0.1", server.port)) as sandbox:
                back = threading.Thread(target=_pass_on, args=(sandbox, inside), daemon=True)
                back.start()
                _pass_on(inside, sandbox)
                back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            target.sendall(piece)
    # The other direction ends with this one.
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
