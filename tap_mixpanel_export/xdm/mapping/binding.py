"""A mapping set bound to a field group: every line has a field, every expression compiles.

Whoever has a `BoundMapping` need not check anything again: the tap's columns, the mapper's plan,
the stock stream map and the registry payloads all derive from one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from tap_mixpanel_export.xdm.errors import ConversionError, ExpressionError, MappingError
from tap_mixpanel_export.xdm.mapping.mapping_set import MappingLine, MappingSet, SourceType
from tap_mixpanel_export.xdm.schema.convert import converter, json_text
from tap_mixpanel_export.xdm.schema.field_group import TENANT_PLACEHOLDER, FieldGroup, tenant_of

if TYPE_CHECKING:
    from os import PathLike

    from tap_mixpanel_export.xdm.expressions.compiler import Expression
    from tap_mixpanel_export.xdm.schema.field import XdmField

DEFAULT_TENANT = "extconndev"
"""The tenant of Adobe's tutorial."""


@dataclass(frozen=True, slots=True)
class BoundLine:
    """A line with what it stands for.

    Attributes:
        line: The line of the mapping set.
        destination: Path in the target, with the tenant's name in place.
        field: The field there.
        expression: Of an `EXPRESSION` line, compiled.
        static: Of a `STATIC` line, the value in the field's type.
    """

    line: MappingLine
    destination: tuple[str, ...]
    field: XdmField
    expression: Expression | None = None
    static: object = None

    @property
    def name(self) -> str:
        """The destination as text."""
        return ".".join(self.destination)

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return _place(self.line, self.destination)


@dataclass(frozen=True, slots=True)
class BoundMapping:
    """A checked mapping.

    Attributes:
        mapping_set: The mapping set as read.
        field_group: The field group, with the tenant's name in place.
        tenant_id: The organization's name, without the underscore.
        lines: The lines, in the order of the mapping set.
    """

    mapping_set: MappingSet
    field_group: FieldGroup
    tenant_id: str
    lines: tuple[BoundLine, ...]


def load_mapping(
    mapping_file: str | PathLike[str] | None = None,
    field_group_file: str | PathLike[str] | None = None,
    tenant_id: str | None = None,
) -> BoundMapping:
    """Read and bind both files.

    Args:
        mapping_file: The mapping set; None is the built-in one.
        field_group_file: The field group; None is the built-in one.
        tenant_id: What stands for `{TENANT_ID}`; None is the tenant that one of the files names,
            else that of Adobe's tutorial.

    Raises:
        MappingError: With all problems of both files, or of their fit.
    """
    problems: list[str] = []
    mapping_set: MappingSet | None = None
    field_group: FieldGroup | None = None
    try:
        mapping_set = MappingSet.load(mapping_file)
    except MappingError as error:
        problems += error.problems
    try:
        field_group = FieldGroup.load(field_group_file)
    except MappingError as error:
        problems += error.problems
    if mapping_set is None or field_group is None:
        raise MappingError(problems)
    return bind(mapping_set, field_group, tenant_id)


def bind(
    mapping_set: MappingSet, field_group: FieldGroup, tenant_id: str | None = None
) -> BoundMapping:
    """Find the field of every line, and compile and convert what can be before any record.

    For `tenant_id` see `load_mapping`.

    Raises:
        MappingError: With the problems of all lines.
    """
    tenant = (
        tenant_id
        or tenant_of(field_group.root.properties)
        or tenant_of(line.destination_path[0] for line in mapping_set.lines)
        or DEFAULT_TENANT
    )
    group = field_group.with_tenant(tenant)
    problems: list[str] = []
    lines: list[BoundLine] = []
    taken: dict[tuple[str, ...], int] = {}
    for line in mapping_set.lines:
        destination = tuple(
            name.replace(TENANT_PLACEHOLDER, tenant) for name in line.destination_path
        )
        place = _place(line, destination)
        problem = _conflict(destination, taken)
        if problem is not None:
            problems.append(f"{place}: {problem}")
            continue
        taken[destination] = line.number
        field = group.root.at(destination)
        if field is None:
            problems.append(f"{place}: no such field in the field group")
            # The line's source is checked all the same: all problems are told at once.
        try:
            expression = _expression(line)
            if field is not None:
                static = _static(line, field)
                lines.append(BoundLine(line, destination, field, expression, static))
        except (ExpressionError, ConversionError) as error:
            problems.append(f"{place}: {error}")
    if problems:
        raise MappingError(problems)
    return BoundMapping(mapping_set, group, tenant, tuple(lines))


def with_required_lines(mapping: BoundMapping) -> BoundMapping:
    """Return the mapping with lines for `_id` and `timestamp` if it has none.

    Adobe's own mapping of this source lacks both, and the platform rejects rows without them; the
    events' own identity and instant are what they mean.
    """
    filled = {bound.destination for bound in mapping.lines}
    added: list[BoundLine] = []
    for name, source in (("_id", "event_id"), ("timestamp", "timestamp")):
        if (name,) not in filled:
            number = len(mapping.lines) + len(added) + 1
            line = MappingLine(
                number, SourceType.ATTRIBUTE, f"data.{source}", name, (source,), (name,)
            )
            added.append(BoundLine(line, (name,), mapping.field_group.root.properties[name]))
    return replace(mapping, lines=(*mapping.lines, *added))


def _place(line: MappingLine, destination: tuple[str, ...]) -> str:
    return f"mapping {line.number} ({'.'.join(destination)})"


def _expression(line: MappingLine) -> Expression | None:
    if line.source_type is not SourceType.EXPRESSION:
        return None
    # The language's modules are a twentieth of a start; most mappings have none of it.
    from tap_mixpanel_export.xdm.expressions.compiler import compile_expression  # noqa: PLC0415

    return compile_expression(str(line.source))


def _static(line: MappingLine, field: XdmField) -> object:
    if line.source_type is not SourceType.STATIC:
        return None
    return converter(field)(line.source, partial(json_text, line.source))


def _conflict(destination: tuple[str, ...], taken: dict[tuple[str, ...], int]) -> str | None:
    for other, number in taken.items():
        if other == destination:
            return f"mapping {number} has the same destination"
        short, long = sorted((other, destination), key=len)
        if long[: len(short)] == short:
            return f"mapping {number} ({'.'.join(other)}) fills the same object"
    return None
