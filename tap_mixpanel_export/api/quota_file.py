"""What is remembered of a quota, and the file by which processes share it."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_mixpanel_export.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Marks the database as ours ("mxqt"), so that a path that names another program's database by
# mistake is refused instead of getting our tables.
_APPLICATION_ID = 0x6D787174

# s. A caller that waits for its turn at the file looks this often whether it has been told to stop.
_BUSY_TIMEOUT = 0.1

_SCHEMA = (
    "CREATE TABLE query (project TEXT NOT NULL, sent_at REAL NOT NULL)",
    "CREATE TABLE pause (project TEXT PRIMARY KEY, since REAL NOT NULL, until REAL NOT NULL)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
)


class QuotaFileError(ExportError):
    """The quota file cannot be used; the message names the file, the cause and the remedy."""


class QuotaFileBusyError(QuotaFileError):
    """Another process has the quota file locked at the moment."""


@dataclass(slots=True)
class Ledger:
    """The queries of the last hour and the pause that the service asked for.

    Attributes:
        sent: When each query was sent, ascending, in seconds since the epoch.
        pause: Since when and until when no query may be sent, in seconds since the epoch.
    """

    sent: list[float] = field(default_factory=list)
    pause: tuple[float, float] | None = None

    def settle(self, now: float, hour: float) -> None:
        """Forget what has run out, and move what lies in the future to now.

        An entry can lie in the future only when the clock was set back. Its query was sent in the
        past for certain, so "just now" is the latest it can have been: the quota still holds, and
        nobody waits for longer than an hour.

        Args:
            now: The present, in seconds since the epoch.
            hour: How long a query counts, in seconds.
        """
        self.sent = sorted(min(at, now) for at in self.sent if at + hour > now)
        if self.pause is not None:
            since, until = self.pause
            set_back = max(0.0, since - now)
            self.pause = (since - set_back, until - set_back) if until - set_back > now else None


class QuotaFile:
    """A quota that several processes share, runs of other days included.

    SQLite, because its locks end with the process that holds them (SIGKILL too) and a half-written
    change is rolled back by whoever comes next. With its rollback journal, not WAL, which does not
    work on network file systems.

    Args:
        path: The file. It is made when missing; its directory must be there.
        project: Whose quota; other projects in the same file have their own.

    Raises:
        QuotaFileError: When the file cannot be opened.
    """

    def __init__(self, path: Path, project: str) -> None:
        # SQLite takes some relative names (":memory:", "") for something other than a file.
        self._path = path.absolute()
        self._project = project
        with self._explained():
            if not self._path.parent.is_dir():
                msg = f"quota_file: the directory of {path} does not exist. Make it first."
                raise QuotaFileError(msg)
            if self._path.is_dir():
                msg = (
                    f"quota_file: {path} is a directory. Name a file, such as {path / 'quota.db'}."
                )
                raise QuotaFileError(msg)
            self._database = sqlite3.connect(
                self._path,
                timeout=_BUSY_TIMEOUT,
                isolation_level=None,
                # The threads of a run share this connection; the limiter lets in one at a time.
                check_same_thread=False,
            )

    @contextmanager
    def exclusive(self) -> Iterator[Ledger]:
        """Lock the file, hand out the ledger, and write back what was changed in it.

        Yields:
            The project's ledger. Nothing is written when the block raises.

        Raises:
            QuotaFileBusyError: When another process keeps the lock for more than about 0.1 s.
            QuotaFileError: When the file is no quota file, is damaged, or cannot be written.
        """
        with self._explained():
            # A slow flush to disk would lie between counting a query and sending it, which is the
            # very jitter that makes 429s. A killed process loses nothing without the flush, and
            # after a power cut the rows are worth an hour at most.
            self._database.execute("PRAGMA synchronous = OFF")
            # Not IMMEDIATE: a reader could then keep the commit waiting, after the query was
            # counted.
            self._database.execute("BEGIN EXCLUSIVE")
        try:
            with self._explained():
                self._prepare()
                ledger = self._load()
            before = Ledger(list(ledger.sent), ledger.pause)
            yield ledger
            with self._explained():
                if ledger != before:
                    self._save(ledger)
                self._database.execute("COMMIT")
        finally:
            if self._database.in_transaction:
                # The first error is the one to report; closing the file undoes the change too.
                with suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _prepare(self) -> None:
        (owner,) = self._database.execute("PRAGMA application_id").fetchone()
        if owner == _APPLICATION_ID:
            return
        if owner or self._database.execute("SELECT 1 FROM sqlite_master").fetchone():
            msg = f"quota_file: {self._path} is the database of another program. Name another file."
            raise QuotaFileError(msg)
        for statement in _SCHEMA:
            self._database.execute(statement)

    def _load(self) -> Ledger:
        key = (self._project,)
        sent = self._database.execute(
            "SELECT sent_at FROM query WHERE project = ? ORDER BY sent_at", key
        ).fetchall()
        pause = self._database.execute(
            "SELECT since, until FROM pause WHERE project = ?", key
        ).fetchone()
        return Ledger([at for (at,) in sent], pause)

    def _save(self, ledger: Ledger) -> None:
        key = (self._project,)
        self._database.execute("DELETE FROM query WHERE project = ?", key)
        self._database.executemany(
            "INSERT INTO query VALUES (?, ?)", [(self._project, at) for at in ledger.sent]
        )
        self._database.execute("DELETE FROM pause WHERE project = ?", key)
        if ledger.pause is not None:
            self._database.execute(
                "INSERT INTO pause VALUES (?, ?, ?)", (self._project, *ledger.pause)
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn errors of SQLite and of the file system into ours."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            # The message, because Python 3.10 does not give SQLite's error code.
            if str(error) == "database is locked":
                msg = (
                    f"quota_file: {self._path} is locked by another process. Runs hold it for "
                    "milliseconds only: look for a suspended run, or name another file."
                )
                raise QuotaFileBusyError(msg) from error
            msg = (
                f"quota_file: {self._path} cannot be used ({error}). This user must be allowed to "
                "read and write it, and to make files beside it. If the path is right and the file "
                "damaged, delete it (it remembers one hour)."
            )
            raise QuotaFileError(msg) from error
