"""mixpanel-headless 0.4.0, unmodified: its event stream as JSON Lines.

It is asked for events as exported (`raw=True`), its fastest way.
"""

from __future__ import annotations

import json
import os
import sys

_PREFIX = "TAP_MIXPANEL_EXPORT_"


def main(day: str) -> None:
    """Write the events of a day to stdout."""
    os.environ.update(
        MP_API_BASE_URL=os.environ[_PREFIX + "API_URL"].removesuffix("/api/2.0"),
        MP_USERNAME=os.environ[_PREFIX + "SERVICE_ACCOUNT_USERNAME"],
        MP_SECRET=os.environ[_PREFIX + "SERVICE_ACCOUNT_SECRET"],
        MP_PROJECT_ID=os.environ[_PREFIX + "PROJECT_ID"],
        MP_REGION="us",
    )
    # It exists in an environment of its own only, and reads the variables above.
    from mixpanel_headless import Workspace  # type: ignore[import-not-found]  # noqa: PLC0415

    write = sys.stdout.write
    for event in Workspace().stream_events(from_date=day, to_date=day, raw=True):
        write(json.dumps(event, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
