"""Singer messages on stdout, fast: whole blocks of records, and single messages."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk.io_base import SingerWriter
from singer_sdk.singerlib.json import serialize_json

from tap_mixpanel_export.stdout import is_mixed_with_log, write_to_stdout

if TYPE_CHECKING:
    from singer_sdk.singerlib.messages import Message


def _encode_other(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


_encode = msgspec.json.Encoder(enc_hook=_encode_other, decimal_format="number").encode


def serialize(value: Any) -> bytes:
    """JSON text of a record or message, its numbers without loss.

    `msgspec` has no encoding for lone surrogates, which JavaScript clients send; the SDK's encoder
    escapes them.
    """
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return serialize_json(value).encode()


class MessageWriter(SingerWriter):
    """Writes messages as the SDK's own writer does, in less time, and whole."""

    @property
    def is_mixed_with_log(self) -> bool:
        """Whether messages go where the log does, too."""
        return is_mixed_with_log()

    def serialize_message(self, message: Message) -> str:
        """Serialize a message."""
        return serialize(message.to_dict()).decode()

    def write_message(self, message: Message) -> None:
        """Write one message."""
        self.write_lines(serialize(message.to_dict()) + b"\n")

    def write_lines(self, *pieces: bytes | memoryview) -> int:
        """Write messages that are serialized already.

        Args:
            pieces: Together whole lines with their ends; not put together because they are large.

        Returns:
            How many bytes they have.
        """
        return write_to_stdout(*pieces)
