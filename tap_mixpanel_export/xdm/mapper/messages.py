"""Singer messages as bytes: read without decoding what is passed on, written in blocks.

The SDK's own reader turns every line into Python objects and its writer flushes every message; a
mapper that reads a dozen fields of a record would spend nearly all of its time there.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import IO, TYPE_CHECKING, Any

import msgspec
from singer_sdk.io_base import GenericSingerReader, GenericSingerWriter

from tap_mixpanel_export.json_text import encode
from tap_mixpanel_export.stdout import write_to_stdout
from tap_mixpanel_export.xdm.errors import MapperRunError
from tap_mixpanel_export.xdm.mapper.reading import decode_members, is_too_deep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Message = dict[str, Any]
"""A Singer message: its keys, and the JSON text of each value as `msgspec.Raw`."""

# Enough that system calls cost nothing, little enough that a slow tap's records are not held long.
_BLOCK_BYTES = 1 << 16

# How taps begin records: what a line is, before it is taken apart.
_HEAD = re.compile(rb'\s*\{\s*"type"\s*:\s*("RECORD")\s*,\s*"stream"\s*:\s*("[^"\\]*")')

_decode_text = msgspec.json.Decoder(str).decode


class BlockReader(GenericSingerReader[bytes]):
    """Reads messages from a stream of bytes, or of text as the SDK's `--input` opens it."""

    line: bytes = b""
    """The line of the message that is being processed."""

    @property
    def default_input(self) -> IO[bytes]:
        """Standard input, as bytes."""
        return sys.stdin.buffer

    def deserialize_json(self, line: bytes) -> Message:
        """Return a message; see `decode_members`."""
        return decode_members(line)

    def process_lines(
        self,
        file_input: IO[Any] | None,
        callbacks: dict[str, Callable[[Message], None]],
    ) -> Counter[str]:
        """Call the callback of each message's type, and count the messages by type.

        Raises:
            MapperRunError: If a line is no Singer message; the text names the line's number only.
        """
        counts: Counter[str] = Counter()
        kinds = {f'"{kind}"'.encode(): str(kind) for kind in map(_plain, callbacks)}
        functions = {_plain(kind): function for kind, function in callbacks.items()}
        for number, line in enumerate(_byte_lines(file_input or self.default_input), start=1):
            if line.isspace():
                continue
            self.line = line
            try:
                message = _message(line)
                raw = bytes(message["type"])
                kind = kinds.get(raw) or _decode_text(raw)
            except (ValueError, KeyError, RecursionError) as error:
                raise MapperRunError(
                    f"Line {number} of the input is no Singer message: does a tap write to this "
                    "mapper, and does it write anything else to its standard output?"
                ) from error
            function = functions.get(kind)
            if function is None:
                raise MapperRunError(f"Line {number} of the input has the unknown type {kind!r}.")
            function(message)
            counts[kind] += 1
        return counts


class BlockWriter(GenericSingerWriter[bytes, Any]):
    """Writes messages to standard output, in blocks of some ten thousand bytes."""

    def __init__(self) -> None:
        """Begin with nothing to write."""
        super().__init__()
        self._blocks: list[bytes] = []
        self._size = 0

    def serialize_message(self, message: Any) -> bytes:
        """Return the JSON text of an SDK message."""
        return encode(message.to_dict())

    def write_message(self, message: Any) -> None:
        """Write an SDK message."""
        self.write_line(self.serialize_message(message) + b"\n")

    def write_line(self, line: bytes) -> None:
        """Write a line that has its line end."""
        self._blocks.append(line)
        self._size += len(line)
        if self._size >= _BLOCK_BYTES:
            self.flush()

    def write_fields(self, message: Message) -> None:
        """Write a message of values, or of JSON texts as `msgspec.Raw`."""
        self.write_line(encode(message) + b"\n")

    def flush(self) -> None:
        """Hand everything over to the reader of standard output."""
        # Emptied first: what a broken pipe did not take must not be tried again.
        data, self._blocks, self._size = b"".join(self._blocks), [], 0
        write_to_stdout(data)


def _message(line: bytes) -> Message:
    if not is_too_deep(line):
        return decode_members(line)
    head = _HEAD.match(line)
    if head is None:
        raise ValueError("the line is nested too deeply")
    # Nobody can take it apart: a record that is none is rejected and counted.
    return {"type": head[1], "stream": msgspec.Raw(head[2]), "record": msgspec.Raw(b"")}


def _plain(kind: str) -> str:
    # The SDK's string enumeration formats differently from version to version of Python.
    return str(getattr(kind, "value", kind))


def _byte_lines(lines: IO[Any]) -> Iterable[bytes]:
    # The SDK's option opens text, which splits at `\r` too; no line of JSON has one inside.
    source = getattr(lines, "buffer", lines)
    return (line.encode() if isinstance(line, str) else line for line in source)
