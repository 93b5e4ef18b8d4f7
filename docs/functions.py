"""The list of Data Prep functions, from the registry that evaluates them.

`python -m docs` writes it into its page whenever a function is added; a test compares.
"""

from __future__ import annotations

from tap_mixpanel_export.xdm.expressions.functions import FUNCTIONS, Function

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


def _call(function: Function) -> str:
    parameters = function.parameters
    if function.method_only:
        receiver, _, others = parameters.partition(", ")
        return f"`{receiver}.{function.name}({others})`"
    return f"`{function.name}({parameters})`"
