"""The tap: all settings, and discovery."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timezone
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.plugin_base import JSONSchemaValidator

from tap_mixpanel_export.api.auth import PROJECT_SECRETS_END
from tap_mixpanel_export.config import HOSTS, ExportSettings, check_settings, load_columns
from tap_mixpanel_export.errors import SettingsError, StateError
from tap_mixpanel_export.output.writer import MessageWriter
from tap_mixpanel_export.streams import EventsStream
from tap_mixpanel_export.xdm.mapping.columns import event_schema
from tap_mixpanel_export.xdm.schema.field import XdmType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

    from jsonschema import ValidationError
    from singer_sdk import Stream

_SECRETS = frozenset({"service_account_secret", "oauth_token", "project_secret"})


class TapMixpanelExport(Tap):
    """Raw events out of Mixpanel, as they were received and stored."""

    name = "tap-mixpanel-export"
    package_name = "tap-mixpanel-export"
    message_writer_class = MessageWriter

    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property(
            "service_account_username",
            th.StringType,
            title="Service account user name",
            description="User name of a Mixpanel service account; needs `project_id`. "
            "One that does not expire spares surprises.",
        ),
        th.Property(
            "service_account_secret",
            th.StringType,
            secret=True,
            title="Service account secret",
            description="Secret of the service account.",
        ),
        th.Property(
            "oauth_token",
            th.StringType,
            secret=True,
            title="OAuth token",
            description="Sent as `Authorization: Bearer`; needs `project_id`.",
        ),
        th.Property(
            "project_secret",
            th.StringType,
            secret=True,
            title="Project secret",
            description="Deprecated by Mixpanel, retired on 2027-03-03: use a service account.",
        ),
        th.Property(
            "project_id",
            th.IntegerType,
            title="Project ID",
            description="ID of the Mixpanel project.",
        ),
        th.Property(
            "region",
            th.StringType,
            allowed_values=list(HOSTS),
            default="US",
            title="Region",
            description="Where the project's data is kept; picks the host.",
        ),
        th.Property(
            "api_url",
            th.StringType,
            title="API URL",
            description="Replaces `https://<host>/api/2.0`. Plain http is refused unless the host "
            "is this machine.",
        ),
        th.Property(
            "start_date",
            th.StringType,
            title="Start date",
            description="First event time to export when there is no state: a date "
            "(2026-01-31) or date-time. Default: 30 days ago.",
        ),
        th.Property(
            "end_date",
            th.StringType,
            title="End date",
            description="Last event time to export: a date (inclusive) or date-time. Default: now.",
        ),
        th.Property(
            "project_timezone",
            th.StringType,
            title="Project time zone",
            description="Only for projects created before 2023-01-01, whose days and times "
            "Mixpanel stores in it: an IANA name (America/Los_Angeles) or Windows name (Pacific "
            "Standard Time). Unset: UTC.",
        ),
        th.Property(
            "event_names",
            th.ArrayType(th.StringType),
            title="Event names",
            description="Only these events. Default: all.",
        ),
        th.Property(
            "where",
            th.StringType,
            title="Filter",
            description='Mixpanel segmentation expression, e.g. `properties["plan"] == "gold"`.',
        ),
        th.Property(
            "time_in_ms",
            th.BooleanType,
            default=False,
            title="Time in milliseconds",
            description="Ask for, and emit, `time` in milliseconds.",
        ),
        th.Property(
            "lookback_days",
            th.CustomType({"type": ["integer", "null"], "minimum": 0}),
            default=5,
            title="Look-back days",
            description="How far back from the bookmark late events are looked for. Mixpanel's "
            "SDKs keep events of an offline device for 5 days.",
        ),
        th.Property(
            "max_window_days",
            th.CustomType({"type": ["integer", "null"], "minimum": 1, "maximum": 366}),
            default=30,
            title="Largest window",
            description="Upper bound of the days in one query.",
        ),
        th.Property(
            "max_concurrent_queries",
            th.CustomType({"type": ["integer", "null"], "minimum": 1, "maximum": 100}),
            default=4,
            title="Concurrent queries",
            description="Downloads under way at once.",
        ),
        th.Property(
            "max_queries_per_hour",
            th.CustomType({"type": ["integer", "null"], "minimum": 1, "maximum": 60}),
            default=60,
            title="Queries per hour",
            description="This run's share of the project's quota of 60.",
        ),
        th.Property(
            "quota_file",
            th.StringType,
            title="Quota file",
            description="Runs that name the same file share one quota (3 queries per second, "
            "`max_queries_per_hour`).",
        ),
        th.Property(
            "deduplicate",
            th.BooleanType,
            default=True,
            title="Deduplicate",
            description="Drop repeats of an event within the run; the latest processed is kept.",
        ),
        th.Property(
            "mapping_file",
            th.StringType,
            title="Mapping file",
            description="Data Prep mapping set (JSON) that defines the columns. Default: Adobe's "
            "11 attributes.",
        ),
        th.Property(
            "field_group_file",
            th.StringType,
            title="Field group file",
            description="XDM field group (JSON) that gives the columns their types.",
        ),
        th.Property(
            "properties_format",
            th.StringType,
            allowed_values=["object", "string"],
            default="object",
            title="Format of properties",
            description="The `properties` column as an object or as JSON text.",
        ),
        th.Property(
            "diagnostics_dir",
            th.StringType,
            title="Diagnostics folder",
            description="Where malformed lines are kept. Unset: a malformed line fails the run.",
        ),
        th.Property(
            "error_threshold_percent",
            th.CustomType({"type": ["number", "null"], "minimum": 0, "maximum": 100}),
            default=5,
            title="Error threshold",
            description="With `diagnostics_dir`: more malformed lines than this percentage fail "
            "the run.",
        ),
        th.Property(
            "report_dir",
            th.StringType,
            title="Report folder",
            description="Write `run.json` and `run.html` there at the end of a run: what came, "
            "what was left out, and events per day.",
        ),
        th.Property(
            "batch_compression_level",
            th.CustomType({"type": ["integer", "null"], "minimum": 0, "maximum": 3}),
            default=1,
            title="Compression of BATCH files",
            description="Of gzipped JSON Lines (`batch_config`): 0 is fastest, 3 smallest.",
        ),
        th.Property(
            "user_agent",
            th.StringType,
            title="User agent",
            description="Sent with each request. Default: the tap's name and version.",
        ),
        th.Property(
            "request_timeout",
            th.CustomType({"type": ["number", "null"], "exclusiveMinimum": 0}),
            default=300,
            title="Request timeout",
            description="Seconds to connect, and of the longest silence between bytes.",
        ),
    ).to_dict()

    @classproperty
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805 - of the class
        """Settings of the environment.

        The SDK leaves numbers as text, and ends with a traceback on an integer that is none. What
        is no number stays text here, to be refused by name with all other problems.
        """
        schema = cls.config_jsonschema
        cls.append_builtin_config(schema)
        kinds = {"integer": int, "number": float}
        readers = {
            name: reader
            for name, setting in schema["properties"].items()
            for kind, reader in kinds.items()
            if kind in setting.get("type", ())
        }
        texts = {n: {"type": "string"} for n in readers}
        config = parse_environment_config(
            {"properties": schema["properties"] | texts}, cls._env_var_prefix
        )
        for name in readers.keys() & config.keys():
            with suppress(ValueError):
                config[name] = readers[name](config[name])
        return config

    @property
    def block_writer(self) -> MessageWriter:
        """The writer of all messages."""
        if not isinstance(self.message_writer, MessageWriter):
            raise TypeError("the tap writes blocks of messages; use its own MessageWriter")
        return self.message_writer

    def load_state(self, state: dict[str, Any]) -> None:
        """Take the state of an earlier run.

        Raises:
            StateError: It is none.
        """
        bookmarks = state.get("bookmarks", {}) if isinstance(state, dict) else None
        if not isinstance(bookmarks, dict) or not all(
            isinstance(bookmark, dict) for bookmark in bookmarks.values()
        ):
            raise StateError(
                'state: it is not of the form {"bookmarks": {"events": {…}}}; mend it, or start '
                "without a state"
            )
        super().load_state(state)

    def discover_streams(self) -> Sequence[Stream]:
        """The stream `events`, with the columns of the mapping.

        Raises:
            SettingsError: The mapping cannot be used.
        """
        columns, problems = load_columns(self.config)
        if problems:
            raise SettingsError(problems)
        schema = event_schema(
            columns,
            properties_format="string" if self._writes_text else "object",
            time_in_ms=self.config.get("time_in_ms", False),
        )
        return [EventsStream(self, schema, columns, self._load_settings)]

    @property
    def _writes_text(self) -> bool:
        """Whether `properties` is JSON text: Parquet has no type for what differs by event."""
        return self.config.get("properties_format") == "string" or self._batch_format == "parquet"

    @property
    def _batch_format(self) -> str | None:
        encoding = (self.config.get("batch_config") or {}).get("encoding") or {}
        return encoding.get("format")

    def _further_problems(self, bad: set[str]) -> list[str]:
        """Problems besides those of type and range, of the settings that have none of these."""
        declared = self.config_jsonschema["properties"]
        defaults = {n: declared[n]["default"] for n in bad if "default" in declared.get(n, {})}
        config = {n: value for n, value in self.config.items() if n not in bad} | defaults
        _, problems = self._check(config)
        return [text for text in problems if not any(name in text for name in bad)]

    def _load_settings(self) -> ExportSettings:
        settings, problems = self._check(self.config)
        if settings is None:
            raise SettingsError(problems)
        if self.config.get("project_secret") is not None:
            self.logger.warning(
                "%s: project_secret is deprecated by Mixpanel and retired on %s; create a service "
                "account, and set service_account_username, service_account_secret and project_id",
                datetime.now(timezone.utc).date(),
                PROJECT_SECRETS_END,
            )
        return settings

    def _check(self, config: Mapping[str, Any]) -> tuple[ExportSettings | None, list[str]]:
        agent = f"{self.name}/{self.plugin_version}"
        settings, problems = check_settings(config, agent)
        problems = [*problems, *self._batch_problems()]
        return (None if problems else settings), problems

    def _batch_problems(self) -> list[str]:
        """What the SDK would ignore without a word: files are written past maps and flattening."""
        if not self.config.get("batch_config"):
            return []
        problems = [
            f"{name} cannot be used with batch_config: the records go to files as they are"
            for name in ("stream_maps", "flattening_enabled")
            if self.config.get(name)
        ]
        if self._batch_format == "parquet":
            if find_spec("pyarrow") is None:
                problems.append(
                    "batch_config: Parquet needs an extra: pip install tap-mixpanel-export[parquet]"
                )
            problems += [
                f"batch_config: column {column.name} is a map, which Parquet files cannot hold here"
                for column in load_columns(self.config)[0]
                if column.field.type is XdmType.MAP
            ]
        elif self._batch_format not in {None, "jsonl"}:
            problems.append("batch_config: encoding.format is neither jsonl nor parquet")
        return problems

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Check all settings at once.

        The SDK's own check stops at types and quotes the values, secrets included.
        """
        schema = self.config_jsonschema
        self.append_builtin_config(schema)
        # A null from Meltano is a setting that is not set.
        for name in [name for name, value in self._config.items() if value is None]:
            del self._config[name]
        validator = JSONSchemaValidator(schema)
        errors = list(validator.iter_errors(self._config))
        problems = [_describe(error) for error in errors]
        if raise_errors:
            problems += self._further_problems({str(e.path[0]) for e in errors if e.path})
        if problems and raise_errors:
            raise ConfigValidationError(
                "Config validation failed", errors=[str(SettingsError(problems))], schema=schema
            )
        return problems

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """End with a code that tells; the state of the last finished window is written already."""
        self.block_writer.end_run(signum)


def _describe(error: ValidationError) -> str:
    """A problem in words that name the setting and never quote a secret."""
    name = str(error.path[0]) if error.path else "settings"
    expected: Any = error.validator_value
    if name in _SECRETS:
        return f"{name} is not a text"
    if error.validator == "enum":
        return f"{name} is none of {', '.join(map(str, expected))}"
    if error.validator == "type":
        kinds = [expected] if isinstance(expected, str) else expected
        return f"{name} is not of type {' or '.join(k for k in kinds if k != 'null')}"
    if error.validator in {"minimum", "exclusiveMinimum"}:
        return f"{name} is too small: {error.instance} (least is {expected})"
    if error.validator == "maximum":
        return f"{name} is too large: {error.instance} (most is {expected})"
    return f"{name}: {error.message}"
