"""Settings and state of a command line, read as the tap reads them, without the SDK."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.config import (
    ExportSettings,
    check_all,
    complete,
    ignored_settings,
    json_schema,
    read_environment,
    unread_settings,
)
from tap_mixpanel_export.errors import ExportError
from tap_mixpanel_export.json_files import read_json
from tap_mixpanel_export.sync.foreign_states import take_over
from tap_mixpanel_export.sync.state_file import read_bookmark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import tzinfo

    from tap_mixpanel_export.sync.windows import Bookmark

ENVIRONMENT = "ENV"
"""What stands for the environment among the names of files."""

_PROGRAM = "tap-mixpanel-export"
_PREFIX = "TAP_MIXPANEL_EXPORT_"
_STREAM = "events"

SDK_SETTINGS: dict[str, dict[str, Any]] = {
    **{
        name: {"type": ["object", "null"]}
        for name in ("stream_maps", "stream_map_config", "faker_config", "batch_config")
    },
    "flattening_enabled": {"type": ["boolean", "null"]},
    "flattening_max_depth": {"type": ["integer", "null"]},
    "flattening_max_key_length": {"type": ["integer", "null"]},
    "flattening_separator": {"type": ["string", "null"]},
    "emit_activate_version_messages": {"type": ["boolean", "null"]},
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
    """Read settings from files and the environment, and check them.

    Args:
        configs: Files, later ones over earlier ones, and `ENV` for the environment, which is over
            all of them; none stands for the environment alone.

    Raises:
        ExportError: A file cannot be read, or is no JSON object.
    """
    given, reads_environment = merge_settings(configs)
    return check_given(given, reads_environment=reads_environment)


def merge_settings(configs: Iterable[str]) -> tuple[dict[str, Any], bool]:
    """Read settings from files and the environment.

    Args:
        configs: As of `read_settings`.

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
    return read_environment({**SDK_SETTINGS, **json_schema()["properties"]}, _PREFIX)


def check_given(given: Mapping[str, Any], *, reads_environment: bool) -> GivenSettings:
    """Check settings.

    Args:
        given: The settings.
        reads_environment: Whether those of the environment are among them.
    """
    schema = json_schema()
    properties = {**SDK_SETTINGS, **schema["properties"]}
    schema = {**schema, "properties": properties}
    ignored = ignored_settings(given, properties, _PREFIX, reads_environment=reads_environment)
    agent = f"{_PROGRAM}/{version(_PROGRAM)}"
    settings, problems = check_all(complete(given, properties), schema, agent)
    notices = [*ignored, *(() if settings is None else settings.notices)]
    return GivenSettings(settings, problems, notices)


def unread(given: Mapping[str, Any]) -> list[str]:
    """Say of settings in the environment that a command line has not asked for it."""
    return [*unread_settings(given, {**SDK_SETTINGS, **json_schema()["properties"]}, _PREFIX)]


def read_state(path: str | None, zone: tzinfo) -> Bookmark | None:
    """Read what earlier runs have done.

    Args:
        path: A file with a state, as the tap takes it; None for a first run.
        zone: The project's zone.

    Raises:
        ExportError: The file cannot be read, or holds no state.
    """
    if path is None:
        return None
    entry = take_over(read_json("--state", path)).state.get("bookmarks", {}).get(_STREAM, {})
    return read_bookmark(entry, zone)


def read_json_object(option: str, path: str) -> dict[str, Any]:
    """Read a file that holds a JSON object.

    Raises:
        ExportError: It cannot be read, or is none.
    """
    content = read_json(option, path)
    if not isinstance(content, dict):
        raise ExportError(f"{option} {path} is JSON, but not an object")
    return content
