"""The command `tap-mixpanel-export`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the tap; a user's mistake ends in a message, not in a traceback."""
    from tap_mixpanel_export.command import run  # noqa: PLC0415 - start-up

    run(sys.argv[1:])


if __name__ == "__main__":
    main()
