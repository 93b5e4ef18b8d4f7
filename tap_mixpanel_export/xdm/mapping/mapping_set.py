"""Data Prep mapping sets: Adobe's JSON in, lines out, and the same JSON back.

Two spellings are read. Today's lines have `sourceType`, `source` and `destination`; older ones
`sourceAttribute` and `destinationXdmPath`, and are attributes. Unknown keys are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from importlib import resources
from typing import TYPE_CHECKING

from tap_mixpanel_export.xdm.errors import MappingError
from tap_mixpanel_export.xdm.expressions.paths import print_path, split_path, without_root
from tap_mixpanel_export.xdm.schema.documents import (
    JsonObject,
    dump_document,
    parse_document,
    read_document,
)

if TYPE_CHECKING:
    from os import PathLike

_ESCAPED = re.compile(r"\\.", re.DOTALL)
_ARRAY_POSITION = re.compile(r"\[(?:\d+|\*)\]")


class SourceType(Enum):
    """What the `source` of a line is."""

    ATTRIBUTE = "ATTRIBUTE"
    EXPRESSION = "EXPRESSION"
    STATIC = "STATIC"


@dataclass(frozen=True, slots=True)
class Identity:
    """A destination that identifies a person.

    Attributes:
        namespace: Code of the identity namespace, for example `ECID`.
        primary: Whether it is the primary identity.
    """

    namespace: str
    primary: bool


@dataclass(frozen=True, slots=True)
class MappingLine:
    """One line of a mapping set.

    Attributes:
        number: Its place in the file, from 1.
        source_type: What `source` is.
        source: The text as it is in the file; of a `STATIC` line any JSON scalar.
        destination: The text as it is in the file.
        source_path: Path of an `ATTRIBUTE` in the event, without `data`; empty otherwise.
        destination_path: Path in the target; may hold `{TENANT_ID}`.
        identity: Set if the line's flags make the destination an identity.
    """

    number: int
    source_type: SourceType
    source: object
    destination: str
    source_path: tuple[str, ...]
    destination_path: tuple[str, ...]
    identity: Identity | None = None

    @property
    def place(self) -> str:
        """How messages name the line, without the destination."""
        return f"mapping {self.number}"


@dataclass(frozen=True, slots=True)
class MappingSet:
    """A mapping set.

    Attributes:
        document: The JSON document, unknown keys and all.
        lines: Its mappings in their order.
    """

    document: JsonObject
    lines: tuple[MappingLine, ...]

    @classmethod
    def load(cls, path: str | PathLike[str] | None = None) -> MappingSet:
        """Read a mapping set file.

        Args:
            path: The file; None is the built-in mapping set.

        Raises:
            MappingError: If it cannot be read or is no mapping set, with all problems.
        """
        if path is None:
            data = resources.files("tap_mixpanel_export.xdm").joinpath("data/mapping_set.json")
            return cls.loads(data.read_text(encoding="utf-8"))
        return cls.of(read_document(path, "mapping set"))

    @classmethod
    def loads(cls, text: str) -> MappingSet:
        """Read a mapping set from text; see `load`."""
        return cls.of(parse_document(text, "mapping set"))

    @classmethod
    def of(cls, document: JsonObject) -> MappingSet:
        """Return the mapping set of a JSON document; see `load`."""
        mappings = document.get("mappings")
        if not isinstance(mappings, list) or not mappings:
            raise MappingError(["mapping set: it needs a list `mappings` with one line at least"])
        problems: list[str] = []
        lines: list[MappingLine] = []
        for number, mapping in enumerate(mappings, start=1):
            line = _line(number, mapping, problems)
            if line is not None:
                lines.append(line)
        if problems:
            raise MappingError(problems)
        return cls(document, tuple(lines))

    def dump(self) -> str:
        """Return the text of the mapping set: the JSON that was read."""
        return dump_document(self.document)


def parse_path(text: str) -> tuple[str, ...]:
    r"""Return the names of an attribute path or destination.

    Args:
        text: `a.b`, with `\.` for a dot inside a name; `${…}` may stand around the whole.

    Raises:
        ValueError: If it is no path; the message says why.
    """
    inner = text[2:-1] if text.startswith("${") and text.endswith("}") else text
    if _ARRAY_POSITION.search(_ESCAPED.sub("", inner)):
        raise ValueError(
            r"positions in arrays are not supported (a bracket in a name is written `\[`)"
        )
    return split_path(inner)


def source_text(path: tuple[str, ...]) -> str:
    """Return the `source` of a line for a path in the event: what `parse_path` reads back."""
    return print_path(path).replace("[", r"\[")


def _line(number: int, mapping: object, all_problems: list[str]) -> MappingLine | None:
    if not isinstance(mapping, dict):
        all_problems.append(f"mapping {number}: is no JSON object")
        return None
    destination = mapping.get("destination", mapping.get("destinationXdmPath"))
    source = mapping.get("source", mapping.get("sourceAttribute"))
    place = f"mapping {number}" + (f" ({destination})" if isinstance(destination, str) else "")
    problems: list[str] = []

    def path(text: object, key: str) -> tuple[str, ...]:
        if not isinstance(text, str) or not text:
            problems.append(f"{place}: it has no {key}")
            return ()
        try:
            return parse_path(text)
        except ValueError as error:
            problems.append(f"{place}: {key} {text!r}: {error}")
            return ()

    name = mapping.get("sourceType", SourceType.ATTRIBUTE.value)
    source_type = SourceType.ATTRIBUTE
    source_path: tuple[str, ...] = ()
    if name not in SourceType.__members__:
        known = ", ".join(SourceType.__members__)
        problems.append(f"{place}: unknown sourceType {name!r}, it is one of {known}")
    else:
        source_type = SourceType[name]
        if source_type is SourceType.ATTRIBUTE:
            source_path = without_root(path(source, "source"))
        elif source is None or source == "" or isinstance(source, (dict, list)):
            problems.append(f"{place}: it has no source")
        elif source_type is SourceType.EXPRESSION and not isinstance(source, str):
            problems.append(f"{place}: its source is no expression")
    destination_path = path(destination, "destination")
    if problems:
        all_problems += problems
        return None
    return MappingLine(
        number,
        source_type,
        source,
        str(destination),
        source_path,
        destination_path,
        _identity(mapping),
    )


def _identity(mapping: JsonObject) -> Identity | None:
    if not (mapping.get("identity") or mapping.get("identityPrimary")):
        return None
    namespace = mapping.get("namespaceCode")
    primary = mapping.get("identityPrimary") is True
    return Identity(namespace if isinstance(namespace, str) else "", primary)
