"""Halves of characters (lone surrogates), which JavaScript clients send when they cut a text.

They are no Unicode text, have no UTF-8, and stop every strict decoder. U+FFFD takes their place.
"""

from __future__ import annotations

import re

# Pairs and other escapes are matched to be skipped.
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",
    re.DOTALL,
)
_HALF = re.compile(r"[\ud800-\udfff]")


def without_lone_surrogates(text: bytes) -> bytes:
    """Return JSON text with U+FFFD for each escaped surrogate that has no partner."""
    return _ESCAPES.sub(lambda match: rb"\ufffd" if match[1] else match[0], text)


def joined_surrogates(text: str) -> str:
    """Return a text with one character for each pair of surrogates; others stay."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def has_surrogates(text: str) -> bool:
    """Tell whether a text holds a surrogate."""
    return not text.isascii() and _HALF.search(text) is not None


def replaced_surrogates(text: str) -> str:
    """Return a text with U+FFFD for each surrogate that has no partner."""
    if not has_surrogates(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
