"""Pure: the tap's settings checked as a whole, and what the rest of the code makes of them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone, tzinfo
from importlib.metadata import version
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from tap_mixpanel_export.api.auth import PROJECT_SECRETS_END, Credentials, choose_credentials
from tap_mixpanel_export.api.connection import Endpoint
from tap_mixpanel_export.config.batch import batch_format, batch_problems
from tap_mixpanel_export.config.dates import FIRST_DAY, read_instant
from tap_mixpanel_export.config.declarations import PROGRAM, DeclaredSettings
from tap_mixpanel_export.config.map_checks import map_problems
from tap_mixpanel_export.config.personal_data import load_redaction
from tap_mixpanel_export.config.values import complete, type_problems
from tap_mixpanel_export.private_files import folder_problems
from tap_mixpanel_export.sync import server_clock
from tap_mixpanel_export.sync.windows import Bookmark, Span
from tap_mixpanel_export.timezones import DAY, day_of, load_zone, start_of_day
from tap_mixpanel_export.xdm.errors import MappingError
from tap_mixpanel_export.xdm.mapping.binding import load_mapping
from tap_mixpanel_export.xdm.mapping.column_names import column_problems
from tap_mixpanel_export.xdm.mapping.columns import derive_columns, event_schema
from tap_mixpanel_export.xdm.mapping.further_columns import add_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_mixpanel_export.records.redaction import Redaction
    from tap_mixpanel_export.xdm.mapping.columns import Column

HOSTS = {
    "US": "data.mixpanel.com",
    "EU": "data-eu.mixpanel.com",
    "IN": "data-in.mixpanel.com",
}
"""Hosts of the export API by region, where a project's data is kept (Mixpanel's OpenAPI file)."""

_DEFAULT_START = timedelta(days=30)
# More than Mixpanel is old, less than a date can be moved by.
_LONGEST_LOOKBACK_DAYS = 100_000
# A year.
_LONGEST_DELAY_MINUTES = 366 * 24 * 60


class ExportSettings(DeclaredSettings, frozen=True, kw_only=True):
    """All that a run needs to know, checked: the settings as declared, and what follows from them.

    Attributes:
        endpoint: Where and as whom to ask.
        zone: The project's zone; UTC for projects created since 2023-01-01.
        start: First instant to export in a first run.
        end: Last instant to export, or the first not to when `end_is_day`; None is now.
        end_is_day: Whether `end_date` is a day.
        redaction: Hides properties; None when nothing is hidden.
        event_columns: What becomes of an event's properties: those of the mapping, and `columns`.
        notices: Sentences to say at the start of a run: what was understood in another way than it
            was written, or will soon not work any more.
    """

    endpoint: Endpoint
    zone: tzinfo
    start: datetime
    end: datetime | None
    end_is_day: bool
    redaction: Redaction | None
    event_columns: tuple[Column, ...]
    notices: tuple[str, ...] = ()

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
            start_is_given=self.start_date is not None,
            end=self.end,
            end_is_day=self.end_is_day,
            last_day=last_day,
            bookmark=bookmark,
            lookback=timedelta(days=min(self.lookback_days, _LONGEST_LOOKBACK_DAYS)),
            max_days=self.max_window_days,
            delay=timedelta(minutes=min(self.processing_delay_minutes, _LONGEST_DELAY_MINUTES)),
            sweep_interval=timedelta(days=min(self.late_sweep_days, _LONGEST_LOOKBACK_DAYS)),
        )

    def test_span(self) -> Span:
        """One day, the last one that is over, or that the settings end or begin with."""
        span = self.span(None)
        day = max(
            span.last_day or day_of(server_clock.machine_now(), self.zone) - DAY,
            day_of(self.start, self.zone),
        )
        return replace(
            span,
            start=max(self.start, start_of_day(day, self.zone)),
            start_is_given=True,
            end=start_of_day(day + DAY, self.zone),
            end_is_day=True,
            last_day=day,
            max_days=1,
        )


def check_all(
    config: Mapping[str, Any], schema: Mapping[str, Any]
) -> tuple[ExportSettings | None, list[str]]:
    """Check settings as they were given: types and bounds, and then what they mean together.

    Args:
        config: What was given.
        schema: JSON schema of all settings, those of the SDK included.

    Returns:
        The settings, or None and all problems, one sentence each.
    """
    properties = schema["properties"]
    wrong = type_problems(complete(config, properties), schema)
    right = complete({n: value for n, value in config.items() if n not in wrong}, properties)
    settings, problems = check_settings(right)
    problems = [*problems, *batch_problems(right)]
    if "stream_maps" in right:
        columns = load_columns(right)[0] if settings is None else settings.event_columns
        names = list(event_schema(columns)["properties"]) if columns else ()
        problems += map_problems(right["stream_maps"], names)
    if right.get("faker_config") and find_spec("faker") is None:
        problems.append("faker_config needs an extra: pip install tap-mixpanel-export[faker]")
    declared = _declared(right)
    folders = {name: getattr(declared, name) for name in ("diagnostics_dir", "report_dir")}
    problems += folder_problems(folders)
    # That a setting is missing is no news when its value was refused.
    told = [text for text in problems if not any(re.search(rf"\b{name}\b", text) for name in wrong)]
    return (None if wrong or told else settings), [*wrong.values(), *told]


def check_settings(
    settings: Mapping[str, Any], now: datetime | None = None
) -> tuple[ExportSettings | None, list[str]]:
    """Make sense of settings whose types are right already.

    Args:
        settings: The tap's settings.
        now: Defaults to this machine's time; only the default of `start_date` depends on it.

    Returns:
        The settings, or None and all problems, one sentence each.
    """
    problems: list[str] = []
    declared = _declared(settings)
    credentials = choose_credentials(settings, problems)
    url = _api_url(declared, problems)
    zone = _zone(declared, problems)
    now = now or server_clock.machine_now()
    notices = []
    if declared.project_secret is not None:
        notices.append(
            f"{now.date()}: project_secret is deprecated by Mixpanel and retired on "
            f"{PROJECT_SECRETS_END}; create a service account, and set service_account_username, "
            "service_account_secret and project_id"
        )
    times = _times(declared, zone, now, problems, notices)
    columns, of_columns = load_columns(settings)
    problems += of_columns
    if (agent := declared.user_agent) is not None and not (agent.isprintable() and agent.isascii()):
        problems.append("user_agent may hold printable ASCII characters only")
    if problems or credentials is None or url is None:
        return None, problems
    return ExportSettings(
        **msgspec.structs.asdict(declared),
        endpoint=_endpoint(declared, url, credentials),
        zone=zone,
        **times,
        event_columns=columns,
        notices=tuple(notices),
        redaction=load_redaction(declared, columns)[0],
    ), []


def _declared(settings: Mapping[str, Any]) -> DeclaredSettings:
    """Settings of the right types as an object; those of the SDK are left out."""
    names = DeclaredSettings.__struct_fields__
    # Not strict: to JSON 5.0 is an integer.
    return msgspec.convert(
        {name: settings[name] for name in names if settings.get(name) is not None},
        DeclaredSettings,
        strict=False,
        dec_hook=lambda _, text: Path(text).expanduser(),
    )


def load_columns(settings: Mapping[str, Any]) -> tuple[tuple[Column, ...], list[str]]:
    """The columns that the settings define, and all problems of what they name."""
    declared = _declared(settings)
    try:
        mapping = load_mapping(declared.mapping_file, declared.field_group_file)
        columns = derive_columns(mapping)
    except MappingError as error:
        return (), list(error.problems)
    if clashes := column_problems(mapping, with_long_names=False):
        return (), clashes
    columns, problems = add_columns(columns, declared.columns)
    redaction, more = load_redaction(declared, columns)
    problems = [*problems, *more]
    return columns if redaction is None else tuple(map(redaction.column, columns)), problems


def writes_text(settings: Mapping[str, Any]) -> bool:
    """Whether `properties` is JSON text: Parquet has no type for what differs by event."""
    return settings.get("properties_format") == "string" or batch_format(settings) == "parquet"


def _endpoint(settings: DeclaredSettings, url: str, credentials: Credentials) -> Endpoint:
    return Endpoint(
        url=url,
        credentials=credentials,
        project_id=settings.project_id,
        region=settings.region,
        event_names=settings.event_names,
        time_in_ms=settings.time_in_ms,
        user_agent=settings.user_agent or f"{PROGRAM}/{version(PROGRAM)}",
        timeout=settings.request_timeout,
    )


def _zone(settings: DeclaredSettings, problems: list[str]) -> tzinfo:
    if settings.project_timezone is not None:
        try:
            return load_zone(settings.project_timezone)
        except ValueError as error:
            problems.append(f"project_timezone: {error}")
    return timezone.utc


def _api_url(settings: DeclaredSettings, problems: list[str]) -> str | None:
    url = settings.api_url
    if url is None:
        return f"https://{HOSTS[settings.region]}/api/2.0"
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
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _times(
    settings: DeclaredSettings,
    zone: tzinfo,
    now: datetime,
    problems: list[str],
    notices: list[str],
) -> dict[str, Any]:
    """The members of the settings that `start_date` and `end_date` give."""
    start, _ = _instant("start_date", settings.start_date, zone, problems)
    end, end_is_day = _instant("end_date", settings.end_date, zone, problems)
    first = start_of_day(FIRST_DAY, zone)
    if start is not None and start < first:
        start = first
        notices.append(
            f"start_date {settings.start_date} lies before the first day that Mixpanel exports; "
            f"the run begins at {FIRST_DAY}"
        )
    if start is not None and start > now:
        problems.append(
            f"start_date lies in the future: it is {start:%Y-%m-%d %H:%M} UTC, and now it is "
            f"{now:%Y-%m-%d %H:%M} UTC; there is nothing to export yet"
        )
    if end is not None and end <= first:
        problems.append(f"end_date lies before the first day that Mixpanel exports, {FIRST_DAY}")
    elif start is not None and end is not None and (end <= start if end_is_day else end < start):
        problems.append("end_date lies before start_date")
    return {
        "start": start or now - _DEFAULT_START,
        "end": end,
        "end_is_day": end_is_day,
    }


def _instant(
    name: str, text: str | None, zone: tzinfo, problems: list[str]
) -> tuple[datetime | None, bool]:
    if text is None:
        return None, False
    try:
        return read_instant(text, zone, is_end=name == "end_date")
    except ValueError:
        problems.append(
            f"{name} is not a date such as 2026-11-22 or a date-time such as 2026-11-22T14:00:00Z"
        )
        return None, False
