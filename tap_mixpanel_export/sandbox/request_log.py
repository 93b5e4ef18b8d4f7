"""What the sandbox was asked, and what it answered: for tests to read."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datetime import date, datetime
    from pathlib import Path


CredentialKind = Literal["service_account", "project_secret", "oauth_token"]


@dataclass(slots=True)
class LoggedRequest:
    """One request, in the order of arrival. The answer's fields fill while it is sent.

    Attributes:
        index: Number of the request, from 0.
        monotonic: Arrival, `time.monotonic()` seconds.
        time: Arrival on the sandbox's clock, UTC.
        path: Path asked for, without the query.
        params: Query parameters as sent.
        from_date: First day asked for; `None` when it is missing or no date.
        to_date: Last day asked for, inclusive.
        credential: Kind of credential that was accepted.
        user_agent: `User-Agent` as sent.
        status: Status of the answer; 0 when none was sent.
        bytes_sent: Bytes of the answer's body on the wire, without chunk framing.
        gzipped: Whether the body was compressed.
        fault: Kind of the fault that was applied.
        finished: When the answer was over, `time.monotonic()` seconds; `None` until then.
    """

    index: int
    monotonic: float
    time: datetime
    path: str
    params: dict[str, str] = field(default_factory=dict)
    from_date: date | None = None
    to_date: date | None = None
    credential: CredentialKind | None = None
    user_agent: str = ""
    status: int = 0
    bytes_sent: int = 0
    gzipped: bool = False
    fault: str | None = None
    finished: float | None = None

    @property
    def where(self) -> str | None:
        """The `where` expression as sent."""
        return self.params.get("where")

    def as_json(self) -> dict[str, Any]:
        """Return the request as a JSON object, times in ISO form and the duration in seconds."""
        seconds = None if self.finished is None else round(self.finished - self.monotonic, 6)
        # The days are among the parameters.
        left_out = {"monotonic", "from_date", "to_date", "finished"}
        told = {name: value for name, value in asdict(self).items() if name not in left_out}
        return {**told, "time": self.time.isoformat(), "seconds": seconds}


class RequestLog:
    """The requests of one sandbox, and a file of JSON lines if wanted.

    Args:
        path: File to append a line to when a request is over.

    Raises:
        OSError: The file can't be written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        if path is not None:
            path.touch()
        self._lock = threading.Lock()
        self._requests: list[LoggedRequest] = []

    def open(self, monotonic: float, time: datetime, path: str) -> LoggedRequest:
        """Log the arrival of a request."""
        with self._lock:
            entry = LoggedRequest(len(self._requests), monotonic, time, path)
            self._requests.append(entry)
        return entry

    def close(self, entry: LoggedRequest, monotonic: float) -> None:
        """Log the end of a request."""
        entry.finished = monotonic
        if self._path is not None:
            line = json.dumps(entry.as_json(), ensure_ascii=False) + "\n"
            with self._lock, self._path.open("a", encoding="utf-8") as file:
                file.write(line)

    def entries(self) -> list[LoggedRequest]:
        """Return the requests so far, in the order of arrival."""
        with self._lock:
            return list(self._requests)
