"""Whether two texts hold the same lines, in whatever order, without keeping either."""

from __future__ import annotations

from hashlib import blake2b

_DIGEST_BYTES = 16
_MODULUS = 1 << (8 * _DIGEST_BYTES)


class LineDigest:
    """A digest of lines that does not depend on their order, and counts repeats.

    The export API answers in no useful order. A sum of hashes is the same for the same lines, and
    two sums are the same by accident once in 10^38 times.
    """

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
        line = b"".join(self._rest).strip()
        self._rest = []
        if line:
            digest = blake2b(line, digest_size=_DIGEST_BYTES).digest()
            self._sum = (self._sum + int.from_bytes(digest, "big")) % _MODULUS
