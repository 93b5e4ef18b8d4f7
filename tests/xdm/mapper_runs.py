"""Runs of the mapper in this process."""

from __future__ import annotations

import io
import json

import pytest
from xdm_samples import Files, field_group, mapping_set, raw, record_message, schema_message

from tap_mixpanel_export.xdm.mapper.mapper import XdmMapper

TEXT = {"type": "string"}
LONG = {"type": "integer", "meta:xdmType": "long"}


class Output:
    """Stands for standard output while a mapper listens."""

    def __init__(self):
        self.buffer = io.BytesIO()


def listen(messages, config=None) -> list[dict]:
    """Run a mapper over messages (dictionaries, or lines as they are) and decode its output."""
    text = "".join((m if isinstance(m, str) else raw(m)) + "\n" for m in messages)
    output = Output()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tap_mixpanel_export.xdm.mapper.messages.sys.stdout", output)
        XdmMapper(config=dict(config or {})).listen(
            io.BytesIO(text.encode("utf-8", "surrogatepass"))
        )
    return [json.loads(text) for text in output.buffer.getvalue().splitlines()]


def records(messages) -> list[dict]:
    return [message["record"] for message in messages if message["type"] == "RECORD"]


def mapped(record: dict | str, config=None, schema=None) -> dict:
    message = record if isinstance(record, str) else record_message(record)
    [found] = records(listen([schema or schema_message(), message], config))
    return found


def config_of(files: Files, lines, fields) -> dict[str, str]:
    return {
        "mapping_file": files.write("mapping.json", mapping_set(*lines)),
        "field_group_file": files.write("group.json", field_group(**fields)),
    }
