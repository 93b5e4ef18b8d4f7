"""What the sandbox's own tests share: a client that hides nothing."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
import requests
from faulty_sandboxes import EVENTS
from harness import sandboxes

from tap_mixpanel_export.sandbox import Sandbox, SandboxClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)


@pytest.fixture
def clock() -> SandboxClock:
    return SandboxClock.fixed(NOON)


@pytest.fixture
def fetch() -> Iterator[Callable[..., requests.Response]]:
    """Return a client for one export; a parameter that is `None` is left out."""
    with requests.Session() as session:
        session.trust_env = False

        def get(
            sandbox: Sandbox,
            headers: dict[str, str] | None = None,
            *,
            allow_redirects: bool = True,
            **params: Any,
        ) -> Any:
            credentials = sandbox.credentials
            asked = {
                "project_id": credentials.project_id,
                "from_date": "2026-11-01",
                "to_date": "2026-11-20",
                **params,
            }
            return session.get(
                f"{sandbox.api_url}/export",
                params={name: value for name, value in asked.items() if value is not None},
                auth=(credentials.service_account_username, credentials.service_account_secret),
                headers=headers,
                timeout=120,
                allow_redirects=allow_redirects,
            )

        yield get


def lines_of(body: bytes) -> list[bytes]:
    """Return the lines of a body whose last line is ended, in order of their bytes."""
    *lines, rest = body.split(b"\n")
    assert rest == b""
    return sorted(lines)


@pytest.fixture(name="lines_of")
def lines_of_fixture() -> Callable[[bytes], list[bytes]]:
    return lines_of


@pytest.fixture
def faulty(clock):
    """Starts sandboxes with the faults given, and stops them in the end."""
    with sandboxes(EVENTS, clock) as start:
        yield start


@pytest.fixture
def raw():
    """Return the body as it is on the wire, and what went wrong with reading it."""

    def get(sandbox):
        known = sandbox.credentials
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(
                f"{sandbox.api_url}/export",
                params={"from_date": "2026-11-01", "to_date": "2026-11-20"},
                auth=(known.project_secret, ""),
                stream=True,
                timeout=120,
            )
            received = b""
            try:
                for chunk in answer.raw.stream(4096, decode_content=False):
                    received += chunk
            except Exception as error:  # noqa: BLE001 - which one is the question
                return received, error
            return received, None

    return get
