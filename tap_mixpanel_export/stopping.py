"""How a wait or a download ends when its run does: no error, so no message and no exit code."""

from __future__ import annotations


class StoppedError(Exception):
    """What was told to stop has stopped, with nothing half done; not a failure."""
