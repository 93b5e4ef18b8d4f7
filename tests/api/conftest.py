"""A service that is told what to answer."""

from __future__ import annotations

import pytest
from one_query import EVENTS, NOW

from tap_mixpanel_export.sandbox import Sandbox, SandboxClock


@pytest.fixture
def start():
    """Starts sandboxes whose clock stands still, and stops them in the end."""
    running = []

    def start_one(*faults, events=EVENTS, **others):
        sandbox = Sandbox(events, clock=SandboxClock.fixed(NOW), faults=faults, **others)
        sandbox.start()
        running.append(sandbox)
        return sandbox

    yield start_one
    for sandbox in running:
        sandbox.stop()
