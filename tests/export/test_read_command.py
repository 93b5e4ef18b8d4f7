"""`mixpanel-export read`: into files, folders, tables and pipes; broken off, and gone on with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import date, datetime, timedelta, timezone

import pytest
from event_truth import expected_rows
from harness import config_for

from tap_mixpanel_export.errors import AuthenticationError, ExportError, OutputError
from tap_mixpanel_export.export.cli.commands import main
from tap_mixpanel_export.sandbox import Fault, Sandbox, SandboxClock

pq = pytest.importorskip("pyarrow.parquet")
pa = pytest.importorskip("pyarrow")
duckdb = pytest.importorskip("duckdb")

NOW = datetime(2026, 1, 20, 12, tzinfo=timezone.utc)
START = "2026-01-14"
STAMP = "mp_processing_time_ms"
BAD_DAY = date(2026, 1, 17)


@pytest.fixture
def sandbox(monkeypatch):
    with Sandbox(clock=SandboxClock.fixed(NOW)) as sandbox:
        # A machine whose clock is the service's.
        now = "tap_mixpanel_export.sync.server_clock.machine_now"
        monkeypatch.setattr(now, sandbox.clock.now)
        yield sandbox


@pytest.fixture
def config(sandbox, tmp_path):
    path = tmp_path / "config.json"
    settings = config_for(sandbox, start_date=START, max_window_days=1, max_concurrent_queries=1)
    path.write_text(json.dumps(settings))
    return path


def read(config, target, *options):
    return main.main(
        ["read", "--config", str(config), "--to", str(target), *options], standalone_mode=False
    )


def truth(sandbox):
    since = datetime.fromisoformat(START).replace(tzinfo=timezone.utc)
    return {k for k, row in expected_rows(sandbox.visible()).items() if row.instant >= since}


def keys(paths):
    return [key for path in paths for key in pq.read_table(path)["event_id"].to_pylist()]


def refuse(sandbox):
    sandbox.add_faults(Fault("status", status=401, day=BAD_DAY, times=None))


def test_a_file_is_there_when_it_is_complete(sandbox, config, tmp_path) -> None:
    target = tmp_path / "events.parquet"
    refuse(sandbox)
    with pytest.raises(AuthenticationError):
        read(config, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json"]
    sandbox.clear_faults()
    state = tmp_path / "state.json"
    read(config, target, "--state", str(state))
    assert set(keys([target])) == truth(sandbox)
    assert target.stat().st_mode & 0o777 == 0o600
    with pytest.raises(OutputError, match="there already"):
        read(config, target)
    sandbox.clock.advance(timedelta(hours=3))
    more = tmp_path / "more.parquet"
    read(config, more, "--state", str(state))
    assert set(keys([target, more])) == truth(sandbox)
    assert 0 < len(keys([more])) < len(keys([target])) / 4


@pytest.mark.parametrize("by_day", [False, True])
def test_a_folder_goes_on_behind_its_complete_files(sandbox, config, tmp_path, by_day) -> None:
    folder = tmp_path / "raw"
    options = ["--by-day"] if by_day else []
    refuse(sandbox)
    with pytest.raises(AuthenticationError):
        read(config, folder, *options)
    before = sorted(folder.rglob("*.parquet"))
    assert before
    assert not list(folder.rglob(".*"))
    sandbox.clear_faults()
    asked = len(sandbox.requests)
    read(config, folder, *options)
    after = sorted(folder.rglob("*.parquet"))
    # What is complete stays as it is, and its days come from the look-back only.
    assert set(before) < set(after)
    assert set(keys(after)) == truth(sandbox)
    # Nothing comes twice but what Mixpanel has put no time of processing on, and copies that no
    # insert id tells from other events.
    rows = pa.concat_tables([pq.ParquetFile(path).read() for path in after])
    twice = [key for key, count in Counter(rows["event_id"].to_pylist()).items() if count > 1]
    columns = (rows[name].to_pylist() for name in ("event_id", STAMP, "insert_id"))
    known = {key: stamp and own for key, stamp, own in zip(*columns, strict=True)}
    assert [key for key in twice if known[key]] == []
    assert len(twice) < 10
    assert len(sandbox.requests) > asked
    if by_day:
        assert {path.parent.name for path in after} == {f"date=2026-01-{d}" for d in range(14, 21)}
        for path in after:
            days = {at.date() for at in pq.ParquetFile(path).read()["timestamp"].to_pylist()}
            assert {f"date={day}" for day in days} == {path.parent.name}
    else:
        assert after[0].name == "events-2026-01-14-2026-01-14-1.parquet"


def test_what_a_killed_run_left_is_swept_away(sandbox, config, tmp_path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / ".events.part").write_bytes(b"half")
    read(config, folder)
    assert not (folder / ".events.part").exists()
    assert set(keys(folder.glob("*.parquet"))) == truth(sandbox)


@pytest.mark.slow
def test_a_table_is_upserted_with_its_state(sandbox, config, tmp_path) -> None:
    database = tmp_path / "own.db"
    target = f"duckdb:///{database}#raw_events"
    refuse(sandbox)
    with pytest.raises(AuthenticationError):
        read(config, target)
    sandbox.clear_faults()
    counts = []
    for _ in range(2):
        read(config, target)
        with duckdb.connect(str(database)) as connection:
            rows = connection.sql("SELECT event_id FROM raw_events").fetchall()
            names = connection.sql("SELECT name FROM _mixpanel_export_state").fetchall()
        assert names == [("raw_events",)]
        assert {key for (key,) in rows} == truth(sandbox)
        counts.append(len(rows))
        sandbox.clock.advance(timedelta(hours=3))
    assert counts[0] < counts[1]
    assert len(rows) == len(set(rows))


@pytest.mark.slow
def test_a_pipe_gets_a_stream_that_is_whole_or_broken(sandbox, config) -> None:
    command = [
        sys.executable,
        "-c",
        "from tap_mixpanel_export.__main__ import mixpanel_export; mixpanel_export()",
        *("read", "--config", str(config), "--to", "-"),
    ]
    done = subprocess.run(command, capture_output=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert set(pa.ipc.open_stream(done.stdout).read_all()["event_id"].to_pylist()) == truth(sandbox)
    assert b"events written" in done.stderr.splitlines()[-1]
    refuse(sandbox)
    broken = subprocess.run(command, capture_output=True, check=False, env=os.environ)
    assert broken.returncode == 1
    assert b"Traceback" not in broken.stderr
    assert b"Mixpanel did not accept" in broken.stderr
    with pytest.raises((pa.ArrowInvalid, OSError)):
        pa.ipc.open_stream(broken.stdout).read_all()


def test_columns_are_chosen_by_name(config, tmp_path) -> None:
    target = tmp_path / "few.parquet"
    read(config, target, "--columns", "event_name,properties")
    assert pq.read_table(target).column_names == [
        *("event_id", "timestamp", "event_name", "properties")
    ]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("s3://bucket/x", "use a file"),
        ("duckdb:///x.db#drop table", "is named so"),
        ("duckdb:x.db", "is named so"),
    ],
)
def test_targets_that_cannot_be_are_refused_before_any_request(
    sandbox, config, target, words
) -> None:
    with pytest.raises(OutputError, match=words):
        read(config, target)
    assert sandbox.requests == []


def test_files_that_cannot_be_used_are_named(sandbox, config, tmp_path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    target = tmp_path / "x.parquet"
    with pytest.raises(ExportError, match="is not JSON"):
        main.main(["read", "--config", str(broken), "--to", str(target)], standalone_mode=False)
    with pytest.raises(ExportError, match="No such file"):
        read(tmp_path / "none.json", target)
    with pytest.raises(ExportError, match="is not JSON"):
        read(config, target, "--state", str(broken))
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "_state.json").write_text("[]")
    with pytest.raises(OutputError, match="is no state"):
        read(config, tmp_path / "raw")
    assert sandbox.requests == []
