"""Events for `mixpanel-xdm`: from a file, or from the tap run with the user's own settings."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from tap_mixpanel_export.xdm.errors import MapperRunError
from tap_mixpanel_export.xdm.mapper.reading import decode_members

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tap_mixpanel_export.xdm.mapper.messages import Message

_STREAM = b'"events"'


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One record, or one raw event in the shape of a record.

    Attributes:
        text: JSON text of the record.
        columns: Names of the columns that records have.
    """

    text: bytes
    columns: frozenset[str]


@contextmanager
def open_events(path: str | None, configs: tuple[str, ...]) -> Iterator[Iterator[EventRecord]]:
    """Read events, and stop the tap when no more are wanted.

    Args:
        path: JSON lines of records, Singer messages or raw events, `-` for standard input; None
            runs the tap.
        configs: The tap's `--config` values: files, or `ENV`.

    Raises:
        MapperRunError: If the file cannot be read or the tap fails.
    """
    if path == "-":
        yield _records(sys.stdin.buffer, "standard input")
    elif path is not None:
        try:
            with Path(path).open("rb") as file:
                yield _records(file, path)
        except OSError as error:
            raise MapperRunError(f"{path}: {error.strerror}") from error
    else:
        with _tap(configs) as lines:
            yield lines


@contextmanager
def _tap(configs: tuple[str, ...]) -> Iterator[Iterator[EventRecord]]:
    command = [sys.executable, "-m", "tap_mixpanel_export"]
    for config in configs or ("ENV",):
        command += ["--config", config]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as tap:  # noqa: S603 - no shell
        if tap.stdout is None:
            raise MapperRunError("The tap cannot be read.")
        ended = False

        def lines(stdout: IO[bytes]) -> Iterator[EventRecord]:
            nonlocal ended
            yield from _records(stdout, "the tap")
            ended = True

        try:
            yield lines(tap.stdout)
        finally:
            if not ended:
                tap.terminate()
        if ended and tap.wait() != 0:
            raise MapperRunError(
                f"The tap ended with exit code {tap.returncode}; its own message is above."
            )


def _records(lines: Iterable[bytes], name: str) -> Iterator[EventRecord]:
    columns: frozenset[str] = frozenset()
    for number, line in enumerate(lines, start=1):
        if line.isspace():
            continue
        try:
            message = decode_members(line)
            kind = bytes(message.get("type", b""))
            if kind == b'"SCHEMA"' and bytes(message["stream"]) == _STREAM:
                schema = msgspec.json.decode(message["schema"])
                columns = frozenset(schema.get("properties", {}))
            elif kind == b'"RECORD"':
                if bytes(message["stream"]) == _STREAM:
                    yield EventRecord(bytes(message["record"]), columns)
            elif "properties" in message:
                yield _plain_record(message, line)
            elif not kind:
                raise KeyError("properties")  # noqa: TRY301 - one message for all such lines
        except (ValueError, KeyError, RecursionError) as error:
            raise MapperRunError(
                f"{name}, line {number}: is neither a Singer message nor an event with properties."
            ) from error


def _plain_record(message: Message, line: bytes) -> EventRecord:
    """Return a record for a line of a loader's file, or for an event as Mixpanel exports it."""
    if "event" in message and "event_name" not in message:
        message["event_name"] = message.pop("event")
        return EventRecord(msgspec.json.encode(message), frozenset({"event_name", "properties"}))
    return EventRecord(line, frozenset(message))
