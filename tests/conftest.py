"""Fixtures that several test modules share."""

from __future__ import annotations

import gc
import logging
import os
from contextlib import nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any

import processes
import pytest
from fake_time import machine_at
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MOST_WORKERS = 4

# Jobs of their own in .ci/run. An `-m` of one's own takes the place of the one in `pyproject.toml`
# that leaves them out: `-m "not slow"` must leave them out, too.
_JOBS = ("container", "orchestrators", "spark", "warehouses")

# The same examples each time, and none that a busy machine fails. Others are looked for by
# `--hypothesis-profile=search`.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("search"), derandomize=True)
settings.load_profile("repeatable")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run the whole suite, or a tier of it, on several cores; named tests in this one process."""
    options = config.option
    if hasattr(config, "workerinput"):
        # A worker reads the command line only, which does not say it.
        options.loadgroup = config.workerinput["dist"] == "loadgroup"
        return
    if not config.pluginmanager.has_plugin("xdist"):
        return
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    is_watched = options.usepdb or options.capture == "no" or options.collectonly
    if options.numprocesses is None and is_whole and not is_watched:
        # Tests wait, too: two at once are faster on one core also.
        options.numprocesses = min(max(2, os.cpu_count() or 2), _MOST_WORKERS)
    if options.numprocesses and options.dist == "no":
        # A test goes to the next free worker; those of a group share a costly set-up, and a worker.
        options.dist = "loadgroup"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker how tests are dealt out."""
    node.workerinput["dist"] = node.config.option.dist


def pytest_itemcollected(item: pytest.Item) -> None:
    if any(item.get_closest_marker(job) for job in _JOBS):
        item.add_marker("slow")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: no worker is left with minutes of work in the end."""

    def patience(item: pytest.Item) -> float:
        marker = item.get_closest_marker("timeout")
        return marker.args[0] if marker is not None else 0.0

    items.sort(key=lambda item: (-patience(item), item.get_closest_marker("slow") is None))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Collections, one after each run of the tap, need not look at all that was imported."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own settings and proxies must not reach a test."""
    for name in [n for n in os.environ if n.startswith("TAP_MIXPANEL_EXPORT_")]:
        monkeypatch.delenv(name)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _it_is_now(request: pytest.FixtureRequest) -> Iterator[None]:
    """In a file that says what time it is, `NOW`, this machine's clock says so, too."""
    now = getattr(request.module, "NOW", None)
    with machine_at(now) if isinstance(now, datetime) else nullcontext():
        yield


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """A local S3, one for all tests of a process."""
    from local_s3 import local_s3  # noqa: PLC0415 - takes a second, and few tests need it

    with local_s3() as address:
        yield address


@pytest.fixture
def s3(s3_address: str) -> Iterator[Any]:
    """A client of a local S3 that is empty."""
    from local_s3 import empty_s3  # noqa: PLC0415 - as above

    with empty_s3(s3_address) as client:
        yield client


@pytest.fixture
def s3_everywhere(s3: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same, with an environment that leads everybody to it."""
    from local_s3 import KEYS, REGION  # noqa: PLC0415 - as above
    from s3fs import S3FileSystem  # noqa: PLC0415 - as above

    settings = {
        "aws_endpoint_url": s3.meta.endpoint_url,
        "aws_default_region": REGION,
        **KEYS,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name.upper(), value)
    # One that is kept would go on with the server of another test.
    S3FileSystem.clear_instance_cache()
    return s3


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Gives everything that is logged at any level, arguments and tracebacks included."""
    # Stream maps have a level of their own.
    for name in (None, "singer_sdk", "singer_sdk.mapper"):
        caplog.set_level(logging.DEBUG, name)
    caplog.handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s"))
    return lambda: caplog.text


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
