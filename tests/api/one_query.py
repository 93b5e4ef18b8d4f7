"""One query, and what it is answered."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, contextmanager, suppress
from datetime import date, datetime, timedelta, timezone
from itertools import count
from types import SimpleNamespace

from tap_mixpanel_export.api.auth import choose_credentials
from tap_mixpanel_export.api.client import ExportClient
from tap_mixpanel_export.api.connection import Endpoint
from tap_mixpanel_export.sandbox import Event
from tap_mixpanel_export.timezones import DayRange

UTC = timezone.utc
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FIRST, LAST = date(2026, 11, 1), date(2026, 11, 20)
DAYS = DayRange(FIRST, LAST)
# Enough, and random enough, that the answer is gzipped and has many chunks.
EVENTS = [
    Event.at(NOW - timedelta(hours=n), "Søk", insert_id=f"{n * 2654435761:032x}")
    for n in range(1, 400)
]


def endpoint_of(sandbox, kind="service_account", **others):
    known = sandbox.credentials
    settings = {
        "service_account": {
            "service_account_username": known.service_account_username,
            "service_account_secret": known.service_account_secret,
        },
        "oauth_token": {"oauth_token": known.oauth_token},
        "project_secret": {"project_secret": known.project_secret},
    }[kind]
    credentials = choose_credentials({**settings, "project_id": known.project_id}, [])
    return Endpoint(
        **{
            "url": sandbox.api_url,
            "credentials": credentials,
            "project_id": known.project_id,
            "region": "US",
            "event_names": (),
            "time_in_ms": False,
            "user_agent": "agent/1",
            "timeout": 120.0,
            **others,
        }
    )


def exported(endpoint, where=None, on_response=lambda _transfer: None, first=FIRST, last=LAST):
    with closing(ExportClient(endpoint)) as client:
        return b"".join(client.export(DayRange(first, last), where, on_response))


@contextmanager
def answering(*answers, after=lambda _connection: None):
    """A server that gives one fixed answer to each connection; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            for answer in answers:
                connection, _ = listener.accept()
                # A client that gives up in the middle is what some tests want.
                with connection, suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(answer)
                    after(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/api/2.0"
        thread.join()


def slow_reads(monkeypatch, seconds):
    """Let each read take so long, by the clock that the pace goes by: no machine is too slow."""
    ticks = count()
    clock = SimpleNamespace(monotonic=lambda: seconds * next(ticks))
    monkeypatch.setattr("tap_mixpanel_export.api.pace.time", clock)


def lines_of(text):
    return sorted(text.splitlines())
