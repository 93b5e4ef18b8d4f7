"""The files of `report_dir`: a document for each run, and a page over the last ones."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.errors import ReportError
from tap_mixpanel_export.private_files import make_private_folder, write_private
from tap_mixpanel_export.report.page import is_document, render, trimmed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

RUNS_ON_PAGE = 60
"""How many runs the page is over."""

RUNS_KEPT = 2000
"""How many documents are kept: the oldest one goes when there are more."""

_DOCUMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(-\d+)?\.json")


class ReportFolder:
    """The folder, and this run's place in it.

    Args:
        path: Of the folder; it is made when it is missing.
        started_at: When the run began.

    Raises:
        ReportError: The folder cannot be made, or written to.
    """

    def __init__(self, path: Path, started_at: datetime) -> None:
        self._path = path
        self._runs = path / "runs"
        with self._writing():
            make_private_folder(self._runs)
        self._document = self._free_name(f"{started_at:%Y-%m-%dT%H-%M-%S}Z")

    def write_document(self, document: dict[str, Any]) -> None:
        """Write the run's document, over the one it had.

        Raises:
            ReportError: It cannot be written.
        """
        # Names of events may hold lone surrogates, which have no UTF-8.
        text = json.dumps(document, indent=1).encode("ascii") + b"\n"
        with self._writing():
            write_private(self._runs / self._document, text)
            write_private(self._path / "run.json", text)

    def write_page(self, document: dict[str, Any]) -> None:
        """Write the page over the last runs, this one's document first; drop the oldest ones.

        Raises:
            ReportError: It cannot be written.
        """
        with self._writing():
            page = render([document, *self._earlier()]).encode()
            for name in ("index.html", "run.html"):
                write_private(self._path / name, page)
            for name in self._names()[RUNS_KEPT:]:
                (self._runs / name).unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ReportError(
                f"report_dir: {self._path} cannot be written ({error.strerror})"
            ) from error

    def _names(self) -> list[str]:
        """Documents, the newest first."""
        names = (path.name for path in self._runs.iterdir())
        return sorted(filter(_DOCUMENT.fullmatch, names), key=_order, reverse=True)

    def _earlier(self) -> Iterator[dict[str, Any]]:
        """Documents of other runs, the newest first; what is no such document is left out."""
        left = RUNS_ON_PAGE - 1
        for name in self._names():
            if name == self._document or not left:
                continue
            try:
                run = json.loads((self._runs / name).read_bytes())
            except (ValueError, RecursionError, FileNotFoundError):
                continue
            if is_document(run):
                left -= 1
                yield trimmed(run)

    def _free_name(self, stem: str) -> str:
        """A name that no other run has taken: several may begin at once."""
        name, number = f"{stem}.json", 1
        while (self._runs / name).is_symlink() or (self._runs / name).exists():
            number += 1
            name = f"{stem}-{number}.json"
        return name


def _order(name: str) -> tuple[str, int]:
    stem, _, number = name.removesuffix(".json").partition("Z")
    return stem, int(number[1:] or 1)
