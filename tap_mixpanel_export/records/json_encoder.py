"""Pure: finished records as JSON text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec import Raw

from tap_mixpanel_export.json_text import encode, encode_lines, struct_type
from tap_mixpanel_export.record_layout import ALWAYS_WRITTEN, PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_mixpanel_export.xdm.mapping.columns import Column


class Encoder(Protocol):
    """Gives records the form in which they are kept until their window is verified."""

    writes_properties: bool
    """Whether it wants the text of `properties`."""
    writes_timestamps: bool
    """Whether it wants what JSON has the text of `timestamp` for."""

    def encode_block(
        self,
        digests: Sequence[bytes],
        timestamps: Sequence[Any],
        instants: Sequence[int],
        columns: Sequence[Sequence[Any]],
        properties: Sequence[bytes],
    ) -> Any:
        """Encode many records.

        Args:
            digests: SHA-256 of each, which `event_id` has in hex.
            timestamps: What JSON has the RFC 3339 text for; empty when it is not wanted.
            instants: The same, milliseconds since the epoch.
            columns: The values of each mapped column: Python's, or JSON text as `msgspec.Raw`.
            properties: `properties` of each, as exported; empty when they are not written.
        """

    def encode_line(
        self,
        digest: bytes,
        timestamp: str,
        instant: int,
        values: Sequence[Any],
        properties: bytes,
    ) -> Any:
        """Encode one record, the same way."""


class JsonEncoder:
    r"""Each record as a JSON object and `\n`; `event_id` and `timestamp` come first.

    Args:
        names: The mapped columns to write.
        properties: Whether `properties` is written as an object or as text; None for not at all.
    """

    def __init__(self, names: Sequence[str], properties: str | None) -> None:
        self.writes_properties = properties is not None
        self.writes_timestamps = True
        self._properties = {None: None, "object": Raw, "text": _as_text}[properties]
        self._record = _struct(
            [*ALWAYS_WRITTEN, *names, *([PROPERTIES] if self.writes_properties else [])]
        )

    def encode_block(
        self,
        digests: Sequence[bytes],
        timestamps: Sequence[Any],
        instants: Sequence[int],  # noqa: ARG002 - they are what the timestamps say
        columns: Sequence[Sequence[Any]],
        properties: Sequence[bytes],
    ) -> bytes:
        """The text of many records."""
        parts = [[digest.hex() for digest in digests], timestamps, *columns]
        if self._properties is not None:
            parts.append(list(map(self._properties, properties)))
        return encode_lines(list(map(self._record, *parts)))

    def encode_line(
        self,
        digest: bytes,
        timestamp: str,
        instant: int,  # noqa: ARG002 - see above
        values: Sequence[Any],
        properties: bytes,
    ) -> bytes:
        """The text of one record."""
        parts = [digest.hex(), timestamp, *values]
        if self._properties is not None:
            parts.append(self._properties(properties))
        return encode(self._record(*parts)) + b"\n"


def json_encoder(
    written: Sequence[Column], selected: frozenset[str] | None, *, as_text: bool
) -> JsonEncoder:
    """The encoder of a run's JSON records.

    Args:
        written: The mapped columns to write.
        selected: Names of the selected columns; None for all.
        as_text: Whether `properties` is JSON text instead of an object.
    """
    is_wanted = selected is None or PROPERTIES in selected
    form = "text" if as_text else "object"
    return JsonEncoder([column.name for column in written], form if is_wanted else None)


def _as_text(properties: bytes) -> Raw:
    return Raw(encode(properties.decode()))


def _struct(names: Sequence[str]) -> Callable[..., Any]:
    """What makes an object of values whose members have the columns' names."""
    members = struct_type((name, Any, msgspec.NODEFAULT) for name in names)
    return members or (lambda *values: dict(zip(names, values, strict=True)))
