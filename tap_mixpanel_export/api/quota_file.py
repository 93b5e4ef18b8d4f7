"""What is remembered of a quota, and the file by which processes share it."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from tap_mixpanel_export.errors import ExportError
from tap_mixpanel_export.private_files import ensure_private

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("tap-mixpanel-export.quota")

# Marks the database as ours ("mxqt"), so that a path that names another program's database by
# mistake is refused instead of getting our tables.
_APPLICATION_ID = 0x6D787174

# A caller that waits for its turn at the file looks this often whether it has been told to stop.
_BUSY_TIMEOUT_SECONDS = 0.1

# What SQLite says of a file that it cannot make sense of. Python 3.10 does not give its error code.
_DAMAGED = ("file is not a database", "malformed", "no such table", "no such column", "corrupt")


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

    def drop_impossible(self, now: float, hour: float) -> None:
        """Drop what ends more than an hour ahead.

        No run writes that, unless its clock was wrong by more: another program or another machine
        did, and nobody waits for it. For the arguments see `settle`.
        """
        self.sent = [at for at in self.sent if at <= now + hour]
        if self.pause is not None and self.pause[1] > now + hour:
            self.pause = None

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
            self._check_path(path)
            self._database = self._open()

    @contextmanager
    def exclusive(self) -> Iterator[Ledger]:
        """Lock the file, hand out the ledger, and write back what was changed in it.

        Yields:
            The project's ledger. Nothing is written when the block raises.

        Raises:
            QuotaFileBusyError: When another process keeps the lock for more than about 0.1 s.
            QuotaFileError: When the file is another program's, or cannot be written.
        """
        try:
            with self._explained():
                ledger = self._begin()
            before = Ledger(list(ledger.sent), ledger.pause)
            yield ledger
            with self._explained():
                if ledger != before:
                    self._save(ledger)
                self._database.execute("COMMIT")
        finally:
            # The first error is the one to report; closing the file undoes the change too.
            with suppress(sqlite3.Error):
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _check_path(self, path: Path) -> None:
        if not self._path.parent.is_dir():
            raise QuotaFileError(
                f"quota_file: the directory of {path} does not exist. Make it first."
            )
        if self._path.is_dir():
            raise QuotaFileError(
                f"quota_file: {path} is a directory. Name a file, such as {path / 'quota.db'}."
            )
        if self._path.is_symlink():
            # Somebody else may have put it there, to have another file written.
            raise QuotaFileError(
                f"quota_file: {path} is a symbolic link. Name the file that it leads to."
            )

    def _open(self) -> sqlite3.Connection:
        ensure_private(self._path)
        self._inode = self._path.stat().st_ino
        return sqlite3.connect(
            self._path,
            timeout=_BUSY_TIMEOUT_SECONDS,
            isolation_level=None,
            # The threads of a run share this connection; the limiter lets in one at a time.
            check_same_thread=False,
        )

    def _begin(self) -> Ledger:
        """Lock the file and read it; one that is no database is begun anew."""
        try:
            return self._lock_and_load()
        except sqlite3.DatabaseError as error:
            if not any(words in str(error) for words in _DAMAGED):
                raise
            self._set_aside(error)
        return self._lock_and_load()

    def _lock_and_load(self) -> Ledger:
        # A slow flush to disk would lie between counting a query and sending it, which is the very
        # jitter that makes 429s. A killed process loses nothing without the flush, and after a
        # power cut the rows are worth an hour at most.
        self._database.execute("PRAGMA synchronous = OFF")
        # Not IMMEDIATE: a reader could then keep the commit waiting, after the query was counted.
        self._database.execute("BEGIN EXCLUSIVE")
        self._prepare()
        return self._load()

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        """Keep the damaged file under another name: it may be something else of the user's."""
        self._database.close()
        # Another process may have done so already; its new file is to stay.
        if self._path.exists() and self._path.stat().st_ino == self._inode:
            moment = f"{datetime.now(timezone.utc):%Y%m%dT%H%M%S%f}"
            kept = self._path.replace(f"{self._path}.damaged-{moment}")
            # Its journal would be played into the new file.
            with suppress(FileNotFoundError):
                Path(f"{self._path}-journal").replace(f"{kept}-journal")
            logger.warning(
                "quota_file: %s is no quota file (%s); it is kept as %s, and a new one is begun. "
                "Queries of the last hour are not known: Mixpanel may answer 429",
                self._path,
                error,
                kept,
            )
        self._database = self._open()

    def _prepare(self) -> None:
        (owner,) = self._database.execute("PRAGMA application_id").fetchone()
        if owner == _APPLICATION_ID:
            return
        if owner or self._database.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise QuotaFileError(
                f"quota_file: {self._path} is the database of another program. Name another file."
            )
        for statement in _SCHEMA:
            self._database.execute(statement)

    def _load(self) -> Ledger:
        key = (self._project,)
        sent = self._database.execute(
            "SELECT sent_at FROM query WHERE project = ? AND typeof(sent_at) = 'real' "
            "ORDER BY sent_at",
            key,
        ).fetchall()
        pause = self._database.execute(
            "SELECT since, until FROM pause WHERE project = ? AND typeof(since) = 'real' "
            "AND typeof(until) = 'real'",
            key,
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
            if str(error) == "database is locked":
                raise QuotaFileBusyError(
                    f"quota_file: {self._path} is locked by another process. Runs hold it for "
                    "milliseconds only: look for a suspended run, or name another file."
                ) from error
            raise QuotaFileError(
                f"quota_file: {self._path} cannot be used ({error}). This user must be allowed to "
                "read and write it, and to make files beside it."
            ) from error
