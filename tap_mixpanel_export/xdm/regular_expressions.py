r"""Regular expressions of mapping files, run by RE2.

They meet texts of people that nobody has looked at. RE2's time grows with the length of the text
only, where a backtracking engine can need years. In return it has no look-around and no
backreferences; its `\d`, `\w` and `$` are those of Java, whose dialect the files are written in.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.xdm.surrogates import replaced_surrogates

if TYPE_CHECKING:
    from collections.abc import Iterator

# Steps of the engine, some seconds at the worst: characters looked at, times the program's size.
_MAX_STEPS = 1 << 31


class Pattern:
    """A regular expression in RE2's syntax, made ready.

    Raises:
        ValueError: If it cannot be read, or has what RE2 has not.
    """

    def __init__(self, text: str) -> None:
        # Most mappings have no pattern; the import is for those that do.
        import re2  # noqa: PLC0415 - see above

        options = re2.Options()
        options.log_errors = False
        try:
            self._compiled = re2.compile(text, options)
        except re2.error as error:
            reason = error.args[0].decode(errors="replace") if error.args else "no reason given"
            raise ValueError(f"the regular expression cannot be read: {reason}") from None
        self._size = int(self._compiled.programsize)

    def search(self, text: str) -> Any:
        """Return the first match in the text, None if there is none.

        Raises:
            ValueError: If text and expression together are too large to be tried.
        """
        self._afford(len(text))
        return self._compiled.search(replaced_surrogates(text))

    def fullmatch(self, text: str) -> Any:
        """Return the match of the whole text, None if there is none.

        Raises:
            ValueError: As `search`.
        """
        self._afford(len(text))
        return self._compiled.fullmatch(replaced_surrogates(text))

    def finditer(self, text: str) -> Iterator[Any]:
        """Give all matches in their order.

        Raises:
            ValueError: As `search`; on the way too, since each match may look at all of the rest.
        """
        for number, match in enumerate(self._compiled.finditer(replaced_surrogates(text)), start=1):
            self._afford(number * len(text))
            yield match

    def _afford(self, characters: int) -> None:
        if characters * self._size > _MAX_STEPS:
            raise ValueError("the text is too large for this regular expression")


compiled = lru_cache(maxsize=256)(Pattern)
"""`Pattern`, made once for each expression."""
