"""A pipe as a sink."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

# The mark of a message of 8 bytes, which do not follow.
_BROKEN_MESSAGE = b"\xff\xff\xff\xff\x08\x00\x00\x00"


class StdoutSink:
    """Arrow's IPC stream on stdout.

    Args:
        schema: Of all batches.
    """

    keeps_committed = False

    def __init__(self, schema: pa.Schema) -> None:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and half a second to import

        self._writer: Any = pa.ipc.new_stream(sys.stdout.buffer, schema)

    def load_state(self) -> dict[str, Any] | None:
        """None: it is kept in a file, if anywhere."""
        return None

    def write(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""
        self._writer.write_batch(batch)

    def commit(self, state: Mapping[str, Any] | None) -> None:
        """Hand on what was written."""
        del state
        sys.stdout.buffer.flush()

    def finish(self) -> None:
        """End the stream, so that its reader knows that it is whole."""
        self._writer.close()
        self._writer = None
        sys.stdout.buffer.flush()

    def close(self) -> None:
        """Break off a stream that is not whole: an end between messages would look like one."""
        if self._writer is not None:
            sys.stdout.buffer.write(_BROKEN_MESSAGE)
            sys.stdout.buffer.flush()
