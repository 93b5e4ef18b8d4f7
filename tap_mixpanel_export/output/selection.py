"""Pure: which columns a catalog selects, and records without what it deselects inside of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from tap_mixpanel_export.json_text import encode
from tap_mixpanel_export.output.messages import load_record
from tap_mixpanel_export.output.writer import serialize
from tap_mixpanel_export.record_layout import ALWAYS_WRITTEN, PROPERTIES
from tap_mixpanel_export.records.form import RecordForm, text_form
from tap_mixpanel_export.records.lines import whole_lines
from tap_mixpanel_export.records.spool import Records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from singer_sdk.singerlib import SelectionMask

    from tap_mixpanel_export.xdm.mapping.columns import Column
    from tap_mixpanel_export.xdm.schema.field import XdmField

_decode_object = msgspec.json.Decoder(dict[str, Raw] | None).decode
_decode_text = msgspec.json.Decoder(str).decode


class Selection:
    """What a catalog selects.

    Args:
        columns: Names of all columns.
        mask: The SDK's: what is selected, by breadcrumb.
        properties_as_text: Whether `properties` is JSON text in records.
    """

    def __init__(
        self, columns: Iterable[str], mask: SelectionMask, *, properties_as_text: bool = False
    ) -> None:
        self._texts = frozenset({PROPERTIES} if properties_as_text else ())
        # What the mask does not name has its parent's value.
        self.columns = frozenset(name for name in columns if mask["properties", name])
        # A breadcrumb is ("properties", column, "properties", name, …).
        self._deselected_inside = [
            list(breadcrumb[1::2])
            for breadcrumb, is_selected in mask.items()
            if len(breadcrumb) > len(("properties", "column")) and not is_selected
        ]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in the order in which records begin."""
        return (*ALWAYS_WRITTEN, *(self.columns - {*ALWAYS_WRITTEN}))

    def text_form(self, gzip_level: int | None = None) -> RecordForm:
        """Records as JSON text, with what is deselected inside of columns.

        Args:
            gzip_level: How they are kept, see `Spool`.
        """
        return text_form(self.columns, properties_as_text=bool(self._texts), gzip_level=gzip_level)

    @property
    def projections(self) -> dict[str, Projection]:
        """By column, what takes out of its JSON text what is deselected inside of it."""
        paths: dict[str, list[list[str]]] = {}
        for name, *inner in self._deselected_inside:
            paths.setdefault(name, []).append(inner)
        return {name: Projection(inside) for name, inside in paths.items()}

    def columns_of(self, columns: Iterable[Column]) -> list[Column]:
        """Columns whose types lack the fields that are deselected."""
        narrowed = []
        for column in columns:
            field = column.field
            for name, *inner in self._deselected_inside:
                if name == column.name:
                    field = _without(field, inner)
            narrowed.append(replace(column, field=field))
        return narrowed

    def of(self, blocks: Iterable[Records]) -> Iterator[Records]:
        """Records without what is deselected inside of columns."""
        inside = self._deselected_inside
        project = Projection(inside, self._texts).of_lines if inside else None
        for records in blocks:
            yield records if project is None else Records(records.count, project(records.text))


class Projection:
    """Takes members out of the JSON text of objects; whatever else they hold stays as it is.

    Only the objects on the way to a member are taken apart.

    Args:
        paths: What to take out: names, each inside of the one before.
        texts: Names of members that are JSON text of an object, as strings.
    """

    def __init__(self, paths: Sequence[Sequence[str]], texts: frozenset[str] = frozenset()) -> None:
        self._paths = [path for path in paths if path[0] not in texts]
        self._texts = {
            name: Projection([inner for first, *inner in paths if first == name])
            for name in texts.intersection(path[0] for path in paths)
        }

    def __call__(self, text: bytes) -> bytes:
        """The text of one object without them."""
        try:
            members = _decode_object(text)
            if members is None:
                return text
            for path in self._paths:
                _remove_text(members, path)
            for name in self._texts.keys() & members.keys():
                inner = self._texts[name](_decode_text(members[name]).encode())
                members[name] = Raw(encode(inner.decode()))
            return encode(members)
        except msgspec.DecodeError:
            # A name with an escape of a lone surrogate, or no object where one is expected.
            value = load_record(text)
        for path in self._paths:
            _remove(value, path)
        for name in self._texts.keys() & value.keys():
            value[name] = self._texts[name](value[name].encode()).decode()
        return serialize(value)

    def of_lines(self, text: bytes) -> bytes:
        """The same of many objects, each with its line end."""
        return b"".join([self(line) + b"\n" for line in whole_lines(text)])


def _without(field: XdmField, path: Sequence[str]) -> XdmField:
    name, *rest = path
    if name not in field.properties:
        return field
    left = {n: child for n, child in field.properties.items() if n != name or rest}
    if rest:
        left[name] = _without(left[name], rest)
    return replace(field, properties=left)


def _remove_text(members: dict[str, Raw], path: Sequence[str]) -> None:
    """Remove a member whose parents are text yet.

    Raises:
        msgspec.DecodeError: One of its parents is no object.
    """
    name, *rest = path
    if not rest:
        members.pop(name, None)
    elif (text := members.get(name)) is not None and (inner := _decode_object(text)) is not None:
        _remove_text(inner, rest)
        members[name] = Raw(encode(inner))


def _remove(parent: Any, path: Sequence[str]) -> None:
    for name in path[:-1]:
        parent = parent.get(name) if isinstance(parent, dict) else None
    if isinstance(parent, dict):
        parent.pop(path[-1], None)
