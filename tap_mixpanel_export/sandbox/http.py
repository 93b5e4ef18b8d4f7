"""HTTP/1.1 on one connection, written by hand because the faults need every byte in hand."""

from __future__ import annotations

import http.client
import io
import itertools
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from email.message import Message

__all__ = ["BadRequestError", "Request", "Wire", "rechunk"]

_MOST_HEADER_BYTES = 256 * 1024
_SIZES = (1, 10, 97, 1021, 8191, 65521, 16381, 131_071, 32_749, 262_139)
_STEADY = 5
_REQUEST_LINE_WORDS = 3


class BadRequestError(Exception):
    """What came is no HTTP request that the sandbox takes."""


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


class Wire:
    """Reads requests from, and writes answers to, one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = bytearray()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self) -> Request | None:
        """Return the next request; `None` when the client has closed the connection.

        Raises:
            BadRequestError: It is not HTTP/1.1, or it is too long.
        """
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _MOST_HEADER_BYTES:
                raise BadRequestError
            received = self._connection.recv(65536)
            if not received:
                return None
            self._buffer += received
        head = bytes(self._buffer[: end + 4])
        del self._buffer[: end + 4]
        first, _, rest = head.partition(b"\r\n")
        words = first.decode("latin-1").split(" ")
        if len(words) != _REQUEST_LINE_WORDS or words[2] != "HTTP/1.1":
            raise BadRequestError
        try:
            headers = http.client.parse_headers(io.BytesIO(rest))
        except http.client.HTTPException as error:
            raise BadRequestError from error
        return Request(words[0], words[1], headers)

    def start(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Send the status line and the headers, and the body of a short answer."""
        reason = http.client.responses.get(status, "Unknown")
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {headers[name]}" for name in headers)]
        self._connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def chunk(self, data: bytes) -> None:
        """Send one chunk; none of no length, which would end the body."""
        if data:
            self._connection.sendall(b"%x\r\n%s\r\n" % (len(data), data))

    def half_chunk(self, data: bytes) -> None:
        """Announce a chunk twice as long as what is sent of it."""
        self._connection.sendall(b"%x\r\n%s" % (2 * len(data) + 2, data))

    def end(self) -> None:
        """Send the chunk that ends the body."""
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
