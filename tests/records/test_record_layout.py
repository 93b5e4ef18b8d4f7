from __future__ import annotations

import json
from datetime import timezone

import pytest

from tap_mixpanel_export.config import load_columns
from tap_mixpanel_export.record_layout import ALWAYS_WRITTEN, PROPERTIES
from tap_mixpanel_export.records.records import RecordMaker
from tap_mixpanel_export.timezones import Instants
from tap_mixpanel_export.xdm.mapping.columns import event_schema

COLUMNS, _ = load_columns({})


@pytest.mark.parametrize("selected", [None, frozenset()])
@pytest.mark.parametrize("milliseconds", [False, True])
@pytest.mark.parametrize("time", [0, 1652700000, -1])
def test_keys_come_first_and_properties_last(selected, milliseconds, time):
    line = b'{"event":"a","properties":{"time":%d}}' % time
    make = RecordMaker(
        COLUMNS, Instants(timezone.utc, milliseconds=milliseconds), selected=selected
    )
    for text in (
        make.make_line(line).encoded,
        (make.make_block(line) or make.make_line(line)).encoded,
    ):
        record = json.loads(text)
        assert tuple(record)[:2] == ALWAYS_WRITTEN
        if selected is None:
            assert list(record)[-1] == PROPERTIES
            assert list(record) == list(event_schema(COLUMNS)["properties"])
