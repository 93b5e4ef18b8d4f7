"""Connections on which nobody can keep a run waiting byte by byte, or end an answer too early.

A socket's own timeout is that of a silence: a header a second, or a byte a second, never meets it.
And the HTTP library leaves alone what follows an answer: a length that is too short, or an empty
chunk in front of the others, would make less of the answer than was sent.
"""

from __future__ import annotations

import io
import time
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HeaderParsingError
from urllib3.util.response import assert_header_parsing

if TYPE_CHECKING:
    import socket

    from urllib3 import PoolManager

FLOOR_BYTES = 1024
"""What has to come within each timeout: all headers, then so much of the body each time. With the
default of 300 s that is 3.4 bytes a second: an event every two minutes, which a query that finds
little may take, is faster."""


# How long to wait for what may follow an answer: for the end of the connection where the service is
# to close it, and for the rest of an answer that seems to be empty. Others are not waited for.
_CLOSE_SECONDS = 1.0
_EMPTY_SECONDS = 0.05


class SlowTransferError(TimeoutError):
    """Bytes came, but fewer than `FLOOR_BYTES` within the timeout."""


class FramingError(HTTPException):
    """Headers that cannot be read, or a chunk that says that it has less than no bytes."""


class LeftoverError(HTTPException):
    """Bytes follow the end of an answer, though nothing else was asked for."""


class _PacedReader(io.RawIOBase):
    """Reads a socket, and measures how long it has waited for what came."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._socket = sock
        self._timeout = sock.gettimeout()
        self.is_at_end = False
        self.restart()

    def has_more(self, seconds: float) -> bool:
        """Whether something can be read within some seconds."""
        self._socket.settimeout(seconds)
        try:
            return bool(self._raw.readinto(bytearray(1)))
        except OSError:
            # With TLS, that there is nothing is an error, too.
            return False
        finally:
            self._socket.settimeout(self._timeout)

    def restart(self) -> None:
        """Begin a new interval."""
        self._waited = 0.0
        self._received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.is_at_end:
            return None
        # Only the time spent here counts: not what a busy machine takes for the bytes before.
        began = time.monotonic()
        count = self._raw.readinto(buffer)
        self._waited += time.monotonic() - began
        self._received += count or 0
        if self._received >= FLOOR_BYTES:
            self.restart()
        elif count and self._timeout is not None and self._waited > self._timeout:
            raise SlowTransferError
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _Buffer(io.BufferedReader):
    """Looks behind the end of an answer when it is closed there."""

    def __init__(self, reader: _PacedReader) -> None:
        super().__init__(reader)
        self._reader = reader
        self._has_text = False
        self.is_given_up = False
        self.will_close = False

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            # The HTTP library takes any number for the length of a chunk.
            raise FramingError
        data = super().read(size)
        # What ends a chunk is read apart from it.
        self._has_text = self._has_text or data not in {b"", b"\r\n"}
        return data

    def readinto(self, buffer: Any, /) -> int:
        count = super().readinto(buffer)
        self._has_text = self._has_text or count > 0
        return count

    def close(self) -> None:
        if self.closed or self.is_given_up:
            super().close()
            return
        self._reader.is_at_end = True
        wait = _CLOSE_SECONDS if self.will_close else 0 if self._has_text else _EMPTY_SECONDS
        has_more = bool(self.peek(1)) or self._reader.has_more(wait)
        super().close()
        if has_more:
            raise LeftoverError


class _PacedResponse(HTTPResponse):
    """An HTTP response whose headers and body keep up a pace, and that ends where it says."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # What `socket.makefile` made is unbuffered below: nothing has been read yet.
        self._reader = _PacedReader(self.fp.detach(), sock)
        self._buffer = _Buffer(self._reader)
        self.fp = self._buffer

    def close(self) -> None:
        """Close it before its end; the HTTP library closes what it has read to the end itself."""
        self._buffer.is_given_up = True
        super().close()

    def begin(self) -> None:
        super().begin()
        try:
            assert_header_parsing(self.msg)
        except HeaderParsingError:
            # Those behind are lost, and with them perhaps how the body is sent. urllib3 warns only.
            raise FramingError from None
        self._buffer.will_close = self.will_close
        self._reader.restart()


class _PacedHTTPPool(HTTPConnectionPool):
    class ConnectionCls(HTTPConnection):
        response_class = _PacedResponse


class _PacedHTTPSPool(HTTPSConnectionPool):
    class ConnectionCls(HTTPSConnection):
        response_class = _PacedResponse


class PacedAdapter(HTTPAdapter):
    """Has `requests` read from paced connections, those through a proxy included."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _pace(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> PoolManager:
        """Make the pools of connections through a proxy."""
        manager: PoolManager = super().proxy_manager_for(proxy, **kwargs)
        _pace(manager)
        return manager


def _pace(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _PacedHTTPPool, "https": _PacedHTTPSPool}
