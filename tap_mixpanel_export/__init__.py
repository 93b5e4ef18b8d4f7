"""Raw Mixpanel events as a Singer stream, as Arrow batches, and their mapping to XDM.

The Python API (extra `arrow`) is loaded when it is asked for: importing this package imports
neither the SDK nor pyarrow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tap_mixpanel_export.api.quota import Quota, open_quota
    from tap_mixpanel_export.export.api import Export, read_events
    from tap_mixpanel_export.export.reader import EventReader
    from tap_mixpanel_export.export.window import Window

__all__ = ["EventReader", "Export", "Quota", "Window", "open_quota", "read_events"]

_HOMES = {
    "EventReader": "export.reader",
    "Export": "export.api",
    "Quota": "api.quota",
    "Window": "export.window",
    "open_quota": "api.quota",
    "read_events": "export.api",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
