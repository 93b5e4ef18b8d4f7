"""Pure: which columns a catalog selects, and records without what it deselects inside of them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from tap_mixpanel_export.json_text import encode, encode_lines
from tap_mixpanel_export.output.messages import lines_decoder, load_record
from tap_mixpanel_export.output.writer import serialize
from tap_mixpanel_export.record_layout import ALWAYS_WRITTEN
from tap_mixpanel_export.records.lines import whole_lines
from tap_mixpanel_export.records.spool import Records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from singer_sdk.singerlib import SelectionMask

_decode_object = msgspec.json.Decoder(dict[str, Raw] | None).decode


class Selection:
    """What a catalog selects.

    Args:
        columns: Names of all columns.
        mask: The SDK's: what is selected, by breadcrumb.
    """

    def __init__(self, columns: Iterable[str], mask: SelectionMask) -> None:
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

    @cached_property
    def projection(self) -> Projection | None:
        """What takes out of records what is deselected inside of columns, if anything is."""
        inside = self._deselected_inside
        return Projection(self.names, inside) if inside else None

    def of(self, blocks: Iterable[Records]) -> Iterator[Records]:
        """Records without what is deselected inside of columns."""
        project = self.projection
        for records in blocks:
            yield records if project is None else Records(records.count, project(records.text))


class Projection:
    """Takes out of records what is deselected inside of columns.

    Only the objects on the way to it are taken apart, and their other members stay the text that
    they are.

    Args:
        columns: Names of all columns that are written.
        paths: What is deselected: a column, and names inside of it, at least one.
    """

    def __init__(self, columns: Iterable[str], paths: Sequence[Sequence[str]]) -> None:
        self._paths = paths
        kinds: dict[str, Any] = dict.fromkeys(columns, Raw)
        kinds |= {path[0]: dict[str, Raw] | None for path in paths if path[0] in kinds}
        self._decode_lines = lines_decoder(kinds)

    def __call__(self, text: bytes) -> bytes:
        """The records without it, each with its line end."""
        try:
            records: list[Any] = self._decode_lines(text)
            for path in self._paths:
                for record in records:
                    _remove_text(record.get(path[0]), path[1:])
            return encode_lines(records)
        except msgspec.DecodeError:
            # A name with an escape of a lone surrogate, or no object where one is expected.
            records = [load_record(line) for line in whole_lines(text)]
        for path in self._paths:
            for record in records:
                _remove(record, path)
        return b"".join(serialize(record) + b"\n" for record in records)


def _remove_text(members: dict[str, Raw] | None, path: Sequence[str]) -> None:
    """Remove a member whose parents are text yet.

    Raises:
        msgspec.DecodeError: One of its parents is no object.
    """
    if members is None:
        return
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
