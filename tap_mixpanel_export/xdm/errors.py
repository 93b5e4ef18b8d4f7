"""What goes wrong with mappings: when they are read, and when a value is converted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_mixpanel_export.errors import ExportError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

# What to do stands at the end, behind a source of a few hundred characters.
_PROBLEM_CHARACTERS = 2000


class MappingError(ValueError):
    """A mapping set or field group cannot be used; found before any record.

    Attributes:
        problems: One sentence each, that names its line and destination, or its field.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        # They name sources, which customers' names are part of.
        self.problems = [printable(problem, _PROBLEM_CHARACTERS) for problem in problems]
        super().__init__("\n".join(self.problems))


class ConversionError(ValueError):
    """A value cannot become a value of the field's type without loss.

    The message names types, never the value: it may go to a log.
    """


class ValueRefusedError(ValueError):
    """A function, operator or reader was given a value that it cannot take.

    The message names kinds of values, never the value.
    """


class ExpressionError(ValueError):
    """The text is no expression that can be evaluated here: found before any record.

    Args:
        reason: What is wrong, and what to write instead where that is known.
        offset: Where in the text, in characters from its start; None when the whole text is meant.
    """

    def __init__(self, reason: str, offset: int | None = None) -> None:
        self.offset = offset
        super().__init__(reason if offset is None else f"{reason} (at character {offset + 1})")


class EvaluationError(ValueError):
    """A function or operator was given a value that it cannot take.

    The message names the function, its place in the text (the offset, in characters) and the kinds
    of values, never a value: it may go to a log.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} (at character {offset + 1} of the expression)")


class MapperRunError(ExportError):
    """Ends a run of the mapper: its text is the message for the user."""
