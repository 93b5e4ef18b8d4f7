"""A DuckDB table as a sink: one row of a key, the last one, whatever was there before."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.errors import OutputError
from tap_mixpanel_export.export.sinks import database as database_sink
from tap_mixpanel_export.export.sinks.database import DuckDbSink

pa = pytest.importorskip("pyarrow")
duckdb = pytest.importorskip("duckdb")

SCHEMA = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("timestamp", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("count", pa.int64()),
    ]
)
FIRST = datetime(2026, 1, 20, tzinfo=timezone.utc)


def batch_of(rows):
    ids, hours, counts = zip(*rows, strict=True)
    instants = [FIRST + timedelta(hours=hour) for hour in hours]
    return pa.RecordBatch.from_arrays(
        [
            pa.array(values, kind)
            for values, kind in zip((ids, instants, counts), SCHEMA.types, strict=True)
        ],
        schema=SCHEMA,
    )


def rows_of(database, table="events"):
    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.sql(f"SELECT event_id, count FROM {table}").fetchall()  # noqa: S608 - of a test
    assert len(rows) == len(dict(rows))
    return dict(rows)


# Few keys, whose instants are the same but for the zone that they were read in.
keys = st.sampled_from("012389af")
batches = st.lists(st.tuples(keys, st.integers(-14, 12)), min_size=1, max_size=6)
runs = st.lists(st.lists(batches, max_size=4), min_size=1, max_size=4)


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 400_000])
@given(some=runs, is_cut_off=st.booleans())
@settings(deadline=None, max_examples=15)
def test_of_each_key_the_last_row_stays(tmp_path_factory, at_once, some, is_cut_off):
    database = tmp_path_factory.mktemp("own") / "it's.db"
    expected, count = {}, 0
    with (
        pytest.MonkeyPatch.context() as patch,
        closing(DuckDbSink(f"duckdb:///{database}", SCHEMA)) as sink,
    ):
        patch.setattr(database_sink, "_KEYS_AT_ONCE", at_once)
        for run in some:
            for batch in run:
                rows = []
                for key, zone_hours in batch:
                    count += 1
                    # Days that are far apart, so that most of the table is out of reach.
                    rows.append((key * 64, 24 * 10 * ord(key) + zone_hours, count))
                    expected[key * 64] = count
                sink.write(batch_of(rows))
            sink.commit({"count": count})
        if is_cut_off:
            sink.write(batch_of([("a", 0, -1), ("e", 0, -1)]))
    assert rows_of(database) == expected
    with closing(DuckDbSink(f"duckdb:///{database}", SCHEMA)) as sink:
        assert sink.load_state() == {"count": count}
    # Nothing of what did not fit in memory is left.
    assert [path.name for path in database.parent.iterdir()] == ["it's.db"]


def test_a_table_of_an_earlier_version_needs_its_index_no_more(tmp_path):
    database = tmp_path / "own.db"
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE raw (event_id TEXT, timestamp TIMESTAMPTZ, count BIGINT)")
        connection.execute("CREATE UNIQUE INDEX raw_key ON raw (event_id)")
        connection.execute("INSERT INTO raw VALUES ('a', '2026-01-20 00:00:00+00', 1)")
    with closing(DuckDbSink(f"duckdb:///{database}#raw", SCHEMA)) as sink:
        sink.write(batch_of([("a", 0, 2), ("b", 0, 3)]))
        sink.commit(None)
    assert rows_of(database, "raw") == {"a": 2, "b": 3}


@pytest.mark.parametrize(
    "key", ["ALTER TABLE raw ADD PRIMARY KEY (event_id)", "CREATE UNIQUE INDEX own ON raw (count)"]
)
def test_a_table_with_a_key_of_its_own_is_refused(tmp_path, key):
    database = tmp_path / "own.db"
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE raw (event_id TEXT, timestamp TIMESTAMPTZ, count BIGINT)")
        connection.execute(key)
        connection.execute("CREATE TABLE other (event_id TEXT PRIMARY KEY)")
    with pytest.raises(OutputError, match="the table has a key"):
        DuckDbSink(f"duckdb:///{database}#raw", SCHEMA)


def test_rows_are_packed_before_they_are_many_and_memory_is_bounded(tmp_path):
    database = tmp_path / "own.db"
    with closing(DuckDbSink(f"duckdb:///{database}", SCHEMA)) as sink:
        ((limit,),) = sink._execute("SELECT current_setting('memory_limit')")
        assert limit == "51.4 MiB"
        for start in range(0, 40_000, 4_000):
            sink.write(batch_of([(f"{start + n:064}", n, n) for n in range(4_000)]))
        sink.commit(None)
    assert len(rows_of(database)) == 40_000
    with duckdb.connect(str(database), read_only=True) as connection:
        ((most,),) = connection.execute(
            "SELECT max(count) FROM pragma_storage_info('events')"
        ).fetchall()
    assert most <= 16_384


@pytest.mark.parametrize("table", ["rows", "_schema", "order"])
def test_a_table_may_have_any_name(tmp_path, table):
    database = tmp_path / "own.db"
    for count in (1, 2):
        with closing(DuckDbSink(f"duckdb:///{database}#{table}", SCHEMA)) as sink:
            sink.write(batch_of([("a", 0, count), ("b", 0, count)]))
            sink.commit(None)
        assert rows_of(database, f'"{table}"') == {"a": count, "b": count}


def test_what_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "text.db").write_text("no database" * 1000)
    for path in (tmp_path / "text.db", tmp_path / "none" / "own.db"):
        with pytest.raises(OutputError, match=rf"--to duckdb:///{path}: \S+"):
            DuckDbSink(f"duckdb:///{path}", SCHEMA)
