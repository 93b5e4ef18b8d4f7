"""Pure: documents of runs as one page that needs nothing from elsewhere."""

from __future__ import annotations

import json
from functools import cache
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.sync.summary import FIGURES

if TYPE_CHECKING:
    from collections.abc import Sequence

# What is kept of the runs behind the first one: a page of sixty long runs must still open.
_DAYS = {"eventsPerDay": 400, "latePerDay": 400}
_COUNTS = {
    "eventNames": 50,
    "unmappedProperties": 50,
    "conversionWarnings": 50,
}
_LISTS = {"windows": 200, "waits": 200}

_TYPES: dict[str, type] = {
    **dict.fromkeys(("status", "headline", "startedAt", "endedAt", "tap"), str),
    **dict.fromkeys(("project", "conversionKinds", *_DAYS, *_COUNTS), dict),
    **dict.fromkeys(_LISTS, list),
    **dict.fromkeys(("outputRecordCount", "inputByteCount"), int),
}


def render(runs: Sequence[dict[str, Any]]) -> str:
    """The page.

    Args:
        runs: Documents of runs, the newest first, at least one; see `run.schema.json`.
    """
    newest, *older = runs
    data = {
        "runs": [newest, *map(trimmed, older)],
        "labels": {figure.name: figure.label for figure in FIGURES},
    }
    parts = {
        "title": escape(newest["headline"]),
        "headline": escape(newest["headline"]),
        "style": _asset("page.css"),
        "data": _script_json(data),
        "plot": _asset("plot.js"),
        "script": _asset("page.js"),
    }
    # Each part once, from the template only: what a part holds is never looked at again.
    first, *rest = _asset("page.html").split("{{")
    return first + "".join(
        parts[name] + text for name, _, text in (piece.partition("}}") for piece in rest)
    )


def is_document(value: Any) -> bool:
    """Whether what was read from a file can be shown; its whole schema would take seconds."""
    return (
        isinstance(value, dict)
        and value.get("version") == 1
        and all(isinstance(value.get(name), kind) for name, kind in _TYPES.items())
    )


def trimmed(run: dict[str, Any]) -> dict[str, Any]:
    """A run with the last days and windows only, and what is counted most often."""
    shown = dict(run)
    for name, most in _DAYS.items():
        shown[name] = {day: run[name][day] for day in sorted(run[name])[-most:]}
    for name, most in _COUNTS.items():
        shown[name] = dict(sorted(run[name].items(), key=lambda item: -item[1])[:most])
    for name, most in _LISTS.items():
        shown[name] = run[name][-most:]
    return shown


def _script_json(value: Any) -> str:
    """JSON that ends no script element, whatever the names of events are."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e")


@cache
def _asset(name: str) -> str:
    return (resources.files("tap_mixpanel_export.report") / "assets" / name).read_text("utf-8")
