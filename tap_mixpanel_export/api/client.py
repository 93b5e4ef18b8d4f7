"""One query to the export API: from its parameters to the text of its answer, or an error."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests
import urllib3

from tap_mixpanel_export.api.connection import broken_response, no_response, open_session
from tap_mixpanel_export.api.line_digest import LineDigest
from tap_mixpanel_export.api.proxies import proxy_for
from tap_mixpanel_export.api.refusals import refusal, server_time
from tap_mixpanel_export.api.unpacking import unpacked
from tap_mixpanel_export.errors import IncompleteExportError, RequestError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime

    from tap_mixpanel_export.api.connection import Endpoint
    from tap_mixpanel_export.timezones import DayRange

# Of the transfer, unpacked at once; they become some ten times as many. What is done once for each
# piece counts with fewer, and with more the allocator asks the kernel for fresh pages each time.
_READ_BYTES = 16 * 1024

_UNPACKED = frozenset({"", "identity"})
_GZIPPED = frozenset({"gzip", "x-gzip"})


def _without_query(record: logging.LogRecord) -> bool:
    """Keep parameters and headers out of the log of the HTTP library.

    Parameters name the customer's events, properties and values, and a header that cannot be read
    is a text of anybody's.
    """
    if isinstance(record.args, tuple):
        record.args = tuple(map(_bare, record.args))
    record.exc_info = record.exc_text = None
    return True


def _bare(value: object) -> object:
    if isinstance(value, str):
        return printable(value.partition("?")[0])
    return type(value).__name__ if isinstance(value, BaseException) else value


for _name in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_name).addFilter(_without_query)


@dataclass(slots=True)
class Transfer:
    """What is known of an answer while it is read.

    Attributes:
        granted: Whether the service grants the export (200).
        server_time: The service's clock when it answered; None without a usable `Date` header.
        has_end: Whether a cut would be noticed.
        is_gzipped: Whether the body is compressed.
        received: Bytes as transferred.
    """

    granted: bool
    server_time: datetime | None
    has_end: bool
    is_gzipped: bool = False
    received: int = 0


class ExportClient:
    """Sends queries; one object for each thread, because sessions are not shared between threads.

    Args:
        endpoint: Where and as whom.
        permit: Called before each request: it waits for the project's quota, and counts.
    """

    def __init__(self, endpoint: Endpoint, permit: Callable[[], object] = lambda: None) -> None:
        self._endpoint = endpoint
        self._permit = permit
        self._session = open_session(endpoint)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def export(
        self,
        days: DayRange,
        where: str | None,
        on_response: Callable[[Transfer], None],
        limit: int | None = None,
        *,
        unpack: bool = True,
    ) -> Generator[bytes, None, None]:
        """Ask for some days, and read the answer; twice where it could be cut unnoticed.

        Args:
            days: The days.
            where: Segmentation expression.
            on_response: Called when the headers are there, whatever the status.
            limit: At most so many events, any of those days. Such a sample is read once.
            unpack: Whether what is compressed is unpacked; otherwise whoever does so has to see
                that it is whole.

        Yields:
            Pieces of the text; empty ones while it is read again. It is whole only when the
            iteration ends without an error.

        Raises:
            RequestError: The service refuses the query.
            RateLimitedError: Too many queries (429).
            TransientError: Anything that can pass.
        """
        with self._asked(days, where, on_response, limit) as (response, transfer):
            pieces = self._text(response, transfer, unpack=unpack)
            if transfer.has_end or limit is not None:
                yield from pieces
            else:
                lines = LineDigest()
                for piece in pieces:
                    lines.add(piece)
                    yield piece
        # A proxy that loses its service behind the headers may end the answer as if it were empty.
        if limit is not None or (transfer.has_end and transfer.received):
            return
        digest = LineDigest().value() if transfer.has_end else lines.value()
        again = LineDigest()
        with self._asked(days, where, on_response) as (response, transfer):
            for piece in self._text(response, transfer):
                again.add(piece)
                yield b""
        if again.value() != digest:
            raise IncompleteExportError(
                "nothing marks the end of the answer (no gzip, no chunks), and when it was read "
                "again it held other lines"
            )

    @contextmanager
    def _asked(
        self,
        days: DayRange,
        where: str | None,
        on_response: Callable[[Transfer], None],
        limit: int | None = None,
    ) -> Iterator[tuple[requests.Response, Transfer]]:
        """Send a query.

        Yields:
            The response of a query that is granted; its body is still to be read.
        """
        self._permit()
        with self._send(days, where, limit) as response:
            transfer = Transfer(
                granted=response.status_code == requests.codes.ok,
                server_time=server_time(response.headers.get("Date")),
                has_end=_has_end(response),
                is_gzipped=_coding(response) in _GZIPPED,
            )
            on_response(transfer)
            if not transfer.granted:
                raise refusal(self._endpoint, days, where, response)
            yield response, transfer

    def _send(
        self, days: DayRange, where: str | None, limit: int | None
    ) -> AbstractContextManager[requests.Response]:
        endpoint = self._endpoint
        parameters = {"from_date": days.first.isoformat(), "to_date": days.last.isoformat()}
        if endpoint.project_id is not None:
            parameters["project_id"] = str(endpoint.project_id)
        if endpoint.event_names:
            parameters["event"] = json.dumps(endpoint.event_names)
        if where is not None:
            parameters["where"] = where
        if endpoint.time_in_ms:
            parameters["time_in_ms"] = "true"
        if limit is not None:
            parameters["limit"] = str(limit)
        proxy = proxy_for(endpoint.url)
        address = None if proxy is None else proxy.url
        try:
            return self._session.get(
                f"{endpoint.url}/export",
                params=parameters,
                stream=True,
                timeout=endpoint.timeout,
                # None keeps out what `requests` would take from the environment.
                proxies={"http": None, "https": address, "all": None},  # type: ignore[dict-item]
            )
        except requests.exceptions.RequestException as error:
            raise no_response(error, endpoint, proxy) from error
        except OSError as error:
            raise RequestError(
                "the file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names cannot be used"
            ) from error

    def _text(
        self, response: requests.Response, transfer: Transfer, *, unpack: bool = True
    ) -> Iterator[bytes]:
        """The body, unpacked if that is wanted.

        Raises:
            TransientError: It is not whole, as far as the transfer tells.
        """
        coding = _coding(response)
        if coding in _GZIPPED:
            pieces = self._pieces(response, transfer)
            return unpacked(pieces) if unpack else _not_empty(pieces)
        if coding in _UNPACKED:
            return self._pieces(response, transfer)
        raise IncompleteExportError(
            f"the answer is encoded as {printable(coding, 40)}, which was not asked for (by a "
            "proxy?)"
        )

    def _pieces(self, response: requests.Response, transfer: Transfer) -> Iterator[bytes]:
        """The body as transferred.

        It is read outside of the HTTP library's own decoding, which takes a truncated gzip stream
        for a whole one.
        """
        raw = response.raw
        # urllib3 checks Content-Length only when told so; the end of chunks it always checks.
        raw.enforce_content_length = True
        try:
            while piece := raw.read(_READ_BYTES, decode_content=False):
                transfer.received += len(piece)
                yield piece
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise broken_response(error, self._endpoint) from error


def _coding(response: requests.Response) -> str:
    return response.headers.get("Content-Encoding", "").strip().lower()


def _not_empty(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces of a gzip stream, which has some, or is cut off."""
    first = next(pieces, b"")
    if not first:
        yield from unpacked(iter(()))
    yield first
    yield from pieces


def _has_end(response: requests.Response) -> bool:
    """Whether a body that is cut can be told from a whole one.

    The end of a gzip stream and that of chunks are marked. Without them the end of the connection
    is that of the answer, or a length that a proxy may have counted on half an answer.
    """
    return _coding(response) in _GZIPPED or bool(response.raw.chunked)
