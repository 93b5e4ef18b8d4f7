"""Settings and state of a command line, read as the tap reads them, without the SDK."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.config import (
    ExportSettings,
    check_all,
    ignored_settings,
    ignored_variables,
    json_schema,
    read_environment,
)
from tap_mixpanel_export.json_files import read_json_object
from tap_mixpanel_export.record_layout import STREAM
from tap_mixpanel_export.sync.foreign_states import take_over
from tap_mixpanel_export.sync.state_file import read_bookmark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import tzinfo

    from tap_mixpanel_export.sync.windows import Bookmark

ENVIRONMENT = "ENV"
"""What stands for the environment among the names of files."""


def _nullable(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": [kind, "null"], **more}


def _object(**members: Any) -> dict[str, Any]:
    return _nullable("object", properties=members)


SDK_SETTINGS: dict[str, dict[str, Any]] = {
    # They have a check of their own.
    "stream_maps": _nullable("object"),
    "stream_map_config": _object(),
    "faker_config": _object(
        seed={"oneOf": [{"type": kind} for kind in ("number", "string", "boolean", "null")]},
        locale={
            "oneOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}},
                {"type": "null"},
            ]
        },
    ),
    "batch_config": _object(
        encoding=_object(
            format=_nullable("string", enum=["jsonl", "parquet"]),
            compression=_nullable("string", enum=["gzip", "none"]),
        ),
        storage=_object(root=_nullable("string"), prefix=_nullable("string")),
    ),
    "flattening_enabled": _nullable("boolean"),
    "flattening_max_depth": _nullable("integer"),
    "flattening_max_key_length": _nullable("integer"),
    "flattening_separator": _nullable("string"),
    "emit_activate_version_messages": _nullable("boolean"),
}
"""What the SDK adds to the tap's settings: they are in the same files."""


@dataclass(frozen=True, slots=True)
class GivenSettings:
    """Settings as they were given.

    Attributes:
        settings: Checked; None when there are problems.
        problems: All of them, one sentence each.
        notices: What was given and has no effect, or was understood in another way.
    """

    settings: ExportSettings | None
    problems: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def read_settings(configs: Iterable[str]) -> GivenSettings:
    """Read settings, see `merge_settings`, and check them."""
    given, reads_environment = merge_settings(configs)
    checked = check_given(given)
    notices = [*notices_of_environment(given, is_read=reads_environment), *checked.notices]
    return replace(checked, notices=notices)


def merge_settings(configs: Iterable[str]) -> tuple[dict[str, Any], bool]:
    """Read settings from files and the environment.

    Args:
        configs: Files, later ones over earlier ones, and `ENV` for the environment, which is over
            all of them; none stands for the environment alone.

    Returns:
        The settings, unchecked, and whether the environment was read.

    Raises:
        ExportError: A file cannot be read, or is no JSON object.
    """
    places = list(configs) or [ENVIRONMENT]
    given: dict[str, Any] = {}
    for place in places:
        if place != ENVIRONMENT:
            given |= read_json_object("--config", place)
    if ENVIRONMENT in places:
        given |= environment_settings()
    return given, ENVIRONMENT in places


def environment_settings() -> dict[str, Any]:
    """The settings that the environment, or a file `.env`, has."""
    return read_environment(_schema()["properties"])


def check_given(given: Mapping[str, Any]) -> GivenSettings:
    """Check settings; says nothing of the environment.

    Args:
        given: The settings, those of the environment among them if it was read.
    """
    schema = _schema()
    settings, problems = check_all(given, schema)
    notices = [*ignored_settings(given, schema["properties"])]
    return GivenSettings(
        settings, problems, notices + ([] if settings is None else [*settings.notices])
    )


def notices_of_environment(given: Mapping[str, Any], *, is_read: bool) -> list[str]:
    """Say what variables of the environment look like settings, and have no effect.

    Args:
        given: The settings that were given.
        is_read: Whether the environment was read.
    """
    return [*ignored_variables(given, _schema()["properties"], are_read=is_read)]


def _schema() -> dict[str, Any]:
    schema = json_schema()
    return {**schema, "properties": {**SDK_SETTINGS, **schema["properties"]}}


def bookmark_of(state: object, zone: tzinfo) -> Bookmark | None:
    """What earlier runs have done.

    Args:
        state: As the tap takes it.
        zone: The project's zone.

    Raises:
        StateError: It is none.
    """
    return read_bookmark(take_over(state).state.get("bookmarks", {}).get(STREAM, {}), zone)
