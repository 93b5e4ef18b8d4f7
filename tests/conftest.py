"""Fixtures that several test modules share."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import processes
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own settings and proxies must not reach a test."""
    for name in [n for n in os.environ if n.startswith("TAP_MIXPANEL_EXPORT_")]:
        monkeypatch.delenv(name)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _no_process_outlives_its_test() -> Iterator[None]:
    yield
    processes.end_all()


@pytest.fixture(autouse=True)
def _keep_logging() -> Iterator[None]:
    """The SDK sets up logging for the process; give it back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
