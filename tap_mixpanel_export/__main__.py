"""The command `tap-mixpanel-export`."""

from __future__ import annotations

import gc
import sys
from importlib.metadata import version


def main() -> None:
    """Run the tap; a user's mistake ends in a message, not in a traceback."""
    if sys.argv[1:] == ["--version"]:
        # What the SDK prints, without importing it, which takes most of a second.
        tap, sdk = version("tap-mixpanel-export"), version("singer-sdk")
        print(f"tap-mixpanel-export v{tap}, Meltano SDK v{sdk}")  # noqa: T201
        return
    # What imports make stays: to look for garbage among it takes a sixth of the start.
    gc.disable()
    from tap_mixpanel_export.cli import run  # noqa: PLC0415 - see above

    gc.freeze()
    gc.enable()
    run(sys.argv[1:])


if __name__ == "__main__":
    main()
