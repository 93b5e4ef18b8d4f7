"""The export endpoint: from a request on the wire to its answer on the wire."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timezone, tzinfo
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
from tap_mixpanel_export.sandbox.selection import select
from tap_mixpanel_export.sandbox.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from socket import socket
    from threading import Event as Signal

    from tap_mixpanel_export.sandbox.behaviour import Conduct
    from tap_mixpanel_export.sandbox.clock import SandboxClock
    from tap_mixpanel_export.sandbox.credentials import Credentials
    from tap_mixpanel_export.sandbox.faults import FaultPlan
    from tap_mixpanel_export.sandbox.http import Request
    from tap_mixpanel_export.sandbox.limits import Limiter
    from tap_mixpanel_export.sandbox.project import Project
    from tap_mixpanel_export.sandbox.request_log import LoggedRequest, RequestLog

API_PATH = "/api/2.0"
# Mixpanel takes the address with a slash at its end, too, as its older documentation writes it.
_EXPORT_PATHS = frozenset({f"{API_PATH}/export", f"{API_PATH}/export/"})
# Smaller bodies are sent as they are, whatever the client accepts.
_MOST_PLAIN_BYTES = 1400
_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_NO_FAULT = Kind("nothing goes wrong")


@dataclass(frozen=True, slots=True)
class Export:
    """Answers requests for exports of one project.

    Attributes:
        project: The events.
        clock: The time.
        zone: Zone of the project's days; `None` for UTC.
        credentials: Who may export.
        limiter: The project's quota.
        faults: What goes wrong.
        log: Where requests are logged.
        conduct: How the service behaves.
        feed: Called with the time before an answer is made: adds events that have come up.
    """

    project: Project
    clock: SandboxClock
    zone: tzinfo | None
    credentials: Credentials
    limiter: Limiter
    faults: FaultPlan
    log: RequestLog
    conduct: Conduct
    feed: Callable[[datetime], None]

    def answer(
        self,
        request: Request,
        connection: socket,
        closing: Signal,
        refuse: Callable[[float], None],
    ) -> bool:
        """Answer a request.

        Args:
            request: The request.
            connection: The one that it came on.
            closing: Ends every waiting when set.
            refuse: Makes the server refuse connections for some seconds.

        Returns:
            Whether the connection can take another request.

        Raises:
            OSError: The client has gone.
        """
        url = urlsplit(request.target)
        now = self.clock.now()
        entry = self.log.open(time.monotonic(), now, url.path)
        entry.user_agent = request.headers.get("User-Agent", "")
        keep = request.headers.get("Connection", "").lower() != "close"
        transfer = Transfer(connection, entry, closing, refuse)
        try:
            params = _parameters(request, url.query, entry)
            entry.credential = authenticate(
                self.credentials, request.headers.get("Authorization"), params
            )
            self._take()
            try:
                return self._export(request, entry, transfer, now) and keep
            finally:
                self.limiter.done()
        except ApiError as error:
            headers = {**self._headers(now), **error.headers}
            body = b""
            if error.status not in _WITHOUT_BODY:
                body = error.body(request.target)
                headers["Content-Type"] = "application/json"
                headers["Content-Length"] = str(len(body))
            # The body of anything but a plain GET is not read: the connection can't be used again.
            keep = keep and error.status != HTTPStatus.METHOD_NOT_ALLOWED
            if not keep:
                headers["Connection"] = "close"
            transfer.start(headers, error.status)
            transfer.raw(body)
            return keep
        finally:
            self.log.close(entry, time.monotonic())

    def _take(self) -> None:
        refusal = self.limiter.take()
        if refusal is None:
            return
        # Clients wait in real seconds, on whatever clock the quota runs.
        wait = max(1, ceil(refusal.wait / (self.clock.rate or 1)))
        headers = {"Retry-After": str(wait)} if refusal.tells_wait else {}
        raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, refusal.text, headers)

    def _export(
        self, request: Request, entry: LoggedRequest, transfer: Transfer, now: datetime
    ) -> bool:
        today = now.astimezone(self.zone or timezone.utc).date()
        query = Query.read(entry.params, today, self.conduct)
        fault = self.faults.next((query.first, query.last), entry.where, today)
        kind = _NO_FAULT
        if fault is not None:
            kind = KINDS[fault.kind]
            entry.fault = fault.kind
        self.feed(now)
        blocks = self._blocks(query, now)
        if fault is not None and kind.change is not None:
            blocks = kind.change(blocks, fault)
        blocks = [block for block in blocks if block.size]
        gzipped = kind.gzip
        if gzipped is None:
            gzipped = _wants_gzip(request, sum(block.size for block in blocks))
        headers = {
            **self._headers(now),
            "Content-Type": "text/plain",
            "Transfer-Encoding": "chunked",
        }
        if gzipped:
            headers["Content-Encoding"] = "gzip"
        if request.headers.get("Connection", "").lower() == "close":
            headers["Connection"] = "close"
        parts = gzip_member(blocks) if gzipped else [block.data() for block in blocks]
        if fault is not None and kind.send is not None:
            return kind.send(transfer, headers, parts, fault)
        return transfer.send(headers, parts)

    def _blocks(self, query: Query, now: datetime) -> list[Block]:
        view = View(epoch_milliseconds(now), query.time_in_ms, self.conduct.behaviour)
        blocks = self.project.blocks(query.first, query.last, view)
        if not query.everything:
            lines = (line for block in blocks for line in block.data().split(b"\n")[:-1])
            blocks = [Block.of(b"".join(line + b"\n" for line in select(lines, query)))]
        return blocks

    def _headers(self, now: datetime) -> dict[str, str]:
        date = self.conduct.date(now)
        return {"Server": "mixpanel-sandbox", **({} if date is None else {"Date": date})}


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
