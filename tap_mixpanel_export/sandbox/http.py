"""A server of HTTP/1.1 on loopback, by hand because faults are about connections, too."""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Mapping
    from email.message import Message

LOOPBACK = "127.0.0.1"
_BACKLOG = 256
_OUT_OF_ORDER = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_MOST_HEADER_BYTES = 256 * 1024
_REQUEST_LINE_WORDS = 3


class BadRequestError(Exception):
    """What came is no HTTP request that the sandbox takes."""


class ApiError(Exception):
    """A request that is answered with an error.

    Args:
        status: HTTP status of the answer.
        text: What the answer says.
        headers: More headers of the answer.
    """

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{int(status)} {text}")
        self.status = int(status)
        self.text = text
        self.headers = dict(headers or {})

    def body(self, target: str) -> bytes:
        """Return the body of the answer.

        Args:
            target: Path and query of the request.
        """
        return json.dumps({"status": "error", "error": self.text, "request": target}).encode()


@dataclass(frozen=True, slots=True)
class Request:
    """A request without its body; exports have none.

    Attributes:
        method: HTTP method.
        target: Path and query as sent.
        headers: Headers, by name without regard to case.
    """

    method: str
    target: str
    headers: Message[str, str]


def read_requests(connection: socket.socket) -> Iterator[Request]:
    """Read one request after the other, until the client closes the connection.

    Raises:
        BadRequestError: It is not HTTP/1.1, or it is too long.
    """
    buffer = bytearray()
    while True:
        while (end := buffer.find(b"\r\n\r\n")) < 0:
            if len(buffer) > _MOST_HEADER_BYTES:
                raise BadRequestError
            received = connection.recv(65536)
            if not received:
                return
            buffer += received
        head = bytes(buffer[: end + 4])
        del buffer[: end + 4]
        first, _, rest = head.partition(b"\r\n")
        words = first.decode("latin-1").split(" ")
        if len(words) != _REQUEST_LINE_WORDS or words[2] != "HTTP/1.1":
            raise BadRequestError
        try:
            headers = http.client.parse_headers(io.BytesIO(rest))
        except http.client.HTTPException as error:
            raise BadRequestError from error
        yield Request(words[0], words[1], headers)


class Server:
    """Takes connections on a loopback port and has their requests answered.

    Args:
        answer: Answers one request on a connection; says whether that can take another one. It may
            raise `OSError` when the client has gone, and should stop waiting when `closing` is set.
        port: Port to listen on; 0 takes a free one.
        tls: Context for HTTPS; plain HTTP without it.

    Raises:
        OSError: The port is taken.
    """

    def __init__(
        self,
        answer: Callable[[Request, socket.socket], bool],
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.closing = threading.Event()
        self._answer = answer
        self._tls = tls
        self._lock = threading.Lock()
        self._conversations: dict[threading.Thread, socket.socket] = {}
        self._deaf_until = 0.0
        self._deaf = threading.Event()
        self._listener = self._listen(port)
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(
            # A program that forgets to stop the server ends all the same.
            target=self._accept,
            name="mixpanel-sandbox",
            daemon=True,
        )
        self._accepting.start()

    def refuse(self, seconds: float) -> None:
        """Refuse new connections for some seconds."""
        self._deaf_until = time.monotonic() + seconds
        self._wake()
        self._deaf.wait(timeout=1)

    def close(self) -> None:
        """Close every connection and end every thread."""
        self.closing.set()
        self._wake()
        self._accepting.join()
        with self._lock:
            conversations = dict(self._conversations)
        for connection in conversations.values():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in conversations:
            thread.join()

    def _listen(self, port: int) -> socket.socket:
        return socket.create_server((LOOPBACK, port), backlog=_BACKLOG)

    def _wake(self) -> None:
        # No other call ends a blocking accept() on every system.
        with suppress(OSError), socket.create_connection((LOOPBACK, self.port), timeout=1):
            pass

    def _accept(self) -> None:
        try:
            while not self.closing.is_set():
                connection, _ = self._listener.accept()
                silence = self._deaf_until - time.monotonic()
                if self.closing.is_set():
                    connection.close()
                elif silence > 0:
                    connection.close()
                    self._listener.close()
                    self._deaf.set()
                    if not self.closing.wait(silence):
                        self._listener = self._listen(self.port)
                    self._deaf.clear()
                else:
                    self._start_conversation(connection)
        finally:
            self._listener.close()

    def _start_conversation(self, connection: socket.socket) -> None:
        thread = threading.Thread(
            daemon=True,
            target=self._converse,
            args=(connection,),
            name="mixpanel-sandbox-connection",
        )
        with self._lock:
            self._conversations[thread] = connection
        thread.start()

    def _converse(self, connection: socket.socket) -> None:
        # A client that goes away in the middle, or speaks no TLS, is an everyday event for a
        # server.
        try:
            with suppress(OSError), self._secured(connection) as secured:
                self._serve(secured)
        finally:
            connection.close()
            with self._lock:
                self._conversations.pop(threading.current_thread(), None)

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            return connection
        secured = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        # From here on `connection` is empty: `close` must end this one, even in the middle of its
        # handshake.
        with self._lock:
            self._conversations[threading.current_thread()] = secured
        try:
            secured.do_handshake()
        except OSError:
            secured.close()
            raise
        return secured

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for request in read_requests(connection):
                if not self._answer(request, connection) or self.closing.is_set():
                    return
        except BadRequestError:
            connection.sendall(_OUT_OF_ORDER)
