"""Runs of the tap against a sandbox, and what they should have written.

In-process runs do not wait: the quota's clock jumps, and pauses before retries are short.
"""

from __future__ import annotations

import gc
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any
from unittest import mock

import processes
from event_truth import Number, event_id, parse
from fake_time import machine_at

from tap_mixpanel_export.api.quota import open_quota
from tap_mixpanel_export.errors import ExportError
from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock
from tap_mixpanel_export.tap import TapMixpanelExport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tap_mixpanel_export.sandbox import Fault

UTC = timezone.utc
DAY = timedelta(days=1)


class Killed(BaseException):
    """Stands for SIGKILL in an in-process run: nothing is written from then on."""


@dataclass
class Run:
    """What a run wrote.

    Attributes:
        output: All of stdout; the last line may be cut off.
        error: What ended the run, if anything.
        waits: Seconds that the quota made the run wait, as far as they were skipped.
    """

    output: bytes
    error: BaseException | None = None
    waits: list[float] = field(default_factory=list)

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        """The whole messages, as a target takes them."""
        *lines, _rest = self.output.split(b"\n")
        return [json.loads(line) for line in lines]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [m["record"] for m in self.messages if m["type"] == "RECORD"]

    @property
    def ids(self) -> Counter[str]:
        return Counter(record["event_id"] for record in self.records)

    @property
    def states(self) -> list[dict[str, Any]]:
        return [m["value"] for m in self.messages if m["type"] == "STATE"]

    @property
    def bookmarks(self) -> list[dict[str, Any]]:
        return [state["bookmarks"]["events"] for state in self.states]

    def state(self, before: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """The state that the next run gets: that of before when this run wrote none."""
        return self.states[-1] if self.states else before


def config_for(sandbox: Sandbox, **settings: Any) -> dict[str, Any]:
    """Settings for a run against a sandbox; None leaves one out."""
    config = {
        "api_url": sandbox.api_url,
        "project_id": sandbox.credentials.project_id,
        "service_account_username": sandbox.credentials.service_account_username,
        "service_account_secret": sandbox.credentials.service_account_secret,
        **settings,
    }
    return {name: value for name, value in config.items() if value is not None}


def run_tap(
    sandbox: Sandbox,
    state: dict[str, Any] | None = None,
    *,
    kill_after: int | None = None,
    machine_off: timedelta = timedelta(),
    **settings: Any,
) -> Run:
    """Run the tap in this process, on a machine whose clock is the sandbox's.

    Args:
        sandbox: The service.
        state: The state to start from.
        kill_after: End the run when it has written so many bytes.
        machine_off: How far ahead this machine's clock is.
        **settings: Settings besides those of `config_for`.

    Returns:
        The run; `error` holds an ExportError. Anything else it raises is a failure of the tap.
    """
    time_ = _SkippedTime()
    stdout = _Stdout(kill_after)
    error: BaseException | None = None
    with _in_process(stdout, time_, lambda: sandbox.clock.now() + machine_off):
        try:
            tap = TapMixpanelExport(
                config=config_for(sandbox, **settings),
                state=None if state is None else json.loads(json.dumps(state)),
            )
            tap.sync_all()
        except (ExportError, Killed) as caught:
            # Without its traceback, which holds what the run had open.
            error = caught.with_traceback(None)
            error.__cause__ = error.__context__ = None
        tap = None
    # Sockets and files that were left open are reported now, in this test, and fail it.
    gc.collect()
    return Run(stdout.written(), error, time_.waits)


@contextmanager
def sandboxes(events: Iterable[Event], now: SandboxClock | datetime) -> Iterator[Any]:
    """What starts sandboxes with the faults that it is given; all are stopped in the end.

    Args:
        events: Of each, if it is given no others.
        now: The clock of all, or when those of each stand still.
    """
    with ExitStack() as running:

        def start(*faults: Fault, events: Iterable[Event] = events, **others: Any) -> Sandbox:
            clock = SandboxClock.fixed(now) if isinstance(now, datetime) else now
            return running.enter_context(Sandbox(events, clock=clock, faults=faults, **others))

        yield start


def waits_of(clock: SandboxClock) -> Any:
    """A context in which the quota goes by the service's clock, and waiting moves that on.

    For queries one after the other: side by side, one would be on its way while another one's
    wait is skipped.
    """

    def wait(self: _SkippedTime, seconds: float, _stop: threading.Event) -> None:
        self.waits.append(seconds)
        clock.advance(seconds)

    return mock.patch.multiple(_SkippedTime, clock=lambda _: clock.now().timestamp(), wait=wait)


def hasty() -> Any:
    """A context in which runs do not wait for what may follow an empty answer."""
    return mock.patch("tap_mixpanel_export.api.pace._EMPTY_SECONDS", 0.001)


def run_command(
    sandbox: Sandbox,
    folder: Path,
    state: dict[str, Any] | None = None,
    **settings: Any,
) -> subprocess.CompletedProcess[bytes]:
    """Run the tap as a user does, and wait for its end."""
    process = start_command(sandbox, folder, state, **settings)
    stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def start_command(
    sandbox: Sandbox,
    folder: Path,
    state: dict[str, Any] | None = None,
    *,
    program: Iterable[str] = ("-m", "tap_mixpanel_export"),
    **settings: Any,
) -> subprocess.Popen[bytes]:
    """Start the tap as a process, its temporary files in `folder`/tmp.

    Args:
        sandbox: The service.
        folder: For its files.
        state: The state to start from.
        program: What Python is to run.
        **settings: Settings besides those of `config_for`.
    """
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    config = folder / "config.json"
    config.write_text(json.dumps(config_for(sandbox, **settings)))
    arguments = ["--config", str(config)]
    if state is not None:
        state_file = folder / "state.json"
        state_file.write_text(json.dumps(state))
        arguments += ["--state", str(state_file)]
    return processes.start(
        # Files and sockets that are left open are named on stderr.
        [sys.executable, "-W", "always::ResourceWarning", *program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What a test has read of stdout is then all that has been taken from the pipe.
        bufsize=0,
        env={**os.environ, "TMPDIR": str(temporary)},
    )


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something holds, however busy the machine is."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.01)


def upsert(runs: Iterable[Run]) -> dict[str, dict[str, Any]]:
    """What a keyed target holds after some runs."""
    return {record["event_id"]: record for run in runs for record in run.records}


def truth(sandbox: Sandbox, *, since: datetime | None = None, zone: Any = UTC) -> Counter[str]:
    """The ids that one flawless run writes now, and how often each.

    Args:
        sandbox: The service.
        since: The first instant that counts.
        zone: The project's; UTC days and times without.
    """
    ids: Counter[str] = Counter()
    for line in sandbox.visible():
        name, is_identified, instant, _ = facts(line, zone)
        if since is None or instant >= since:
            # Only an `$insert_id` tells a repeat of an event from another event.
            ids[name] = 1 if is_identified else ids[name] + 1
    return ids


@lru_cache(maxsize=100_000)
def facts(line: bytes, zone: Any = UTC) -> tuple[str, bool, datetime, datetime | None]:
    """An event's id, whether repeats of it can be told, when it happened, and was processed."""
    properties = parse(line)["properties"]
    wall = datetime(1970, 1, 1, tzinfo=zone) + timedelta(seconds=int(properties["time"].text))
    stamp = properties.get("mp_processing_time_ms")
    # A service may write its stamps otherwise than documented.
    count = stamp.value if isinstance(stamp, Number) else stamp
    processed = None if count is None else from_milliseconds(int(count))
    is_identified = properties.get("$insert_id") not in (None, "")
    return event_id(line), is_identified, wall.astimezone(UTC), processed


def from_milliseconds(count: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=count)


def instant(text: str) -> datetime:
    """An RFC 3339 time as the tap writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def some_days(first: datetime, days: int, *, each: int = 12, zone: Any = None) -> list[Event]:
    """Events of some days, with what is hard about them.

    At the first and in the last second of each day, with a line separator in a value, without
    processing time, without `$insert_id`, and twice, the later copy saying more.

    Args:
        first: Start of the first day.
        days: How many.
        each: Usual events a day.
        zone: Of a project created before 2023.
    """
    events = []
    for number in range(days):
        start = first + number * DAY
        step = DAY / each
        events += [
            Event.at(
                start + n * step,
                zone=zone,
                insert_id=f"{number}-{n}",
                text="one\u2028two " + "x" * 60,
            )
            for n in range(each)
        ]
        noon = start + DAY / 2
        events += [
            Event.at(start + DAY - timedelta(seconds=1), zone=zone, insert_id=f"last {number}"),
            Event.at(noon, zone=zone, insert_id=f"unstamped {number}", stamped=False),
            Event.at(noon, "No id", zone=zone, number=number),
            Event.at(noon, "No id", zone=zone, number=number),
            Event.at(noon, "Twice", zone=zone, insert_id=f"twice {number}", copy=1),
            Event.at(
                noon,
                "Twice",
                zone=zone,
                insert_id=f"twice {number}",
                copy=2,
                processed=noon + timedelta(hours=1),
            ),
        ]
    return events


class _SkippedTime:
    """A clock for the quota that is moved by waiting only: the machine may be as slow as it is."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._now = time.time()
        self._lock = threading.Lock()

    def clock(self) -> float:
        return self._now

    def wait(self, seconds: float, _stop: threading.Event) -> None:
        with self._lock:
            self.waits.append(seconds)
            self._now += seconds


class _Stdout(io.TextIOWrapper):
    """Keeps what is written, up to the point where the run is killed."""

    def __init__(self, kill_after: int | None) -> None:
        self._bytes = _Bytes(kill_after)
        super().__init__(self._bytes, encoding="utf-8", write_through=True)

    def written(self) -> bytes:
        return self._bytes.getvalue()


class _Bytes(io.BytesIO):
    def __init__(self, most: int | None) -> None:
        super().__init__()
        self._most = most

    def write(self, data: Any) -> int:
        if self._most is not None and self.tell() + len(data) > self._most:
            super().write(bytes(data)[: self._most - self.tell()])
            raise Killed
        return super().write(data)


@contextmanager
def _in_process(
    stdout: _Stdout, time_: _SkippedTime, machine_now: Callable[[], datetime]
) -> Iterator[None]:
    limiter = partial(open_quota, clock=time_.clock, wait=time_.wait)
    with ExitStack() as stack:
        stack.enter_context(mock.patch("sys.stdout", stdout))
        stack.enter_context(mock.patch("tap_mixpanel_export.config.run.open_quota", limiter))
        # Longer and longer, as a run's are: what passes in a moment has passed by the last try.
        stack.enter_context(mock.patch("backoff.full_jitter", lambda value: value**2 / 100))
        stack.enter_context(machine_at(machine_now))
        # A thread that has not ended would leave its socket to the next test to close.
        stack.enter_context(mock.patch("tap_mixpanel_export.sync.pool._PATIENCE_SECONDS", 60))
        yield
