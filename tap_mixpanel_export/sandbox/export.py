"""The export endpoint: from a request on the wire to its answer on the wire."""

from __future__ import annotations

import time
from datetime import timezone
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from tap_mixpanel_export.sandbox.clock import epoch_milliseconds
from tap_mixpanel_export.sandbox.credentials import authenticate
from tap_mixpanel_export.sandbox.fault_kinds import KINDS, Kind
from tap_mixpanel_export.sandbox.gzip_stream import Block, gzip_member
from tap_mixpanel_export.sandbox.http import ApiError
from tap_mixpanel_export.sandbox.project import View
from tap_mixpanel_export.sandbox.query import Query, read_date
from tap_mixpanel_export.sandbox.transfer import Transfer

if TYPE_CHECKING:
    from datetime import datetime
    from socket import socket

    from tap_mixpanel_export.sandbox.http import Request
    from tap_mixpanel_export.sandbox.request_log import LoggedRequest
    from tap_mixpanel_export.sandbox.sandbox import Sandbox

API_PATH = "/api/2.0"
# Mixpanel takes the address with a slash at its end, too, as its older documentation writes it.
_EXPORT_PATHS = frozenset({f"{API_PATH}/export", f"{API_PATH}/export/"})
# Smaller bodies are sent as they are, whatever the client accepts.
_MOST_PLAIN_BYTES = 1400
_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_NO_FAULT = Kind("nothing goes wrong")


def answer(sandbox: Sandbox, request: Request, connection: socket) -> bool:
    """Answer a request.

    Args:
        sandbox: The service.
        request: The request.
        connection: The one that it came on.

    Returns:
        Whether the connection can take another request.

    Raises:
        OSError: The client has gone.
    """
    url = urlsplit(request.target)
    now = sandbox.clock.now()
    entry = sandbox.log.open(time.monotonic(), now, url.path)
    entry.user_agent = request.headers.get("User-Agent", "")
    transfer = Transfer(connection, entry, sandbox.server)
    transfer.headers["Server"] = "mixpanel-sandbox"
    date = sandbox.conduct.date(now)
    if date is not None:
        transfer.headers["Date"] = date
    if request.headers.get("Connection", "").lower() == "close":
        transfer.headers["Connection"] = "close"
    of_any_answer = dict(transfer.headers)
    try:
        params = _parameters(request, url.query, entry)
        authorization = request.headers.get("Authorization")
        entry.credential = authenticate(sandbox.credentials, authorization, params)
        _take(sandbox)
        try:
            _export(sandbox, request, transfer, now)
        finally:
            sandbox.limiter.done()
    except ApiError as error:
        transfer.headers = {**of_any_answer, **error.headers}
        _refuse(transfer, error, request)
    finally:
        sandbox.log.close(entry, time.monotonic())
    return transfer.is_ended and "Connection" not in transfer.headers


def _refuse(transfer: Transfer, error: ApiError, request: Request) -> None:
    body = b""
    if error.status not in _WITHOUT_BODY:
        body = error.body(request.target)
        transfer.headers["Content-Type"] = "application/json"
        transfer.headers["Content-Length"] = str(len(body))
    if error.status == HTTPStatus.METHOD_NOT_ALLOWED:
        # The body of anything but a plain GET is not read: it would be the next request.
        transfer.headers["Connection"] = "close"
    transfer.start(error.status)
    transfer.raw(body)
    transfer.is_ended = True


def _take(sandbox: Sandbox) -> None:
    limits, refusal = sandbox.limiter.limits, sandbox.limiter.take()
    if limits is None or refusal is None:
        return
    # Clients wait in real seconds, on whatever clock the quota runs.
    wait = max(1, ceil(refusal.wait / (sandbox.clock.rate or 1)))
    headers = {"Retry-After": str(wait)} if limits.retry_after else {}
    raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, refusal.text, headers)


def _export(sandbox: Sandbox, request: Request, transfer: Transfer, now: datetime) -> None:
    entry = transfer.entry
    today = now.astimezone(sandbox.zone or timezone.utc).date()
    query = Query.read(entry.params, today, sandbox.conduct)
    fault = sandbox.faults.next((query.first, query.last), entry.where, today)
    kind = _NO_FAULT
    if fault is not None:
        kind = KINDS[fault.kind]
        entry.fault = fault.kind
    sandbox.feed(now)
    view = View(epoch_milliseconds(now), query.time_in_ms, sandbox.behaviour)
    blocks = sandbox.project.blocks(query.first, query.last, view)
    if not query.everything:
        lines = (line for block in blocks for line in block.data().split(b"\n")[:-1])
        blocks = [Block.of(b"".join(line + b"\n" for line in query.select(lines)))]
    if fault is not None and kind.change is not None:
        blocks = kind.change(blocks, fault)
    blocks = [block for block in blocks if block.size]
    gzipped = kind.gzip
    if gzipped is None:
        gzipped = _wants_gzip(request, sum(block.size for block in blocks))
    transfer.headers |= {"Content-Type": "text/plain", "Transfer-Encoding": "chunked"}
    if gzipped:
        transfer.headers["Content-Encoding"] = "gzip"
    transfer.parts = gzip_member(blocks) if gzipped else [block.data() for block in blocks]
    if fault is not None and kind.send is not None:
        kind.send(transfer, fault)
    else:
        transfer.send()


def _parameters(request: Request, query: str, entry: LoggedRequest) -> dict[str, str]:
    if entry.path not in _EXPORT_PATHS:
        raise ApiError(HTTPStatus.NOT_FOUND, "Not found")
    if request.method != "GET" or request.headers.get("Content-Length", "0") != "0":
        raise ApiError(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET without a body is allowed")
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=bool(query), errors="strict"
        )
    except ValueError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, "The query is not URL-encoded UTF-8") from error
    entry.params = dict(pairs)
    entry.from_date = read_date(entry.params.get("from_date"))
    entry.to_date = read_date(entry.params.get("to_date"))
    if len(pairs) != len(entry.params):
        raise ApiError(HTTPStatus.BAD_REQUEST, "A parameter is given twice")
    return entry.params


def _wants_gzip(request: Request, size: int) -> bool:
    if size <= _MOST_PLAIN_BYTES:
        return False
    for choice in request.headers.get("Accept-Encoding", "").split(","):
        coding, *options = (word.strip().lower() for word in choice.split(";"))
        if coding in {"gzip", "x-gzip", "*"}:
            return not any(option in {"q=0", "q=0.0", "q=0.00", "q=0.000"} for option in options)
    return False
