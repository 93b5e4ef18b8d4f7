"""XDM types and fields, and the JSON Schema that says the same.

Types, bounds and `meta:xdmType` are those of Adobe's table "Define XDM field types".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from math import ceil, floor
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    JsonSchema = dict[str, Any]


FieldPath = tuple[str, ...]
"""Names that lead to a field, or to a property, each inside of the one before it."""


class XdmType(Enum):
    """A type of XDM; the value is its name in `meta:xdmType`.

    An Enum of XDM is a `STRING` whose field lists its values.
    """

    STRING = "string"
    URI = "uri"
    NUMBER = "number"
    LONG = "long"
    INTEGER = "int"
    SHORT = "short"
    BYTE = "byte"
    BOOLEAN = "boolean"
    DATE = "date"
    DATE_TIME = "date-time"
    ARRAY = "array"
    OBJECT = "object"
    MAP = "map"

    @property
    def json_type(self) -> str:
        """The `type` that a JSON Schema has for it."""
        return _JSON_TYPES.get(self, "string")

    @property
    def label(self) -> str:
        """The name in Adobe's documentation and user interface."""
        return _LABELS.get(self, self.value.capitalize())


INTEGER_BOUNDS: Mapping[XdmType, tuple[int, int]] = MappingProxyType(
    {
        XdmType.BYTE: (-128, 127),
        XdmType.SHORT: (-32768, 32767),
        XdmType.INTEGER: (-2147483648, 2147483647),
        # What a double holds exactly: Long is bounded for readers in JavaScript.
        XdmType.LONG: (-9007199254740991, 9007199254740991),
    }
)
"""Least and greatest value of the integer types, the narrowest first."""

FORMATS: Mapping[XdmType, str] = MappingProxyType(
    {XdmType.DATE: "date", XdmType.DATE_TIME: "date-time", XdmType.URI: "uri"}
)
"""The `format` of the types that are strings in JSON."""

ITEM_KEYWORDS: Mapping[XdmType, str] = MappingProxyType(
    {XdmType.ARRAY: "items", XdmType.MAP: "additionalProperties"}
)
"""Where JSON Schema has what the parts are of the types whose parts are all alike."""

_JSON_TYPES = {
    **dict.fromkeys(INTEGER_BOUNDS, "integer"),
    XdmType.NUMBER: "number",
    XdmType.BOOLEAN: "boolean",
    XdmType.ARRAY: "array",
    XdmType.OBJECT: "object",
    XdmType.MAP: "object",
}
_LABELS = {XdmType.URI: "URI", XdmType.INTEGER: "Integer", XdmType.DATE_TIME: "DateTime"}


@dataclass(frozen=True, slots=True)
class XdmField:
    """A field of the target schema.

    Attributes:
        type: Its type.
        title: Its name for people.
        description: What it means.
        minimum: Least value of a number; a field of an integer type has its type's bounds at least.
        maximum: Greatest value of a number.
        enum: The values that are allowed, if the field lists them.
        pattern: Regular expression that a string has to match somewhere.
        min_length: Least number of characters of a string.
        max_length: Greatest number of characters of a string.
        properties: The fields of an `OBJECT`, by name.
        required: Names of the fields that an `OBJECT` must have.
        items: What an `ARRAY` has for items, or a `MAP` for values; None is a string.
    """

    type: XdmType
    title: str = ""
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    enum: tuple[object, ...] = ()
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    properties: Mapping[str, XdmField] = field(default_factory=lambda: MappingProxyType({}))
    required: frozenset[str] = frozenset()
    items: XdmField | None = None

    def __post_init__(self) -> None:
        if self.type in INTEGER_BOUNDS:
            least, greatest = INTEGER_BOUNDS[self.type]
            minimum = least if self.minimum is None else max(least, self.minimum)
            maximum = greatest if self.maximum is None else min(greatest, self.maximum)
            object.__setattr__(self, "minimum", minimum)
            object.__setattr__(self, "maximum", maximum)

    @property
    def label(self) -> str:
        """The name of the type for people."""
        return "Enum" if self.enum and self.type is XdmType.STRING else self.type.label

    @property
    def item(self) -> XdmField:
        """Of an `ARRAY` or `MAP`, the field of each item or value."""
        return self.items or XdmField(XdmType.STRING)

    @property
    def is_narrowed(self) -> bool:
        """Whether there are values of its type, within its bounds, that it does not take."""
        has_lengths = self.min_length is not None or self.max_length is not None
        return bool(self.enum) or self.pattern is not None or has_lengths

    @property
    def keywords(self) -> JsonSchema:
        """What JSON Schema says of the values besides their type, lists of them and parts aside."""
        keywords = {
            "format": FORMATS.get(self.type),
            "minimum": self.minimum,
            "maximum": self.maximum,
            "pattern": self.pattern,
            "minLength": self.min_length,
            "maxLength": self.max_length,
        }
        return {key: value for key, value in keywords.items() if value is not None}

    def child(self, name: str) -> XdmField | None:
        """Return the field of that name, None if there is none. A `MAP` has every name."""
        return self.item if self.type is XdmType.MAP else self.properties.get(name)

    def at(self, path: FieldPath) -> XdmField | None:
        """Return the field at the end of a path, None if there is none."""
        found: XdmField | None = self
        for name in path:
            found = found.child(name) if found else None
        return found

    def json_schema(self, *, nullable: bool = False) -> JsonSchema:
        """Return a closed JSON Schema of the values; `nullable` ones here and everywhere inside."""
        kind = self.type.json_type
        schema: JsonSchema = {"type": [kind, "null"] if nullable else kind, **self.keywords}
        if self.enum:
            schema["enum"] = [*self.enum, None] if nullable else [*self.enum]
        if self.type is XdmType.OBJECT:
            schema["properties"] = {
                name: child.json_schema(nullable=nullable)
                for name, child in self.properties.items()
            }
            if self.required and not nullable:
                schema["required"] = sorted(self.required)
            schema["additionalProperties"] = False
        elif self.type in ITEM_KEYWORDS:
            schema[ITEM_KEYWORDS[self.type]] = self.item.json_schema(nullable=nullable)
        if self.title:
            schema["title"] = self.title
        if self.description:
            schema["description"] = self.description
        return schema


def integer_bounds(field: XdmField) -> tuple[int, int]:
    """Return the least and greatest whole number that a field of an integer type takes."""
    # A field of such a type has both.
    return ceil(cast("float", field.minimum)), floor(cast("float", field.maximum))
