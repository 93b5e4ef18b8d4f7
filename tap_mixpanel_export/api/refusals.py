"""Every status but 200: what it means, whether it can pass, and what to do about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

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
    from collections.abc import Callable, Mapping

    from tap_mixpanel_export.api.auth import Credentials
    from tap_mixpanel_export.errors import ExportError

SAFE_DAYS = 30
"""A query of so many days at most is refused for what it says, not for its width: wider ones are
not documented as allowed, and are asked for in halves when they are refused."""

_LOCATION_CHARACTERS = 100

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


@dataclass(frozen=True, slots=True)
class Query:
    """What was asked for, as far as advice depends on it.

    Attributes:
        url: Address of the API.
        credentials: As whom.
        project_id: Of which project.
        region: In which region.
        days: Of how many days.
        has_where: Whether the user has an expression.
        has_event_names: Whether only some events were asked for.
    """

    url: str
    credentials: Credentials
    project_id: int | None
    region: str
    days: int
    has_where: bool
    has_event_names: bool

    @property
    def project(self) -> str:
        """What to call the project."""
        return "the project" if self.project_id is None else f"project {self.project_id}"


def refusal(
    query: Query, status: int, headers: Mapping[str, str], body: bytes, show: Callable[[str], str]
) -> ExportError:
    """What an answer that is no export means.

    Args:
        query: What was asked for.
        status: The status, anything but 200.
        headers: The headers.
        body: The text, as far as a message needs it.
        show: Makes a text of the service fit to be shown.

    Returns:
        The error to raise.
    """
    error = error_of(body)
    said = f"; it says: {show(error)}" if error else ""
    pause = retry_after(headers.get("Retry-After"), server_time(headers.get("Date")))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimitedError(pause)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _PASSING:
        return ServerError(f"the service answered {status}{said}", pause)
    lowered = body.decode(errors="replace").lower()
    known = _known_refusal(query, status, lowered)
    if known is not None:
        kind, text = known
        return kind(text + said)
    if status in _REDIRECTS:
        return RequestError(
            f"{query.url} redirects ({status}) to {_host(headers.get('Location'))}, which is not "
            f"followed, because the credentials would go there: check api_url and proxies{said}"
        )
    if status in _MEANINGS:
        return RequestError(f"the answer was {status}: {_MEANINGS[HTTPStatus(status)]}{said}")
    return _rejected(query, status, said)


def _known_refusal(
    query: Query, status: int, lowered: str
) -> tuple[type[RequestError], str] | None:
    """The refusals that Mixpanel is known for."""
    kind, project = query.credentials.kind, query.project
    if status == HTTPStatus.UNAUTHORIZED or (
        status >= HTTPStatus.BAD_REQUEST and "unable to authenticate" in lowered
    ):
        return AuthenticationError, (
            f"Mixpanel did not accept the {kind} ({status}): {query.credentials.advice}"
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
            f"there is no export API at {query.url} (404): check api_url, and whether the "
            f"project's data is in region {query.region}"
        )
    if status == HTTPStatus.BAD_REQUEST and "to_date" in lowered and "later than today" in lowered:
        return DayError, (
            "Mixpanel says that to_date lies in the future (400): the project's days are not those "
            "that were asked for. Set project_timezone to the project's zone if it was created "
            "before 2023-01-01, leave it unset otherwise, and check start_date and the state"
        )
    return None


def _rejected(query: Query, status: int, said: str) -> RejectedQueryError:
    named = [
        name
        for name, is_set in (("where", query.has_where), ("event_names", query.has_event_names))
        if is_set
    ]
    if status in _TOO_LONG:
        advice = (
            f"{' and '.join(named)} make it too long: ask for fewer event names or a shorter "
            "expression, or split the list into several runs"
            if named
            else "it is too long for something on the way, a proxy perhaps"
        )
    else:
        advice = f"check {' and '.join(named)}" if named else "neither where nor event_names is set"
    text = f"Mixpanel refused the query ({status}): {advice}{said}"
    if status == HTTPStatus.BAD_REQUEST and query.days > SAFE_DAYS:
        return WideQueryError(text)
    return RejectedQueryError(text)


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
