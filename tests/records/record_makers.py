"""Records of single lines, made at once or value by value, and the contract's key of an event."""

from __future__ import annotations

import json
from datetime import date, timezone
from decimal import Decimal
from hashlib import sha256

from adobe_columns import ADOBE_COLUMNS

from tap_mixpanel_export.config import load_columns
from tap_mixpanel_export.records.malformed import MalformedLines
from tap_mixpanel_export.records.records import Record, RecordMaker
from tap_mixpanel_export.records.response import Response
from tap_mixpanel_export.timezones import Instants
from tap_mixpanel_export.xdm.mapping.columns import Column
from tap_mixpanel_export.xdm.schema.field import XdmField

COLUMNS, _ = load_columns({})
DAY = date(2026, 11, 20)
BEFORE = "$distinct_id_before_identity"
NAMES = list(ADOBE_COLUMNS)


class Maker(RecordMaker):
    """Makes a record as an answer does: at once, or value by value when that is not possible."""

    def __call__(self, line):
        block = self.make_block(line)
        if block is None:
            return self.make_line(line)
        for key, at, processed in zip(block.keys, block.instants, block.processed, strict=True):
            return Record(block.encoded, key, at, processed)
        ((reason, count),) = block.skipped.items()
        assert count == 1
        return reason


def maker(columns=COLUMNS, zone=timezone.utc, *, milliseconds=False, **arguments):
    return Maker(columns, Instants(zone, milliseconds=milliseconds), **arguments)


def line_of(properties, name='"Signed up"'):
    """A line of JSON texts."""
    members = ",".join(f"{json.dumps(key)}:{text}" for key, text in properties.items())
    return f'{{"event":{name},"properties":{{{members}}}}}'.encode()


def record_of(line, **arguments):
    return json.loads(maker(**arguments)(line).encoded, parse_float=Decimal)


def column(name, kind, *path):
    return Column(name, path or (name,), path or (name,), XdmField(kind))


def plain(text):
    """The contract's "a string as is, anything else as its JSON text"."""
    value = json.loads(text) if text.startswith('"') else text
    return value.encode("utf-8", "surrogatepass")


def contracts_event_id(name, properties):
    insert_id = properties.get("$insert_id", "null")
    text = line_of(properties).split(b'"properties":', 1)[1][:-1]
    last = sha256(text).hexdigest() if insert_id in {"null", '""'} else insert_id
    before_merge = properties.get("$distinct_id_before_identity", "null")
    distinct_id = properties.get("distinct_id", '""')
    if before_merge not in {"null", '""'}:
        distinct_id = before_merge
    parts = [name, properties["time"], distinct_id, last]
    return sha256(b"|".join(plain(part) for part in parts)).hexdigest()


def response_of(make, spool, malformed=None, **others):
    """A response of one day, whose malformed lines fail it unless they are kept."""
    usual = {"deduplicate": True, "done": None, "may_be_malformed": True}
    malformed = malformed or MalformedLines(None, DAY, DAY)
    return Response(make=make, spool=spool, malformed=malformed, **{**usual, **others})
