"""BATCH files in Parquet: what records as text hold, in files with useful names."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from arrow_truth import rows_of_batches, rows_of_text
from fixtures_unit import deselect, tap_output
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.output import parquet
from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock, Verbatim

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
START = {"start_date": "2026-11-17"}
NAME = re.compile(r"events-(\d{4}-\d\d-\d\d)-(\d{4}-\d\d-\d\d)-\d+\.parquet")
CART = Verbatim('{"total":12.50,"n":2,"inner":{"a":1,"b":"x"}}')


@pytest.fixture(scope="module")
def sandbox():
    events = [
        Event.at(NOW - timedelta(hours=5 * n + 1), insert_id=str(n), cart=CART, plan="gold")
        for n in range(14)
    ]
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def nasty():
    with Sandbox(clock=SandboxClock.fixed(NOW), hostile=True, null_bytes=True) as sandbox:
        yield sandbox


def written(sandbox, folder, *, prefix="", batch_size=10_000, **others):
    """The files of a run, in the order of its messages."""
    storage = {"root": folder.as_uri(), "prefix": prefix}
    config = {"encoding": {"format": "parquet"}, "storage": storage, "batch_size": batch_size}
    lines = tap_output(sandbox, batch_config=config, **{**START, **others})
    batches = [m for m in map(json.loads, lines) if m["type"] == "BATCH"]
    return [Path(unquote(urlsplit(url).path)) for m in batches for url in m["manifest"]]


def rows_of(paths):
    return rows_of_batches(pq.ParquetFile(path).read() for path in paths)


def texts_of(sandbox, **others):
    lines = tap_output(sandbox, **{**START, "properties_format": "string", **others})
    return [m["record"] for m in map(json.loads, lines) if m["type"] == "RECORD"]


def by_id(rows):
    return sorted(rows, key=lambda row: row["event_id"])


def days_of(path):
    return {row["timestamp"].date() for row in rows_of([path])}


@pytest.mark.slow
@pytest.mark.parametrize(
    "others",
    [
        {},
        {"hash_properties": ["distinct_id"], "exclude_properties": ["$city"]},
    ],
    ids=["plain", "hidden"],
)
def test_every_cell_is_that_of_the_text(nasty, tmp_path, others) -> None:
    records = texts_of(nasty, **others)
    paths = written(nasty, tmp_path, batch_size=300, **others)
    schema = pq.ParquetFile(paths[0]).schema_arrow
    assert len(records) > 400
    assert repr(by_id(rows_of(paths))) == repr(by_id(rows_of_text(records, schema)))


def test_names_tell_the_days_and_never_come_again(sandbox, tmp_path) -> None:
    """Not in other windows, nor in later runs, nor when older files are gone."""
    seen: set[str] = set()
    for _ in range(2):
        paths = written(sandbox, tmp_path, prefix="raw/x-", batch_size=4, max_window_days=1)
        assert sorted(paths) == sorted((tmp_path / "raw").iterdir())
        assert sum(len(rows_of([path])) for path in paths) == 14
        for path in paths:
            name = path.name.removeprefix("x-")
            first, last = (date.fromisoformat(day) for day in NAME.fullmatch(name).groups())
            assert {first, last} <= days_of(path)
            assert all(first <= day <= last for day in days_of(path))
            assert len(rows_of([path])) <= 4
            path.unlink()
        assert not seen & {path.name for path in paths}
        assert [path.name[-24:] for path in paths] == sorted(path.name[-24:] for path in paths)
        seen |= {path.name for path in paths}


@pytest.mark.parametrize("most_open", [64, 1])
def test_days_have_folders_of_their_own_when_that_is_asked_for(
    sandbox, tmp_path, monkeypatch, most_open
) -> None:
    monkeypatch.setattr(parquet, "_OPEN_FILES", most_open)
    paths = written(sandbox, tmp_path, prefix="raw/date={date}/", batch_size=3)
    assert {path.parent.name for path in paths} == {f"date=2026-11-{d}" for d in (17, 18, 19, 20)}
    for path in paths:
        day = path.parent.name.removeprefix("date=")
        assert {f"{one}" for one in days_of(path)} == {day}
        assert path.name.startswith(f"events-{day}-{day}-")
    assert len({row["event_id"] for row in rows_of(paths)}) == len(rows_of(paths)) == 14
    assert sorted(paths) == sorted(tmp_path.rglob("*.parquet"))


def test_the_files_tell_zone_and_units(sandbox, tmp_path) -> None:
    (path, *_) = written(sandbox, tmp_path, time_in_ms=True)
    schema = pq.ParquetFile(path).schema_arrow
    assert schema.field("timestamp").type == pa.timestamp("us", tz="UTC")
    told = {field.name: field.metadata[b"description"].decode() for field in schema}
    assert told["timestamp"] == "When the event occurred, in UTC, microseconds since 1970."
    assert "in milliseconds" in told["time"]
    assert "in milliseconds since 1970 UTC" in told["mp_processing_time_ms"]
    # Other readers see this part only.
    assert b"rows are in no order" in pq.ParquetFile(path).metadata.metadata[b"description"]


COLUMNS = {"columns": ["cart", "plan"]}


def test_what_is_deselected_is_not_there(sandbox, tmp_path) -> None:
    """Columns, and what is inside of the text of `properties`."""
    inside = ("properties", "properties", "properties", "cart", "properties", "inner")
    choose = deselect(
        ("properties", "mp_api_endpoint"),
        inside,
        ("properties", "properties", "properties", "plan"),
    )
    rows = rows_of(written(sandbox, tmp_path, choose=choose, **COLUMNS))
    assert len(rows) == 14
    for row in rows:
        assert "mp_api_endpoint" not in row
        assert '"cart":{"total":12.50,"n":2}' in row["properties"]
        assert "gold" not in row["properties"]
        assert row["plan"] == "gold"
    # So it is where records hold that text.
    for record in texts_of(sandbox, choose=choose, **COLUMNS):
        assert '"cart":{"total":12.50,"n":2}' in record["properties"]
        assert "gold" not in record["properties"]
    choose = deselect(("properties", "properties"))
    rows = rows_of(written(sandbox, tmp_path, choose=choose))
    assert all("properties" not in row for row in rows)


def field_group(tmp_path, properties):
    """A mapping of `cart` to fields of a group."""
    group = {"properties": {"_own": {"type": "object", "properties": properties}}}
    (tmp_path / "group.json").write_text(json.dumps(group))
    lines = [
        {"sourceType": "ATTRIBUTE", "source": f"data.{name}", "destination": f"_own.{name}"}
        for name in properties
    ]
    (tmp_path / "mapping.json").write_text(json.dumps({"mappings": lines}))
    return {
        "mapping_file": str(tmp_path / "mapping.json"),
        "field_group_file": str(tmp_path / "group.json"),
    }


INNER = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "string"}}}
TYPED = {
    "cart": {
        "type": "object",
        "properties": {"total": {"type": "number"}, "n": {"type": "integer"}, "inner": INNER},
    }
}
COUNTS = {"type": "object", "additionalProperties": {"type": "integer"}}


def test_what_is_deselected_inside_of_a_typed_column_is_not_in_its_type(sandbox, tmp_path) -> None:
    files = field_group(tmp_path, TYPED)
    choose = deselect(
        ("properties", "cart", "properties", "inner", "properties", "a"),
        ("properties", "cart", "properties", "n"),
    )
    rows = rows_of(written(sandbox, tmp_path / "out", choose=choose, **files))
    assert [row["cart"] for row in rows] == [{"total": 12.5, "inner": {"b": "x"}}] * 14
    choose = deselect(*(("properties", "cart", "properties", name) for name in INNER_NAMES))
    rows = rows_of(written(sandbox, tmp_path / "none", choose=choose, **files))
    assert [row["cart"] for row in rows] == ["{}"] * 14


INNER_NAMES = ("total", "n", "inner")


def test_maps_are_columns_too(tmp_path) -> None:
    counts = Verbatim('{"a":1,"b":2}')
    with Sandbox(
        [Event.at(NOW - timedelta(hours=1), insert_id="1", counts=counts)],
        clock=SandboxClock.fixed(NOW),
    ) as sandbox:
        files = field_group(tmp_path, {"counts": COUNTS})
        (row,) = rows_of(written(sandbox, tmp_path / "out", **files))
        choose = deselect(("properties", "counts", "properties", "a"))
        (less,) = rows_of(written(sandbox, tmp_path / "less", choose=choose, **files))
    assert row["counts"] == [("a", 1), ("b", 2)]
    assert less["counts"] == [("b", 2)]


SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("timestamp", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)


def batch_of(days, start):
    instants = [at * 86_400_000_000 + at for at in days]
    ids = [f"{start + place}" for place in range(len(days))]
    return pa.RecordBatch.from_arrays(
        [pa.array(ids), pa.array(instants).cast(SCHEMA.field("timestamp").type)], schema=SCHEMA
    )


@given(
    st.lists(st.lists(st.integers(-3, 3), min_size=1, max_size=8), max_size=6),
    st.booleans(),
    st.none() | st.integers(1, 5),
    st.integers(1, 3),
)
@settings(deadline=None, max_examples=30)
def test_each_row_is_in_one_file_of_its_day(some, by_day, most_rows, most_open) -> None:
    kept = parquet._OPEN_FILES
    parquet._OPEN_FILES = most_open
    try:
        parts = parquet.ParquetParts(
            lambda _: pa.BufferOutputStream(), by_day=by_day, most_rows=most_rows
        )
        finished, given_rows = [], []
        for days in some:
            batch = batch_of(days, len(given_rows))
            given_rows += batch.to_pylist()
            finished += parts.write(batch)
        finished += parts.finish()
    finally:
        parquet._OPEN_FILES = kept
    found = []
    for part in finished:
        rows = pq.ParquetFile(pa.BufferReader(part.file.getvalue())).read().to_pylist()
        days = sorted({row["timestamp"].date() for row in rows})
        assert part.stem == f"events-{days[0]}-{days[-1]}"
        assert part.rows == len(rows) <= (most_rows or part.rows)
        assert not by_day or days == [part.day]
        found += rows
    assert sorted(map(str, found)) == sorted(map(str, given_rows))


def test_row_groups_are_large_and_memory_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(parquet, "_ROW_GROUP_BYTES", 4000)
    monkeypatch.setattr(parquet, "_PENDING_BYTES", 12_000)
    parts = parquet.ParquetParts(lambda _: pa.BufferOutputStream(), by_day=True)
    for turn in range(50):
        assert list(parts.write(batch_of(list(range(20)) * 4, turn))) == []
        pending = [part.pending_bytes for part in parts._parts.values()]
        assert max(pending) < 4000
        assert sum(pending) < 12_000
    finished = list(parts.finish())
    assert len(finished) == 20
    for part in finished:
        groups = pq.ParquetFile(pa.BufferReader(part.file.getvalue())).metadata.num_row_groups
        assert groups <= 12
