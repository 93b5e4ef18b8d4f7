"""Sending the answer to one request, with every byte in hand, because the faults need it."""

from __future__ import annotations

import itertools
import socket
import struct
from contextlib import suppress
from http.client import responses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tap_mixpanel_export.sandbox.http import Server
    from tap_mixpanel_export.sandbox.request_log import LoggedRequest

OK = 200
_SIZES = (1, 10, 97, 1021, 8191, 65521, 16381, 131_071, 32_749, 262_139)
_STEADY = 5


class Transfer:
    """Sends the answer to one request, and says in the log what was sent.

    Any of its methods may raise `OSError`: the client has gone.

    Args:
        connection: To the client.
        entry: The log entry.
        server: Whose connection it is.

    Attributes:
        headers: Headers of the answer.
        parts: Its body as it should be on the wire.
        is_ended: Whether it was sent to its end, which the client can see.
    """

    def __init__(self, connection: socket.socket, entry: LoggedRequest, server: Server) -> None:
        self.entry = entry
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        self.is_ended = False
        self.refuse = server.refuse
        self.wait = server.closing.wait
        self._connection = connection

    @property
    def body(self) -> bytes:
        """The body in one piece."""
        return b"".join(self.parts)

    def send(self) -> None:
        """Send the answer, with status 200 and in chunks."""
        self.start()
        self.chunks(self.parts)
        self.end()

    def start(self, status: int = OK, *, version: str = "1.1", pause_seconds: float = 0) -> None:
        """Send the status line and the headers, with a pause before each if wanted."""
        self.entry.status = status
        self.entry.gzipped = "Content-Encoding" in self.headers
        first = f"HTTP/{version} {status} {responses.get(status, 'Unknown')}\r\n"
        lines = [first, *(f"{name}: {text}\r\n" for name, text in self.headers.items()), "\r\n"]
        if not pause_seconds:
            lines = ["".join(lines)]
        for line in lines:
            self._connection.sendall(line.encode("latin-1"))
            self.wait(pause_seconds)

    def chunks(self, parts: Iterable[bytes]) -> None:
        """Send parts of the body in chunks of many sizes."""
        for chunk in rechunk(parts):
            self.raw(chunk, b"%x\r\n" % len(chunk), b"\r\n")

    def half_chunk(self, data: bytes) -> None:
        """Send a part of the body in a chunk that is announced to be twice as long."""
        self.raw(data, b"%x\r\n" % (2 * len(data) + 2))

    def raw(self, data: bytes, before: bytes = b"", after: bytes = b"") -> None:
        """Send a part of the body, between bytes that are none of it."""
        self.entry.bytes_sent += len(data)
        self._connection.sendall(before + data + after)

    def end(self) -> None:
        """Send the chunk that ends the body."""
        self.is_ended = True
        self._connection.sendall(b"0\r\n\r\n")

    def reset(self) -> None:
        """Close the connection with a TCP reset, as when a host dies."""
        with suppress(OSError):
            self._connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        self._connection.close()


def rechunk(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a body anew in chunks of many sizes, whose borders mean nothing."""
    sizes = itertools.chain(_SIZES[:_STEADY], itertools.cycle(_SIZES[_STEADY:]))
    buffer = bytearray()
    size = next(sizes)
    for part in parts:
        buffer += part
        start = 0
        while len(buffer) - start >= size:
            yield bytes(buffer[start : start + size])
            start += size
            size = next(sizes)
        del buffer[:start]
    if buffer:
        yield bytes(buffer)
