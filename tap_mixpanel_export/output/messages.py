"""Pure: finished records, many at once, as the RECORD messages of a run."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec
from msgspec import Raw
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.json import deserialize_json

from tap_mixpanel_export.errors import MapError
from tap_mixpanel_export.json_text import encode_lines
from tap_mixpanel_export.output.writer import serialize
from tap_mixpanel_export.records.lines import whole_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from singer_sdk.mapper import StreamMap

# What an expression of a stream map calls a record, a record's member, and the value it replaces.
_WHOLE_RECORD = re.compile(r"\b(_|record|self|properties)\b")

RecordSerializer = Callable[[bytes], tuple["bytes | memoryview", ...]]
"""Makes messages of records, many at once; in pieces, because they are large."""

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def load_record(line: bytes) -> dict[str, Any]:
    """A record as a dictionary, its numbers without loss."""
    try:
        return _decode(line)  # type: ignore[no-any-return]
    except msgspec.DecodeError:
        # Escapes of lone surrogates, which msgspec refuses.
        return deserialize_json(line)


def record_serializer(
    stream: str,
    version: int | None,
    maps: Sequence[StreamMap],
    columns: Iterable[str],
    setting: object,
) -> RecordSerializer:
    """What makes messages of records: decided once for a run, not for each record.

    Args:
        stream: The stream's name.
        version: Of the table, for targets that activate versions.
        maps: The SDK's stream maps.
        columns: Names of all columns that are written.
        setting: `stream_maps`, as the user has written it.
    """
    if is_plain(maps):
        return PlainSerializer(stream, version)
    flattens = any(stream_map.flattening_enabled for stream_map in maps)
    return MappedSerializer(
        maps, version, columns, reads_properties=flattens or reads_properties(setting)
    )


def is_plain(maps: Sequence[StreamMap]) -> bool:
    """Whether records go out as they are."""
    return (
        len(maps) == 1 and type(maps[0]) is SameRecordTransform and not maps[0].flattening_enabled
    )


class PlainSerializer:
    """Puts records into messages as they are.

    Args:
        stream: The stream's name.
        version: Of the table, for targets that activate versions.
    """

    def __init__(self, stream: str, version: int | None) -> None:
        members = {"type": "RECORD", "stream": stream}
        after = {} if version is None else {"version": version}
        self._before = msgspec.json.encode(members)[:-1] + b',"record":'
        after_record = msgspec.json.encode({**after, "time_extracted": _now()})
        self._after = b"," + after_record[1:] + b"\n"

    def __call__(self, text: bytes) -> tuple[bytes | memoryview, ...]:
        """Make messages of records, each with its line end; in pieces, because they are large."""
        # A record has no line end in it: one pass of C makes all messages, and the start of one too
        # many.
        messages = text.replace(b"\n", self._after + self._before)
        return self._before, memoryview(messages)[: -len(self._before)]


class MappedSerializer:
    """Runs stream maps, flattening included, over records.

    Args:
        maps: The SDK's.
        version: Of the table, for targets that activate versions.
        columns: Names of all columns.
        reads_properties: Whether a map may look into `properties`; otherwise it stays text.
    """

    def __init__(
        self,
        maps: Sequence[StreamMap],
        version: int | None,
        columns: Iterable[str],
        *,
        reads_properties: bool,
    ) -> None:
        self._maps = maps
        self._version = {} if version is None else {"version": version}
        kinds: dict[str, Any] = dict.fromkeys(columns, Any)
        if "properties" in kinds and not reads_properties:
            kinds["properties"] = Raw
        record = TypedDict("Record", kinds)  # type: ignore[misc]  # its keys are settings
        self._decode_lines: Callable[[bytes], list[Any]] = msgspec.json.Decoder(
            record, float_hook=Decimal
        ).decode_lines

    def __call__(self, text: bytes) -> tuple[bytes]:
        """Make the messages of records, each with its line end."""
        try:
            records: list[Any] = self._decode_lines(text)
        except msgspec.DecodeError:
            records = [load_record(line) for line in whole_lines(text)]
        after = {**self._version, "time_extracted": _now()}
        messages = [
            {"type": "RECORD", "stream": stream_map.stream_alias, "record": mapped, **after}
            for record in records
            for stream_map in self._maps
            if (mapped := stream_map.transform(record)) is not None
        ]
        try:
            return (encode_lines(messages),)
        except UnicodeEncodeError:
            return (b"".join(serialize(message) + b"\n" for message in messages),)
        except TypeError as error:
            raise MapError(
                f"stream_maps: an expression gives what JSON cannot hold: {error}"
            ) from None


def reads_properties(stream_maps: object) -> bool:
    """Whether an expression in the setting `stream_maps` may look into `properties`."""
    if isinstance(stream_maps, dict):
        return any(map(reads_properties, stream_maps.values()))
    return isinstance(stream_maps, str) and _WHOLE_RECORD.search(stream_maps) is not None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()
