"""Start-up: what the tap's quick answers take beside the import of the SDK alone."""

from __future__ import annotations

import sys

from benchmarks.measure import Sample, Spread, child_environment, run

_TIMEOUT = 60.0
_SDK = 'python -c "import singer_sdk"'


def section(runs: int) -> list[str]:
    """Measure in turns, and tell as a Markdown table.

    Args:
        runs: Rounds, after one that is not counted and writes the byte code.
    """
    tap = (sys.executable, "-m", "tap_mixpanel_export")
    commands = {
        _SDK: (sys.executable, "-c", "import singer_sdk"),
        "`--version`": (*tap, "--version"),
        "`--about`": (*tap, "--about"),
        "`--discover`": (*tap, "--discover"),
    }
    samples: dict[str, list[Sample]] = {name: [] for name in commands}
    environment = child_environment({})
    for turn in range(runs + 1):
        for name, command in commands.items():
            (sample,) = run([command], environment, timeout=_TIMEOUT)
            if turn:
                samples[name].append(sample)
    lines = ["| command | wall, s | CPU, s | wall / import of the SDK |", "|---|--:|--:|--:|"]
    for name, own in samples.items():
        pairs = zip(own, samples[_SDK], strict=True)
        ratio = Spread.of([sample.wall / sdk.wall for sample, sdk in pairs])
        lines.append(
            f"| {name} | {Spread.of([sample.wall for sample in own]).show()} "
            f"| {Spread.of([sample.cpu for sample in own]).show()} | {ratio.show()} |"
        )
    return [*lines, "", "Goal: `--version` in at most 1.2 times the import of the SDK."]
