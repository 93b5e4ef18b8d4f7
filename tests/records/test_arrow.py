"""Records as Arrow batches hold what records as text hold, cell by cell."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from hashlib import sha256

import pytest
from arrow_truth import rows_of_batches, rows_of_text
from hypothesis import given, settings
from hypothesis import strategies as st
from json_texts import names, numbers, objects_of, strings, values
from record_makers import response_of

from tap_mixpanel_export.config import load_columns
from tap_mixpanel_export.records.event_filter import Skip
from tap_mixpanel_export.records.records import RecordMaker
from tap_mixpanel_export.records.redaction import Redaction
from tap_mixpanel_export.records.spool import Spool
from tap_mixpanel_export.sandbox import Sandbox, SandboxClock
from tap_mixpanel_export.timezones import Instants
from tap_mixpanel_export.xdm.mapping.columns import Column
from tap_mixpanel_export.xdm.schema.field import XdmField, XdmType

pa = pytest.importorskip("pyarrow")
arrow = pytest.importorskip("tap_mixpanel_export.records.arrow")

DAY = date(2026, 1, 20)
INSTANTS = Instants(timezone.utc, milliseconds=False)
LAST_LINE = b'{"event":"last","properties":{"time":7}}\n'
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NUMBER = XdmField(XdmType.NUMBER)
COLUMNS = (
    *load_columns({})[0],
    Column("amount", ("amount",), ("amount",), NUMBER),
    Column("agreed", ("agreed",), ("agreed",), XdmField(XdmType.BOOLEAN)),
    Column("tags", ("tags",), ("tags",), XdmField(XdmType.ARRAY, items=XdmField(XdmType.STRING))),
    Column("prices", ("prices",), ("prices",), XdmField(XdmType.ARRAY, items=NUMBER)),
    Column("cart", ("cart",), ("cart",), XdmField(XdmType.OBJECT, properties={"total": NUMBER})),
    Column("empty", ("empty",), ("empty",), XdmField(XdmType.OBJECT)),
    Column("counts", ("counts",), ("counts",), XdmField(XdmType.MAP, items=NUMBER)),
    Column("words", ("words",), ("words",), XdmField(XdmType.MAP)),
    Column(
        "deep",
        ("deep",),
        ("deep",),
        XdmField(XdmType.ARRAY, items=XdmField(XdmType.MAP, items=XdmField(XdmType.BOOLEAN))),
    ),
)
MAPPED = [column.path[0] for column in COLUMNS if column.path]

lists_of_numbers = st.lists(numbers | st.just("1" * 400), max_size=3).map(
    lambda some: f"[{','.join(some)}]"
)
# What fits columns that only few random values fit.
FITTING = {
    "prices": lists_of_numbers,
    "cart": st.just('{"total":9}') | numbers.map(lambda number: f'{{"total":{number}}}'),
    "empty": st.just("{}"),
    "counts": objects_of(numbers | st.just("-" + "1" * 400)),
    "words": objects_of(strings),
    "deep": st.lists(objects_of(st.sampled_from(["true", "false", "null"])), max_size=2).map(
        lambda some: f"[{','.join(some)}]"
    ),
}
members = (
    st.tuples(
        # A second `time` may be none.
        (names | st.sampled_from(sorted(set(MAPPED))).map(json.dumps)).filter(
            lambda name: json.loads(name) != "time"
        ),
        values | strings,
    )
    | st.sampled_from(sorted(FITTING)).flatmap(
        lambda name: st.tuples(st.just(json.dumps(name)), FITTING[name])
    )
).map(lambda member: f",{member[0]}:{member[1]}")
lines = st.builds(
    lambda name, time, tail: f'{{"event":{name},"properties":{{"time":{time}{tail}}}}}'.encode(),
    strings,
    st.integers(0, 2**31),
    st.lists(members, max_size=6).map("".join),
)


def maker(encoder=None, **arguments):
    return RecordMaker(COLUMNS, INSTANTS, encoder=encoder, **arguments)


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
        rows = rows_of_batches(spool.records())
    records = [json.loads(line) for line in b"".join(texts).split(b"\n")[:-1]]
    return rows_of_text(records, encoder.schema), rows


@pytest.mark.slow
@given(st.lists(lines, min_size=1, max_size=5))
@settings(deadline=None)
def test_every_cell_is_that_of_the_text(some):
    encoder = arrow.ArrowEncoder(COLUMNS)
    texts, rows = both(maker(properties_as_text=True), maker(encoder), encoder, some)
    assert repr(rows) == repr(texts)


# Copies of one event, the later ones processed later; and what is no event, or only half of one.
copies = st.integers(0, 3).map(
    lambda at: (
        b'{"event":"a","properties":{"time":1,"distinct_id":"u","$insert_id":"x","prices":[%d],'
        b'"mp_processing_time_ms":%d}}' % (at, at)
    )
)
odd_lines = st.sampled_from(
    [b"not json", b'{"event":"a"}', b"", b'{"event":"a","prop', b'erties":{"time":5}}']
)
responses = st.lists(
    st.lists(lines | copies | odd_lines, max_size=6).map(lambda some: b"\n".join((*some, b""))),
    max_size=4,
)
choices = st.none() | st.frozensets(st.sampled_from([*MAPPED, "properties", "event_name"]))
redactions = st.sampled_from(
    [None, Redaction([("words",), ("tags",)], [("insert_id",), ("cart",)])]
)


def whole(blocks, columns, encoder, spool, **arguments):
    """The records of a response, as its spool gives them, and its counts."""
    make = RecordMaker(columns, INSTANTS, encoder=encoder, **arguments)
    with spool:
        with response_of(make, spool) as response:
            for block in blocks:
                response.take(block)
            # A last line in quarantine may be half of an event: there is one more.
            response.take(LAST_LINE)
            response.finish()
        return list(spool.records()), response.counts


@pytest.mark.slow
@given(responses, choices, redactions)
@settings(deadline=None)
def test_whole_responses_are_the_same(blocks, selected, redaction):
    """Blocks that are fast, slow, or both in parts; copies; lines that are none."""
    arguments = {"selected": selected, "redaction": redaction}
    some, text_counts = whole(blocks, COLUMNS, None, Spool(), properties_as_text=True, **arguments)
    encoder = arrow.ArrowEncoder(COLUMNS, selected)
    batches, counts = whole(blocks, COLUMNS, encoder, arrow.ArrowSpool(encoder), **arguments)
    records = [json.loads(line) for block in some for line in block.lines()]
    assert repr(rows_of_batches(batches)) == repr(rows_of_text(records, encoder.schema))
    assert counts == text_counts
    assert counts.records == len(records)


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
            digests = [sha256(b"%d" % n).digest() for n in numbers]
            spool.write(arrow.Rows(digests, list(numbers), [], []), size)
            text.write(b"".join(b"%d\n" % n for n in numbers), size)
            first += size
        assert spool.drop(sorted(dropped)) == text.drop(sorted(dropped)) == len(dropped)
        kept = [row["event_id"] for batch in spool.records() for row in batch.to_pylist()]
        lines = [line for records in text.records() for line in records.lines()]
        assert kept == [sha256(line).hexdigest() for line in lines]


def test_batches_are_large_and_bounded():
    encoder = arrow.ArrowEncoder((), frozenset({"properties"}))
    with arrow.ArrowSpool(encoder) as spool:
        for number in range(300):
            texts = [b"{}"] * 100 if number else [b"[%b]" % (b"1" * 30_000_000)]
            size = len(texts)
            spool.write(arrow.Rows([bytes(32)] * size, [number] * size, [], texts), size)
        sizes = [batch.num_rows for batch in spool.records()]
    assert sizes[0] == 1
    assert sum(sizes) == spool.count == 29_901
    assert len(sizes) < 12


@given(st.lists(st.lists(st.text(max_size=9), max_size=9), max_size=9))
@settings(deadline=None, max_examples=50)
def test_batches_follow_each_other_without_a_trace(blocks):
    """Each is made in the memory of the one before."""
    encoder = arrow.ArrowEncoder(COLUMNS, frozenset({"item_id", "properties"}))
    with pytest.MonkeyPatch.context() as patch, arrow.ArrowSpool(encoder) as spool:
        patch.setattr(arrow, "_BATCH_ROWS", 5)
        patch.setattr(arrow, "_BATCH_BYTES", 20)
        patch.setattr(arrow, "_ARRAY_ROWS", 2)
        for texts in blocks:
            size = len(texts)
            properties = [text.encode() for text in texts]
            spool.write(arrow.Rows([bytes(32)] * size, [7] * size, [texts], properties), size)
        rows = [row for batch in spool.records() for row in batch.to_pylist()]
    written = [text for texts in blocks for text in texts]
    assert [row["item_id"] for row in rows] == [row["properties"] for row in rows] == written


def test_nothing_is_read_of_nothing():
    with arrow.ArrowSpool(arrow.ArrowEncoder(COLUMNS)) as spool:
        assert list(spool.records()) == []
