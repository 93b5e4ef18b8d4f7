"""The output of a small run, message by message, against the committed `golden/events.jsonl`.

After a change that is meant to change the output, write the file anew, and read its difference
before it is committed::

    REWRITE_GOLDEN=1 pytest tests/test_sync.py
"""

from __future__ import annotations

import json
import os
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from event_truth import parse
from fixtures_unit import tap_output

from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock, Verbatim

GOLDEN = Path(__file__).parent / "golden" / "events.jsonl"
NOW = datetime(2022, 11, 7, 20, tzinfo=timezone.utc)
LOS_ANGELES = ZoneInfo("America/Los_Angeles")
DAY = timedelta(days=1)


def at(*wall, fold=0):
    return datetime(2022, 11, *wall, tzinfo=LOS_ANGELES, fold=fold)


def event(instant, name, insert_id, **properties):
    if insert_id is not None:
        properties["$insert_id"] = insert_id
    return Event.at(instant, name, zone=LOS_ANGELES, **properties)


# A project created before 2023, over the days in which its clocks are put back.
EVENTS = [
    event(at(5, 0), "Page Viewed", "first-of-a-day", **{"$current_url": "https://shop.example/"}),
    event(
        at(5, 9, 30),
        "Item Sold",
        "sale",
        item_id=4711,
        item_name="T-shirt “blå”",
        item_price=Verbatim("19.90"),
        **{"$import": True, "$mp_api_endpoint": "api.mixpanel.com"},
        **{"$mp_api_timestamp_ms": 1667665801000},
    ),
    event(at(6, 1, 30), "Search", "repeated-hour-first", query="mug"),
    event(at(6, 1, 30, fold=1), "Search", "repeated-hour-second", query="mug"),
    event(at(6, 12), "Signed up", "twice", version=1),
    event(at(6, 12), "Signed up", "twice", version=2, processed=at(6, 14)),
    event(at(6, 13), "No insert id", None, x=1),
    event(at(6, 13), "No insert id", None, x=1),
    event(at(6, 14), "Does not fit", "misfit", item_price={"a": 1}, **{"$import": "maybe"}),
    event(at(6, 15), "Plain names", "plain", insert_id_="x", event_id="mine", properties={"a": 1}),
    event(
        at(7, 8), "Numbers", "numbers", big=Verbatim("12345678901234567890"), one=Verbatim("1.0")
    ),
    event(at(7, 8, 30), "Characters", "chars", text="a\u2028b", half=Verbatim('"\\ud800"')),
    event(at(7, 9), "Unstamped", "unstamped", stamped=False, none=None),
    # Not processed before the run.
    event(at(7, 9, 30), "Too late", "late", processed=NOW + DAY),
]
SETTINGS = {"project_timezone": "Pacific Standard Time", "start_date": "2022-11-05"}


@pytest.fixture(scope="module")
def run():
    with Sandbox(EVENTS, clock=SandboxClock.fixed(NOW), timezone="America/Los_Angeles") as sandbox:
        lines = tap_output(sandbox, **SETTINGS)
    # When a record was extracted is the one thing that differs between two runs.
    return [
        re.sub(rb'"time_extracted":"[^"]+"', b'"time_extracted":"2022-11-07T20:00:00+00:00"', line)
        for line in lines
    ]


def test_the_output_is_byte_for_byte_the_golden_one(run):
    if os.environ.get("REWRITE_GOLDEN"):
        GOLDEN.write_bytes(b"\n".join(run) + b"\n")
    assert run == GOLDEN.read_bytes().splitlines()


def test_the_golden_output_holds_what_the_contract_says():
    messages = [parse(line) for line in GOLDEN.read_bytes().splitlines()]
    records = {}
    for message in messages:
        if message["type"] == "RECORD":
            records.setdefault(message["record"]["event_name"], []).append(message["record"])
    assert [message["type"] for message in messages].count("SCHEMA") == 1
    assert messages[0]["type"] == "SCHEMA"
    names = {json.loads(event.line())["event"] for event in EVENTS}
    assert records.keys() == names - {"Too late"}
    assert [record["timestamp"] for record in records["Search"]] == ["2022-11-06T08:30:00Z"] * 2
    assert len({record["event_id"] for record in records["Search"]}) == 2
    (signed_up,) = records["Signed up"]
    assert signed_up["properties"]["version"].text == "2"
    assert len(records["No insert id"]) == 2
    (sale,) = records["Item Sold"]
    assert (sale["item_id"], sale["item_price"], sale["import"]) == ("4711", "19.90", True)
    assert messages[-1]["type"] == "STATE"
    bookmark = messages[-1]["value"]["bookmarks"]["events"]
    stamps = bookmark.pop("known_stamps")
    assert bookmark == {
        "replication_key": "timestamp",
        "replication_key_value": "2022-11-07T20:00:00+00:00",
        "processed_before": "2022-11-07T19:45:00+00:00",
        "exported_from": "2022-11-05",
        "zone": "America/Los_Angeles",
    }
    # Days of events, and when Mixpanel processed them; 0 for one that does not say.
    assert {day for day, _ in stamps} == {"2022-11-05", "2022-11-06", "2022-11-07"}
    assert min(stamp.value for _, stamp in stamps) == 0


def test_a_second_run_over_nothing_new_writes_no_record_but_the_unstamped_again(run):
    state = json.loads(run[-1])["value"]
    with Sandbox(
        EVENTS, clock=SandboxClock.fixed(NOW + DAY / 24), timezone="America/Los_Angeles"
    ) as sandbox:
        lines = [parse(line) for line in tap_output(sandbox, state=state, **SETTINGS)]
    names = [line["record"]["event_name"] for line in lines if line["type"] == "RECORD"]
    assert names == ["Unstamped"]
