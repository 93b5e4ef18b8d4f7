"""What goes wrong when an answer is sent: a function for each kind of fault.

Each takes the transfer, the headers, the parts of the body as they should be on the wire, and the
fault; it sends what the fault leaves of them, and says whether the connection can take another
request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_mixpanel_export.sandbox.content_faults import LAST, last_words
from tap_mixpanel_export.sandbox.fault_kinds import KINDS, Kind, sends
from tap_mixpanel_export.sandbox.http import ApiError

if TYPE_CHECKING:
    from tap_mixpanel_export.sandbox.fault_kinds import Headers
    from tap_mixpanel_export.sandbox.faults import Fault
    from tap_mixpanel_export.sandbox.transfer import Transfer

_DRIPS = 20
_SLOW_HEADERS = 90
_MOST_HALF = 1000
_PARTIAL = 206
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# The last 8 bytes of a gzip member are checksum and length (RFC 1952).
_TRAILER = 8


@sends(gzip=False)
def status(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Answers with `status` (206: and `share` of the events; 301, 302: sends to `text`).

    Raises:
        ApiError: Always, but for a partial answer.
    """
    if fault.status == _PARTIAL:
        body = b"".join(parts)
        cut = _line_end(body, fault)
        range_ = f"bytes 0-{max(cut - 1, 0)}/{len(body)}"
        length = {"Content-Length": f"{cut}", "Content-Range": range_}
        transfer.start({**_unframed(headers), **length}, fault.status)
        transfer.raw(body[:cut])
        return False
    more = {}
    if fault.retry_after is not None:
        more["Retry-After"] = str(fault.retry_after)
    if fault.status in _REDIRECTS:
        more["Location"] = fault.text or "/login"
        raise ApiError(fault.status, "Moved", more)
    raise ApiError(fault.status, fault.message, more)


@sends(text="mp_processing_time_ms")
def refuse_where(_: Transfer, _headers: Headers, _parts: list[bytes], fault: Fault) -> bool:
    """400 to any query whose `where` contains `text`.

    Raises:
        ApiError: Always.
    """
    raise ApiError(400, fault.message)


@sends()
def refuse(transfer: Transfer, _headers: Headers, _parts: list[bytes], fault: Fault) -> bool:
    """Resets the connection and refuses new ones for `seconds`."""
    transfer.refuse(fault.seconds)
    transfer.reset()
    return False


@sends()
def reset(transfer: Transfer, _headers: Headers, _parts: list[bytes], _: Fault) -> bool:
    """Resets the connection before the headers."""
    transfer.reset()
    return False


@sends()
def reset_in_body(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Resets the connection after `share` of the body."""
    transfer.start(headers)
    transfer.chunks([_cut(parts, fault)[0]])
    transfer.reset()
    return False


@sends()
def truncated_chunk(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Closes the connection in the middle of a chunk, after `share` of the body."""
    transfer.start(headers)
    kept, _ = _cut(parts, fault)
    half = min(len(kept), _MOST_HALF)
    transfer.chunks([kept[: len(kept) - half]])
    transfer.half_chunk(kept[len(kept) - half :])
    return False


@sends()
def no_final_chunk(transfer: Transfer, headers: Headers, parts: list[bytes], _: Fault) -> bool:
    """Sends everything but the chunk that ends the body, and closes."""
    transfer.start(headers)
    transfer.chunks(parts)
    return False


@sends()
def empty_first_chunk(transfer: Transfer, headers: Headers, parts: list[bytes], _: Fault) -> bool:
    """Sends the chunk that ends the body first."""
    # Or the client would take the rest for its next answer.
    transfer.start({**headers, "Connection": "close"})
    transfer.end()
    transfer.chunks(parts)
    transfer.end()
    return False


@sends(gzip=True)
def truncated_gzip(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Ends a well-formed transfer after `share` of the gzip stream."""
    return transfer.send(headers, [_cut(parts, fault)[0]])


@sends(gzip=True)
def corrupt_gzip(transfer: Transfer, headers: Headers, parts: list[bytes], _: Fault) -> bool:
    """Sends a gzip stream with a wrong checksum."""
    body = bytearray(b"".join(parts))
    body[-_TRAILER] ^= 0xFF
    return transfer.send(headers, [bytes(body)])


@sends(gzip=False)
def until_close(transfer: Transfer, headers: Headers, parts: list[bytes], _: Fault) -> bool:
    """Answers as HTTP/1.0: plain, ended by the end of the connection only."""
    transfer.start(_unframed(headers), version="1.0")
    transfer.raw(b"".join(parts))
    return False


@sends(gzip=False)
def until_close_cut(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """The same, ended with a line after `share` of the body."""
    body = b"".join(parts)
    return until_close(transfer, headers, [body[: _line_end(body, fault)]], fault)


@sends(gzip=False)
def short_length(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Sends all, plain, with a `Content-Length` that ends with a line after `share`."""
    body = b"".join(parts)
    length = f"{_line_end(body, fault)}"
    transfer.start({**_unframed(headers), "Content-Length": length})
    transfer.raw(body)
    return False


@sends(gzip=False)
def long_length(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Ends with a line after `share`, with the `Content-Length` of all."""
    body = b"".join(parts)
    transfer.start({**_unframed(headers), "Content-Length": f"{len(body)}"})
    transfer.raw(body[: _line_end(body, fault)])
    return False


@sends()
def slow_start(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Is silent for `seconds` before the headers."""
    transfer.wait(fault.seconds)
    return transfer.send(headers, parts)


@sends()
def stall(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Is silent for `seconds` after `share` of the body, then goes on."""
    transfer.start(headers)
    kept, rest = _cut(parts, fault)
    transfer.chunks([kept])
    transfer.wait(fault.seconds)
    transfer.chunks([rest])
    transfer.end()
    return True


@sends()
def drip(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Sends the body in small pieces with `seconds` in between."""
    return _in_pieces(transfer, headers, parts, fault, _DRIPS)


@sends()
def drip_bytes(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Sends the body byte by byte with `seconds` in between."""
    return _in_pieces(transfer, headers, parts, fault, sum(map(len, parts)))


@sends()
def drip_headers(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    """Sends 90 more headers with `seconds` in between."""
    more = {f"X-Slow-{number}": "on its way" for number in range(_SLOW_HEADERS)}
    transfer.start({**headers, **more}, pause_seconds=fault.seconds)
    transfer.chunks(parts)
    transfer.end()
    return True


@sends()
def no_date(transfer: Transfer, headers: Headers, parts: list[bytes], _: Fault) -> bool:
    """Leaves the `Date` header out."""
    return transfer.send({n: text for n, text in headers.items() if n != "Date"}, parts)


@sends()
def wrong_charset(transfer: Transfer, headers: Headers, parts: list[bytes], _: Fault) -> bool:
    """Claims a charset that the body is not in."""
    return transfer.send({**headers, "Content-Type": "text/plain; charset=iso-8859-1"}, parts)


def _as_web_page(transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault) -> bool:
    # In the midst of an export it is the body alone that goes wrong.
    claim = {} if fault.share else {"Content-Type": "text/html; charset=utf-8"}
    return transfer.send({**headers, **claim}, parts)


KINDS["web_page"] = Kind(
    f"{LAST}a web page",
    last_words,
    _as_web_page,
    text="<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in</body></html>",
)


def _in_pieces(
    transfer: Transfer, headers: Headers, parts: list[bytes], fault: Fault, count: int
) -> bool:
    body = b"".join(parts)
    size = max(1, -(-len(body) // max(count, 1)))
    transfer.start(headers)
    for start in range(0, len(body), size):
        transfer.chunks([body[start : start + size]])
        transfer.wait(fault.seconds)
    transfer.end()
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
