"""Sending the answer to one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_mixpanel_export.sandbox.http import rechunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from threading import Event as Signal

    from tap_mixpanel_export.sandbox.http import Wire
    from tap_mixpanel_export.sandbox.request_log import LoggedRequest

OK = 200


class Transfer:
    """Sends the answer to one request, and counts its bytes.

    Args:
        wire: The connection.
        entry: The log entry that counts the bytes.
        closing: Ends every waiting when set.
        refuse: Makes the server refuse connections for some seconds.
    """

    def __init__(
        self, wire: Wire, entry: LoggedRequest, closing: Signal, refuse: Callable[[float], None]
    ) -> None:
        self.wire = wire
        self.refuse = refuse
        self._entry = entry
        self._closing = closing

    def send(self, headers: Mapping[str, str], parts: Iterable[bytes]) -> bool:
        """Send an answer of status 200 in chunks.

        Args:
            headers: Its headers.
            parts: Its body as it should be on the wire.

        Returns:
            Whether the connection can take another request.

        Raises:
            OSError: The client has gone.
        """
        self.start(headers)
        self.chunks(parts)
        self.wire.end()
        return "Connection" not in headers

    def start(self, headers: Mapping[str, str], status: int = OK, *, version: str = "1.1") -> None:
        """Send the status line and the headers."""
        self._entry.status = status
        self.wire.start(status, headers, version=version)

    def start_slowly(self, headers: Mapping[str, str], seconds: float) -> None:
        """Send the status line and the headers, with a pause before each."""
        self._entry.status = OK
        self.wire.start_slowly(OK, headers, lambda: self.wait(seconds))

    def chunks(self, parts: Iterable[bytes]) -> None:
        """Send parts of the body in chunks of many sizes."""
        for chunk in rechunk(parts):
            self._entry.bytes_sent += len(chunk)
            self.wire.chunk(chunk)

    def half_chunk(self, data: bytes) -> None:
        """Send a part of the body that is half of the chunk it is in."""
        self._entry.bytes_sent += len(data)
        self.wire.half_chunk(data)

    def raw(self, data: bytes) -> None:
        """Send a part of the body without chunks."""
        self._entry.bytes_sent += len(data)
        self.wire.raw(data)

    def wait(self, seconds: float) -> None:
        """Wait, unless the server is closed."""
        self._closing.wait(seconds)
