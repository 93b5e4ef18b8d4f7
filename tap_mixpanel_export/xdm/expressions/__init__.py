"""Expressions of Adobe's Data Prep: parsed, checked and compiled once, evaluated per event.

Nothing is imported for them, and no grammar built, before the first one is compiled.
"""

from __future__ import annotations

from .compiler import Expression, compile_expression
from .errors import EvaluationError, ExpressionError
from .parser import parse_expression
from .printer import print_expression

__all__ = [
    "EvaluationError",
    "Expression",
    "ExpressionError",
    "compile_expression",
    "parse_expression",
    "print_expression",
]
