"""Writes the list of Data Prep functions into the README from the registry that evaluates them.

To be run as `python -m docs` whenever a function is added; a test compares.
"""

from __future__ import annotations

import re

from tap_mixpanel_export.xdm.expressions.functions import FUNCTIONS, Function

_PLACE = re.compile(r"(<!-- functions: .*? -->\n).*?(<!-- end of functions -->)", re.DOTALL)
_KINDS = {
    "text": "text",
    "regexes": "regular expressions (RE2's syntax, as a text literal)",
    "numeric": "numbers",
    "conversions": "conversions",
    "dates": "dates (patterns as in Java)",
    "hashing": "hashes",
    "logic": "choice",
    "containers": "lists, objects, attributes",
}


def functions_table() -> str:
    """Return the functions by kind, those of one meaning together."""
    by_kind: dict[str, dict[object, list[Function]]] = {kind: {} for kind in _KINDS}
    for function in FUNCTIONS.values():
        kind = function.implementation.__module__.rpartition(".")[2]
        by_kind[kind].setdefault(function.implementation, []).append(function)
    rows = ["| kind | functions |", "|---|---|"]
    for kind, implementations in by_kind.items():
        told = "; ".join(", ".join(map(_call, names)) for names in implementations.values())
        rows.append(f"| {_KINDS[kind]} | {told} |")
    return "\n".join(rows)


def render(readme: str) -> str:
    """Return a README with the functions of today.

    Args:
        readme: Its text.

    Raises:
        ValueError: The marks between which the list stands are not there.
    """
    text, count = _PLACE.subn(lambda m: f"{m[1]}\n{functions_table()}\n\n{m[2]}", readme)
    if count != 1:
        raise ValueError("the README has no place for the functions")
    return text


def _call(function: Function) -> str:
    parameters = function.parameters
    if function.is_method_only:
        receiver, _, others = parameters.partition(", ")
        return f"`{receiver}.{function.name}({others})`"
    return f"`{function.name}({parameters})`"
