"""The tap on the sandbox's data, through the mapper and the stock stream map."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from singer_sdk.mapper import PluginMapper

from tap_mixpanel_export.sandbox import Sandbox
from tap_mixpanel_export.sandbox.events import Event
from tap_mixpanel_export.xdm.mapper.mapper import XdmMapper
from tap_mixpanel_export.xdm.mapping.binding import load_mapping
from tap_mixpanel_export.xdm.mapping.stream_maps import stream_map

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("xdm end to end")]


def tap_lines(sandbox: Sandbox, **more: str) -> list[bytes]:
    """Return what the tap writes about a sandbox's project."""
    settings = {
        "service_account_username": sandbox.credentials.service_account_username,
        "service_account_secret": sandbox.credentials.service_account_secret,
        "project_id": str(sandbox.credentials.project_id),
        "api_url": sandbox.api_url,
        **more,
    }
    names = {f"TAP_MIXPANEL_EXPORT_{name.upper()}": text for name, text in settings.items()}
    result = subprocess.run(
        [sys.executable, "-m", "tap_mixpanel_export", "--config=ENV"],
        capture_output=True,
        check=True,
        env={**os.environ, **names},
    )
    return result.stdout.splitlines(keepends=True)


@pytest.fixture(scope="module")
def tap_output() -> list[bytes]:
    with Sandbox(hostile=True, null_bytes=True) as sandbox:
        return tap_lines(sandbox)


class Output:
    def __init__(self):
        self.buffer = io.BytesIO()


def mapper_messages(lines: list[bytes]) -> list[dict]:
    output = Output()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tap_mixpanel_export.xdm.mapper.messages.sys.stdout", output)
        XdmMapper(config={}).listen(io.BytesIO(b"".join(lines)))
    return [json.loads(text) for text in output.buffer.getvalue().splitlines()]


def test_the_sign_up_event_of_an_old_project_becomes_exactly_this():
    properties = {
        "time": 1652700000,
        "distinct_id": "u1",
        "$insert_id": "a-1",
        "$import": True,
        "item_price": 12.5,
    }
    with Sandbox([Event.of("Sign up", properties)], timezone="America/Los_Angeles") as sandbox:
        lines = tap_lines(
            sandbox,
            project_timezone="Pacific Standard Time",
            start_date="2022-05-15",
            end_date="2022-05-17",
        )
    [record] = [m["record"] for m in mapper_messages(lines) if m["type"] == "RECORD"]
    identity = hashlib.sha256(b"Sign up|1652700000|u1|a-1").hexdigest()
    assert record == {
        "_id": identity,
        "timestamp": "2022-05-16T18:20:00Z",
        "eventType": "Sign up",
        "_extconndev": {
            "distinct_id": "u1",
            "event_name": "Sign up",
            "import": True,
            "insert_id": "a-1",
            "item_price": "12.5",
            "time": 1652700000,
        },
    }


def test_every_mapped_record_of_the_sandbox_fits_the_closed_schema(tap_output, caplog):
    with caplog.at_level(logging.DEBUG):
        messages = mapper_messages(tap_output)
    checker = FormatChecker(["date-time", "date", "uri"])
    validator = Draft202012Validator(messages[0]["schema"], format_checker=checker)
    records = [message["record"] for message in messages if message["type"] == "RECORD"]
    for record in records:
        validator.validate(record)
        values = [*record.values(), *record.get("_extconndev", {}).values()]
        assert None not in values
        assert "" not in values
    assert len(records) == sum(b'"type":"RECORD"' in text[:20] for text in tap_output)
    assert len(records) > 1000
    assert not [name for record in records if (name := record["_id"]) in caplog.text]


def test_the_stock_stream_map_takes_every_record_of_the_sandbox(tap_output):
    schema = json.loads(tap_output[0])
    config = {"stream_maps": stream_map(load_mapping())}
    mapper = PluginMapper(plugin_config=config, logger=logging.getLogger("test"))
    mapper.register_raw_stream_schema("events", schema["schema"], schema["key_properties"])
    [found] = mapper.stream_maps["events"]
    for text in tap_output:
        message = json.loads(text)
        if message["type"] == "RECORD":
            assert len(found.transform(message["record"])) == 11
