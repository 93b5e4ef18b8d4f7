"""JSON files of users: read with every mistake named, written back as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.xdm.errors import MappingError
from tap_mixpanel_export.xdm.surrogates import has_surrogates

if TYPE_CHECKING:
    from os import PathLike

JsonObject = dict[str, Any]
"""A decoded JSON object."""


def read_document(path: str | PathLike[str], kind: str) -> JsonObject:
    """Read a file that holds one JSON object.

    Raises:
        MappingError: If it cannot be read, or holds something else; the message begins with `kind`
            and path.
    """
    name = f"{kind} {path}"
    document = parse_json(read_text(path, kind), name)
    if not isinstance(document, dict):
        raise MappingError([f"{name}: is no JSON object"])
    return document


def read_text(path: str | PathLike[str], kind: str) -> str:
    """Read a text file; see `read_document`."""
    try:
        # The editors of some systems begin a file with a byte order mark.
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MappingError([f"{kind} {path}: {error.strerror or error}"]) from error
    except UnicodeDecodeError as error:
        raise MappingError([f"{kind} {path}: is not UTF-8 at byte {error.start}"]) from error


def parse_json(text: str, name: str) -> Any:
    """Parse JSON text.

    Raises:
        MappingError: If it is none, names a key twice, or holds what no other program reads; the
            message begins with the name.
    """

    def refuse(constant: str) -> object:
        raise MappingError([f"{name}: {constant} is no JSON"])

    def pairs(items: list[tuple[str, object]]) -> JsonObject:
        members = dict(items)
        if len(members) != len(items):
            keys = [key for key, _ in items]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise MappingError([f"{name}: the key {twice!r} stands twice in one object"])
        return members

    try:
        document = json.loads(text, object_pairs_hook=pairs, parse_constant=refuse)
        has_halves = has_surrogates(json.dumps(document, ensure_ascii=False))
    except MappingError:
        raise
    except json.JSONDecodeError as error:
        problem = f"{name}: is no JSON, line {error.lineno} column {error.colno}: {error.msg}"
        raise MappingError([problem]) from error
    except RecursionError as error:
        raise MappingError([f"{name}: is nested too deeply"]) from error
    except ValueError as error:
        raise MappingError([f"{name}: holds a number of too many digits"]) from error
    if has_halves:
        raise MappingError(
            [f"{name}: holds half a character (an escape from \\ud800 to \\udfff alone)"]
        )
    return document


def dump_document(document: Any) -> str:
    """Return JSON text, keys in their order, with a line end."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
