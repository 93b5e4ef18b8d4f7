"""Each setting of the tap, once: its type, bounds, default, title, description.

All else follows from these lines: the object that the code reads, what `--about` says, README's
table, the Hub's file and `meltano.yml`.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - msgspec reads the annotations
from typing import Annotated, Any, Literal

import msgspec

PROGRAM = "tap-mixpanel-export"

PREFIX = "TAP_MIXPANEL_EXPORT_"
"""What the names of environment variables of settings begin with."""


def _setting(
    title: str,
    description: str,
    *,
    secret: bool = False,
    meltano_kind: str | None = None,
    **bounds: Any,
) -> msgspec.Meta:
    """What people and programs are told about a setting besides its type and default.

    Args:
        title: Its label.
        description: One or more whole sentences.
        secret: Whether its value is never shown.
        meltano_kind: What Meltano's pages call its type, where the type alone does not tell.
        **bounds: As msgspec names them: `ge`, `gt`, `le`, `lt`.
    """
    extra: dict[str, Any] = {}
    if secret:
        # The SDK's two words for it.
        extra |= {"secret": True, "writeOnly": True}
    if meltano_kind:
        extra["x-meltano-kind"] = meltano_kind
    meta: msgspec.Meta = msgspec.Meta(
        title=title, description=description, extra_json_schema=extra or None, **bounds
    )
    return meta


class DeclaredSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings as they are given, with the types of their declarations."""

    service_account_username: Annotated[
        str | None,
        _setting(
            "Service account user name",
            "User name of a Mixpanel service account; needs `project_id`. One that does not "
            "expire spares surprises.",
        ),
    ] = None
    service_account_secret: Annotated[
        str | None,
        _setting(
            "Service account secret",
            "Secret of the service account.",
            secret=True,
        ),
    ] = None
    oauth_token: Annotated[
        str | None,
        _setting(
            "OAuth token",
            "Sent as `Authorization: Bearer`; needs `project_id`.",
            secret=True,
        ),
    ] = None
    project_secret: Annotated[
        str | None,
        _setting(
            "Project secret",
            "Deprecated by Mixpanel, retired on 2027-03-03: use a service account.",
            secret=True,
        ),
    ] = None
    project_id: Annotated[
        int | None,
        _setting(
            "Project ID",
            "ID of the Mixpanel project.",
        ),
    ] = None
    region: Annotated[
        Literal["US", "EU", "IN"],
        _setting(
            "Region",
            "Where the project's data is kept; picks the host.",
        ),
    ] = "US"
    api_url: Annotated[
        str | None,
        _setting(
            "API URL",
            "Replaces `https://<host>/api/2.0`. Plain http is refused unless the host is "
            "this machine.",
        ),
    ] = None
    start_date: Annotated[
        str | None,
        _setting(
            "Start date",
            "First event time to export: a date (2026-01-31) or date-time. Default: 30 days "
            "ago. Earlier than what the state was exported from: those days are exported first, "
            "once.",
            meltano_kind="date_iso8601",
        ),
    ] = None
    end_date: Annotated[
        str | None,
        _setting(
            "End date",
            "Last event time to export: a date (inclusive) or date-time. Default: now.",
            meltano_kind="date_iso8601",
        ),
    ] = None
    project_timezone: Annotated[
        str | None,
        _setting(
            "Project time zone",
            "Only for projects created before 2023-01-01, whose days and times Mixpanel "
            "stores in it: an IANA name (America/Los_Angeles) or Windows name (Pacific "
            "Standard Time). Unset: UTC.",
        ),
    ] = None
    event_names: Annotated[
        tuple[str, ...],
        _setting(
            "Event names",
            "Only these events. Default: all.",
        ),
    ] = ()
    exclude_event_names: Annotated[
        tuple[str, ...],
        _setting(
            "Event names to leave out",
            "No events of these names; they are counted and not written. They cost bytes all "
            "the same: Mixpanel has no such filter.",
        ),
    ] = ()
    exclude_properties: Annotated[
        tuple[str, ...],
        _setting(
            "Properties to leave out",
            "Properties that are removed from columns and `properties` before anything is "
            "written: names as exported or of columns, nested ones with dots (`cart.total`).",
        ),
    ] = ()
    hash_properties: Annotated[
        tuple[str, ...],
        _setting(
            "Properties to hash",
            "Properties that are replaced by their salted SHA-256 in columns and `properties` "
            "before anything is written; named like those of `exclude_properties`.",
        ),
    ] = ()
    hash_salt: Annotated[
        str | None,
        _setting(
            "Salt of hashes",
            "What goes into each hash of `hash_properties` in front of the value. Without it, "
            "who knows an e-mail address can find its events.",
            secret=True,
        ),
    ] = None
    where: Annotated[
        str | None,
        _setting(
            "Filter",
            'Mixpanel segmentation expression, e.g. `properties["plan"] == "gold"`.',
        ),
    ] = None
    time_in_ms: Annotated[
        bool,
        _setting(
            "Time in milliseconds",
            "Ask for, and emit, `time` in milliseconds.",
        ),
    ] = False
    lookback_days: Annotated[
        int,
        _setting(
            "Look-back days",
            "How far back from the bookmark late events are looked for. Mixpanel's SDKs "
            "keep events of an offline device for 5 days.",
            ge=0,
        ),
    ] = 5
    late_sweep_days: Annotated[
        int,
        _setting(
            "Sweep for late events",
            "Every day ever exported is asked for late events once in so many days; 0: only the "
            "look-back.",
            ge=0,
        ),
    ] = 7
    filter_proof_days: Annotated[
        int,
        _setting(
            "Days that a proof holds",
            "How long a proof that Mixpanel's filter for late events leaves out nothing is "
            "relied on.",
            ge=1,
        ),
    ] = 7
    processing_delay_minutes: Annotated[
        float,
        _setting(
            "Processing delay",
            "How long after its processing stamp an event may take to show up in an export.",
            ge=0,
        ),
    ] = 15
    max_window_days: Annotated[
        int,
        _setting(
            "Largest window",
            "Upper bound of the days in one query; windows get there by growing.",
            ge=1,
            le=366,
        ),
    ] = 366
    max_concurrent_queries: Annotated[
        int,
        _setting(
            "Concurrent queries",
            "Downloads under way at once.",
            ge=1,
            le=100,
        ),
    ] = 4
    workers: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=64)] | None,
        _setting(
            "Worker processes",
            "How many processes make records of what is downloaded, when a run has much to do: "
            "several windows, and more than one core. 1: all in one process. Default: the cores, "
            "4 at most.",
        ),
    ] = None
    max_queries_per_hour: Annotated[
        int,
        _setting(
            "Queries per hour",
            "This run's share of the project's quota of 60.",
            ge=1,
            le=60,
        ),
    ] = 60
    quota_file: Annotated[
        str | None,
        _setting(
            "Quota file",
            "Runs that name the same file, or the same directory on a file system or object store "
            "that machines share (`s3://…`), share one quota (3 queries per second, "
            "`max_queries_per_hour`).",
        ),
    ] = None
    deduplicate: Annotated[
        bool,
        _setting(
            "Deduplicate",
            "Drop repeats of an event within the run; the latest processed is kept.",
        ),
    ] = True
    mapping_file: Annotated[
        Path | None,
        _setting(
            "Mapping file",
            "Data Prep mapping set (JSON) that defines the columns. Default: Adobe's 11 "
            "attributes.",
        ),
    ] = None
    field_group_file: Annotated[
        Path | None,
        _setting(
            "Field group file",
            "XDM field group (JSON) that gives the columns their types.",
        ),
    ] = None
    columns: Annotated[
        tuple[str, ...],
        _setting(
            "Further columns",
            "Properties that get a column of their own, without any file: `name` or `name:type` "
            "(`$city`, `cart.total:number`). Types: string (default), integer, number, boolean, "
            "date, date-time.",
        ),
    ] = ()
    properties_format: Annotated[
        Literal["object", "string"],
        _setting(
            "Format of properties",
            "The `properties` column as an object or as JSON text.",
        ),
    ] = "object"
    diagnostics_dir: Annotated[
        Path | None,
        _setting(
            "Diagnostics folder",
            "Where malformed lines are kept. Unset: a malformed line fails the run.",
        ),
    ] = None
    error_threshold_percent: Annotated[
        float,
        _setting(
            "Error threshold",
            "With `diagnostics_dir`: more malformed lines than this percentage fail the run.",
            ge=0,
            le=100,
        ),
    ] = 5
    report_dir: Annotated[
        Path | None,
        _setting(
            "Report folder",
            "Tell there what runs did: `index.html`, a page over the last 60; `run.json` of the "
            "last one; and under `runs/` one for each.",
        ),
    ] = None
    batch_compression_level: Annotated[
        int,
        _setting(
            "Compression of BATCH files",
            "Of gzipped JSON Lines (`batch_config`): 0 is fastest, 3 smallest.",
            ge=0,
            le=3,
        ),
    ] = 1
    user_agent: Annotated[
        str | None,
        _setting(
            "User agent",
            "Sent with each request. Default: the tap's name and version.",
        ),
    ] = None
    request_timeout: Annotated[
        float,
        _setting(
            "Request timeout",
            "Seconds to connect, of the longest silence between bytes, and in which 1 KB has to "
            "come.",
            gt=0,
            le=86_400,
        ),
    ] = 300

    def __repr__(self) -> str:
        """Name the class only: some of the settings are secrets."""
        return f"<{type(self).__name__}>"


CHOOSE_EVENTS = ("event_names", "exclude_event_names", "where")
"""Settings that say which events are exported: a run says so when one has changed.

States have a part for each, by its place: a new one goes to the end.
"""
