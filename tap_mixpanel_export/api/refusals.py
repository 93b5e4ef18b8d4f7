"""Every status but 200: what it means, whether it can pass, and what to do about it."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import urllib3

from tap_mixpanel_export.api.service_text import error_of
from tap_mixpanel_export.errors import (
    AccessError,
    AuthenticationError,
    DayError,
    NotFoundError,
    PlanError,
    RateLimitedError,
    RejectedQueryError,
    RequestError,
    ServerError,
    WideQueryError,
    printable,
)

if TYPE_CHECKING:
    import requests

    from tap_mixpanel_export.api.connection import Endpoint
    from tap_mixpanel_export.errors import ExportError
    from tap_mixpanel_export.timezones import DayRange

SAFE_DAYS = 30
"""A query of so many days at most is refused for what it says, not for its width: wider ones are
not documented as allowed, and are asked for in halves when they are refused."""

_LOCATION_CHARACTERS = 100

# Of an error's text; the rest would be a web page of a proxy.
_ERROR_BYTES = 4096

# Client errors by their number that are the service's or a proxy's, and pass: 408 and 425 by what
# they mean (RFC 9110), 409 and 499 (nginx: the client went away) by what proxies do with them.
_PASSING = frozenset({408, 409, 425, 499})

# Those that no setting of a query brings about.
_MEANINGS = {
    HTTPStatus.NO_CONTENT: "no content, which is no export, not even an empty one",
    HTTPStatus.PARTIAL_CONTENT: "a part of an export, which was not asked for (by a proxy?)",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "the proxy wants another login: write it into "
    "HTTPS_PROXY as http://user:password@host:port, or the service's host into NO_PROXY",
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: "not to be had from here for legal reasons",
}

# Thirty years: what is longer is no time that a clock can show.
_ENDLESS_SECONDS = 1e9

_REDIRECTS = frozenset({300, 301, 302, 303, 307, 308})

_TOO_LONG = frozenset({413, 414, 431})


def refusal(
    endpoint: Endpoint, days: DayRange, where: str | None, response: requests.Response
) -> ExportError:
    """What an answer that is no export (200) means: the error to raise."""
    status, headers, body = response.status_code, response.headers, _text_of(response)
    error = error_of(body)
    said = f"; it says: {endpoint.redactor(where).show(error)}" if error else ""
    pause = retry_after(headers.get("Retry-After"), server_time(headers.get("Date")))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimitedError(pause)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING:
        return ServerError(f"the service answered {status}{said}", pause)
    lowered = body.decode(errors="replace").lower()
    known = _known_refusal(endpoint, status, lowered)
    if known is not None:
        kind, text = known
        return kind(text + said)
    if status in _REDIRECTS:
        return RequestError(
            f"{endpoint.url} redirects ({status}) to {_host(headers.get('Location'))}, which is "
            "not followed, because the credentials would go there: check api_url and proxies"
            f"{said}"
        )
    if status in _MEANINGS:
        return RequestError(f"the answer was {status}: {_MEANINGS[HTTPStatus(status)]}{said}")
    named = [
        name
        for name, is_set in (("where", where is not None), ("event_names", endpoint.event_names))
        if is_set
    ]
    text = f"Mixpanel refused the query ({status}): {_advice(status, named)}{said}"
    is_wide = status == HTTPStatus.BAD_REQUEST and days.days > SAFE_DAYS
    return WideQueryError(text) if is_wide else RejectedQueryError(text)


def _text_of(response: requests.Response) -> bytes:
    """What an answer says, as far as a message needs it."""
    try:
        text: bytes = response.raw.read(_ERROR_BYTES, decode_content=True)
    except (urllib3.exceptions.HTTPError, OSError):
        # The status says enough.
        return b""
    return text


def _known_refusal(
    endpoint: Endpoint, status: int, lowered: str
) -> tuple[type[RequestError], str] | None:
    """The refusals that Mixpanel is known for."""
    kind, project = endpoint.credentials.kind, endpoint.project
    if status == HTTPStatus.UNAUTHORIZED or (
        status >= HTTPStatus.BAD_REQUEST and "unable to authenticate" in lowered
    ):
        return AuthenticationError, (
            f"Mixpanel did not accept the {kind} ({status}): {endpoint.credentials.advice}"
        )
    if status == HTTPStatus.PAYMENT_REQUIRED:
        return PlanError, (
            f"the plan of {project} does not include the raw export API (402); see the plan's "
            "features in Mixpanel, or ask its owner"
        )
    if status == HTTPStatus.FORBIDDEN:
        return AccessError, (
            f"the {kind} has no access to {project} (403): give it a role in the project, and "
            "check project_id"
        )
    if status == HTTPStatus.NOT_FOUND:
        return NotFoundError, (
            f"there is no export API at {endpoint.url} (404): check api_url, and whether the "
            f"project's data is in region {endpoint.region}"
        )
    if status == HTTPStatus.BAD_REQUEST and "to_date" in lowered and "later than today" in lowered:
        return DayError, (
            "Mixpanel says that to_date lies in the future (400): the project's days are not those "
            "that were asked for. Set project_timezone to the project's zone if it was created "
            "before 2023-01-01, leave it unset otherwise, and check start_date and the state"
        )
    return None


def _advice(status: int, named: list[str]) -> str:
    """What to check when a query is refused: the settings that choose events, if any is set."""
    if status not in _TOO_LONG:
        return f"check {' and '.join(named)}" if named else "neither where nor event_names is set"
    if not named:
        return "it is too long for something on the way, a proxy perhaps"
    return (
        f"{' and '.join(named)} make it too long: ask for fewer event names or a shorter "
        "expression, or split the list into several runs"
    )


def _host(location: str | None) -> str:
    """Where a redirect goes; the rest of the address holds the query."""
    try:
        host = urlsplit(location or "").netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    return printable(host, _LOCATION_CHARACTERS) or "another place on the same host"


def server_time(header: str | None) -> datetime | None:
    """The service's time in a `Date` header; None without a usable one."""
    if header is None:
        return None
    try:
        parsed = parsedate_to_datetime(header)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)).astimezone(
            timezone.utc
        )
    except (ValueError, OverflowError):
        return None


def retry_after(header: str | None, now: datetime | None) -> float | None:
    """Seconds to wait; the header holds seconds or a date of the service's clock (RFC 9110)."""
    if header is None:
        return None
    if re.fullmatch(r"\d{1,300}(\.\d{0,300})?", header.strip(), re.ASCII):
        return min(float(header), _ENDLESS_SECONDS)
    moment = server_time(header)
    if moment is None:
        return None
    wait = (moment - (now or datetime.now(timezone.utc))).total_seconds()
    return min(max(0.0, wait), _ENDLESS_SECONDS)
