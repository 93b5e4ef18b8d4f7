"""What a run and its worker processes say to each other, through a socket that only they have.

For each response the run says how it is to be read (`TASK`), passes its bytes on as they come
(`BYTES`), and ends with `END` or, when there will be no more, with `ABORT`. The worker gives one
reply, at the end or as soon as it has found an error.
"""

from __future__ import annotations

import copyreg
import io
import os
import pickle
import socket
import struct
from types import MappingProxyType
from typing import Any

PARTS = b"p"
TASK = b"t"
BYTES = b"b"
END = b"e"
ABORT = b"a"
READY = b"r"
RESULT = b"s"
"""The records lie in a file, whose descriptor comes along, or in the reply itself."""
ERROR = b"x"
ABORTED = b"n"
"""Nothing was wrong as far as it came."""

_HEADER = struct.Struct("<cQ")
_PROTOCOL = 5

# Of the transfer: what a worker may be behind without its run having to wait.
_BUFFER_BYTES = 256 * 1024


class ConnectionLostError(Exception):
    """The other process is gone."""


class Wire:
    """One end of a connection; for one thread at a time.

    Args:
        sock: A connected Unix socket.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)

    def send(self, kind: bytes, payload: bytes = b"", descriptor: int | None = None) -> None:
        """Send a message; waits while the other end is busy.

        Raises:
            ConnectionLostError: The other process is gone.
        """
        header = _HEADER.pack(kind, len(payload))
        try:
            if descriptor is None:
                self._socket.sendall(header + payload)
                return
            sent = socket.send_fds(self._socket, [header], [descriptor])
            self._socket.sendall(header[sent:] + payload)
        except OSError as error:
            raise ConnectionLostError from error

    def receive(self) -> tuple[bytes, bytes, int | None]:
        """Wait for a message.

        Returns:
            Its kind, its payload, and the descriptor that came along, if any.

        Raises:
            ConnectionLostError: The other process is gone.
        """
        try:
            header, descriptors, _, _ = socket.recv_fds(self._socket, _HEADER.size, 1)
            if not header:
                raise ConnectionLostError
            header += self._exactly(_HEADER.size - len(header))
            kind, length = _HEADER.unpack(header)
            payload = self._exactly(length)
        except OSError as error:
            raise ConnectionLostError from error
        for descriptor in descriptors:
            # Programs that a run may start are not to have it.
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - takes no keyword
        return kind, payload, descriptors[0] if descriptors else None

    def _exactly(self, count: int) -> bytes:
        buffer = bytearray(count)
        view = memoryview(buffer)
        while view:
            received = self._socket.recv_into(view)
            if not received:
                raise ConnectionLostError
            view = view[received:]
        return bytes(buffer)

    def has_message(self) -> bool:
        """Whether a message has come.

        Raises:
            ConnectionLostError: The other process is gone.
        """
        try:
            if self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                return True
        except BlockingIOError:
            return False
        except OSError as error:
            raise ConnectionLostError from error
        raise ConnectionLostError

    def interrupt(self) -> None:
        """Wake up whoever waits at either end, from any thread: the connection is lost."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            # It was lost before.
            return

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def _frozen(members: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(members)


class _Pickler(pickle.Pickler):
    # Mappings that nobody may change, which pickle does not know.
    dispatch_table = {  # noqa: RUF012 - read by name
        **copyreg.dispatch_table,
        MappingProxyType: lambda mapping: (_frozen, (dict(mapping),)),
    }


def dumps(value: Any) -> bytes:
    """A value for the other process."""
    buffer = io.BytesIO()
    _Pickler(buffer, _PROTOCOL).dump(value)
    return buffer.getvalue()


def loads(payload: bytes) -> Any:
    """A value of the other process, which nobody else can have sent."""
    return pickle.loads(payload)  # noqa: S301 - see above
