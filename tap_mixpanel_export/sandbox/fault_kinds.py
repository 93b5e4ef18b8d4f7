"""Every kind of fault: what it is, and what it does at which point of an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tap_mixpanel_export.sandbox import content_faults as content
from tap_mixpanel_export.sandbox import transfer_faults as transfer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.sandbox.content_faults import OnBlocks
    from tap_mixpanel_export.sandbox.faults import Fault
    from tap_mixpanel_export.sandbox.transfer_faults import Before, Headers, Send


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault.

    Attributes:
        description: What the server does.
        before: Called before the answer is made; says whether there will be none. It may raise
            `ApiError`.
        content: Changes what the export says.
        gzip: Whether the body is compressed, whatever its size and the request say.
        headers: Changes the headers.
        send: Sends the answer.
        text: What the answer says when the fault has no `text`.
    """

    description: str
    before: Before | None = None
    content: OnBlocks | None = None
    gzip: bool | None = None
    headers: Callable[[Headers, Fault], None] | None = None
    send: Send | None = None
    text: str | None = None


def _drop_date(headers: Headers, _fault: Fault) -> None:
    headers.pop("Date", None)


def _claim_charset(headers: Headers, _fault: Fault) -> None:
    headers["Content-Type"] = "text/plain; charset=iso-8859-1"


def _claim_web_page(headers: Headers, fault: Fault) -> None:
    # In the midst of an export it is the body alone that goes wrong.
    if not fault.share:
        headers["Content-Type"] = "text/html; charset=utf-8"


def _line(text: bytes) -> OnBlocks:
    return content.on_text(content.extra_lines(text))


_LAST = "leaves the lines after `share` out (0: all); the last line is "

KINDS = {
    "status": Kind(
        "answers with `status` (206: and `share` of the events; 301, 302: sends to `text`)",
        before=transfer.status,
        gzip=False,
        send=transfer.partial,
    ),
    "refuse_where": Kind(
        "400 to any query whose `where` contains `text`",
        before=transfer.refuse_where,
        text="mp_processing_time_ms",
    ),
    "refuse": Kind(
        "resets the connection and refuses new ones for `seconds`", before=transfer.refuse
    ),
    "reset": Kind("resets the connection before the headers", before=transfer.reset),
    "reset_in_body": Kind(
        "resets the connection after `share` of the body", send=transfer.reset_in_body
    ),
    "truncated_chunk": Kind(
        "closes the connection in the middle of a chunk, after `share` of the body",
        send=transfer.truncated_chunk,
    ),
    "no_final_chunk": Kind(
        "sends everything but the chunk that ends the body, and closes",
        send=transfer.no_final_chunk,
    ),
    "empty_first_chunk": Kind(
        "sends the chunk that ends the body first", send=transfer.empty_first_chunk
    ),
    "truncated_gzip": Kind(
        "ends a well-formed transfer after `share` of the gzip stream",
        gzip=True,
        send=transfer.truncated_gzip,
    ),
    "corrupt_gzip": Kind(
        "sends a gzip stream with a wrong checksum", gzip=True, send=transfer.corrupt_gzip
    ),
    "gzip_bomb": Kind(
        "sends a last line of `megabytes` (2048) of zero bytes, compressed",
        content=content.zeros,
        gzip=True,
    ),
    "until_close": Kind(
        "answers as HTTP/1.0: plain, ended by the end of the connection only",
        gzip=False,
        send=transfer.until_close,
    ),
    "until_close_cut": Kind(
        "the same, ended with a line after `share` of the body",
        gzip=False,
        send=transfer.until_close_cut,
    ),
    "short_length": Kind(
        "sends all, plain, with a `Content-Length` that ends with a line after `share`",
        gzip=False,
        send=transfer.short_length,
    ),
    "long_length": Kind(
        "ends with a line after `share`, with the `Content-Length` of all",
        gzip=False,
        send=transfer.long_length,
    ),
    "terminated_early": Kind(
        _LAST + "the bare `text`",
        content=content.on_text(content.last_words),
        text="terminated early",
    ),
    "error_object": Kind(
        _LAST + "an error as an object",
        content=content.on_text(content.last_words),
        text='{"error": "Internal error, please try again", "status": 0}',
    ),
    "error_text": Kind(
        _LAST + "an error in words",
        content=content.on_text(content.last_words),
        text="Internal Server Error",
    ),
    "web_page": Kind(
        _LAST + "a web page",
        content=content.on_text(content.last_words),
        headers=_claim_web_page,
        text="<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in</body></html>",
    ),
    "cut_last_line": Kind(
        "sends a complete gzip stream whose last line is incomplete",
        content=content.on_text(content.cut_last_line),
    ),
    "slow_start": Kind("is silent for `seconds` before the headers", before=transfer.slow_start),
    "stall": Kind(
        "is silent for `seconds` after `share` of the body, then goes on", send=transfer.stall
    ),
    "drip": Kind("sends the body in small pieces with `seconds` in between", send=transfer.drip),
    "drip_bytes": Kind(
        "sends the body byte by byte with `seconds` in between", send=transfer.drip_bytes
    ),
    "drip_headers": Kind(
        "sends 90 more headers with `seconds` in between", send=transfer.drip_headers
    ),
    "empty": Kind("answers 200 with an empty body", content=content.on_text(content.empty)),
    "empty_lines": Kind("adds `lines` empty lines", content=content.empty_lines),
    "split_event": Kind(
        "breaks `lines` events over two physical lines each",
        content=content.on_text(content.split_event),
    ),
    "malformed_line": Kind(
        "adds `lines` lines that are not JSON", content=_line(b'{"event": <not JSON>')
    ),
    "no_event": Kind(
        "adds `lines` objects without `event`",
        content=_line(b'{"properties":{"time":1,"distinct_id":"nobody"}}'),
    ),
    "no_properties": Kind(
        "adds `lines` objects without `properties`", content=_line(b'{"event":"No properties"}')
    ),
    "no_time": Kind(
        "adds `lines` events without `time`",
        content=_line(
            b'{"event":"No time","properties":{"distinct_id":"nobody","$insert_id":"no-time"}}'
        ),
    ),
    "invalid_utf8": Kind(
        "adds `lines` events whose name is not UTF-8",
        content=_line(b'{"event":"Caf\xe9","properties":{"time":1,"distinct_id":"nobody"}}'),
    ),
    "no_date": Kind("leaves the `Date` header out", headers=_drop_date),
    "wrong_charset": Kind("claims a charset that the body is not in", headers=_claim_charset),
    "always_gzip": Kind("compresses however small the body is", gzip=True),
    "never_gzip": Kind("does not compress however large the body is", gzip=False),
    "no_trailing_newline": Kind(
        "leaves the line end of the last line out, which is valid",
        content=content.on_text(content.no_trailing_newline),
    ),
}
"""Every kind of fault."""
