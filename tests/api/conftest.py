"""A service that is told what to answer."""

from __future__ import annotations

import pytest
from harness import sandboxes
from one_query import EVENTS, NOW


@pytest.fixture
def start():
    """Starts sandboxes whose clock stands still, and stops them in the end."""
    with sandboxes(EVENTS, NOW) as start:
        yield start
