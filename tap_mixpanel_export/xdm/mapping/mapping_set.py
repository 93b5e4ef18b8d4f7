"""Data Prep mapping sets: Adobe's files in (see `forms`), lines out, and the same form back.

Two spellings are read. Today's lines have `sourceType`, `source` and `destination`; older ones
`sourceAttribute` and `destinationXdmPath`, and are attributes. Unknown keys are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from tap_mixpanel_export.xdm.booleans import boolean_of_word
from tap_mixpanel_export.xdm.errors import MappingError
from tap_mixpanel_export.xdm.expressions.paths import print_path, split_path, without_root
from tap_mixpanel_export.xdm.mapping.forms import SOURCE_TYPES, read_form

if TYPE_CHECKING:
    from os import PathLike

    from tap_mixpanel_export.xdm.mapping.forms import Form
    from tap_mixpanel_export.xdm.schema.documents import JsonObject

_BUILT_IN = Path(__file__).parents[1] / "data" / "mapping_set.json"
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


@dataclass(frozen=True, slots=True)
class MappingSet:
    """A mapping set.

    Attributes:
        form: What was read, unknown keys and all.
        lines: Its mappings in their order.
    """

    form: Form
    lines: tuple[MappingLine, ...]

    @classmethod
    def load(cls, path: str | PathLike[str] | None = None) -> MappingSet:
        """Read a mapping set file, or the built-in mapping set.

        Raises:
            MappingError: If it cannot be read or is no mapping set, with all problems.
        """
        return cls.of(read_form(_BUILT_IN if path is None else path, "mapping set"))

    @classmethod
    def of(cls, form: Form) -> MappingSet:
        """Return the mapping set of what was read; see `load`."""
        problems: list[str] = []
        lines: list[MappingLine] = []
        for number, mapping in enumerate(form.mappings, start=1):
            line = _line(number, mapping, problems)
            if line is not None:
                lines.append(line)
        if problems:
            raise MappingError(problems)
        return cls(form, tuple(lines))

    def dump(self) -> str:
        """Return the text of the mapping set, in the form that was read."""
        return self.form.dump()

    def extended(self, lines: list[JsonObject]) -> MappingSet:
        """Return the mapping set with lines at its end, in the form that was read.

        They are given as today's lines are, with `source`, `destination` and more.
        """
        return self.of(self.form.extended(lines))

    @property
    def schema_id(self) -> str | None:
        """The `$id` of the target schema, None if the form does not say it."""
        reference = self.form.header.get("outputSchemaRef")
        named = reference.get("id") if isinstance(reference, dict) else None
        return self.form.header.get("xdmSchema") or named or None


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
    if not isinstance(name, str) or name not in SOURCE_TYPES:
        known = ", ".join(SourceType.__members__)
        problems.append(f"{place}: unknown sourceType {name!r}, it is one of {known}")
    else:
        source_type = SourceType[SOURCE_TYPES[name]]
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
    # The API has the words the other way round.
    primary = _flag(mapping, "identityPrimary") or _flag(mapping, "primaryIdentity")
    if not (primary or _flag(mapping, "identity")):
        return None
    namespace = mapping.get("namespaceCode")
    return Identity(namespace if isinstance(namespace, str) else "", primary)


def _flag(mapping: JsonObject, key: str) -> bool:
    value = mapping.get(key)
    # A table has texts only.
    return value is True or (isinstance(value, str) and boolean_of_word(value) is True)
