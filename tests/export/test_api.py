"""Exports in Python: the tap's run, and its windows one by one, as Arrow batches."""

from __future__ import annotations

import gc
import json
import pickle
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from event_truth import expected_rows, parse
from fixtures_unit import quick_taps
from harness import config_for, hasty
from hypothesis import given
from hypothesis import strategies as st

from tap_mixpanel_export import Export, Window, read_events
from tap_mixpanel_export.errors import ExportError, SettingsError, StateError
from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock

pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.dataset")
duckdb = pytest.importorskip("duckdb")
polars = pytest.importorskip("polars")

NOW = datetime(2026, 1, 20, 12, tzinfo=timezone.utc)
START = "2026-01-14"


@pytest.fixture
def sandbox():
    with Sandbox(clock=SandboxClock.fixed(NOW)) as sandbox, quick_taps():
        yield sandbox


def export_of(sandbox, **settings):
    return Export(config_for(sandbox, **{"start_date": START, **settings}), env=False)


def truth(sandbox):
    since = datetime.fromisoformat(START).replace(tzinfo=timezone.utc)
    rows = expected_rows(sandbox.visible()).items()
    return {key: row for key, row in rows if row.instant >= since}


def held(table):
    """What a table of batches holds, by key."""
    rows = {}
    for row in table.to_pylist():
        assert row["event_id"] not in rows
        rows[row["event_id"]] = (
            row["event_name"],
            row["timestamp"].astimezone(timezone.utc),
            parse(row["properties"]),
        )
    return rows


def as_held(rows):
    return {key: (row.event_name, row.instant, row.properties) for key, row in rows.items()}


@pytest.mark.slow
def test_reads_what_the_tap_would_write(sandbox) -> None:
    with export_of(sandbox).read() as reader:
        table = reader.read_all()
    # Events without an insert id are never taken for repeats; none of these has a copy.
    assert held(table) == as_held(truth(sandbox))
    assert table.schema == export_of(sandbox).schema
    assert reader.summary.records == table.num_rows
    assert reader.state["bookmarks"]["events"]["replication_key_value"].startswith("2026-01-20")


@pytest.mark.slow
def test_goes_on_from_its_own_state_and_from_the_taps(sandbox) -> None:
    reader = export_of(sandbox).read()
    first = held(reader.read_all())
    before = reader.state
    sandbox.clock.advance(timedelta(hours=3))
    second = export_of(sandbox).read(json.loads(json.dumps(before)))
    again = held(second.read_all())
    assert as_held(truth(sandbox)) == first | again
    assert set(again) - set(first)
    assert len(again) < len(first) / 4
    # What was passed in is the caller's.
    assert before == reader.state
    assert second.state != before


@pytest.mark.slow
def test_the_state_moves_when_all_batches_of_a_window_were_taken(sandbox) -> None:
    reader = export_of(sandbox, max_window_days=2).read()
    taken: Counter[str] = Counter()
    states = [reader.state]
    for batch in reader:
        if reader.state != states[-1]:
            states.append(reader.state)
            # Everything up to it has been taken.
            done = reader.state["bookmarks"]["events"]["replication_key_value"]
            known = {row["event_id"] for row in rows_before(sandbox, done)}
            assert known <= set(taken)
        taken.update(batch.column("event_id").to_pylist())
    states.append(reader.state)
    assert len(states) > 4
    for state in states[1:]:
        rest = export_of(sandbox, max_window_days=2).read(state)
        taken_then = {
            row["event_id"]
            for row in rows_before(sandbox, state["bookmarks"]["events"]["replication_key_value"])
        }
        assert taken_then | set(held(rest.read_all())) == set(truth(sandbox))


def rows_before(sandbox, instant):
    until = datetime.fromisoformat(instant)
    return [{"event_id": key} for key, row in truth(sandbox).items() if row.instant < until]


@pytest.mark.slow
@pytest.mark.parametrize("days", [1, 3, 30])
def test_windows_are_read_one_by_one(sandbox, days) -> None:
    export = export_of(sandbox)
    windows = export.plan(days=days, now=NOW)
    assert len(windows) == -(-7 // days)
    assert sandbox.requests == []
    parts = [held(export_of(sandbox).read_window(window).read_all()) for window in windows]
    assert sum(map(len, parts)) == len(truth(sandbox))
    assert {key: row for part in parts for key, row in part.items()} == as_held(truth(sandbox))
    # One query a window.
    assert len(sandbox.requests) == len(windows)


@pytest.mark.slow
def test_a_day_is_read_in_parts(sandbox) -> None:
    export = export_of(sandbox)
    windows = export.plan(splits_per_day=3, now=NOW)
    assert len(windows) == 21
    parts = [held(export.read_window(window).read_all()) for window in windows]
    assert sum(1 for part in parts if part) > 10
    # Copies of an event that were processed in different parts are in both: the newest counts.
    assert {key for part in parts for key in part} == set(truth(sandbox))
    total = sum(map(len, parts))
    copies = sum(1 for _ in sandbox.visible())
    assert len(truth(sandbox)) <= total <= copies


@pytest.mark.slow
def test_a_window_that_fails_is_read_in_halves() -> None:
    faults = [Fault("status", day=date(2026, 1, 16), times=3)]
    with (
        Sandbox(clock=SandboxClock.fixed(NOW), faults=faults) as faulty,
        hasty(),
        quick_taps(),
    ):
        (window,) = export_of(faulty).plan(days=10, now=NOW)
        table = export_of(faulty).read_window(window).read_all()
        assert held(table) == as_held(truth(faulty))
        assert len(faulty.requests) > 3


def test_columns_and_settings_are_those_of_the_tap(sandbox) -> None:
    config = config_for(
        sandbox, start_date=START, columns=["$city", "plan"], hash_properties=["distinct_id"]
    )
    table = Export(config, columns=["city", "distinct_id"], env=False).read().read_all()
    assert table.schema.names == ["event_id", "timestamp", "distinct_id", "city"]
    assert any(table.column("city").to_pylist())
    assert all(len(i) == 64 for i in table.column("distinct_id").to_pylist() if i is not None)


def test_the_environment_is_left_alone_when_it_is_not_wanted(
    sandbox, monkeypatch, tmp_path, caplog
) -> None:
    """Neither read, a file `.env` included, nor spoken of."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAP_MIXPANEL_EXPORT_NO_SUCH_SETTING", "1")
    monkeypatch.setenv("TAP_MIXPANEL_EXPORT_LOOKBACK_DAYS", "-1")
    (tmp_path / ".env").write_text("TAP_MIXPANEL_EXPORT_REGION=nowhere\n")
    config = config_for(sandbox, start_date=START, no_such_setting_either=1)
    Export(config, env=False)
    assert caplog.messages == ["no_such_setting_either is no setting of this tap, and ignored"]
    (tmp_path / ".env").unlink()
    with pytest.raises(SettingsError, match="lookback_days"):
        Export(config)
    monkeypatch.delenv("TAP_MIXPANEL_EXPORT_LOOKBACK_DAYS")
    Export(config)
    assert any("NO_SUCH_SETTING in the environment" in text for text in caplog.messages)


def test_problems_are_told_at_once_and_before_any_request(sandbox) -> None:
    config = config_for(sandbox, start_date="soon", lookback_days=-1)
    with pytest.raises(SettingsError) as caught:
        Export(config, columns=["nothing"], env=False)
    assert "start_date" in str(caught.value)
    assert "lookback_days" in str(caught.value)
    with pytest.raises(SettingsError, match="no column nothing"):
        Export(config_for(sandbox), columns=["nothing"], env=False)
    with pytest.raises(StateError):
        export_of(sandbox).read({"completed": {}})
    assert sandbox.requests == []


def test_settings_come_from_the_environment_too(sandbox, monkeypatch) -> None:
    for name, value in config_for(sandbox).items():
        monkeypatch.setenv(f"TAP_MIXPANEL_EXPORT_{name.upper()}", str(value))
    table = read_events("2026-01-19", date(2026, 1, 19)).read_all()
    days = {at.date() for at in table.column("timestamp").to_pylist()}
    assert days == {date(2026, 1, 19)}


def failing():
    """Fails for good at the third window."""
    fault = Fault("status", status=401, day=date(2026, 1, 16), times=None)
    return Sandbox(clock=SandboxClock.fixed(NOW), faults=[fault])


def into_duckdb(reader, folder):
    events = reader.to_reader()
    assert events is not None  # DuckDB finds it by its name.
    with duckdb.connect(str(folder / "own.db")) as database:
        database.execute("CREATE TABLE raw AS SELECT * FROM events")


def kept_by_duckdb(folder):
    with duckdb.connect(str(folder / "own.db")) as database:
        return database.execute("SHOW TABLES").fetchall()


@pytest.mark.parametrize(
    ("read", "kept"),
    [
        (lambda reader, _: reader.read_all(), lambda _: []),
        (lambda reader, _: polars.from_arrow(reader.to_reader()), lambda _: []),
        (lambda reader, _: duckdb.from_arrow(reader.to_reader()).fetchall(), lambda _: []),
        (into_duckdb, kept_by_duckdb),
    ],
    ids=["pyarrow", "Polars", "DuckDB", "a DuckDB table"],
)
def test_an_error_in_mid_stream_is_an_error_to_every_reader(tmp_path, read, kept) -> None:
    with failing() as sandbox, quick_taps():
        reader = export_of(sandbox, max_window_days=1, max_concurrent_queries=1).read()
        with pytest.raises(Exception, match="Mixpanel did not accept"):
            read(reader, tmp_path)
        # It does not look as if it had come to its end.
        with pytest.raises(ExportError):
            next(reader)
    assert kept(tmp_path) == []


def test_a_data_set_that_pyarrow_writes_is_to_be_renamed_at_the_end(tmp_path) -> None:
    """pyarrow completes files that it has begun, with a part of what came: the page says so."""
    with failing() as sandbox, quick_taps():
        reader = export_of(sandbox, max_window_days=1, max_concurrent_queries=1).read()
        with pytest.raises(Exception, match="Mixpanel did not accept"):
            pa.dataset.write_dataset(reader.to_reader(), tmp_path, format="parquet")
        rows = held(pa.dataset.dataset(tmp_path).to_table())
        before = datetime(2026, 1, 16, tzinfo=timezone.utc)
        whole = as_held({k: row for k, row in truth(sandbox).items() if row.instant < before})
    assert rows.items() <= whole.items()


def open_in(folder):
    """Files of a folder that this process has open, nameless ones included."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            links.append(f"{descriptor.readlink()}")
    return [link for link in links if link.startswith(str(folder))]


def closed(reader):
    next(reader)
    reader.close()


def let_go(reader):
    next(reader)


def broken_off(reader):
    with reader:
        next(reader)
        raise KeyError


@pytest.mark.parametrize("leave", [closed, let_go, broken_off])
def test_a_reader_that_is_left_early_leaves_nothing(sandbox, tmp_path, monkeypatch, leave) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    readers = [export_of(sandbox, max_window_days=1).read()]
    with suppress(KeyError):
        leave(readers[0])
        # One is being read, and the next ones wait for their turn.
        assert leave is not let_go or open_in(tmp_path)
    readers.clear()
    gc.collect()
    assert [t.name for t in threading.enumerate() if t.name.startswith("download")] == []
    assert open_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_state_is_told_when_all_before_it_was_taken(sandbox) -> None:
    taken, told = [], []

    def on_state(state):
        told.append((state, len(taken)))

    with export_of(sandbox, max_window_days=2).read(on_state=on_state) as reader:
        for batch in reader:
            taken += batch.column("event_id").to_pylist()
    assert told[-1] == (reader.state, len(taken))
    assert len(told) > 2
    for state, count in told:
        done = state["bookmarks"]["events"]["replication_key_value"]
        assert {row["event_id"] for row in rows_before(sandbox, done)} <= set(taken[:count])


@pytest.mark.slow
def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys, tap_mixpanel_export as t; assert 'Export' in dir(t); t.Window; "
        "print(sorted({'singer_sdk','pyarrow','pandas'} & set(sys.modules)))"
    )
    for what in (code, code.replace("t.Window", "t.Export")):
        loaded = subprocess.run(
            [sys.executable, "-c", what], capture_output=True, text=True, check=True
        )
        assert loaded.stdout.strip() == "[]"


instants = st.datetimes(timezones=st.just(timezone.utc))
windows = st.builds(
    Window,
    st.dates(),
    st.dates(),
    st.none() | instants,
    st.none() | instants,
    st.none() | st.integers(0, 2**45),
    st.none() | st.integers(0, 2**45),
    st.booleans(),
)


@given(windows)
def test_windows_travel_as_json_and_pickle(window) -> None:
    assert Window.from_dict(json.loads(json.dumps(window.to_dict()))) == window
    assert pickle.loads(pickle.dumps(window)) == window  # noqa: S301 - its own
    assert "secret" not in repr(window)


def test_what_is_no_window_is_refused() -> None:
    for value in ({}, {"first": "2026-01-01"}, {"first": 1, "last": 2}):
        with pytest.raises(ValueError, match=r"window|isoformat"):
            Window.from_dict(value)


def test_plans_refuse_what_cannot_be(sandbox) -> None:
    for arguments in ({"days": 0}, {"splits_per_day": 0}, {"days": 2, "splits_per_day": 2}):
        with pytest.raises(ValueError, match="must be"):
            export_of(sandbox).plan(**arguments)


@pytest.mark.slow
def test_a_legacy_project_has_the_same_days() -> None:
    zone = "America/Los_Angeles"
    with Sandbox(clock=SandboxClock.fixed(NOW), timezone=zone) as sandbox, quick_taps():
        export = export_of(sandbox, project_timezone=zone)
        whole = set(held(export.read().read_all()))
        windows = export.plan(days=2, now=NOW)
        parts = [set(held(export.read_window(window).read_all())) for window in windows]
    assert set().union(*parts) == whole
    assert sum(map(len, parts)) == len(whole)


@pytest.mark.slow
def test_an_event_at_an_instant_that_ends_a_run_is_in_it() -> None:
    events = [Event.at(NOW - timedelta(days=1), insert_id="x")]
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox, quick_taps():
        end = (NOW - timedelta(days=1)).isoformat()
        export = export_of(sandbox, end_date=end)
        assert export.read().read_all().num_rows == 1
        parts = [export.read_window(w).read_all().num_rows for w in export.plan(now=NOW)]
        assert sum(parts) == 1
