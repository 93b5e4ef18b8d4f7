"""Gzip members glued from pieces that were compressed long before they are asked for.

Serving must cost next to nothing, or a benchmark of a client would measure the sandbox. Deflate
allows it: a stream that ends with a full flush is byte-aligned and refers to nothing before it (RFC
1951, 3.2.4), so such streams can be laid one after the other in any order. Only the checksum of the
whole is left to work out, and CRC-32 of a concatenation follows from the parts' CRCs and lengths.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isal import isal_zlib

if TYPE_CHECKING:
    from collections.abc import Iterable


# Method deflate, no name, no time, unknown operating system (RFC 1952, 2.3).
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
# An empty block with fixed codes, marked as the last one (RFC 1951, 3.2.6).
_LAST_BLOCK = b"\x03\x00"
_RAW_DEFLATE = -15


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes in compressed form, ready to be part of a gzip member.

    Attributes:
        deflated: Raw deflate stream that ends with a full flush.
        crc: CRC-32 of the bytes.
        size: Number of the bytes before compression.
    """

    deflated: bytes
    crc: int
    size: int

    @classmethod
    def of(cls, data: bytes) -> Block:
        """Compress `data`."""
        compressor = isal_zlib.compressobj(1, isal_zlib.DEFLATED, _RAW_DEFLATE)
        deflated = compressor.compress(data) + compressor.flush(isal_zlib.Z_FULL_FLUSH)
        return cls(deflated, isal_zlib.crc32(data), len(data))

    def data(self) -> bytes:
        """Return the bytes that were compressed."""
        data: bytes = isal_zlib.decompressobj(_RAW_DEFLATE).decompress(self.deflated)
        return data


def gzip_member(blocks: Iterable[Block]) -> list[bytes]:
    """Return the parts of one gzip member that holds the blocks in the order given.

    Nothing is copied: the parts are the blocks' own bytes between a header and a trailer.
    """
    parts = [_HEADER]
    crc = size = 0
    for block in blocks:
        parts.append(block.deflated)
        crc = isal_zlib.crc32_combine(crc, block.crc, block.size)
        size += block.size
    parts.append(_LAST_BLOCK + struct.pack("<II", crc, size & 0xFFFFFFFF))
    return parts
