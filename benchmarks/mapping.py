"""Mapping: `map-mixpanel-xdm` beside the stock stream map, on the same 11 fields.

`python -m benchmarks.mapping` measures this alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.environments import python_of
from benchmarks.measure import CACHE, Sample, Spread, child_environment, run
from benchmarks.service import DataSet, Service
from benchmarks.variants import own_command

_STOCK = "meltano-map-transform==0.12.3"
_EVENTS = 100_000
_RUNS = 5
_TIMEOUT = 600.0


def section(events: int, runs: int, timeout: float) -> list[str]:
    """Measure in turns, and tell as a Markdown table.

    Args:
        events: With the 11 mapped fields.
        runs: Rounds, after one that is not counted and writes the byte code.
        timeout: Of one run, s.

    Raises:
        RuntimeError: A mapper did not write all events.
    """
    warm_up, messages = _messages(1000, timeout), _messages(events, timeout)
    own, stock = "`map-mixpanel-xdm`", "`meltano-map-transform` 0.12.3, its stream map"
    mappers = {
        own: (_script("map-mixpanel-xdm"), "--config", _settings({})),
        stock: (
            str(python_of(_STOCK).with_name("meltano-map-transform")),
            "--config",
            _settings(_stream_maps()),
        ),
    }
    samples: dict[str, list[Sample]] = {name: [] for name in mappers}
    environment = child_environment({})
    for command in mappers.values():
        run([command], environment, timeout=timeout, stdin=warm_up)
    for _ in range(runs):
        for name, command in mappers.items():
            (sample,) = run([command], environment, timeout=timeout, stdin=messages)
            if sample.lines < events:
                raise RuntimeError(f"{name}: {sample.lines:,} of {events:,} events came out")
            samples[name].append(sample)
    lines = [
        "| mapper | events | CPU, s | events per CPU s | rate / stock | peak MB |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, runs_of in samples.items():
        pairs = zip(runs_of, samples[stock], strict=True)
        lines.append(
            f"| {name} | {events:,} | {Spread.of([s.cpu for s in runs_of]).show()} "
            f"| {Spread.of([events / s.cpu for s in runs_of]).show(0)} "
            f"| {Spread.of([other.cpu / s.cpu for s, other in pairs]).show()} "
            f"| {Spread.of([s.peak_rss / 1e6 for s in runs_of]).show(0)} |"
        )
    return [*lines, "", "Goal: at least 3 times the stock stream map's rate."]


def _messages(events: int, timeout: float) -> Path:
    """What the tap writes, in a file."""
    path = CACHE / f"messages-{events}.jsonl"
    with Service(DataSet("adobe", events)) as service, path.open("wb") as file:
        subprocess.run(
            own_command("plain"),
            env=child_environment(service.environment),
            stdout=file,
            stderr=subprocess.DEVNULL,
            timeout=timeout,
            check=True,
        )
    return path


def _stream_maps() -> dict[str, object]:
    """The stock stream map of the built-in mapping, with the same 11 fields."""
    answer = subprocess.run(
        [_script("mixpanel-xdm"), "stream-maps", "--json"],
        env=child_environment({}),
        stdout=subprocess.PIPE,
        check=True,
    )
    maps: dict[str, object] = json.loads(answer.stdout)
    return maps


def _script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _settings(document: dict[str, object]) -> str:
    path = CACHE / "settings" / f"mapper-{len(document)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return str(path)


if __name__ == "__main__":
    print("\n".join(section(_EVENTS, _RUNS, _TIMEOUT)))
