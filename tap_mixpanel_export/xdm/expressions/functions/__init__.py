"""The functions of the expression language, by kind; importing them fills the registry."""

from __future__ import annotations

from tap_mixpanel_export.xdm.expressions.functions import (  # noqa: F401 - fills the registry
    containers,
    conversions,
    dates,
    hashing,
    logic,
    numeric,
    regexes,
    text,
)
from tap_mixpanel_export.xdm.expressions.functions.registry import (
    FUNCTIONS,
    Function,
    Lookup,
    check_call,
)

__all__ = ["FUNCTIONS", "Function", "Lookup", "check_call"]
