"""Pure: the tap's settings checked as a whole, and what the rest of the code makes of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tap_mixpanel_export.api.auth import Credentials, choose_credentials
from tap_mixpanel_export.api.client import Endpoint
from tap_mixpanel_export.sync.windows import Bookmark, Span
from tap_mixpanel_export.timezones import day_of, load_zone, start_of_day, wall_to_instant
from tap_mixpanel_export.xdm.errors import MappingError
from tap_mixpanel_export.xdm.mapping.binding import load_mapping
from tap_mixpanel_export.xdm.mapping.columns import derive_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_mixpanel_export.xdm.mapping.columns import Column

HOSTS = {
    "US": "data.mixpanel.com",
    "EU": "data-eu.mixpanel.com",
    "IN": "data-in.mixpanel.com",
}
"""Hosts of the export API by region, where a project's data is kept (Mixpanel's OpenAPI file)."""

_DEFAULT_START = timedelta(days=30)
# Days; more than Mixpanel is old, less than a date can be moved by.
_LONGEST_LOOKBACK = 100_000
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """All that a run needs to know, checked.

    Attributes:
        endpoint: Where and as whom to ask.
        zone: The project's zone; UTC for projects created since 2023-01-01.
        start: First instant to export in a first run.
        start_is_given: Whether the user named it.
        end: Last instant to export, or the first not to when `end_is_day`; None is now.
        end_is_day: Whether `end_date` is a day.
        where: The user's segmentation expression.
        lookback: How far back late events are looked for.
        max_window_days: Upper bound of the days in one query.
        max_concurrent_queries: Downloads under way at once.
        max_queries_per_hour: This run's share of the project's quota.
        quota_file: Where runs share the quota.
        deduplicate: Whether repeats within a window are dropped.
        diagnostics_dir: Where malformed lines are kept.
        error_threshold_percent: How many of the lines may be malformed.
        report_dir: Where the report of the run goes.
    """

    endpoint: Endpoint
    zone: tzinfo
    start: datetime
    start_is_given: bool
    end: datetime | None
    end_is_day: bool
    where: str | None
    lookback: timedelta
    max_window_days: int
    max_concurrent_queries: int
    max_queries_per_hour: int
    quota_file: Path | None
    deduplicate: bool
    diagnostics_dir: Path | None
    error_threshold_percent: float
    report_dir: Path | None

    def span(self, bookmark: Bookmark | None) -> Span:
        """What a run that starts at a bookmark is asked to export."""
        last_day = None
        if self.end is not None:
            # The end of a day is the start of the next one.
            last = self.end - timedelta(milliseconds=1) if self.end_is_day else self.end
            last_day = day_of(last, self.zone)
        return Span(
            zone=self.zone,
            start=self.start,
            start_is_given=self.start_is_given,
            end=self.end,
            end_is_day=self.end_is_day,
            last_day=last_day,
            bookmark=bookmark,
            lookback=self.lookback,
            max_days=self.max_window_days,
        )


def check_settings(
    settings: Mapping[str, Any], default_user_agent: str, now: datetime | None = None
) -> tuple[ExportSettings | None, list[str]]:
    """Make sense of settings whose types are right already.

    Args:
        settings: The tap's settings, defaults filled in.
        default_user_agent: What `user_agent` is when it is not set.
        now: Defaults to this machine's time; only the default of `start_date` depends on it.

    Returns:
        The settings, or None and all problems, one sentence each.
    """
    problems: list[str] = []
    credentials = choose_credentials(settings, problems)
    url = _api_url(settings, problems)
    zone: tzinfo = timezone.utc
    if (name := settings.get("project_timezone")) is not None:
        try:
            zone = load_zone(name)
        except ValueError as error:
            problems.append(f"project_timezone: {error}")
    now = now or datetime.now(timezone.utc)
    start, _ = _instant("start_date", settings, zone, problems)
    end, end_is_day = _instant("end_date", settings, zone, problems)
    if start is not None and end is not None and (end <= start if end_is_day else end < start):
        problems.append("end_date lies before start_date")
    if settings.get("where") is not None and not settings["where"].strip():
        problems.append("where is empty; leave it out to export all events")
    _, mapping_problems = load_columns(settings)
    problems += mapping_problems
    if (headers := settings.get("user_agent")) is not None and not (
        headers.isprintable() and headers.isascii()
    ):
        problems.append("user_agent may hold printable ASCII characters only")
    if problems or credentials is None or url is None:
        return None, problems
    return ExportSettings(
        endpoint=_endpoint(settings, url, credentials, default_user_agent),
        zone=zone,
        start=start or now - _DEFAULT_START,
        start_is_given=start is not None,
        end=end,
        end_is_day=end_is_day,
        where=settings.get("where"),
        lookback=timedelta(days=min(settings["lookback_days"], _LONGEST_LOOKBACK)),
        max_window_days=settings["max_window_days"],
        max_concurrent_queries=settings["max_concurrent_queries"],
        max_queries_per_hour=settings["max_queries_per_hour"],
        quota_file=_path(settings.get("quota_file")),
        deduplicate=settings["deduplicate"],
        diagnostics_dir=_path(settings.get("diagnostics_dir")),
        error_threshold_percent=settings["error_threshold_percent"],
        report_dir=_path(settings.get("report_dir")),
    ), []


def load_columns(settings: Mapping[str, Any]) -> tuple[tuple[Column, ...], list[str]]:
    """The columns that the mapping defines, or all problems of the mapping."""
    try:
        mapping = load_mapping(settings.get("mapping_file"), settings.get("field_group_file"))
        return derive_columns(mapping), []
    except MappingError as error:
        return (), list(error.problems)


def _endpoint(
    settings: Mapping[str, Any], url: str, credentials: Credentials, user_agent: str
) -> Endpoint:
    return Endpoint(
        url=url,
        credentials=credentials,
        project_id=settings.get("project_id"),
        region=settings["region"],
        event_names=tuple(settings.get("event_names") or ()),
        time_in_ms=settings["time_in_ms"],
        user_agent=settings.get("user_agent") or user_agent,
        timeout=settings["request_timeout"],
    )


def _api_url(settings: Mapping[str, Any], problems: list[str]) -> str | None:
    url = settings.get("api_url")
    if url is None:
        return f"https://{HOSTS[settings['region']]}/api/2.0"
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"} or parts.query or parts.fragment:
        problems.append("api_url is not an address such as https://data.mixpanel.com/api/2.0")
        return None
    if parts.username or parts.password:
        problems.append("api_url holds credentials; they have settings of their own")
        return None
    if parts.scheme == "http" and not _is_loopback(host):
        problems.append(
            "api_url: plain http would send the credentials in clear text; use https (http is "
            "allowed on this machine only)"
        )
        return None
    return str(url).rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _instant(
    name: str, settings: Mapping[str, Any], zone: tzinfo, problems: list[str]
) -> tuple[datetime | None, bool]:
    """A date or date-time; a date is a day of the project, an `end_date` its end.

    Returns:
        The instant in UTC, and whether it was given as a date.
    """
    text = settings.get(name)
    if text is None:
        return None, False
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text)
            if name == "end_date":
                day += timedelta(days=1)
            return start_of_day(day, zone), True
        moment = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", text))
        if moment.tzinfo is None:
            # Without an offset it is what the project's clocks show, as all times in Mixpanel are.
            return wall_to_instant(moment, zone), False
        return moment.astimezone(timezone.utc), False
    except (ValueError, OverflowError):
        problems.append(
            f"{name} is not a date such as 2026-11-22 or a date-time such as 2026-11-22T14:00:00Z"
        )
        return None, False


def _path(value: str | None) -> Path | None:
    return None if value is None else Path(value).expanduser()
