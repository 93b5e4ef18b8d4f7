"""The sandbox as tests and the command use it."""

from __future__ import annotations

import ssl
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tap_mixpanel_export.sandbox.behaviour import Behaviour, Conduct
from tap_mixpanel_export.sandbox.clock import SandboxClock, epoch_milliseconds
from tap_mixpanel_export.sandbox.credentials import Credentials
from tap_mixpanel_export.sandbox.dataset import SampleData
from tap_mixpanel_export.sandbox.export import API_PATH, answer
from tap_mixpanel_export.sandbox.faults import FaultPlan
from tap_mixpanel_export.sandbox.http import LOOPBACK, Server
from tap_mixpanel_export.sandbox.limits import Limiter
from tap_mixpanel_export.sandbox.project import Project, View
from tap_mixpanel_export.sandbox.request_log import LoggedRequest, RequestLog

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from typing_extensions import Self

    from tap_mixpanel_export.sandbox.events import Event
    from tap_mixpanel_export.sandbox.faults import Fault
    from tap_mixpanel_export.sandbox.limits import Limits
    from tap_mixpanel_export.sandbox.project import Piece


class Sandbox(AbstractContextManager["Sandbox"]):
    """A stand-in for one Mixpanel project behind the Raw Event Export API, as a context manager.

    The server runs in threads of this process and listens on 127.0.0.1 only, while the context is
    open. It can be opened again.

    Args:
        events: The project's events; the bundled data set when missing.
        pieces: More events in compressed form, see `generator`.
        clock: Its clock; real time when missing.
        timezone: IANA name of the zone of a project created before 2023; `None` for UTC days.
        limits: Query limits; `None` for none.
        faults: What goes wrong.
        behaviour: How it behaves otherwise than documented; `sandbox.behaviour` can be set to
            another one at any time.
        credentials: Who may export.
        hostile: Whether the bundled data set holds values that JSON allows and some real loaders
            refuse.
        null_bytes: Whether the bundled data set holds the escape of U+0000, which PostgreSQL can't
            store.
        late_arrivals: With the bundled data set: so many more events come in every day that
            happened long before.
        late_days: The oldest of them are so many days old.
        tls: Files of a certificate chain and its key, PEM, to serve HTTPS.
        port: Port to listen on; 0 takes a free one.
        log_file: File to append each request to as a JSON line.

    Raises:
        zoneinfo.ZoneInfoNotFoundError: There is no such zone.
        OSError: The log file can't be written.
    """

    def __init__(  # noqa: PLR0913 - each says one thing about the project or its server
        self,
        events: Iterable[Event] | None = None,
        *,
        pieces: Iterable[Piece] = (),
        clock: SandboxClock | None = None,
        timezone: str | None = None,
        limits: Limits | None = None,
        faults: Iterable[Fault] = (),
        behaviour: Behaviour | None = None,
        credentials: Credentials | None = None,
        hostile: bool = False,
        null_bytes: bool = False,
        late_arrivals: int = 0,
        late_days: int = 1000,
        tls: tuple[Path | str, Path | str] | None = None,
        port: int = 0,
        log_file: Path | None = None,
    ) -> None:
        self.clock = clock or SandboxClock()
        self.credentials = credentials or Credentials()
        self.zone = ZoneInfo(timezone) if timezone is not None else None
        # What requests are answered from, and by.
        self.project = Project()
        self.project.add_pieces(pieces)
        self._sample: SampleData | None = None
        if events is None:
            self._sample = SampleData(
                self.clock.now(),
                self.zone,
                hostile=hostile,
                null_bytes=null_bytes,
                late_arrivals=late_arrivals,
                late_days=late_days,
            )
        else:
            self.project.add(events)
        self.log = RequestLog(log_file)
        self.faults = FaultPlan(faults)
        self.limiter = Limiter(limits, self.clock)
        self.conduct = Conduct(behaviour or Behaviour())
        self._tls, self._port = tls, port
        self._server: Server | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: The port is taken, or a TLS file can't be read.
        """
        context = None
        if self._tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._tls)
        self._server = Server(partial(answer, self), port=self._port, tls=context)

    def stop(self) -> None:
        """Close every connection and end every thread."""
        if self._server is not None:
            self._server.close()

    @property
    def api_url(self) -> str:
        """Base URL of the API, to put in the place of `https://{host}/api/2.0`."""
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{LOOPBACK}:{self.server.port}{API_PATH}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point the tap at the sandbox, with a service account."""
        values = {
            "API_URL": self.api_url,
            "PROJECT_ID": str(self.credentials.project_id),
            "SERVICE_ACCOUNT_USERNAME": self.credentials.service_account_username,
            "SERVICE_ACCOUNT_SECRET": self.credentials.service_account_secret,
        }
        return {f"TAP_MIXPANEL_EXPORT_{name}": value for name, value in values.items()}

    @property
    def requests(self) -> list[LoggedRequest]:
        """The requests so far, in the order of arrival."""
        return self.log.entries()

    @property
    def behaviour(self) -> Behaviour:
        """How the service behaves now."""
        return self.conduct.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self.conduct.behaviour = behaviour

    def add(self, events: Iterable[Event]) -> None:
        """Let events come in; each is exported from its processing time on, or later.

        See `Behaviour` for how much later.
        """
        self.project.add(events)

    def add_faults(self, *faults: Fault) -> None:
        """Order more faults. Their request numbers count from the sandbox's first export."""
        self.faults.add(*faults)

    def clear_faults(self) -> None:
        """Forget the faults that did not happen yet."""
        self.faults.clear()

    def visible(self, now: datetime | None = None, *, time_in_ms: bool = False) -> list[bytes]:
        """Return the truth: every line that a flawless export of all days holds, repeats included.

        Args:
            now: Time of that export; the clock's when missing.
            time_in_ms: Whether `time` is in milliseconds.
        """
        at = now or self.clock.now()
        self.feed(at)
        return self.project.lines(View(epoch_milliseconds(at), time_in_ms, self.behaviour))

    @property
    def server(self) -> Server:
        """The server, from `start` on."""
        if self._server is None:
            raise RuntimeError("the sandbox has not been started")
        return self._server

    def feed(self, now: datetime) -> None:
        """Let the events of the bundled data set come in that have come up by now."""
        if self._sample is not None:
            self.project.add(self._sample.until(now))
