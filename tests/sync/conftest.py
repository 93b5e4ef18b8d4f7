"""Two weeks of events that all say when they were processed, unless a file has its own."""

from __future__ import annotations

import pytest
from late_arrivals import NOW, START, stamped

from tap_mixpanel_export.sandbox import Sandbox, SandboxClock


@pytest.fixture
def clock():
    return SandboxClock.fixed(NOW)


@pytest.fixture
def sandbox(clock):
    with Sandbox(stamped(START, 14), clock=clock) as sandbox:
        yield sandbox
