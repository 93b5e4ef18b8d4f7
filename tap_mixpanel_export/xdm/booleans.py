"""The texts that are booleans (Data Prep, Handling data formats, section Booleans)."""

from __future__ import annotations

_WORDS = {
    **dict.fromkeys(("y", "yes", "on", "true"), True),
    **dict.fromkeys(("n", "no", "off", "false"), False),
}


def boolean_of_word(text: str) -> bool | None:
    """Return the boolean that a text spells, in any case of letters; None of any other text."""
    return _WORDS.get(text.lower())
