"""Raw Mixpanel events as a Singer stream, and their mapping to XDM."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tap_mixpanel_export.api.quota import Quota, open_quota

__all__ = ["Quota", "open_quota"]

_HOMES = {"Quota": "api.quota", "open_quota": "api.quota"}


def __getattr__(name: str) -> Any:
    """The public names, imported when used: programs start without what they do not need."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
