"""Pure: Spark's options, read once on the driver, and what tasks need of them.

Secrets are no options: Spark Connect shows options in clear text on its page and in event logs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.config import PREFIX, json_schema, read_environment, read_texts
from tap_mixpanel_export.errors import SettingsError, printable
from tap_mixpanel_export.export.api import Export
from tap_mixpanel_export.export.given import bookmark_of, check_given
from tap_mixpanel_export.spark.offsets import StreamPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tap_mixpanel_export.api.quota import Quota
    from tap_mixpanel_export.sync.windows import Bookmark

_CREDENTIALS = (
    *("service_account_username", "service_account_secret", "oauth_token", "project_secret"),
    *("project_id", "hash_salt"),
)
"""What a task takes from its environment, or from the function of `credentials`."""

_OTHERWISE = {
    "quota_file": "here: `quota`, the URL of a directory that all machines reach",
    "mapping_file": "a file of one machine; `property_columns` gives further columns",
    "field_group_file": "a file of one machine; `property_columns` gives further columns",
    "diagnostics_dir": "a folder of whichever machine a task runs on",
    "report_dir": "a folder of whichever machine a task runs on",
}
"""Settings that mean one machine, and what to do."""

_ALLOWED = (
    *("service_account_username", "project_id", "region", "api_url", "start_date", "end_date"),
    *("project_timezone", "event_names", "exclude_event_names", "exclude_properties"),
    *("hash_properties", "where", "time_in_ms", "max_queries_per_hour", "deduplicate"),
    *("user_agent", "request_timeout"),
)
"""Settings of the tap that are options by their own names."""

_OF_STREAMS = ("lookback_days", "processing_delay_minutes")
"""Settings of the tap that are options of `readStream` only: a load has no look-back."""

_STREAM_OPTIONS: dict[str, dict[str, Any]] = {
    "watermark_interval": {"type": "integer", "minimum": 1},
    "max_days_per_trigger": {"type": "integer", "minimum": 1},
    "startingstate": {"type": "object"},
}

OWN_OPTIONS: dict[str, dict[str, Any]] = {
    "columns": {"type": "array"},
    "property_columns": {"type": "array"},
    "partition_days": {"type": "integer", "minimum": 1},
    "splits_per_day": {"type": "integer", "minimum": 1},
    "quota": {"type": "string"},
    "credentials": {"type": "string"},
    "filter_pushdown": {"type": "boolean"},
    **_STREAM_OPTIONS,
}
"""Options that are no settings of the tap."""

# What `CREATE TABLE … USING` passes on besides the user's options, some of them twice.
_OF_SPARK = frozenset({"owner", "provider", "path"})
_OF_SPARK_PREFIX = "option."

# What stands for the real ones where nothing is asked for.
_NO_CREDENTIALS = {"oauth_token": "planning", "hash_salt": "planning"}


@dataclass(frozen=True)
class SparkOptions:
    """Options of a load; can be pickled, and holds no secret.

    Attributes:
        settings: Of the tap.
        columns: Names of the columns wanted; None for all.
        partition_days: How many days a partition has; None for as few as fit an hour's quota.
        splits_per_day: Into how many partitions a day is cut.
        quota: By what the tasks share the project's quota; None for a folder of each machine.
        credentials: `module:function` that gives the credentials to a task.
        filter_pushdown: Whether Spark's filters choose the days that are asked for.
        watermark_interval: How many seconds lie between micro-batches of a stream, at least.
        max_days_per_trigger: How many days a micro-batch reads for the first time, at most; None
            for as many as fit an hour's quota.
        startingstate: The tap's state, from which a stream without a checkpoint goes on.
    """

    settings: dict[str, Any]
    columns: list[str] | None = None
    partition_days: int | None = None
    splits_per_day: int = 1
    quota: str | None = None
    credentials: str | None = None
    filter_pushdown: bool = False
    watermark_interval: int = 900
    max_days_per_trigger: int | None = None
    startingstate: dict[str, Any] | None = None

    def export_for_planning(self) -> Export:
        """An export that asks for nothing: secrets are where tasks run, not here.

        Raises:
            SettingsError: All problems of the settings, in one message.
        """
        return Export(self._for_planning(), columns=self.columns, env=False)

    def stream(self) -> tuple[StreamPlan, Bookmark | None]:
        """How a stream is cut, and what the tap has done before it.

        Raises:
            SettingsError: An option is none of a stream.
            StateError: `startingState` is no state.
        """
        if self.splits_per_day > 1 or self.filter_pushdown:
            raise SettingsError(
                ["splits_per_day and filter_pushdown are options of spark.read, not of a stream"]
            )
        settings = check_given(self._for_planning()).settings
        if settings is None:  # pragma: no cover - `read_options` has refused them
            raise SettingsError(["the options of the stream cannot be used"])
        plan = StreamPlan(
            settings.span(None), timedelta(seconds=self.watermark_interval), self.partition_days
        )
        if self.startingstate is None:
            return plan, None
        return plan, bookmark_of(self.startingstate, settings.zone)

    def refuse_options_of_streams(self) -> None:
        """Refuse what a load has no use for.

        Raises:
            SettingsError: Options of streams were given.
        """
        given = [name for name in _OF_STREAMS if name in self.settings]
        usual = SparkOptions({})
        given += [n for n in _STREAM_OPTIONS if getattr(self, n) != getattr(usual, n)]
        if given:
            raise SettingsError(
                [
                    f"{name} is an option of spark.readStream; a load has no use for it"
                    for name in given
                ]
            )

    def export(self, quota: Quota, credentials: Mapping[str, Any]) -> Export:
        """The export of a task.

        Args:
            quota: Shared with other tasks.
            credentials: As `read_credentials` gives them.

        Raises:
            SettingsError: The credentials are missing or wrong.
        """
        given = {**credentials, **self.settings}
        return Export(given, columns=self.columns, quota=quota, env=False)

    def read_credentials(self) -> dict[str, Any]:
        """The credentials of a task: of the function that `credentials` names, or its environment.

        Raises:
            SettingsError: There is no such function, or it gives something else.
        """
        properties = json_schema()["properties"]
        wanted = {name: properties[name] for name in _CREDENTIALS}
        if self.credentials is None:
            return read_environment(wanted)
        given = _function(self.credentials)()
        if not isinstance(given, dict) or not set(given) <= set(wanted):
            raise SettingsError(
                [f"credentials: {self.credentials} must return a dict of {', '.join(_CREDENTIALS)}"]
            )
        return given

    def of_events(self, names: frozenset[str]) -> SparkOptions:
        """The same for some event names only; those that were chosen before stay the only ones."""
        before = self.settings.get("event_names") or names
        chosen = sorted(names.intersection(before))
        return replace(self, settings={**self.settings, "event_names": chosen})

    def _for_planning(self) -> dict[str, Any]:
        hashes = self.settings.get("hash_properties")
        stand_ins = {k: v for k, v in _NO_CREDENTIALS.items() if k != "hash_salt" or hashes}
        known = {k: v for k, v in self.settings.items() if k != "service_account_username"}
        return {"project_id": 1, **known, **stand_ins}


def read_options(options: Mapping[str, str]) -> SparkOptions:
    """Read and check what was given to `spark.read.option(…)`.

    Raises:
        SettingsError: All problems, each naming its option, none quoting a secret.
    """
    given = {name.lower(): value for name, value in options.items()}
    given = {
        name: value
        for name, value in given.items()
        if name not in _OF_SPARK and not name.startswith(_OF_SPARK_PREFIX)
    }
    properties = json_schema()["properties"]
    known = {**{name: properties[name] for name in (*_ALLOWED, *_OF_STREAMS)}, **OWN_OPTIONS}
    problems = list(_refused(given, known, properties))
    values = read_texts({n: text for n, text in given.items() if n in known}, known)
    own = {name: values.pop(name) for name in OWN_OPTIONS if name in values}
    problems += [
        f"{name} is no whole number from 1 on"
        for name, value in own.items()
        if "minimum" in OWN_OPTIONS[name] and not (isinstance(value, int) and value > 0)
    ]
    if not isinstance(own.get("filter_pushdown", False), bool):
        problems.append("filter_pushdown is neither true nor false")
    if not isinstance(own.get("startingstate", {}), dict):
        problems.append("startingState is no JSON object, as the tap's state is")
    if not problems and own.get("splits_per_day", 1) > 1 and own.get("partition_days", 1) > 1:
        problems.append("splits_per_day cuts days: partition_days must be 1 with it")
    if problems:
        raise SettingsError(problems)
    if further := own.pop("property_columns", None):
        values["columns"] = further
    read = SparkOptions(values, **own)
    read.export_for_planning()
    return read


def _refused(
    given: Mapping[str, str], known: Mapping[str, Any], properties: Mapping[str, Any]
) -> Iterator[str]:
    for name in given:
        if name in known:
            continue
        if properties.get(name, {}).get("secret"):
            yield (
                f"{name} is a secret, and Spark shows options: set {PREFIX}{name.upper()} in the "
                f"executors' environment (spark.executorEnv.{PREFIX}{name.upper()}), or name a "
                "function with `credentials`"
            )
        elif name in _OTHERWISE:
            yield f"{name} is no option: {_OTHERWISE[name]}"
        elif name in properties:
            yield f"{name} has no effect in Spark"
        else:
            yield f"{printable(name)} is no option of mixpanel_export"


def _function(name: str) -> Callable[[], Any]:
    module, _, function = name.partition(":")
    try:
        found: Callable[[], Any] = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(
            [f"credentials: there is no {printable(name)} on the executors ({os.uname().nodename})"]
        ) from error
    return found
