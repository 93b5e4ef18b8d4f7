"""What every command shares: signals, stdout, messages instead of tracebacks, exit codes."""

from __future__ import annotations

import gc
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tap_mixpanel_export.errors import ExportError, OutputError, printable
from tap_mixpanel_export.json_files import read_json_object
from tap_mixpanel_export.stdout import replace_stdout
from tap_mixpanel_export.termination import end_at_once, end_in_order, is_ending

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import click
    from singer_sdk.plugin_base import PluginBase

    Command = Callable[[list[str]], object]
    """Takes the arguments; returns the exit code, or what is no code and stands for 0."""

_FAILURE = 1
_FILES = ("--config", "--state", "--catalog")


def run(program: str, load: Callable[[], Command], arguments: Sequence[str]) -> NoReturn:
    """Run a command, and exit.

    Args:
        program: Its name.
        load: Imports what the command needs, and gives it.
        arguments: Of the command line, without the command.

    Raises:
        SystemExit: Always.
    """
    end_at_once()
    _fill_closed_descriptors()
    code: str | int | None
    try:
        code = _run(load, list(arguments))
    except SystemExit as end:
        code = end.code
        # Its reader may be gone, or may read nothing any more.
        _discard_stdout()
    except Exception as error:
        message = _explanation(error)
        if message is None:
            raise
        code = _FAILURE
        _tell(program, message)
        _discard_stdout()
    finally:
        end_at_once()
    sys.exit(code)


def click_command(command: click.Command) -> Command:
    """A command of click, whose errors in the usage are told as click does."""
    import click  # noqa: PLC0415 - where it is needed it has been imported

    def run_click(arguments: list[str]) -> object:
        try:
            # Alone, click would end without a word when nobody reads stdout.
            return command.main(arguments, standalone_mode=False)
        except click.ClickException as error:
            error.show()
            return error.exit_code

    return run_click


def plugin_command(plugin: type[PluginBase]) -> Command:
    """The command of a tap or mapper."""
    from singer_sdk.exceptions import ConfigValidationError  # noqa: PLC0415 - see above

    def run_plugin(arguments: list[str]) -> object:
        if sys.stdout is None:
            raise OutputError("stdout is closed: there is nowhere to write to")
        _check_log_level(plugin.name)
        _check_files(arguments)
        try:
            return click_command(plugin.cli)(arguments)
        except ConfigValidationError as error:
            # `--test` checks the settings where the SDK does not expect an error.
            raise ExportError("\n".join(error.errors)) from error

    return run_plugin


def _run(load: Callable[[], Command], arguments: list[str]) -> int:
    _refuse_empty(arguments)
    # What imports make stays: to look for garbage among it takes a sixth of the start.
    gc.disable()
    command = load()
    gc.freeze()
    gc.enable()
    replace_stdout()
    end_in_order()
    try:
        result = command(arguments)
    except SystemExit as end:
        if is_ending():
            raise
        result = end.code
    if sys.stdout is not None:
        sys.stdout.flush()
    return result if isinstance(result, int) else 0


def _explanation(error: Exception) -> str | None:
    """What to tell of an error that is no defect; None of one that is."""
    if isinstance(error, ExportError):
        return str(error)
    if isinstance(error, MemoryError):
        return (
            "there is not enough memory; allow more (container, ulimit -v), or set "
            "max_concurrent_queries to 1"
        )
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}"
    return None


def _tell(program: str, message: str) -> None:
    handlers = logging.getLogger().handlers
    if handlers:
        logging.getLogger(program).error("%s", message)
    if not any(getattr(handler, "stream", None) is sys.stderr for handler in handlers):
        # When its reader has gone, too, there is nobody to tell.
        with suppress(OSError):
            sys.stderr.write(f"Error: {message}\n")


def _fill_closed_descriptors() -> None:
    """Open what the shell has closed (`2>&-`), lest a file or socket of ours gets its number."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # It gets the lowest number that is free.
            os.open(os.devnull, os.O_RDWR)
    # Libraries write there without a look. A stdout that is not there is an error of the user's.
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)


def _discard_stdout() -> None:
    """Drop what is left to be written: the interpreter would try it once more at its end."""
    with suppress(AttributeError, OSError, ValueError):
        descriptor = sys.stdout.fileno()
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _refuse_empty(arguments: list[str]) -> None:
    """Refuse an option with an empty value: that of a shell variable that is not set."""
    # What follows are another command's.
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    for before, argument in zip(["", *own], own, strict=False):
        option, equals, value = argument.partition("=")
        if before.startswith("--") and not argument:
            option, equals = before, "="
        if option.startswith("--") and equals and not value:
            raise ExportError(f"{option} is empty; is the shell variable set that it is given?")


def _check_log_level(plugin: str) -> None:
    """Refuse a log level that is none; the SDK ends with a traceback on it."""
    for variable in (f"{plugin.upper().replace('-', '_')}_LOGLEVEL", "LOGLEVEL"):
        level = os.environ.get(variable, "").upper()
        if level and not isinstance(logging.getLevelName(level), int):
            raise ExportError(
                f"{variable}: there is no log level {printable(level)}; use DEBUG, INFO, WARNING "
                "or ERROR"
            )


def _check_files(arguments: list[str]) -> None:
    """Refuse files that are not JSON objects; the SDK ends with a traceback on them."""
    # Click refuses an option without a value.
    for argument, following in zip(arguments, (*arguments[1:], "-"), strict=False):
        option, equals, value = argument.partition("=")
        path = Path(value if equals else following)
        # ENV stands for the environment, - for stdin; a pipe can be read only once.
        if option not in _FILES or str(path) in {"ENV", "-"} or path.is_fifo():
            continue
        read_json_object(option, path)
