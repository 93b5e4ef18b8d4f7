"""Hash functions (Data Prep functions, section Hashing)."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING

from tap_mixpanel_export.xdm.errors import ValueRefusedError
from tap_mixpanel_export.xdm.expressions.functions.registry import function
from tap_mixpanel_export.xdm.expressions.values import text

if TYPE_CHECKING:
    from collections.abc import Callable

# The four that the documentation allows. Java's UTF-16 is big-endian behind a byte order mark.
_CHARSETS = {"UTF-8": "utf-8", "UTF-16": "utf-16-be", "ISO-8859-1": "latin-1", "US-ASCII": "ascii"}


def _charset(name: str) -> str:
    try:
        return _CHARSETS[name]
    except KeyError:
        raise ValueRefusedError(f"takes a CHARSET of {', '.join(_CHARSETS)}") from None


def _encoded(value: object, charset: object) -> bytes:
    codec = _charset(text(charset))
    mark = b"\xfe\xff" if codec == "utf-16-be" else b""
    # As in Java, a character that the set lacks is hashed as a question mark.
    return mark + text(value).encode(codec, "replace")


def _register(name: str, digest: Callable[[bytes], str]) -> None:
    @function(name, method=True, checks={1: _charset})
    def hashed(value: object, charset: object = "UTF-8") -> str:
        return digest(_encoded(value, charset))


_register("sha1", lambda data: hashlib.sha1(data, usedforsecurity=False).hexdigest())
_register("sha256", lambda data: hashlib.sha256(data).hexdigest())
_register("sha512", lambda data: hashlib.sha512(data).hexdigest())
_register("md5", lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest())
# The documentation's example has the four bytes of the sum with the lowest first.
_register("crc32", lambda data: zlib.crc32(data).to_bytes(4, "little").hex())
