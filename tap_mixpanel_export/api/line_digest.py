"""Whether two texts hold the same lines, in whatever order, without keeping either.

The export API answers in no useful order. A sum of hashes is the same for the same lines, and two
sums are the same by accident once in 10^38 times.
"""

from __future__ import annotations

from hashlib import blake2b

_DIGEST_BYTES = 16


def line_hash(line: bytes) -> int:
    """What sums are made of."""
    return int.from_bytes(blake2b(line, digest_size=_DIGEST_BYTES).digest(), "big")


class LineDigest:
    """A digest of lines that does not depend on their order, and counts repeats."""

    def __init__(self) -> None:
        self._sum = 0
        self._rest: list[bytes] = []

    def add(self, piece: bytes) -> None:
        """Take a piece of the text; its borders are not those of lines."""
        first, *others = piece.split(b"\n")
        self._rest.append(first)
        for line in others:
            self._end_line()
            self._rest = [line]

    def value(self) -> int:
        """The digest of all lines; blank ones are none, and the last one needs no end."""
        self._end_line()
        return self._sum

    def _end_line(self) -> None:
        if line := b"".join(self._rest).strip():
            self._sum += line_hash(line)
        self._rest = []
