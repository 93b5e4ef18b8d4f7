"""F2, the floor: what honest work in Python costs at least, on one thread.

The export is requested, unpacked, cut into lines; each line is decoded and written again as a
Singer RECORD. Nothing is verified, nothing typed, no repeat found, no state kept.
"""

from __future__ import annotations

import os
import sys

import orjson
from isal import isal_zlib

from benchmarks.asking import ask

_GZIP = 31

# The fastest of 4 to 256 KiB: larger pieces unpack to more than the 128 KiB from which on the
# allocator asks the kernel for fresh pages each time.
_READ = 8 * 1024


def main(day: str) -> None:
    """Write the records of a day to stdout."""
    response = ask(day, os.environ)
    unpacker = isal_zlib.decompressobj(_GZIP)
    write = sys.stdout.buffer.write
    rest = b""
    while piece := response.raw.read(_READ, decode_content=False):
        lines = (rest + unpacker.decompress(piece)).split(b"\n")
        rest = lines.pop()
        for line in lines:
            message = {"type": "RECORD", "stream": "events", "record": orjson.loads(line)}
            write(orjson.dumps(message) + b"\n")


if __name__ == "__main__":
    main(sys.argv[1])
