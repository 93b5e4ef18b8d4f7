"""Records as Arrow batches hold what records as text hold, cell by cell."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from json_texts import names, strings, values

from tap_mixpanel_export.config import load_columns
from tap_mixpanel_export.records.event_filter import Skip
from tap_mixpanel_export.records.records import RecordMaker
from tap_mixpanel_export.records.spool import Spool
from tap_mixpanel_export.sandbox import Sandbox, SandboxClock
from tap_mixpanel_export.timezones import Instants
from tap_mixpanel_export.xdm.mapping.columns import Column
from tap_mixpanel_export.xdm.schema.field import XdmField, XdmType

pa = pytest.importorskip("pyarrow")
arrow = pytest.importorskip("tap_mixpanel_export.records.arrow")

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NUMBER = XdmField(XdmType.NUMBER)
COLUMNS = (
    *load_columns({})[0],
    Column("amount", ("amount",), ("amount",), NUMBER),
    Column("agreed", ("agreed",), ("agreed",), XdmField(XdmType.BOOLEAN)),
    Column("tags", ("tags",), ("tags",), XdmField(XdmType.ARRAY, items=XdmField(XdmType.STRING))),
    Column("prices", ("prices",), ("prices",), XdmField(XdmType.ARRAY, items=NUMBER)),
    Column("cart", ("cart",), ("cart",), XdmField(XdmType.OBJECT, properties={"total": NUMBER})),
)
MAPPED = [column.path[0] for column in COLUMNS if column.path]

members = st.tuples(
    # A second `time` may be none.
    (names | st.sampled_from(sorted(set(MAPPED))).map(json.dumps)).filter(
        lambda name: json.loads(name) != "time"
    ),
    values | strings,
).map(lambda member: f",{member[0]}:{member[1]}")
lines = st.builds(
    lambda name, time, tail: f'{{"event":{name},"properties":{{"time":{time}{tail}}}}}'.encode(),
    strings,
    st.integers(0, 2**31),
    st.lists(members, max_size=6).map("".join),
)


def maker(encoder=None, **arguments):
    instants = Instants(timezone.utc, milliseconds=False)
    return RecordMaker(COLUMNS, instants, encoder=encoder, **arguments)


def held(value):
    """A JSON value as Arrow holds it: in UTF-8, numbers beyond a double infinite."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [held(item) for item in value]
    if isinstance(value, dict):
        return {held(key): held(item) for key, item in value.items()}
    return value


def as_rows(text):
    """What records of JSON text hold."""
    rows = []
    for line in text.split(b"\n")[:-1]:
        row = held(json.loads(line))
        row["timestamp"] = datetime.fromisoformat(row["timestamp"].replace("Z", "+00:00"))
        for name in ("amount", "cart", "prices"):
            row[name] = as_doubles(row[name])
        if row["cart"] is not None:
            row["cart"] = {"total": row["cart"].get("total")}
        # The exact text: a number stays as it was written.
        row["properties"] = json.loads(line)["properties"]
        rows.append(row)
    return rows


def as_doubles(value):
    if isinstance(value, dict):
        return {key: as_doubles(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_doubles(item) for item in value]
    return float(value) if isinstance(value, int) else value


def both(make_text, make_arrow, encoder, some):
    """The records of lines, made one by one and all at once, as text and as batches."""
    texts, spool = [], arrow.ArrowSpool(encoder)
    with spool:
        for line in some:
            record, row = make_text.make_line(line), make_arrow.make_line(line)
            if not isinstance(record, Skip):
                texts.append(record.encoded)
                spool.write(row.encoded, 1)
        block = b"\n".join(some)
        record, row = make_text.make_block(block), make_arrow.make_block(block)
        assert (record is None) == (row is None)
        if record is not None:
            texts.append(record.encoded)
            assert (record.keys, record.instants) == (row.keys, row.instants)
            spool.write(row.encoded, len(row.keys))
        rows = [row for batch in spool.records() for row in batch.to_pylist()]
    for row in rows:
        row["timestamp"] = row["timestamp"].astimezone(timezone.utc)
    return as_rows(b"".join(texts)), rows


@given(st.lists(lines, min_size=1, max_size=5))
@settings(deadline=None)
def test_every_cell_is_that_of_the_text(some):
    encoder = arrow.ArrowEncoder(COLUMNS)
    texts, rows = both(maker(properties_as_text=True), maker(encoder), encoder, some)
    assert repr(rows) == repr(texts)


def test_odd_events_are_the_same():
    """All that the sandbox's project holds in a day, some of it as no one would design it."""
    now = datetime(2026, 1, 20, 12, tzinfo=timezone.utc)
    with Sandbox(clock=SandboxClock.fixed(now), hostile=True) as sandbox:
        lines = list(sandbox.visible())[-400:]
    encoder = arrow.ArrowEncoder(COLUMNS)
    texts, rows = both(maker(properties_as_text=True), maker(encoder), encoder, lines)
    assert len(rows) >= 400
    assert repr(rows) == repr(texts)


def test_holds_the_columns_that_are_selected():
    line = b'{"event":"a","properties":{"time":1,"item_id":"x","amount":1}}'
    for selected in (frozenset({"amount"}), frozenset({"properties", "event_name"}), frozenset()):
        encoder = arrow.ArrowEncoder(COLUMNS, selected)
        make = maker(encoder, selected=selected)
        with arrow.ArrowSpool(encoder) as spool:
            spool.write(make.make_block(line).encoded, 1)
            (batch,) = spool.records()
        assert set(batch.schema.names) == {"event_id", "timestamp", *selected}
        assert batch.schema == encoder.schema
        assert batch.column("timestamp").to_pylist() == [EPOCH + timedelta(seconds=1)]


def test_the_schema_tells_zone_and_units():
    schema = arrow.ArrowEncoder(COLUMNS).schema
    assert schema.field("timestamp").type == pa.timestamp("us", tz="UTC")
    assert not schema.field("timestamp").nullable
    assert not schema.field("event_id").nullable
    assert not schema.field("properties").nullable
    assert schema.field("mp_processing_time_ms").type == pa.int64()
    assert schema.field("prices").type == pa.list_(pa.float64())


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.data(),
)
@settings(deadline=None, max_examples=50)
def test_what_is_dropped_is_not_read(sizes, data):
    """The same as of a spool of text, across the borders of blocks and batches."""
    count = sum(sizes)
    dropped = data.draw(st.sets(st.integers(0, count - 1)))
    encoder = arrow.ArrowEncoder((), frozenset())
    with arrow.ArrowSpool(encoder) as spool, Spool() as text:
        first = 0
        for size in sizes:
            numbers = range(first, first + size)
            spool.write(arrow.Rows([str(n) for n in numbers], list(numbers), [], []), size)
            text.write(b"".join(b"%d\n" % n for n in numbers), size)
            first += size
        assert spool.drop(sorted(dropped)) == text.drop(sorted(dropped)) == len(dropped)
        kept = [row["event_id"] for batch in spool.records() for row in batch.to_pylist()]
        assert kept == [line.decode() for records in text.records() for line in records.lines()]


def test_batches_are_large_and_bounded():
    encoder = arrow.ArrowEncoder((), frozenset({"properties"}))
    with arrow.ArrowSpool(encoder) as spool:
        for number in range(300):
            texts = [b"{}"] * 100 if number else [b"[%b]" % (b"1" * 30_000_000)]
            size = len(texts)
            spool.write(arrow.Rows(["x"] * size, [number] * size, [], texts), size)
        sizes = [batch.num_rows for batch in spool.records()]
    assert sizes[0] == 1
    assert sum(sizes) == spool.count == 29_901
    assert len(sizes) < 6


def test_nothing_is_read_of_nothing():
    with arrow.ArrowSpool(arrow.ArrowEncoder(COLUMNS)) as spool:
        assert list(spool.records()) == []
