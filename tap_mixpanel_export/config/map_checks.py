"""Checks of `stream_maps`, a setting of the SDK that the SDK finds wrong in mid-run, or never."""

from __future__ import annotations

import ast
from difflib import get_close_matches
from fnmatch import fnmatch
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.errors import printable
from tap_mixpanel_export.record_layout import STREAM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_REMOVED = ("__NULL__", None)
_ELSE = "__else__"
_OPTIONS: dict[str, Callable[[object], bool]] = {
    "__alias__": lambda value: isinstance(value, str),
    "__else__": lambda value: value in _REMOVED,
    "__filter__": lambda value: value is None or isinstance(value, str),
    "__key_properties__": lambda value: value is None or _is_names(value),
    "__source__": lambda value: isinstance(value, str),
}

MAP_FUNCTIONS = frozenset(
    {"rand", "randint", "int", "float", "str", "bool", "md5", "sha256", "datetime", "json"}
)
"""What the SDK's expressions can call."""

MAP_NAMES = frozenset(
    {"_", "record", "config", "self", "True", "False", "None"}
    | {"__stream_name__", "__original_stream_name__"}
)
"""What the SDK's expressions can name besides columns."""


def map_problems(maps: object, columns: Iterable[str]) -> list[str]:
    """All problems of the setting `stream_maps`, one sentence each.

    Args:
        maps: The setting.
        columns: Names of the stream's columns; none when they are not known.
    """
    if not isinstance(maps, dict):
        return ["stream_maps is not of type object"]
    names = frozenset(columns)
    problems = []
    for key, definition in maps.items():
        place = f"stream_maps: {printable(str(key))}"
        if key == _ELSE:
            if definition not in _REMOVED:
                problems.append(f'{place} can be "__NULL__" only')
        elif str(key).startswith("__"):
            problems.append(f"{place} is no option; {_ELSE} is")
        elif isinstance(definition, dict):
            problems += _stream_problems(place, str(key), definition, names)
        elif definition not in _REMOVED:
            problems.append(f'{place} is neither an object of columns nor "__NULL__"')
        elif not fnmatch(STREAM, str(key)):
            problems.append(_no_such_stream(place, str(key)))
    return problems


def _stream_problems(
    place: str, key: str, definition: Mapping[str, Any], columns: frozenset[str]
) -> Iterator[str]:
    source = definition.get("__source__", key)
    if not isinstance(source, str) or not fnmatch(STREAM, source):
        yield _no_such_stream(place, str(source))
    for name, value in definition.items():
        where = f"{place}.{printable(str(name))}"
        if str(name).startswith("__"):
            is_right = _OPTIONS.get(name)
            if is_right is None:
                yield f"{where} is no option; there are {', '.join(sorted(_OPTIONS))}"
            elif not is_right(value):
                yield f"{where} is not what this option takes"
        if name == "__filter__" or not str(name).startswith("__"):
            yield from _value_problems(where, value, columns)


def _value_problems(where: str, value: object, columns: frozenset[str]) -> Iterator[str]:
    if isinstance(value, str) and value not in _REMOVED:
        yield from _expression_problems(where, value, columns)
    elif value not in _REMOVED:
        yield f'{where} is neither an expression (a text) nor "__NULL__"'


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _no_such_stream(place: str, name: str) -> str:
    return (
        f"{place}: there is no stream {printable(name)}, so that nothing would be mapped; the one "
        f"stream of this tap is {STREAM}"
    )


def _expression_problems(where: str, expression: str, columns: frozenset[str]) -> Iterator[str]:
    try:
        tree = ast.parse(expression, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        # Its own text may quote the expression, in which a salt can stand.
        column = f", column {error.offset}" if isinstance(error, SyntaxError) else ""
        yield f"{where}: this is no expression (syntax error{column})"
        return
    nodes = list(ast.walk(tree))
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    bound = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    known = columns | MAP_FUNCTIONS | MAP_NAMES
    for name in sorted(used - bound - known) if columns else ():
        if name == "fake":
            if find_spec("faker") is None:
                yield f"{where}: `fake` needs an extra: pip install tap-mixpanel-export[faker]"
            continue
        close = get_close_matches(name, known, n=1)
        hint = f" ({close[0]} is probably meant)" if close else ""
        yield f"{where}: there is no column or function {printable(name)}{hint}"
