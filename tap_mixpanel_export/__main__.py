"""All commands; `python -m tap_mixpanel_export` is the tap.

Each begins here, where next to nothing is imported: what a signal must not interrupt with a
traceback begins with the imports, which take up to a second on a busy machine.
"""

from __future__ import annotations

import sys

from tap_mixpanel_export.termination import end_at_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_mixpanel_export.cli import Command


def main() -> None:
    """Run `tap-mixpanel-export`."""
    _run("tap-mixpanel-export", _version if sys.argv[1:] == ["--version"] else _tap)


def map_mixpanel_xdm() -> None:
    """Run `map-mixpanel-xdm`."""
    _run("map-mixpanel-xdm", _mapper)


def mixpanel_xdm() -> None:
    """Run `mixpanel-xdm`."""
    _run("mixpanel-xdm", _mapping_helper)


def mixpanel_export() -> None:
    """Run `mixpanel-export`."""
    _run("mixpanel-export", _export)


def mixpanel_sandbox() -> None:
    """Run `mixpanel-sandbox`."""
    _run("mixpanel-sandbox", _sandbox)


def _run(program: str, load: Callable[[], Command]) -> None:
    end_at_once()
    from tap_mixpanel_export.cli import run  # noqa: PLC0415 - see above

    run(program, load, sys.argv[1:])


def _version() -> Command:
    # What the SDK prints, without importing it, which takes most of a second.
    from importlib.metadata import version  # noqa: PLC0415 - see above

    tap, sdk = version("tap-mixpanel-export"), version("singer-sdk")
    return lambda _: print(f"tap-mixpanel-export v{tap}, Meltano SDK v{sdk}")  # noqa: T201 - its output


def _tap() -> Command:
    from tap_mixpanel_export.cli import plugin_command  # noqa: PLC0415 - see above
    from tap_mixpanel_export.later_imports import imported_later  # noqa: PLC0415 - see above

    with imported_later():
        from tap_mixpanel_export.tap import TapMixpanelExport  # noqa: PLC0415 - see above

    return plugin_command(TapMixpanelExport)


def _mapper() -> Command:
    from tap_mixpanel_export.cli import plugin_command  # noqa: PLC0415 - see above
    from tap_mixpanel_export.later_imports import imported_later  # noqa: PLC0415 - see above

    with imported_later():
        from tap_mixpanel_export.xdm.mapper.mapper import XdmMapper  # noqa: PLC0415 - see above

    return plugin_command(XdmMapper)


def _mapping_helper() -> Command:
    from tap_mixpanel_export.cli import click_command  # noqa: PLC0415 - see above
    from tap_mixpanel_export.xdm.cli.commands import main as command  # noqa: PLC0415 - see above

    return click_command(command)


def _export() -> Command:
    from tap_mixpanel_export.cli import click_command  # noqa: PLC0415 - see above
    from tap_mixpanel_export.export.cli.commands import main as command  # noqa: PLC0415 - see above

    return click_command(command)


def _sandbox() -> Command:
    from tap_mixpanel_export.sandbox.cli import main as command  # noqa: PLC0415 - see above

    return command


if __name__ == "__main__":
    main()
