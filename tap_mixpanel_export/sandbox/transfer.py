"""Sending a body in chunks, with what can go wrong on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_mixpanel_export.sandbox.http import rechunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from threading import Event as Signal

    from tap_mixpanel_export.sandbox.faults import Fault
    from tap_mixpanel_export.sandbox.http import Wire
    from tap_mixpanel_export.sandbox.request_log import LoggedRequest

__all__ = ["Transfer"]

_OK = 200
_DRIPS = 20
_CUT_KINDS = frozenset({"reset_in_body", "truncated_chunk", "truncated_gzip", "stall"})
# The last 8 bytes of a gzip member are checksum and length (RFC 1952).
_TRAILER = 8


class Transfer:
    """Sends the answer to one request.

    Args:
        wire: The connection.
        entry: The log entry that counts the bytes.
        closing: Ends every waiting when set.
        refuse: Makes the server refuse connections for some seconds.
    """

    def __init__(
        self, wire: Wire, entry: LoggedRequest, closing: Signal, refuse: Callable[[float], None]
    ) -> None:
        self._wire = wire
        self._entry = entry
        self._closing = closing
        self._refuse = refuse

    def refused(self, fault: Fault) -> bool:
        """Apply a fault that comes before the headers; say whether there will be none."""
        if fault.kind == "slow_start":
            self._closing.wait(fault.seconds)
        if fault.kind not in {"reset", "refuse"}:
            return False
        if fault.kind == "refuse":
            self._refuse(fault.seconds)
        self._wire.reset()
        return True

    def send(self, headers: Mapping[str, str], parts: Iterable[bytes], fault: Fault | None) -> bool:
        """Send an answer of status 200.

        Args:
            headers: Its headers.
            parts: Its body as it should be on the wire.
            fault: What goes wrong, if anything.

        Returns:
            Whether the connection can take another request.

        Raises:
            OSError: The client has gone.
        """
        self._entry.status = _OK
        self._wire.start(_OK, headers)
        if fault is not None and fault.kind in _CUT_KINDS:
            return self._send_cut(b"".join(parts), fault)
        if fault is not None and fault.kind == "drip":
            return self._drip(b"".join(parts), fault.seconds)
        if fault is not None and fault.kind == "corrupt_gzip":
            body = bytearray(b"".join(parts))
            body[-_TRAILER] ^= 0xFF
            parts = [bytes(body)]
        self._chunks(parts)
        if fault is not None and fault.kind == "no_final_chunk":
            return False
        self._wire.end()
        return "Connection" not in headers

    def _send_cut(self, body: bytes, fault: Fault) -> bool:
        # Something must be missing, even at a share of 1.
        cut = min(int(len(body) * fault.share), max(len(body) - 1, 0))
        if fault.kind == "truncated_chunk":
            half = min(cut, 1000)
            self._chunks([body[: cut - half]])
            self._entry.bytes_sent += half
            self._wire.half_chunk(body[cut - half : cut])
            return False
        self._chunks([body[:cut]])
        if fault.kind == "reset_in_body":
            self._wire.reset()
            return False
        if fault.kind == "stall":
            self._closing.wait(fault.seconds)
            self._chunks([body[cut:]])
        self._wire.end()
        return True

    def _drip(self, body: bytes, seconds: float) -> bool:
        size = max(1, -(-len(body) // _DRIPS))
        for start in range(0, len(body), size):
            self._chunks([body[start : start + size]])
            self._closing.wait(seconds)
        self._wire.end()
        return True

    def _chunks(self, parts: Iterable[bytes]) -> None:
        for chunk in rechunk(parts):
            self._entry.bytes_sent += len(chunk)
            self._wire.chunk(chunk)
