"""One session for all tests that need a cluster: it takes longer to start than each of them."""

from __future__ import annotations

import pytest
from cluster import free_port, session, skip_without_spark


@pytest.fixture(scope="session")
def event_logs(tmp_path_factory):
    """Spark's folder of event logs."""
    return tmp_path_factory.mktemp("event-logs")


@pytest.fixture(scope="session")
def connect_port():
    """Where Spark Connect listens."""
    return free_port()


@pytest.fixture(scope="session")
def spark(event_logs, connect_port, tmp_path_factory):
    skip_without_spark()
    with session(event_logs, tmp_path_factory.mktemp("warehouse"), connect_port) as spark:
        yield spark
