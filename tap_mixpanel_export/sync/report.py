"""What a run did, as files: `run.json` for programs, `run.html` for people."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timezone
from html import escape
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.errors import ReportError
from tap_mixpanel_export.private_files import make_private_folder, write_private
from tap_mixpanel_export.record_layout import DAY
from tap_mixpanel_export.sync.summary import FIGURES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tap_mixpanel_export.sync.summary import RunSummary

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 50rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th { font-weight: normal; text-align: left; }
td { text-align: right; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #ddd; padding: .2rem .5rem; }
td.bar { text-align: left; width: 55%; }
td.bar span { background: #4f44e0; display: inline-block; height: .8rem; }
.failed { color: #b00020; }
"""


class RunReport:
    """Collects what a report needs besides the totals.

    Args:
        folder: Where the files go; it is made when it is missing.

    Raises:
        ReportError: The folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started = datetime.now(timezone.utc)
        self._days: Counter[bytes] = Counter()
        try:
            # A run of hours should not find out at its end.
            make_private_folder(folder)
        except OSError as error:
            raise _unwritable(folder, error) from error

    def count(self, records: Iterable[bytes]) -> None:
        """Count records by the UTC day of their timestamp.

        Args:
            records: Their JSON text.
        """
        self._days.update(record[DAY] for record in records)

    def write(self, summary: RunSummary, *, error: str | None) -> None:
        """Write both files, over those of an earlier run.

        Args:
            summary: The totals.
            error: Why the run ended early; None when it did not.

        Raises:
            ReportError: A file cannot be written.
        """
        document = {
            "status": "success" if error is None else "failed",
            "error": error,
            "startedAt": self._started.isoformat(timespec="seconds"),
            "endedAt": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            **summary.to_dict(),
            "conversionWarnings": dict(sorted(summary.counts.conversion_warnings.items())),
            "eventsPerDay": {day.decode(): count for day, count in sorted(self._days.items())},
        }
        try:
            write_private(
                self._folder / "run.json", json.dumps(document, indent=2).encode() + b"\n"
            )
            write_private(self._folder / "run.html", _page(document).encode())
        except OSError as problem:
            raise _unwritable(self._folder, problem) from problem


def _unwritable(folder: Path, error: OSError) -> ReportError:
    return ReportError(f"report_dir: {folder} cannot be written ({error.strerror})")


def _page(document: dict[str, Any]) -> str:
    """The report as one page that needs nothing from elsewhere."""
    rows = "".join(
        f"<tr><th>{escape(label)}</th><td>{document[name]:,}</td></tr>"
        for name, label in ((figure.name, figure.label) for figure in FIGURES)
    )
    rows += "".join(
        f"<tr><th>{label}</th><td>{escape(document[name])}</td></tr>"
        for name, label in (("filterProof", "Filter for late events"), ("clock", "Clock"))
    )
    most = max(document["eventsPerDay"].values(), default=1)
    days = "".join(
        f"<tr><th>{day}</th><td>{count:,}</td>"
        f'<td class="bar"><span style="width: {100 * count / most:.1f}%"></span></td></tr>'
        for day, count in document["eventsPerDay"].items()
    )
    warnings = "".join(
        f"<tr><th>{escape(column)}</th><td>{count:,}</td></tr>"
        for column, count in document["conversionWarnings"].items()
    )
    error = document["error"]
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Export of Mixpanel events: {document["status"]}</title>
<style>{_STYLE}</style>
<h1>Export of Mixpanel events</h1>
<p>{document["startedAt"]} to {document["endedAt"]}:
<strong class="{document["status"]}">{document["status"]}</strong></p>
{f'<p class="failed">{escape(error)}</p>' if error else ""}
<table>{rows}</table>
<h2>Events written, by day (UTC)</h2>
<table>{days}</table>
{f"<h2>Values that did not fit, by column</h2><table>{warnings}</table>" if warnings else ""}
</html>
"""
