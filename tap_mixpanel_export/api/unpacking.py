"""A gzip stream unpacked with bounded memory, and told when it is not whole."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from isal import igzip_lib, isal_zlib

from tap_mixpanel_export.errors import IncompleteExportError

if TYPE_CHECKING:
    from collections.abc import Iterator

_GZIP = zlib.MAX_WBITS | 16

# Of what a piece becomes, as much is unpacked at once. Events become some ten times as long; zeros
# a thousand times.
_UNPACKED_BYTES = 1024 * 1024


def unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip, and tell a stream that is not whole.

    Only bodies of more than 1400 bytes are compressed: an empty one is cut off, too.

    Args:
        pieces: The stream, which may have several members, as a file can.

    Yields:
        The text, in pieces of at most a megabyte.

    Raises:
        IncompleteExportError: The stream is damaged or cut off.
    """
    unpacker = isal_zlib.decompressobj(_GZIP)
    try:
        for piece in pieces:
            data = piece
            while data:
                if unpacker.eof:
                    unpacker = isal_zlib.decompressobj(_GZIP)
                text = unpacker.decompress(data, _UNPACKED_BYTES)
                data = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
                if text:
                    yield text
    except igzip_lib.error as error:  # type: ignore[misc]  # wrong in its stubs
        raise IncompleteExportError("the compressed answer is damaged") from error
    if not unpacker.eof:
        raise IncompleteExportError("the compressed answer is cut off")
