"""What goes wrong with an expression: when it is written, and when it is evaluated."""

from __future__ import annotations


class ExpressionError(ValueError):
    """The text is no expression that can be evaluated here: found before any record.

    Attributes:
        reason: What is wrong, and what to write instead where that is known.
        offset: Where in the text, in characters from its start; None when the whole text is meant.
    """

    def __init__(self, reason: str, offset: int | None = None) -> None:
        self.reason = reason
        self.offset = offset
        super().__init__(reason if offset is None else f"{reason} (at character {offset + 1})")


class EvaluationError(ValueError):
    """A function or operator was given a value that it cannot take.

    The message names the function and the kinds of values, never a value: it may go to a log.

    Attributes:
        reason: What could not be done.
        offset: Where in the expression's text, in characters from its start.
    """

    def __init__(self, reason: str, offset: int) -> None:
        self.reason = reason
        self.offset = offset
        super().__init__(f"{reason} (at character {offset + 1} of the expression)")
