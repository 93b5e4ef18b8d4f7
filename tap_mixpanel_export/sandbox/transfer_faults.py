"""What goes wrong when an answer is sent: a function for each kind of fault.

Each takes the transfer, the headers, the parts of the body as they should be on the wire, and the
fault; it sends what the fault leaves of them, and says whether the connection can take another
request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_mixpanel_export.sandbox.http import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.sandbox.faults import Fault
    from tap_mixpanel_export.sandbox.transfer import Transfer

    Headers = dict[str, str]
    Send = Callable[[Transfer, Headers, list[bytes], Fault], bool]
    Before = Callable[[Transfer, Fault], bool]

_DRIPS = 20
_SLOW_HEADERS = 90
_MOST_HALF = 1000
_PARTIAL = 206
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# The last 8 bytes of a gzip member are checksum and length (RFC 1952).
_TRAILER = 8


def status(_transfer: Transfer, fault: Fault) -> bool:
    """Answer with a status other than 200.

    Raises:
        ApiError: Always, but for a partial answer, which has events.
    """
    if fault.status == _PARTIAL:
        return False
    headers = {}
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    if fault.status in _REDIRECTS:
        headers["Location"] = fault.text or "/login"
        raise ApiError(fault.status, "Moved", headers)
    raise ApiError(fault.status, fault.message, headers)


def refuse_where(_transfer: Transfer, fault: Fault) -> bool:
    """Refuse a query.

    Raises:
        ApiError: Always.
    """
    raise ApiError(400, fault.message)


def reset(transfer: Transfer, _fault: Fault) -> bool:
    """Reset the connection."""
    transfer.wire.reset()
    return True


def refuse(transfer: Transfer, fault: Fault) -> bool:
    """Refuse new connections, and reset this one."""
    transfer.refuse(fault.seconds)
    transfer.wire.reset()
    return True


def slow_start(transfer: Transfer, fault: Fault) -> bool:
    """Wait."""
    transfer.wait(fault.seconds)
    return False


def partial(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Send a share of the lines as a partial answer, where the fault says so."""
    body = b"".join(parts)
    cut = _line_end(body, fault)
    length = {"Content-Length": f"{cut}", "Content-Range": f"bytes 0-{max(cut - 1, 0)}/{len(body)}"}
    transfer.start({**_unframed(headers), **length}, fault.status)
    transfer.raw(body[:cut])
    return False


def reset_in_body(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Reset the connection in the middle."""
    transfer.start(headers)
    transfer.chunks([_cut(parts, fault)[0]])
    transfer.wire.reset()
    return False


def truncated_chunk(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Close in the middle of a chunk."""
    transfer.start(headers)
    kept, _ = _cut(parts, fault)
    half = min(len(kept), _MOST_HALF)
    transfer.chunks([kept[: len(kept) - half]])
    transfer.half_chunk(kept[len(kept) - half :])
    return False


def no_final_chunk(transfer: Transfer, headers: Headers, parts: list[bytes], _: Fault) -> bool:
    """Leave out the chunk that ends the body."""
    transfer.start(headers)
    transfer.chunks(parts)
    return False


def truncated_gzip(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Send a share of the gzip stream as if it were all."""
    transfer.start(headers)
    transfer.chunks([_cut(parts, fault)[0]])
    transfer.wire.end()
    return True


def corrupt_gzip(transfer: Transfer, headers: Headers, parts: list[bytes], _: Fault) -> bool:
    """Change the checksum."""
    body = bytearray(b"".join(parts))
    body[-_TRAILER] ^= 0xFF
    return transfer.send(headers, [bytes(body)])


def stall(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Be silent in the middle."""
    transfer.start(headers)
    kept, rest = _cut(parts, fault)
    transfer.chunks([kept])
    transfer.wait(fault.seconds)
    transfer.chunks([rest])
    transfer.wire.end()
    return True


def drip(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Send a few pieces with pauses in between."""
    return _in_pieces(transfer, headers, parts, fault, _DRIPS)


def drip_bytes(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Send bytes one by one with pauses in between."""
    return _in_pieces(transfer, headers, parts, fault, sum(map(len, parts)))


def drip_headers(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Send many headers with pauses in between."""
    more = {f"X-Slow-{number}": "on its way" for number in range(_SLOW_HEADERS)}
    transfer.start_slowly({**headers, **more}, fault.seconds)
    transfer.chunks(parts)
    transfer.wire.end()
    return True


def until_close(transfer: Transfer, headers: Headers, parts: list[bytes], _: Fault) -> bool:
    """Send all as HTTP/1.0 does: the body ends where the connection does."""
    transfer.start(_unframed(headers), version="1.0")
    transfer.raw(b"".join(parts))
    return False


def until_close_cut(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Send some lines as HTTP/1.0 does."""
    body = b"".join(parts)
    return until_close(transfer, headers, [body[: _line_end(body, fault)]], fault)


def short_length(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Send all, and say that it is less."""
    body = b"".join(parts)
    length = f"{_line_end(body, fault)}"
    transfer.start({**_unframed(headers), "Content-Length": length})
    transfer.raw(body)
    return False


def long_length(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Send some lines, and say that there are more."""
    body = b"".join(parts)
    transfer.start({**_unframed(headers), "Content-Length": f"{len(body)}"})
    transfer.raw(body[: _line_end(body, fault)])
    return False


def empty_first_chunk(transfer: Transfer, headers: Headers, parts: list[bytes], _: Fault) -> bool:
    """Begin with a chunk of no length, which ends the body."""
    # Or the client would take the rest for its next answer.
    transfer.start({**headers, "Connection": "close"})
    transfer.wire.end()
    transfer.chunks(parts)
    transfer.wire.end()
    return False


def _in_pieces(
    transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault, count: int
) -> bool:
    body = b"".join(parts)
    size = max(1, -(-len(body) // max(count, 1)))
    transfer.start(headers)
    for start in range(0, len(body), size):
        transfer.chunks([body[start : start + size]])
        transfer.wait(fault.seconds)
    transfer.wire.end()
    return True


def _cut(parts: list[bytes], fault: Fault) -> tuple[bytes, bytes]:
    body = b"".join(parts)
    # Something must be missing, even at a share of 1.
    cut = min(int(len(body) * fault.share), max(len(body) - 1, 0))
    return body[:cut], body[cut:]


def _line_end(body: bytes, fault: Fault) -> int:
    """Return where a share of the body ends with a line: nothing in the text tells of the rest."""
    kept, _ = _cut([body], fault)
    return kept.rfind(b"\n") + 1


def _unframed(headers: Headers) -> Headers:
    """Return headers that say nothing of where the body ends, but that the connection closes."""
    others = {name: value for name, value in headers.items() if name != "Transfer-Encoding"}
    return {**others, "Connection": "close"}
