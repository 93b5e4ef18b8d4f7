"""A mapping compiled against the SCHEMA of `events`: JSON text of a record in, ExperienceEvent out.

Everything that can be decided once is: which sources are columns of the record, which values need
no conversion, where each goes. What is not mapped is skipped by the decoder. `properties` is looked
into for sources that are no columns, and for columns that are null: the tap's columns may have
other types than the fields here, and the original is in `properties`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tap_mixpanel_export.record_layout import PROPERTIES
from tap_mixpanel_export.xdm.errors import ConversionError, EvaluationError
from tap_mixpanel_export.xdm.mapper.reading import (
    computable,
    decode_members,
    decode_value,
    inside,
    members_reader,
    properties_text,
    properties_texts,
)
from tap_mixpanel_export.xdm.mapper.rejects import MISSING_FIELD, UNREADABLE, Rejection
from tap_mixpanel_export.xdm.mapping.columns import column_name, property_path
from tap_mixpanel_export.xdm.mapping.mapping_set import SourceType
from tap_mixpanel_export.xdm.schema.convert import converter, json_text
from tap_mixpanel_export.xdm.schema.field import INTEGER_BOUNDS, XdmType, integer_bounds
from tap_mixpanel_export.xdm.schema.requirements import missing_field, pruned, requires_inside

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

    import msgspec

    from tap_mixpanel_export.xdm.expressions.compiler import Expression
    from tap_mixpanel_export.xdm.mapping.binding import BoundLine, BoundMapping
    from tap_mixpanel_export.xdm.schema.convert import Converter, JsonText
    from tap_mixpanel_export.xdm.schema.field import FieldPath

# The Python type of decoded values that a field without further constraints takes as they are.
_EXACT_TYPES: dict[XdmType, type] = {
    XdmType.STRING: str,
    XdmType.BOOLEAN: bool,
    **dict.fromkeys(INTEGER_BOUNDS, int),
}


@dataclass(frozen=True, slots=True)
class _Step:
    """Where a source's value goes.

    Attributes:
        target: Index of the object that it goes into.
        key: Its name there.
        exact: A value of exactly this type needs no conversion if it is within bounds.
        least: Lower bound of an integer.
        greatest: Upper bound of an integer.
        convert: Converts every other value.
        destination: The whole path, for counts.
        path: Where the source is in `properties`; empty if it can only be a column.
    """

    target: int
    key: str
    exact: type | None
    least: int | None
    greatest: int | None
    convert: Converter
    destination: str
    path: FieldPath

    @classmethod
    def of(cls, target: int, bound: BoundLine) -> _Step:
        field = bound.field
        exact = None if field.is_narrowed else _EXACT_TYPES.get(field.type)
        is_integer = field.type in INTEGER_BOUNDS
        least, greatest = integer_bounds(field) if is_integer else (None, None)
        return cls(
            target,
            bound.destination[-1],
            exact,
            least,
            greatest,
            converter(field),
            bound.name,
            property_path(bound.line.source_path),
        )


class RecordPlan:
    """The compiled mapping.

    Args:
        mapping: The mapping; it must fill `_id` and `timestamp`.
        columns: Names of the columns that the records have.
        unconverted: Counts, by destination, the values that do not fit (MAPPER-3700-400).
    """

    def __init__(
        self, mapping: BoundMapping, columns: Iterable[str], unconverted: Counter[str]
    ) -> None:
        self._unconverted = unconverted
        self._root = mapping.field_group.root
        self._required = sorted(self._root.required)
        self._requires_inside = requires_inside(self._root)
        self._objects: list[FieldPath] = [()]
        self._columns = frozenset(columns)
        names: list[str] = [PROPERTIES]
        self._column_steps: list[tuple[int, _Step]] = []
        self._property_steps: list[_Step] = []
        self._expression_steps: list[tuple[Expression, _Step]] = []
        self._statics: list[tuple[int, str, object]] = []
        for bound in mapping.lines:
            target = self._target(bound.destination[:-1])
            step = _Step.of(target, bound)
            if bound.expression is not None:
                self._expression_steps.append((bound.expression, step))
            elif bound.line.source_type is SourceType.STATIC:
                self._statics.append((target, step.key, bound.static))
            else:
                column = _column_of(bound, self._columns)
                if column is None:
                    self._property_steps.append(step)
                else:
                    if column not in names:
                        names.append(column)
                    self._column_steps.append((names.index(column), step))
        # The deepest first: an object that stays empty is left out of the one around it.
        self._nesting = [
            (index, self._objects.index(path[:-1]), path[-1])
            for index, path in sorted(
                enumerate(self._objects), key=lambda item: len(item[1]), reverse=True
            )
            if path
        ]
        self._names = names
        self._read_record = members_reader(names, {PROPERTIES})
        steps = [*self._property_steps, *(step for _, step in self._column_steps)]
        tops = list(dict.fromkeys(step.path[0] for step in steps if step.path))
        self._tops = {name: index for index, name in enumerate(tops)}
        self._read_properties = members_reader(tops, set(tops))

    def _target(self, path: FieldPath) -> int:
        for length in range(1, len(path) + 1):
            if path[:length] not in self._objects:
                self._objects.append(path[:length])
        return self._objects.index(path)

    def map(self, record: bytes | msgspec.Raw) -> tuple[dict[str, Any], Rejection | None]:
        """Map the JSON text of one record.

        Returns:
            The ExperienceEvent, and why it has to be rejected, None if it has not.
        """
        try:
            mapped = self._mapped(record)
        except (ValueError, ArithmeticError, RecursionError):
            # Whatever a record holds, it ends no run: the same record comes in the next one again.
            return {}, UNREADABLE
        missing = self._missing(mapped)
        return mapped, None if missing is None else Rejection(MISSING_FIELD, missing)

    def _mapped(self, record: bytes | msgspec.Raw) -> dict[str, Any]:
        objects: list[dict[str, Any]] = [{} for _ in self._objects]
        values = self._read_record(record)
        absent = self._property_steps.copy()
        for index, step in self._column_steps:
            value = values[index]
            if value is None:
                if step.path:
                    absent.append(step)
            elif value != "":
                least = step.least
                if type(value) is step.exact and (
                    least is None or least <= value <= step.greatest  # type: ignore[operator]
                ):
                    objects[step.target][step.key] = value
                else:
                    text = partial(_member_text, record, self._names[index])
                    self._fill(objects, step, value, text)
        if absent and values[0] is not None:
            self._from_properties(objects, absent, values[0])
        if self._expression_steps:
            self._compute(objects, record)
        return self._assembled(objects)

    def _assembled(self, objects: list[dict[str, Any]]) -> dict[str, Any]:
        """Put the objects into each other, those without a member left out."""
        for target, key, value in self._statics:
            objects[target][key] = value
        for index, parent, key in self._nesting:
            if objects[index]:
                objects[parent][key] = objects[index]
        return objects[0]

    def _missing(self, mapped: dict[str, Any]) -> str | None:
        if self._requires_inside:
            return missing_field(self._root, mapped)
        for name in self._required:
            if name not in mapped:
                return name
        return None

    def _fill(self, objects: list[dict[str, Any]], step: _Step, value: Any, text: JsonText) -> None:
        try:
            converted = pruned(step.convert(value, text))
        except ConversionError:
            self._unconverted[step.destination] += 1
            return
        if converted is not None:
            objects[step.target][step.key] = converted

    def _from_properties(
        self, objects: list[dict[str, Any]], steps: list[_Step], properties: msgspec.Raw
    ) -> None:
        """Fill what the record's columns do not have."""
        raws = self._read_properties(properties_text(properties))
        for step in steps:
            raw = raws[self._tops[step.path[0]]]
            if raw is not None:
                raw = inside(raw, step.path[1:])
            if raw is not None:
                value = decode_value(raw)
                if value is not None and value != "":
                    self._fill(objects, step, value, bytes(raw).decode)

    def _compute(self, objects: list[dict[str, Any]], record: bytes | msgspec.Raw) -> None:
        """Fill what expressions compute."""
        texts = decode_members(record)
        lookup = partial(_attribute, self._columns, texts, properties_texts(texts.get(PROPERTIES)))
        for expression, step in self._expression_steps:
            try:
                value = expression.evaluate(lookup)
            except (EvaluationError, ConversionError):
                self._unconverted[step.destination] += 1
                continue
            if value is not None and value != "":
                self._fill(objects, step, value, partial(json_text, value))


def _member_text(record: bytes | msgspec.Raw, name: str) -> str:
    return bytes(decode_members(record)[name]).decode()


def _attribute(
    columns: frozenset[str],
    texts: dict[str, msgspec.Raw],
    properties: dict[str, msgspec.Raw],
    path: FieldPath,
) -> object:
    """Return the value of an attribute in an expression: of a column, else of a property."""
    if path == (PROPERTIES,):
        # Put together anew: the column may hold JSON text.
        return {name: computable(decode_value(raw)) for name, raw in properties.items()}
    name, where = column_name(path), property_path(path)
    raw = texts.get(name) if name in columns or not where else None
    if where and (raw is None or bytes(raw) == b"null"):
        top = properties.get(where[0])
        raw = None if top is None else inside(top, where[1:])
    return None if raw is None else computable(decode_value(raw))


def _column_of(bound: BoundLine, available: frozenset[str]) -> str | None:
    """Return the column that holds a line's source, None if it is to be found in `properties`."""
    source = bound.line.source_path
    name = column_name(source)
    return name if name in available or not property_path(source) else None
