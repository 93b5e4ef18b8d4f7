"""Settings that this tap does not have: which one is probably meant."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.config.declarations import PREFIX
from tap_mixpanel_export.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

OLD_SETTINGS = {
    "api_secret": "`service_account_username`, `service_account_secret`, `project_id`",
    "eu_residency": "`region: EU`",
    "eu_residency_server": "`region: EU`",
    "export_events": "`event_names`, an array",
    "attribution_window": "`lookback_days`; only late events come again, not whole days",
    "export_lookback_window": "`lookback_days`; only late events come again, not whole days",
    "date_window_size": "not needed: windows find their size; `max_window_days` bounds it",
    "select_properties_by_default": "not needed: all properties come, nested ones too",
    "denest_properties": "not needed: all properties come, nested ones too",
    "page_size": "not needed: an export has no pages",
    "credentials": "`service_account_username`, `service_account_secret`, `project_id`",
    "num_workers": "`max_concurrent_queries`",
}
"""What settings of `tap-mixpanel` and of Airbyte's source are called here; README shows it, too."""

# Variables of the SDK that are no settings.
_NO_SETTINGS = frozenset({"loglevel"})


def ignored_settings(given: Mapping[str, Any], properties: Mapping[str, Any]) -> Iterator[str]:
    """A sentence about each setting that was given and has no effect.

    Args:
        given: The settings that were given, those of the environment included if it is read.
        properties: JSON schema of each setting.
    """
    for name in given:
        if name not in properties:
            hint = _hint(name, properties)
            yield f"{printable(name)} is no setting of this tap, and ignored{hint}"


def ignored_variables(
    given: Mapping[str, Any], properties: Mapping[str, Any], *, are_read: bool
) -> Iterator[str]:
    """A sentence about each variable of the environment that looks like a setting without effect.

    Args:
        given: The settings that were given.
        properties: JSON schema of each setting.
        are_read: Whether settings are read from the environment.
    """
    for variable, name in _variables(properties):
        if name not in properties:
            hint = _hint(name, properties)
            yield f"{printable(variable)} in the environment is no setting of this tap{hint}"
        elif not are_read and name not in given and os.environ[variable]:
            yield (
                f"{variable} in the environment is not used: the settings come from --config "
                "(add --config ENV to read both; in a Meltano project declare the setting)"
            )


def _variables(properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Variables with our prefix, and the settings that they would be."""
    objects = tuple(name for name, one in properties.items() if "object" in one.get("type", ()))
    for variable in sorted(os.environ):
        name = variable.removeprefix(PREFIX).lower()
        # Meltano's own begin with two underscores, and it has one for each member of an object.
        if name != variable.lower() and not (
            name in _NO_SETTINGS or name.startswith(("_", *objects))
        ):
            yield variable, name


def _hint(name: str, names: Iterable[str]) -> str:
    clean = name.lower().replace("-", "_")
    if clean in OLD_SETTINGS:
        return f". Other taps have it; here: {OLD_SETTINGS[clean]}"
    close = get_close_matches(clean, names, n=1, cutoff=0.7)
    return f"; {close[0]} is probably meant" if close else ""
