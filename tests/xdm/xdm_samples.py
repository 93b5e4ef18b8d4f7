"""Mapping sets, field groups and records that the tests of the XDM side share."""

from __future__ import annotations

import json
from typing import Any

from tap_mixpanel_export.xdm.mapping.binding import BoundMapping, load_mapping
from tap_mixpanel_export.xdm.mapping.columns import derive_columns, event_schema
from tap_mixpanel_export.xdm.mapping.forms import parse_form
from tap_mixpanel_export.xdm.mapping.mapping_set import MappingSet

SIGN_UP = {
    "event_id": "ab" * 32,
    "timestamp": "2022-05-16T18:20:00Z",
    "distinct_id": "u1",
    "event_name": "Sign up",
    "import": True,
    "insert_id": "a-1",
    "item_id": None,
    "item_name": None,
    "item_price": "12.5",
    "mp_api_endpoint": None,
    "mp_api_timestamp_ms": None,
    "mp_processing_time_ms": None,
    "time": 1652700000,
    "properties": {
        "time": 1652700000,
        "distinct_id": "u1",
        "$insert_id": "a-1",
        "$import": True,
        "item_price": 12.5,
    },
}
"""What the tap makes of the sign-up event of the issue, in a pre-2023 project in Los Angeles."""

STATE = {"type": "STATE", "value": {"bookmarks": {"events": {"x": 1.10}}}}


def attribute(source: str, destination: str, **more: object) -> dict[str, object]:
    return {"sourceType": "ATTRIBUTE", "source": source, "destination": destination, **more}


def line(source_type: str, source: object, destination: str) -> dict[str, object]:
    return {"sourceType": source_type, "source": source, "destination": destination}


def mapping_set(*lines: dict[str, object]) -> dict[str, Any]:
    return {"version": 0, "mappings": list(lines)}


def mapping_set_of(text: str) -> MappingSet:
    return MappingSet.of(parse_form(text, "mapping set"))


def field_group(tenant: str = "_extconndev", /, **fields: object) -> dict[str, Any]:
    return {"title": "Test", "properties": {tenant: {"type": "object", "properties": fields}}}


class Files:
    """Writes documents to a folder and gives their paths."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, name: str, document: object) -> str:
        path = self.folder / name
        path.write_text(json.dumps(document), encoding="utf-8")
        return str(path)

    def load(self, lines, fields, tenant_id: str | None = None) -> BoundMapping:
        return load_mapping(
            self.write("mapping.json", mapping_set(*lines)),
            self.write("group.json", field_group(**fields)),
            tenant_id,
        )


def schema_message(mapping: BoundMapping | None = None) -> dict[str, Any]:
    return {
        "type": "SCHEMA",
        "stream": "events",
        "schema": event_schema(derive_columns(mapping or load_mapping())),
        "key_properties": ["event_id"],
        "bookmark_properties": ["timestamp"],
    }


def record_message(record: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"type": "RECORD", "stream": "events", "record": record, **more}


def raw(message: dict[str, Any]) -> str:
    return json.dumps(message, ensure_ascii=False)
