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
    description: str,
    *,
    title: str | None = None,
    secret: bool = False,
    meltano_kind: str | None = None,
    **bounds: Any,
) -> msgspec.Meta:
    """What people and programs are told about a setting besides its type and default.

    Args:
        description: One or more whole sentences.
        title: Its label, where that is not its name in words.
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
            "User name of a Mixpanel service account; needs `project_id`. One that does not "
            "expire spares surprises.",
            title="Service account user name",
        ),
    ] = None
    service_account_secret: Annotated[
        str | None,
        _setting(
            "Secret of the service account.",
            secret=True,
        ),
    ] = None
    oauth_token: Annotated[
        str | None,
        _setting(
            "Sent as `Authorization: Bearer`; needs `project_id`.",
            title="OAuth token",
            secret=True,
        ),
    ] = None
    project_secret: Annotated[
        str | None,
        _setting(
            "Deprecated by Mixpanel, retired on 2027-03-03: use a service account.",
            secret=True,
        ),
    ] = None
    project_id: Annotated[
        int | None,
        _setting(
            "ID of the Mixpanel project.",
            title="Project ID",
        ),
    ] = None
    region: Annotated[
        Literal["US", "EU", "IN"],
        _setting("Where the project's data is kept; picks the host."),
    ] = "US"
    api_url: Annotated[
        str | None,
        _setting(
            "Replaces `https://<host>/api/2.0`. Plain http is refused unless the host is "
            "this machine.",
            title="API URL",
        ),
    ] = None
    start_date: Annotated[
        str | None,
        _setting(
            "First event time to export: a date (2026-01-31) or date-time. Default: 30 days "
            "ago. Earlier than what the state was exported from: those days are exported first, "
            "once.",
            meltano_kind="date_iso8601",
        ),
    ] = None
    end_date: Annotated[
        str | None,
        _setting(
            "Last event time to export: a date (inclusive) or date-time. Default: now.",
            meltano_kind="date_iso8601",
        ),
    ] = None
    project_timezone: Annotated[
        str | None,
        _setting(
            "Only for projects created before 2023-01-01, whose days and times Mixpanel "
            "stores in it: an IANA name (America/Los_Angeles) or Windows name (Pacific "
            "Standard Time). Unset: UTC.",
            title="Project time zone",
        ),
    ] = None
    event_names: Annotated[
        tuple[str, ...],
        _setting("Only these events. Default: all."),
    ] = ()
    exclude_event_names: Annotated[
        tuple[str, ...],
        _setting(
            "No events of these names; they are counted and not written. They cost bytes all "
            "the same: Mixpanel has no such filter.",
            title="Event names to leave out",
        ),
    ] = ()
    exclude_properties: Annotated[
        tuple[str, ...],
        _setting(
            "Properties that are removed from columns and `properties` before anything is "
            "written: names as exported or of columns, nested ones with dots (`cart.total`).",
            title="Properties to leave out",
        ),
    ] = ()
    hash_properties: Annotated[
        tuple[str, ...],
        _setting(
            "Properties that are replaced by their salted SHA-256 in columns and `properties` "
            "before anything is written; named like those of `exclude_properties`.",
            title="Properties to hash",
        ),
    ] = ()
    hash_salt: Annotated[
        str | None,
        _setting(
            "What goes into each hash of `hash_properties` in front of the value. Without it, "
            "who knows an e-mail address can find its events.",
            title="Salt of hashes",
            secret=True,
        ),
    ] = None
    where: Annotated[
        str | None,
        _setting(
            'Mixpanel segmentation expression, e.g. `properties["plan"] == "gold"`.',
            title="Filter",
        ),
    ] = None
    time_in_ms: Annotated[
        bool,
        _setting(
            "Ask for, and emit, `time` in milliseconds.",
            title="Time in milliseconds",
        ),
    ] = False
    lookback_days: Annotated[
        int,
        _setting(
            "How far back from the bookmark late events are looked for. Mixpanel's SDKs "
            "keep events of an offline device for 5 days.",
            title="Look-back days",
            ge=0,
        ),
    ] = 5
    late_sweep_days: Annotated[
        int,
        _setting(
            "Every day ever exported is asked for late events once in so many days; 0: only the "
            "look-back.",
            title="Sweep for late events",
            ge=0,
        ),
    ] = 7
    filter_proof_days: Annotated[
        int,
        _setting(
            "How long a proof that Mixpanel's filter for late events leaves out nothing is "
            "relied on.",
            title="Days that a proof holds",
            ge=1,
        ),
    ] = 7
    processing_delay_minutes: Annotated[
        float,
        _setting(
            "How long after its processing stamp an event may take to show up in an export.",
            title="Processing delay",
            ge=0,
        ),
    ] = 15
    max_window_days: Annotated[
        int,
        _setting(
            "Upper bound of the days in one query; windows get there by growing.",
            title="Largest window",
            ge=1,
            le=366,
        ),
    ] = 366
    max_concurrent_queries: Annotated[
        int,
        _setting(
            "Downloads under way at once.",
            title="Concurrent queries",
            ge=1,
            le=100,
        ),
    ] = 4
    workers: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=64)] | None,
        _setting(
            "How many processes make records of what is downloaded, when a run has much to do: "
            "several windows, and more than one core. 1: all in one process. Default: the cores, "
            "4 at most.",
            title="Worker processes",
        ),
    ] = None
    max_queries_per_hour: Annotated[
        int,
        _setting(
            "This run's share of the project's quota of 60.",
            title="Queries per hour",
            ge=1,
            le=60,
        ),
    ] = 60
    quota_file: Annotated[
        str | None,
        _setting(
            "Runs that name the same file, or the same directory on a file system or object store "
            "that machines share (`s3://…`), share one quota (3 queries per second, "
            "`max_queries_per_hour`).",
        ),
    ] = None
    deduplicate: Annotated[
        bool,
        _setting("Drop repeats of an event within the run; the latest processed is kept."),
    ] = True
    mapping_file: Annotated[
        Path | None,
        _setting(
            "Data Prep mapping set (JSON) that defines the columns. Default: Adobe's 11 "
            "attributes.",
        ),
    ] = None
    field_group_file: Annotated[
        Path | None,
        _setting("XDM field group (JSON) that gives the columns their types."),
    ] = None
    columns: Annotated[
        tuple[str, ...],
        _setting(
            "Properties that get a column of their own, without any file: `name` or `name:type` "
            "(`$city`, `cart.total:number`). Types: string (default), integer, number, boolean, "
            "date, date-time.",
            title="Further columns",
        ),
    ] = ()
    properties_format: Annotated[
        Literal["object", "string"],
        _setting(
            "The `properties` column as an object or as JSON text.",
            title="Format of properties",
        ),
    ] = "object"
    diagnostics_dir: Annotated[
        Path | None,
        _setting(
            "Where malformed lines are kept. Unset: a malformed line fails the run.",
            title="Diagnostics folder",
        ),
    ] = None
    error_threshold_percent: Annotated[
        float,
        _setting(
            "With `diagnostics_dir`: more malformed lines than this percentage fail the run.",
            title="Error threshold",
            ge=0,
            le=100,
        ),
    ] = 5
    report_dir: Annotated[
        Path | None,
        _setting(
            "Tell there what runs did: `index.html`, a page over the last 60; `run.json` of the "
            "last one; and under `runs/` one for each.",
            title="Report folder",
        ),
    ] = None
    batch_compression_level: Annotated[
        int,
        _setting(
            "Of gzipped JSON Lines (`batch_config`): 0 is fastest, 3 smallest.",
            title="Compression of BATCH files",
            ge=0,
            le=3,
        ),
    ] = 1
    user_agent: Annotated[
        str | None,
        _setting("Sent with each request. Default: the tap's name and version."),
    ] = None
    request_timeout: Annotated[
        float,
        _setting(
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


def json_schema() -> dict[str, Any]:
    """The settings as JSON schema, in the dialect that the SDK, Meltano and Singer tools read."""
    # What JSON schema has no type for, a path, is a text.
    _, schemas = msgspec.json.schema_components(
        [DeclaredSettings], schema_hook=lambda _: {"type": "string"}
    )
    declared = schemas[DeclaredSettings.__name__]["properties"]
    return {
        "type": "object",
        "properties": {name: _property(name, schema) for name, schema in declared.items()},
        "$schema": "https://json-schema.org/draft/2020-12/schema",
    }


def _property(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Write a setting as the SDK does: any may be null, which is not set."""
    ways = schema.pop("anyOf", [schema])
    # The bounds of what may be left out stand there.
    own = next((one for one in ways if one.get("type", "null") != "null"), {"type": "string"})
    schema |= own
    schema["type"] = [own["type"], "null"]
    schema.setdefault("title", name.replace("_", " ").capitalize())
    if schema.get("default") in (None, ()):
        del schema["default"]
    if "enum" in schema:
        # msgspec sorts by name; what most people want stands first.
        schema["enum"].sort(key=lambda value: value != schema.get("default"))
    return schema
