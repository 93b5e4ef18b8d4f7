"""What the command line does around the tap: exit codes and messages."""

from __future__ import annotations

import json
import logging
import os
import sys

from tap_mixpanel_export.errors import ExportError
from tap_mixpanel_export.quota_file import QuotaFileError
from tap_mixpanel_export.tap import TapMixpanelExport

logger = logging.getLogger("tap-mixpanel-export")

_FAILURE = 1


def run(arguments: list[str]) -> None:
    """Run the tap, and exit.

    Args:
        arguments: Of the command line, without the command.

    Raises:
        SystemExit: Always.
    """
    try:
        TapMixpanelExport.cli(arguments)
    except (ExportError, QuotaFileError) as error:
        _fail(str(error))
    except BrokenPipeError:
        # The interpreter flushes stdout once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail("stdout was closed by the program that reads it; the run ends")
    except FileNotFoundError as error:
        _fail(f"there is no file {error.filename or error}")
    except json.JSONDecodeError as error:
        # The position is enough: the text may hold secrets.
        _fail(
            "a file or setting that should be JSON is not: "
            f"{error.msg} (line {error.lineno}, column {error.colno})"
        )


def _fail(message: str) -> None:
    logger.error("%s", message)
    sys.exit(_FAILURE)
