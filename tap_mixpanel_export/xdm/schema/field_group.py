"""XDM field groups: Schema Registry JSON in, a tree of fields out.

Both spellings are read: that of `application/vnd.adobe.xed+json`, and that of
`application/vnd.adobe.xdm+json`, where names carry the prefix `xdm:` and `_id` is `@id`; fields
with their `meta:xdmType` and fields with plain JSON Schema only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.xdm.errors import MappingError
from tap_mixpanel_export.xdm.regular_expressions import compiled
from tap_mixpanel_export.xdm.schema.documents import JsonObject, read_document
from tap_mixpanel_export.xdm.schema.experience_event import BASE_FIELDS, REQUIRED_BASE_FIELDS
from tap_mixpanel_export.xdm.schema.field import (
    FORMATS,
    INTEGER_BOUNDS,
    ITEM_KEYWORDS,
    FieldPath,
    XdmField,
    XdmType,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

TENANT_PLACEHOLDER = "{TENANT_ID}"
"""Stands for the organization's own name in Adobe's tutorials, and in the built-in files."""

# Names of types that the user interface and older documents have.
_TYPE_NAMES = {member.value: member for member in XdmType} | {
    "double": XdmType.NUMBER,
    "integer": XdmType.INTEGER,
    "datetime": XdmType.DATE_TIME,
    "enum": XdmType.STRING,
}
_FORMAT_TYPES = {name: xdm_type for xdm_type, name in FORMATS.items()}
_BUILT_IN = Path(__file__).parents[1] / "data" / "field_group.json"
# Deeper than any real field.
_MAX_DEPTH = 32
# More than any real group follows.
_MAX_REFERENCES = 10_000

References = frozenset[str]


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """The fields that records may have: the group's and those of the ExperienceEvent class.

    Attributes:
        document: The JSON document, tenant placeholders and all.
        root: The fields; their names may hold the placeholder, until `with_tenant`.
    """

    document: JsonObject
    root: XdmField

    @classmethod
    def load(cls, path: str | PathLike[str] | None = None) -> FieldGroup:
        """Read a field group file, or the built-in field group.

        Raises:
            MappingError: If it cannot be read or is no field group, with all problems.
        """
        return cls.of(read_document(_BUILT_IN if path is None else path, "field group"))

    @classmethod
    def of(cls, document: JsonObject) -> FieldGroup:
        """Return the field group of a JSON document; see `load`."""
        reader = _Reader(document)
        group = reader.object_field(document, (), frozenset())
        if not group.properties and not reader.problems:
            reader.problems.append("field group: it has no fields")
        if reader.problems:
            raise MappingError(reader.problems)
        root = XdmField(
            XdmType.OBJECT,
            properties=MappingProxyType({**BASE_FIELDS, **group.properties}),
            required=group.required | REQUIRED_BASE_FIELDS,
        )
        return cls(document, root)

    def with_tenant(self, tenant_id: str) -> FieldGroup:
        """Return the same field group with the tenant's name for the placeholder."""
        properties = {
            name.replace(TENANT_PLACEHOLDER, tenant_id): child
            for name, child in self.root.properties.items()
        }
        required = frozenset(
            name.replace(TENANT_PLACEHOLDER, tenant_id) for name in self.root.required
        )
        root = replace(self.root, properties=MappingProxyType(properties), required=required)
        return replace(self, root=root)


class _Reader:
    """Turns JSON Schema into fields, and collects what it cannot turn."""

    def __init__(self, document: JsonObject) -> None:
        self.document = document
        self.problems: list[str] = []
        self.followed = 0
        self.is_endless = False

    def problem(self, path: FieldPath, text: str) -> None:
        place = f" ({'.'.join(path)})" if path else ""
        self.problems.append(f"field group{place}: {text}")

    def object_field(self, schema: JsonObject, path: FieldPath, within: References) -> XdmField:
        """Return the object that a schema, its definitions and its `allOf` describe together."""
        properties: dict[str, XdmField] = {}
        required: set[str] = set()
        parts = [schema]
        definitions = self.document.get("definitions")
        if not path and "allOf" not in schema and isinstance(definitions, dict):
            # A group may hold its definitions without listing them.
            parts += [part for part in definitions.values() if isinstance(part, dict)]
        for part in parts:
            for name, child in self._members(part, "properties", path):
                found = self.field(child, (*path, name), within)
                if found is not None:
                    merge_into(properties, {name: found})
            required.update(self._required(part, path))
            for extra in self._list(part, "allOf", path):
                target, inside = self._resolved(extra, path, within)
                if target is not None:
                    nested = self.object_field(target, path, inside)
                    required |= nested.required
                    merge_into(properties, nested.properties)
        return XdmField(
            XdmType.OBJECT,
            properties=MappingProxyType(properties),
            required=frozenset(required),
            **_texts(schema),
        )

    def field(self, schema: Any, path: FieldPath, within: References) -> XdmField | None:
        """Return the field that a schema describes, None if that is not known."""
        if len(path) > _MAX_DEPTH:
            self.problem(path, "is nested too deeply")
            return None
        schema, within = self._resolved(schema, path, within)
        if schema is None:
            return None
        xdm_type = self._type(schema, path)
        if xdm_type is None:
            return None
        if xdm_type is XdmType.OBJECT:
            return self.object_field(schema, path, within)
        item = schema.get(ITEM_KEYWORDS.get(xdm_type, ""))
        items = self.field(item, (*path, "[]"), within) if isinstance(item, dict) else None
        return XdmField(
            xdm_type,
            minimum=self._number(schema, "minimum", path),
            maximum=self._number(schema, "maximum", path),
            enum=tuple(self._list(schema, "enum", path)),
            pattern=self._pattern(schema, path),
            min_length=self._length(schema, "minLength", path),
            max_length=self._length(schema, "maxLength", path),
            items=items,
            **_texts(schema),
        )

    def _resolved(
        self, schema: Any, path: FieldPath, within: References
    ) -> tuple[JsonObject | None, References]:
        """Return what a schema refers to, and the references that led there."""
        if not isinstance(schema, dict):
            self.problem(path, "is no JSON object")
            return None, within
        reference = schema.get("$ref")
        if reference is None:
            return schema, within
        if not isinstance(reference, str) or not reference.startswith("#") or self.is_endless:
            # The class, or a data type of the registry: not in the file, so its fields are unknown.
            return None, within
        self.followed += 1
        if reference in within or self.followed > _MAX_REFERENCES:
            # Each level may have several of the next: to follow them all takes for ever.
            self.is_endless = True
            many = f"its definitions refer to each other more than {_MAX_REFERENCES} times"
            self.problem(
                path, "its definitions contain themselves" if reference in within else many
            )
            return None, within
        target: Any = self.document
        for step in reference[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            target = target.get(name) if isinstance(target, dict) else None
        if target is None:
            self.problem(path, f"refers to {reference}, which is not in the file")
            return None, within
        return self._resolved(target, path, within | {reference})

    def _members(self, schema: JsonObject, key: str, path: FieldPath) -> list[tuple[str, object]]:
        members = schema.get(key)
        if members is None:
            return []
        if not isinstance(members, dict):
            self.problem(path, f"{key} is no JSON object")
            return []
        return [(plain_name(name), child) for name, child in members.items()]

    def _required(self, schema: JsonObject, path: FieldPath) -> set[str]:
        names = schema.get("required", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self.problem(path, "required is no list of names")
            return set()
        return {plain_name(name) for name in names}

    def _type(self, schema: JsonObject, path: FieldPath) -> XdmType | None:
        declared = schema.get("meta:xdmType")
        json_type = schema.get("type")
        if isinstance(json_type, list):
            json_type = next((name for name in json_type if name != "null"), None)
        if isinstance(declared, str):
            xdm_type = _TYPE_NAMES.get(declared.lower())
            if xdm_type is XdmType.STRING:
                return _string_type(schema)
        else:
            xdm_type = _plain_type(json_type, schema)
        if xdm_type is None:
            self.problem(path, f"unknown type {declared or json_type!r}")
        return xdm_type

    def _number(self, schema: JsonObject, key: str, path: FieldPath) -> float | None:
        value = schema.get(key)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is None or (is_number and isfinite(value)):
            return value
        self.problem(path, f"{key} is no number")
        return None

    def _length(self, schema: JsonObject, key: str, path: FieldPath) -> int | None:
        value = self._number(schema, key, path)
        if value is None or (value == value // 1 and value >= 0):
            return None if value is None else int(value)
        self.problem(path, f"{key} is no whole number from 0 up")
        return None

    def _list(self, schema: JsonObject, key: str, path: FieldPath) -> list[Any]:
        values = schema.get(key) or []
        if isinstance(values, list):
            return values
        self.problem(path, f"{key} is no list")
        return []

    def _pattern(self, schema: JsonObject, path: FieldPath) -> str | None:
        pattern = schema.get("pattern")
        if pattern is None:
            return None
        try:
            if isinstance(pattern, str):
                compiled(pattern)
                return pattern
            self.problem(path, "pattern is no text")
        except ValueError as error:
            self.problem(path, f"pattern: {error}; remove it, the platform will check it")
        return None


def tenant_of(names: Iterable[str]) -> str | None:
    """Return the tenant that has the only field of its own among those at the top of records.

    Returns:
        None if there are several, or none, or it is the placeholder.
    """
    own = {name for name in names if name.startswith("_")} - BASE_FIELDS.keys()
    if len(own) != 1 or TENANT_PLACEHOLDER in (name := own.pop()):
        return None
    return name.removeprefix("_")


def plain_name(name: str) -> str:
    """Return a field's name as records have it: without `xdm:`, and `_id` for `@id`."""
    return "_id" if name == "@id" else name.removeprefix("xdm:")


def _string_type(schema: JsonObject) -> XdmType:
    # Whatever a file has for a format.
    return _FORMAT_TYPES.get(str(schema.get("format")), XdmType.STRING)


def _plain_type(json_type: object, schema: JsonObject) -> XdmType | None:
    """Return the XDM type of a field that has none of its own, by its JSON Schema."""
    if json_type == "integer":
        minimum, maximum = schema.get("minimum"), schema.get("maximum")
        if isinstance(minimum, int) and isinstance(maximum, int):
            for xdm_type, (least, greatest) in INTEGER_BOUNDS.items():
                if least <= minimum and maximum <= greatest:
                    return xdm_type
        # Without bounds nothing is lost in the widest.
        return XdmType.LONG
    if json_type == "string":
        return _string_type(schema)
    if json_type == "object" or (
        json_type is None and ("properties" in schema or "allOf" in schema)
    ):
        is_map = "properties" not in schema and isinstance(schema.get("additionalProperties"), dict)
        return XdmType.MAP if is_map else XdmType.OBJECT
    return _TYPE_NAMES.get(json_type) if isinstance(json_type, str) else None


def merge_into(properties: dict[str, XdmField], more: Mapping[str, XdmField]) -> None:
    """Add fields, to what is there of them already: tenants' objects are often split."""
    for name, field in more.items():
        known = properties.get(name)
        if known is None or known.type is not XdmType.OBJECT or field.type is not XdmType.OBJECT:
            properties[name] = field
            continue
        both = dict(known.properties)
        merge_into(both, field.properties)
        properties[name] = replace(
            known, properties=MappingProxyType(both), required=known.required | field.required
        )


def _texts(schema: JsonObject) -> dict[str, Any]:
    return {
        key: value for key in ("title", "description") if isinstance(value := schema.get(key), str)
    }
