"""What goes wrong when an answer is sent: a function for each kind of fault.

Each takes the transfer, which has the headers and the body as they should be on the wire, and the
fault; it sends what the fault leaves of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_mixpanel_export.sandbox.content_faults import LAST, last_words
from tap_mixpanel_export.sandbox.fault_kinds import KINDS, Kind, sends
from tap_mixpanel_export.sandbox.http import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

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
def status(transfer: Transfer, fault: Fault) -> None:
    """Answers with `status` (206: and `share` of the events; 301, 302: sends to `text`).

    Raises:
        ApiError: Always, but for a partial answer.
    """
    if fault.status == _PARTIAL:
        body = transfer.body
        cut = _line_end(body, fault)
        range_ = f"bytes 0-{max(cut - 1, 0)}/{len(body)}"
        length = {"Content-Length": f"{cut}", "Content-Range": range_}
        _start_unframed(transfer, length, status=fault.status)
        transfer.raw(body[:cut])
        return
    more = {}
    if fault.retry_after is not None:
        more["Retry-After"] = str(fault.retry_after)
    if fault.status in _REDIRECTS:
        more["Location"] = fault.text or "/login"
        raise ApiError(fault.status, "Moved", more)
    raise ApiError(fault.status, fault.message, more)


@sends(text="mp_processing_time_ms")
def refuse_where(_: Transfer, fault: Fault) -> None:
    """400 to any query whose `where` contains `text`.

    Raises:
        ApiError: Always.
    """
    raise ApiError(400, fault.message)


@sends()
def refuse(transfer: Transfer, fault: Fault) -> None:
    """Resets the connection and refuses new ones for `seconds`."""
    transfer.refuse(fault.seconds)
    transfer.reset()


@sends()
def reset(transfer: Transfer, _: Fault) -> None:
    """Resets the connection before the headers."""
    transfer.reset()


@sends()
def reset_in_body(transfer: Transfer, fault: Fault) -> None:
    """Resets the connection after `share` of the body."""
    transfer.start()
    transfer.chunks([_cut(transfer.body, fault)[0]])
    transfer.reset()


@sends()
def truncated_chunk(transfer: Transfer, fault: Fault) -> None:
    """Closes the connection in the middle of a chunk, after `share` of the body."""
    transfer.start()
    kept, _ = _cut(transfer.body, fault)
    half = min(len(kept), _MOST_HALF)
    transfer.chunks([kept[: len(kept) - half]])
    transfer.half_chunk(kept[len(kept) - half :])


@sends()
def no_final_chunk(transfer: Transfer, _: Fault) -> None:
    """Sends everything but the chunk that ends the body, and closes."""
    transfer.start()
    transfer.chunks(transfer.parts)


@sends()
def empty_first_chunk(transfer: Transfer, _: Fault) -> None:
    """Sends the chunk that ends the body first."""
    # Or the client would take the rest for its next answer.
    transfer.headers["Connection"] = "close"
    transfer.start()
    transfer.end()
    transfer.chunks(transfer.parts)
    transfer.end()


@sends(gzip=True)
def truncated_gzip(transfer: Transfer, fault: Fault) -> None:
    """Ends a well-formed transfer after `share` of the gzip stream."""
    transfer.parts = [_cut(transfer.body, fault)[0]]
    transfer.send()


@sends(gzip=True)
def corrupt_gzip(transfer: Transfer, _: Fault) -> None:
    """Sends a gzip stream with a wrong checksum."""
    body = bytearray(transfer.body)
    body[-_TRAILER] ^= 0xFF
    transfer.parts = [bytes(body)]
    transfer.send()


@sends(gzip=False)
def until_close(transfer: Transfer, _: Fault) -> None:
    """Answers as HTTP/1.0: plain, ended by the end of the connection only."""
    _start_unframed(transfer, {}, version="1.0")
    transfer.raw(transfer.body)


@sends(gzip=False)
def until_close_cut(transfer: Transfer, fault: Fault) -> None:
    """The same, ended with a line after `share` of the body."""
    transfer.parts = [transfer.body[: _line_end(transfer.body, fault)]]
    until_close(transfer, fault)


@sends(gzip=False)
def short_length(transfer: Transfer, fault: Fault) -> None:
    """Sends all, plain, with a `Content-Length` that ends with a line after `share`."""
    _start_unframed(transfer, {"Content-Length": f"{_line_end(transfer.body, fault)}"})
    transfer.raw(transfer.body)


@sends(gzip=False)
def long_length(transfer: Transfer, fault: Fault) -> None:
    """Ends with a line after `share`, with the `Content-Length` of all."""
    body = transfer.body
    _start_unframed(transfer, {"Content-Length": f"{len(body)}"})
    transfer.raw(body[: _line_end(body, fault)])


@sends()
def slow_start(transfer: Transfer, fault: Fault) -> None:
    """Is silent for `seconds` before the headers."""
    transfer.wait(fault.seconds)
    transfer.send()


@sends()
def stall(transfer: Transfer, fault: Fault) -> None:
    """Is silent for `seconds` after `share` of the body, then goes on."""
    transfer.start()
    kept, rest = _cut(transfer.body, fault)
    transfer.chunks([kept])
    transfer.wait(fault.seconds)
    transfer.chunks([rest])
    transfer.end()


@sends()
def drip(transfer: Transfer, fault: Fault) -> None:
    """Sends the body in small pieces with `seconds` in between."""
    _send_in_pieces(transfer, fault, _DRIPS)


@sends()
def drip_bytes(transfer: Transfer, fault: Fault) -> None:
    """Sends the body byte by byte with `seconds` in between."""
    _send_in_pieces(transfer, fault, len(transfer.body))


@sends()
def drip_headers(transfer: Transfer, fault: Fault) -> None:
    """Sends 90 more headers with `seconds` in between."""
    transfer.headers |= {f"X-Slow-{number}": "on its way" for number in range(_SLOW_HEADERS)}
    transfer.start(pause_seconds=fault.seconds)
    transfer.chunks(transfer.parts)
    transfer.end()


@sends()
def no_date(transfer: Transfer, _: Fault) -> None:
    """Leaves the `Date` header out."""
    transfer.headers.pop("Date", None)
    transfer.send()


@sends()
def wrong_charset(transfer: Transfer, _: Fault) -> None:
    """Claims a charset that the body is not in."""
    transfer.headers["Content-Type"] = "text/plain; charset=iso-8859-1"
    transfer.send()


def _send_web_page(transfer: Transfer, fault: Fault) -> None:
    # In the midst of an export it is the body alone that goes wrong.
    if not fault.share:
        transfer.headers["Content-Type"] = "text/html; charset=utf-8"
    transfer.send()


KINDS["web_page"] = Kind(
    f"{LAST}a web page",
    last_words,
    _send_web_page,
    text="<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in</body></html>",
)


def _send_in_pieces(transfer: Transfer, fault: Fault, count: int) -> None:
    body = transfer.body
    size = max(1, -(-len(body) // max(count, 1)))
    transfer.start()
    for start in range(0, len(body), size):
        transfer.chunks([body[start : start + size]])
        transfer.wait(fault.seconds)
    transfer.end()


def _start_unframed(
    transfer: Transfer, more: Mapping[str, str], *, status: int = 200, version: str = "1.1"
) -> None:
    """Begin with headers of which no chunks follow: the connection closes behind the body."""
    del transfer.headers["Transfer-Encoding"]
    transfer.headers |= {"Connection": "close", **more}
    transfer.start(status, version=version)


def _cut(body: bytes, fault: Fault) -> tuple[bytes, bytes]:
    # Something must be missing, even at a share of 1.
    cut = min(int(len(body) * fault.share), max(len(body) - 1, 0))
    return body[:cut], body[cut:]


def _line_end(body: bytes, fault: Fault) -> int:
    """Return where a share of the body ends with a line: nothing in the text tells of the rest."""
    kept, _ = _cut(body, fault)
    return kept.rfind(b"\n") + 1
