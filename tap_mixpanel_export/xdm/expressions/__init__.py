"""Expressions of Adobe's Data Prep: parsed, checked and compiled once, evaluated per event.

Nothing is imported for them, and no grammar built, before the first one is compiled.
"""

from __future__ import annotations

from tap_mixpanel_export.xdm.errors import EvaluationError, ExpressionError
from tap_mixpanel_export.xdm.expressions.compiler import Expression, compile_expression

__all__ = [
    "EvaluationError",
    "Expression",
    "ExpressionError",
    "compile_expression",
]
