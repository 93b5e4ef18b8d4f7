"""What the command line does around the tap: exit codes and messages."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import NoReturn

from tap_mixpanel_export.api.quota_file import QuotaFileError
from tap_mixpanel_export.errors import ExportError
from tap_mixpanel_export.tap import TapMixpanelExport

logger = logging.getLogger("tap-mixpanel-export")

_FAILURE = 1
_FILES = ("--config", "--state", "--catalog")


def run(arguments: list[str]) -> None:
    """Run the tap, and exit.

    Args:
        arguments: Of the command line, without the command.

    Raises:
        SystemExit: Always.
    """
    _check_files(arguments)
    try:
        TapMixpanelExport.cli(arguments)
    except (ExportError, QuotaFileError) as error:
        _fail(str(error))
    except BrokenPipeError:
        # The interpreter flushes stdout once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail("stdout was closed by the program that reads it; the run ends")
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}")


def _check_files(arguments: list[str]) -> None:
    """Refuse files that are not JSON objects; the SDK ends with a traceback on them.

    Raises:
        SystemExit: There is such a file.
    """
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        option, equals, value = argument.partition("=")
        path = Path(value if equals else following)
        # ENV stands for the environment, - for stdin; a pipe can be read only once.
        if option not in _FILES or str(path) in {"ENV", "-"} or path.is_fifo():
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            _refuse(f"{option} {path}: {error.strerror}")
        except UnicodeDecodeError:
            _refuse(f"{option} {path} is not UTF-8")
        except json.JSONDecodeError as error:
            # The position is enough: the text may hold secrets.
            _refuse(
                f"{option} {path} is not JSON: {error.msg} "
                f"(line {error.lineno}, column {error.colno})"
            )
        else:
            if not isinstance(content, dict):
                _refuse(f"{option} {path} is JSON, but not an object")


def _refuse(message: str) -> NoReturn:
    # The SDK has not set up logging yet.
    sys.stderr.write(f"Error: {message}\n")
    sys.exit(_FAILURE)


def _fail(message: str) -> NoReturn:
    logger.error("%s", message)
    sys.exit(_FAILURE)
