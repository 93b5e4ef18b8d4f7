"""A mapping compiled against the SCHEMA of `events`: JSON text of a record in, ExperienceEvent out.

Everything that can be decided once is: which sources are columns of the record and which have to be
looked for in `properties`, which values need no conversion, where each goes. What is not mapped is
skipped by the decoder, `properties` included when nothing is taken from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from .columns import DOLLAR_PROPERTIES, EVENT_NAME, OWN_COLUMNS
from .convert import converter, json_text
from .errors import ConversionError
from .expressions import EvaluationError
from .field import INTEGER_BOUNDS, XdmField, XdmType
from .mapping_set import SourceType
from .messages import decode_value
from .requirements import missing_field, pruned, requires_inside

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

    from .convert import Converter
    from .expressions import Expression
    from .mapping import BoundLine, Mapping

Path = tuple[str, ...]

_decode_texts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

# The Python type of decoded values that a field without further constraints takes as they are.
_EXACT_TYPES: dict[XdmType, type] = {
    XdmType.STRING: str,
    XdmType.BOOLEAN: bool,
    **dict.fromkeys(INTEGER_BOUNDS, int),
}
_PROPERTIES = "properties"


@dataclass(frozen=True, slots=True)
class _Step:
    """Where a source's value goes.

    Attributes:
        box: Index of the object that it goes into.
        key: Its name there.
        exact: A value of exactly this type needs no conversion if it is within bounds.
        least: Lower bound of an integer.
        greatest: Upper bound of an integer.
        convert: Converts every other value.
        destination: The whole path, for counts.
    """

    box: int
    key: str
    exact: type | None
    least: float | None
    greatest: float | None
    convert: Converter
    destination: str

    @classmethod
    def of(cls, box: int, destination: Path, field: XdmField) -> _Step:
        exact = _EXACT_TYPES.get(field.type)
        constrained = field.enum or field.pattern is not None
        if constrained or field.min_length is not None or field.max_length is not None:
            exact = None
        is_integer = field.type in INTEGER_BOUNDS
        return cls(
            box,
            destination[-1],
            exact,
            field.minimum if is_integer else None,
            field.maximum if is_integer else None,
            converter(field),
            ".".join(destination),
        )


class RecordPlan:
    """The compiled mapping.

    Args:
        mapping: The mapping; it must fill `_id` and `timestamp`.
        columns: Names of the columns that the records have.
        unconverted: Counts, by destination, the values that do not fit (MAPPER-3700-400).
    """

    def __init__(self, mapping: Mapping, columns: Iterable[str], unconverted: Counter[str]) -> None:
        self._unconverted = unconverted
        self._root = mapping.field_group.root
        self._required = sorted(self._root.required)
        self._requires_inside = requires_inside(self._root)
        self._boxes: list[Path] = [()]
        available = frozenset(columns)
        names: list[str] = []
        self._column_steps: list[tuple[int, _Step]] = []
        self._property_steps: list[tuple[Path, _Step]] = []
        self._expression_steps: list[tuple[Expression, _Step]] = []
        self._statics: list[tuple[int, str, object]] = []
        for bound in mapping.lines:
            box = self._box(bound.destination[:-1])
            step = _Step.of(box, bound.destination, bound.field)
            if bound.expression is not None:
                self._expression_steps.append((bound.expression, step))
            elif bound.line.source_type is SourceType.STATIC:
                self._statics.append((box, step.key, bound.static))
            else:
                column = _column_of(bound, available)
                if column is None:
                    path = DOLLAR_PROPERTIES.get(bound.line.source_path, bound.line.source_path)
                    self._property_steps.append((path, step))
                else:
                    if column not in names:
                        names.append(column)
                    self._column_steps.append((names.index(column), step))
        self._columns = available
        self._needs_texts = bool(self._property_steps or self._expression_steps)
        # The deepest first: an object that stays empty is left out of the one around it.
        self._nesting = [
            (index, self._boxes.index(path[:-1]), path[-1])
            for index, path in sorted(
                enumerate(self._boxes), key=lambda item: len(item[1]), reverse=True
            )
            if path
        ]
        self._record = _decoder(names)
        self._names = names

    def _box(self, path: Path) -> int:
        for length in range(1, len(path) + 1):
            if path[:length] not in self._boxes:
                self._boxes.append(path[:length])
        return self._boxes.index(path)

    def map(self, record: bytes | msgspec.Raw) -> tuple[dict[str, Any], str | None]:
        """Map one record.

        Args:
            record: The record's JSON text.

        Returns:
            The ExperienceEvent, and the path of a required field that it lacks, None if it is
            complete.

        Raises:
            msgspec.DecodeError: If the text is no JSON object.
        """
        boxes: list[dict[str, Any]] = [{} for _ in self._boxes]
        values = msgspec.structs.astuple(self._record.decode(record))
        for index, step in self._column_steps:
            value = values[index]
            if value is not None and value != "":
                least = step.least
                if type(value) is step.exact and (
                    least is None or least <= value <= step.greatest  # type: ignore[operator]
                ):
                    boxes[step.box][step.key] = value
                else:
                    self._convert(boxes, step, value, record, self._names[index])
        if self._needs_texts:
            self._from_texts(boxes, record)
        for box, key, value in self._statics:
            boxes[box][key] = value
        for index, parent, key in self._nesting:
            if boxes[index]:
                boxes[parent][key] = boxes[index]
        if self._requires_inside:
            return boxes[0], missing_field(self._root, boxes[0])
        for name in self._required:
            if name not in boxes[0]:
                return boxes[0], name
        return boxes[0], None

    def _convert(
        self,
        boxes: list[dict[str, Any]],
        step: _Step,
        value: Any,
        record: bytes | msgspec.Raw,
        name: str,
    ) -> None:
        self._fill(boxes, step, value, lambda: bytes(_decode_texts(record)[name]).decode())

    def _fill(self, boxes: list[dict[str, Any]], step: _Step, value: Any, text: Any) -> None:
        try:
            converted = pruned(step.convert(value, text))
        except ConversionError:
            self._unconverted[step.destination] += 1
            return
        if converted is not None:
            boxes[step.box][step.key] = converted

    def _from_texts(self, boxes: list[dict[str, Any]], record: bytes | msgspec.Raw) -> None:
        """Fill what comes from `properties`, and what expressions compute."""
        texts = _decode_texts(record)
        properties = properties_texts(texts.get(_PROPERTIES))
        for path, step in self._property_steps:
            raw = text_at(properties, path)
            if raw is not None:
                value = decode_value(raw)
                if value is not None and value != "":
                    self._fill(boxes, step, value, bytes(raw).decode)
        if not self._expression_steps:
            return
        lookup = partial(_attribute, self._columns, texts, properties)
        for expression, step in self._expression_steps:
            try:
                value = expression.evaluate(lookup)
            except EvaluationError:
                self._unconverted[step.destination] += 1
                continue
            if value is not None and value != "":
                self._fill(boxes, step, value, lambda value=value: json_text(value))


def _attribute(
    columns: frozenset[str],
    texts: dict[str, msgspec.Raw],
    properties: dict[str, msgspec.Raw],
    path: Path,
) -> object:
    """Return the value of an attribute in an expression: of a column, else of a property."""
    if path == (_PROPERTIES,):
        # Put together anew: the column may hold JSON text.
        return {name: _plain(decode_value(raw)) for name, raw in properties.items()}
    name = "_".join(path)
    raw = texts.get(name) if name in columns or _is_own(path) else None
    if raw is None and not _is_own(path):
        raw = text_at(properties, DOLLAR_PROPERTIES.get(path, path))
    return None if raw is None else _plain(decode_value(raw))


def properties_texts(raw: msgspec.Raw | None) -> dict[str, msgspec.Raw]:
    """Return the JSON text of each property, of an object or of its JSON text."""
    if raw is None:
        return {}
    text = bytes(raw)
    if text.startswith(b'"'):
        text = msgspec.json.decode(text, type=str).encode()
    return _decode_texts(text) if text.startswith(b"{") else {}


def text_at(properties: dict[str, msgspec.Raw], path: Path) -> msgspec.Raw | None:
    """Return the JSON text at a path inside of `properties`, None if there is nothing."""
    raw = properties.get(path[0])
    for name in path[1:]:
        if raw is None or not bytes(raw).startswith(b"{"):
            return None
        raw = _decode_texts(raw).get(name)
    return raw


def _is_own(path: Path) -> bool:
    return path == EVENT_NAME or (len(path) == 1 and path[0] in OWN_COLUMNS)


def _column_of(bound: BoundLine, available: frozenset[str]) -> str | None:
    """Return the column that holds a line's source, None if it is to be found in `properties`."""
    name = "_".join(bound.line.source_path)
    # A customer's property of the name of a column that the tap computes is not that column.
    return name if name in available or _is_own(bound.line.source_path) else None


def _decoder(names: list[str]) -> msgspec.json.Decoder[Any]:
    """Return a decoder of a record's columns that skips all others."""
    fields = [f"column_{index}" for index in range(len(names))]
    record = msgspec.defstruct(
        "Record",
        [(field, Any, None) for field in fields],
        rename=dict(zip(fields, names, strict=True)),
        gc=False,
    )
    # Decimals keep the digits of a number as they came.
    return msgspec.json.Decoder(record, float_hook=Decimal)


def _plain(value: Any) -> Any:
    """Return a value with floats for decimals, which expressions compute with."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    return value
