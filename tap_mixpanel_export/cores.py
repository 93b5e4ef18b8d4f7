"""How many cores this process may use."""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path

# What containers are given of the machine's time: quota and period, or `max` for all of it.
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(quota: Path = _QUOTA) -> int:
    """The cores that the process may run on, as far as its container's quota reaches.

    Args:
        quota: The control group's file that says it.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        # macOS, Windows.
        cores = os.cpu_count() or 1
    try:
        most, period = quota.read_text().split()
        return max(1, min(cores, ceil(int(most) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):
        return cores
