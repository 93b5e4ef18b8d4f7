"""One query to the export API: from its parameters to the text of its answer, or an error."""

from __future__ import annotations

import json
import logging
import re
import ssl
import zlib
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import requests
import urllib3
from isal import igzip_lib, isal_zlib

from tap_mixpanel_export.errors import (
    AccessError,
    AuthenticationError,
    ConnectionFailedError,
    DayError,
    ExportError,
    IncompleteExportError,
    NotFoundError,
    PlanError,
    RateLimitedError,
    RejectedQueryError,
    RequestError,
    ServerError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager
    from datetime import date

    from tap_mixpanel_export.api.auth import Credentials

# Bytes of the transfer that are unpacked at once. They become ten times as many: no more than the
# 128 KiB from which on the allocator asks the kernel for fresh pages each time, which takes longer
# than unpacking.
_READ = 8 * 1024

# Of an error's text; the rest would be a web page of a proxy.
_ERROR_TEXT = 4096

_GZIP = zlib.MAX_WBITS | 16

# Words of Python's http.client; it knows no status of a tunnel that was refused.
_PROXY_LOGIN = "Tunnel connection failed: 407"


class _WithoutQuery(logging.Filter):
    """Keeps parameters out of the debug log of requests.

    They name the customer's events, properties and values.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                value.partition("?")[0] if isinstance(value, str) else value
                for value in record.args
            )
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_WithoutQuery())


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and as whom to ask, the same for all queries of a run.

    Attributes:
        url: Address of the API, up to `/api/2.0`.
        credentials: Sign the requests.
        project_id: Needed with service accounts and OAuth tokens.
        region: For advice when the project is not found.
        event_names: Only these events; empty for all.
        time_in_ms: Ask for `time` in milliseconds.
        user_agent: Sent with each request.
        timeout: Seconds to connect, and of the longest silence between bytes.
    """

    url: str
    credentials: Credentials
    project_id: int | None
    region: str
    event_names: tuple[str, ...]
    time_in_ms: bool
    user_agent: str
    timeout: float


@dataclass(slots=True)
class Transfer:
    """What is known of an answer while it is read.

    Attributes:
        granted: Whether the service grants the export (200).
        server_time: The service's clock when it answered; None without a usable `Date` header.
        received: Bytes as transferred.
    """

    granted: bool
    server_time: datetime | None
    received: int = 0


class ExportClient:
    """Sends queries; one object for each thread, because sessions are not shared between threads.

    Args:
        endpoint: Where and as whom.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._session = requests.Session()
        self._session.auth = endpoint.credentials.auth
        self._session.headers.update(
            {"User-Agent": endpoint.user_agent, "Accept-Encoding": "gzip", "Accept": "*/*"}
        )

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def export(
        self,
        first: date,
        last: date,
        where: str | None,
        on_answer: Callable[[Transfer], None],
    ) -> Generator[bytes, None, None]:
        """Ask for some days, and read the answer.

        Args:
            first: First day, inclusive.
            last: Last day, inclusive.
            where: Segmentation expression.
            on_answer: Called when the headers are there, whatever the status.

        Yields:
            Pieces of the text. It is whole only when the iteration ends without an error.

        Raises:
            RequestError: The service refuses the query.
            RateLimitedError: Too many queries (429).
            TransientError: Anything that can pass.
        """
        with self._send(first, last, where) as response:
            transfer = Transfer(
                response.status_code == requests.codes.ok,
                _server_time(response.headers.get("Date")),
            )
            on_answer(transfer)
            if not transfer.granted:
                raise self._refusal(response, transfer.server_time)
            if response.headers.get("Content-Encoding", "").lower() == "gzip":
                yield from _unpacked(self._pieces(response, transfer))
            else:
                yield from self._pieces(response, transfer)

    def _send(
        self, first: date, last: date, where: str | None
    ) -> AbstractContextManager[requests.Response]:
        endpoint = self._endpoint
        parameters = {"from_date": first.isoformat(), "to_date": last.isoformat()}
        if endpoint.project_id is not None:
            parameters["project_id"] = str(endpoint.project_id)
        if endpoint.event_names:
            parameters["event"] = json.dumps(endpoint.event_names)
        if where is not None:
            parameters["where"] = where
        if endpoint.time_in_ms:
            parameters["time_in_ms"] = "true"
        try:
            return self._session.get(
                f"{endpoint.url}/export",
                params=parameters,
                stream=True,
                timeout=endpoint.timeout,
                # A redirect would take the credentials elsewhere; the API has none.
                allow_redirects=False,
            )
        except requests.exceptions.RequestException as error:
            raise self._failure(error) from error
        except OSError as error:
            raise RequestError(
                "the file that REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names cannot be used"
            ) from error

    def _failure(self, error: requests.exceptions.RequestException) -> ExportError:
        """What it means that there is no answer."""
        endpoint = self._endpoint
        # A connection that breaks in the handshake is an SSLError, too.
        if isinstance(error, requests.exceptions.SSLError) and _is_about_certificate(error):
            return RequestError(
                f"the TLS certificate of {endpoint.url} was not accepted; behind a proxy with its "
                "own certificate authority set REQUESTS_CA_BUNDLE to that authority's file"
            )
        if isinstance(error, requests.exceptions.ProxyError):
            if _PROXY_LOGIN in str(error):
                # A refused login stays refused.
                return RequestError(
                    "the proxy wants another login (407): write it into HTTPS_PROXY as "
                    "http://user:password@host:port, or the service's host into NO_PROXY"
                )
            return ConnectionFailedError(
                f"the proxy of HTTPS_PROXY made no connection to {endpoint.url} ({_kind(error)})"
            )
        if isinstance(error, requests.exceptions.Timeout):
            return ConnectionFailedError(
                f"no answer within {endpoint.timeout:g} s (request_timeout)"
            )
        return ConnectionFailedError(f"the connection to {endpoint.url} failed ({_kind(error)})")

    def _pieces(self, response: requests.Response, transfer: Transfer) -> Iterator[bytes]:
        """The body as transferred.

        It is read outside of the HTTP library's own decoding, which takes a truncated gzip stream
        for a whole one.
        """
        raw = response.raw
        # urllib3 checks Content-Length only when told so; the end of chunks it always checks.
        raw.enforce_content_length = True
        try:
            while piece := raw.read(_READ, decode_content=False):
                transfer.received += len(piece)
                yield piece
        except urllib3.exceptions.ReadTimeoutError as error:
            raise ConnectionFailedError(
                f"silence for {self._endpoint.timeout:g} s (request_timeout) in mid-answer"
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ConnectionFailedError(
                f"the connection broke in mid-answer ({_kind(error)})"
            ) from error

    def _refusal(  # noqa: PLR0911 - a table
        self, response: requests.Response, server_time: datetime | None
    ) -> ExportError:
        endpoint, status = self._endpoint, response.status_code
        text = _error_text(response)
        lowered = text.lower()
        project = "the project" if endpoint.project_id is None else f"project {endpoint.project_id}"
        if status == requests.codes.too_many_requests:
            return RateLimitedError(_retry_after(response.headers.get("Retry-After"), server_time))
        if status >= requests.codes.internal_server_error:
            return ServerError(f"the service answered {status}")
        if status == requests.codes.unauthorized or "unable to authenticate" in lowered:
            kind = endpoint.credentials.kind
            return AuthenticationError(
                f"Mixpanel did not accept the {kind} ({status}): {endpoint.credentials.advice}"
            )
        if status == requests.codes.payment_required:
            return PlanError(
                f"the plan of {project} does not include the raw export API (402); see the plan's "
                "features in Mixpanel, or ask its owner"
            )
        if status == requests.codes.forbidden:
            return AccessError(
                f"the {endpoint.credentials.kind} has no access to {project} (403): give it a role "
                "in the project, and check project_id"
            )
        if status == requests.codes.not_found:
            return NotFoundError(
                f"there is no export API at {endpoint.url} (404): check api_url, and whether the "
                f"project's data is in region {endpoint.region}"
            )
        if "to_date" in lowered and "later than today" in lowered:
            return DayError(
                "Mixpanel says that to_date lies in the future (400): the project's days are not "
                "those that were asked for. Set project_timezone to the project's zone if it was "
                "created before 2023-01-01, leave it unset otherwise, and check start_date and the "
                "state"
            )
        return RejectedQueryError(
            f"Mixpanel refused the query ({status}): check where and event_names"
        )


def _unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip, and tell a stream that is not whole.

    Only bodies of more than 1400 bytes are compressed: an empty one is cut off, too.
    """
    unpacker = isal_zlib.decompressobj(_GZIP)
    try:
        for piece in pieces:
            data = piece
            while data:
                if unpacker.eof:
                    # A gzip file may have several members.
                    unpacker = isal_zlib.decompressobj(_GZIP)
                text = unpacker.decompress(data)
                data = unpacker.unused_data
                if text:
                    yield text
    except igzip_lib.error as error:  # type: ignore[misc]  # wrong in its stubs
        raise IncompleteExportError("the compressed answer is damaged") from error
    if not unpacker.eof:
        raise IncompleteExportError("the compressed answer is cut off")


def _error_text(response: requests.Response) -> str:
    try:
        return response.raw.read(_ERROR_TEXT, decode_content=True).decode(errors="replace")
    except (urllib3.exceptions.HTTPError, OSError):
        # The status says enough.
        return ""


def _server_time(header: str | None) -> datetime | None:
    if header is None:
        return None
    try:
        parsed = parsedate_to_datetime(header)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)


def _retry_after(header: str | None, server_time: datetime | None) -> float | None:
    """Seconds to wait; the header holds seconds or a date of the service's clock (RFC 9110)."""
    if header is None:
        return None
    if re.fullmatch(r"\d{1,6}(\.\d+)?", header.strip()):
        return float(header)
    moment = _server_time(header)
    if moment is None:
        return None
    return max(0.0, (moment - (server_time or datetime.now(timezone.utc))).total_seconds())


def _is_about_certificate(error: requests.exceptions.SSLError) -> bool:
    """Whether a certificate was not accepted."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _kind(error: BaseException) -> str:
    """What broke, in a word: texts of network errors may quote the address with its parameters."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None:
            return cause.strerror or type(cause).__name__
        reason = getattr(cause, "reason", None)
        cause = (
            reason if isinstance(reason, BaseException) else (cause.__cause__ or cause.__context__)
        )
    return type(error).__name__
