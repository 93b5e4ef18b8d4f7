"""The sandbox in a process of its own, so that it is never part of what is measured.

Run as a module it serves one generated data set, and tells its own CPU time when asked to.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from typing_extensions import Self

DAY = date(2026, 1, 10)
"""The day of all events, or the last one: one day is one window."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """What a service serves.

    Attributes:
        shape: `wide` (35 properties, 1130 bytes a line) or `adobe` (the 11 mapped fields).
        events: Number of events, repeats not counted.
        duplicates: Share of events that come twice.
        days: How many days they are spread over.
    """

    shape: str
    events: int
    duplicates: float = 0.0
    days: int = 1

    @property
    def lines(self) -> str:
        """The number of events, for people."""
        return f"{self.events:,}"


class Service:
    """A context manager: serves a data set while it is open.

    Args:
        data: What to serve.
    """

    def __init__(self, data: DataSet) -> None:
        self.data = data
        # The size of this process counts for its children's peak memory (see `measure`): the data
        # must not be generated here.
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                __name__,
                data.shape,
                str(data.events),
                str(data.duplicates),
                str(data.days),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.environment: dict[str, str] = json.loads(self._answer())
        """Variables that point this tap, and the wrappers of its peers, at the service."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # The end of its input ends it.
        self._process.communicate()

    def cpu_seconds(self) -> float:
        """CPU time that it has used so far."""
        if self._process.stdin is None:
            raise RuntimeError("the service has no input")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        if self._process.stdout is None:
            raise RuntimeError("the service has no output")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the service has ended; see its message above")
        return line


def _serve(shape: str, events: int, duplicates: float, days: int) -> None:
    from benchmarks.tls_gate import TlsGate  # noqa: PLC0415 - of the service's process only
    from tap_mixpanel_export.sandbox import Generated, Sandbox, generate  # noqa: PLC0415

    if shape not in {"wide", "adobe"}:
        raise SystemExit(f"there is no shape {shape!r}")
    what = Generated(
        events,
        days=days,
        last_day=DAY,
        shape="wide" if shape == "wide" else "adobe",
        duplicates=duplicates,
    )
    with Sandbox(events=[], pieces=list(generate(what))) as sandbox:
        port = urlsplit(sandbox.api_url).port
        if port is None:
            raise RuntimeError("the sandbox has no port")
        with TlsGate(port) as gate:
            more = {
                # What the peer with project secrets needs; this tap must not see two kinds of
                # credentials.
                "BENCHMARK_PROJECT_SECRET": sandbox.credentials.project_secret,
                # What the peer needs whose address of Mixpanel is fixed.
                "BENCHMARK_GATE": json.dumps(gate.environment),
            }
            print(json.dumps({**sandbox.environment, **more}), flush=True)
            for _ in sys.stdin:
                print(time.process_time(), flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
