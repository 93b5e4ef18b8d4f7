"""`mixpanel-export read`: into files, folders, tables and pipes; broken off, and gone on with."""

from __future__ import annotations

import errno
import gc
import io
import json
import os
import resource
import subprocess
import sys
from collections import Counter
from contextlib import closing
from datetime import date, datetime, timedelta, timezone

import pytest
from event_truth import expected_rows
from fake_time import machine_at
from fixtures_unit import quick_taps
from harness import config_for

from tap_mixpanel_export.errors import AuthenticationError, ExportError, OutputError
from tap_mixpanel_export.export.cli.commands import main
from tap_mixpanel_export.export.sinks import files
from tap_mixpanel_export.export.sinks.files import ParquetFolderSink
from tap_mixpanel_export.sandbox import Fault, Sandbox, SandboxClock

pq = pytest.importorskip("pyarrow.parquet")
pa = pytest.importorskip("pyarrow")
duckdb = pytest.importorskip("duckdb")

NOW = datetime(2026, 1, 20, 12, tzinfo=timezone.utc)
START = "2026-01-14"
STAMP = "mp_processing_time_ms"
BAD_DAY = date(2026, 1, 17)


@pytest.fixture
def sandbox():
    # A machine whose clock is the service's.
    with (
        Sandbox(clock=SandboxClock.fixed(NOW)) as sandbox,
        machine_at(sandbox.clock.now),
        quick_taps(),
    ):
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


@pytest.mark.slow
def test_a_state_of_airbyte_is_gone_on_from(config, tmp_path) -> None:
    """It is a list, which the tap takes, too."""
    state, target = tmp_path / "state.json", tmp_path / "events.parquet"
    stream = {"stream_descriptor": {"name": "export"}, "stream_state": {"time": f"{BAD_DAY}"}}
    state.write_text(json.dumps([{"type": "STREAM", "stream": stream}]))
    read(config, target, "--state", str(state))
    days = {at.date() for at in pq.read_table(target)["timestamp"].to_pylist()}
    assert days
    assert min(days) < BAD_DAY
    assert json.loads(state.read_text())["bookmarks"]["events"]["processed_before"]


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_settings_in_the_environment_that_are_not_read_are_told(
    config, tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setenv("TAP_MIXPANEL_EXPORT_LOOKBACK_DAYS", "3")
    read(config, tmp_path / "x.parquet", "--columns", "event_name")
    assert "TAP_MIXPANEL_EXPORT_LOOKBACK_DAYS in the environment is not used" in caplog.text


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


@pytest.mark.slow
def test_a_state_file_moves_with_what_is_committed(sandbox, config, tmp_path) -> None:
    """And where it is new, a folder's own state is gone on from."""
    folder, state = tmp_path / "raw", tmp_path / "state.json"
    refuse(sandbox)
    with pytest.raises(AuthenticationError):
        read(config, folder, "--state", str(state))
    entry = json.loads(state.read_text())["bookmarks"]["events"]
    assert entry["replication_key_value"] == "2026-01-17T00:00:00+00:00"
    assert state.read_text() == (folder / "_state.json").read_text()
    sandbox.clear_faults()
    read(config, folder, "--state", str(tmp_path / "new.json"))
    found = keys(sorted(folder.glob("*.parquet")))
    assert set(found) == truth(sandbox)
    assert len(found) < len(set(found)) + 10
    assert (tmp_path / "new.json").read_text() == (folder / "_state.json").read_text()


def test_two_runs_do_not_write_to_one_folder(sandbox, config, tmp_path) -> None:
    folder = tmp_path / "raw"
    with (
        closing(ParquetFolderSink(folder, by_day=False)),
        pytest.raises(OutputError, match="another run writes there"),
    ):
        read(config, folder)
    assert sandbox.requests == []
    read(config, folder)


class FullDisk(io.BytesIO):
    def write(self, _data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("target", ["raw", "one.parquet"])
@pytest.mark.filterwarnings("error")
def test_a_full_disk_is_told_with_the_target_and_nothing_is_kept(
    config, tmp_path, monkeypatch, target
) -> None:
    def open_full(path):
        path.touch()
        return FullDisk()

    monkeypatch.setattr(files, "open_private", open_full)
    with pytest.raises(OutputError, match=rf"--to \S+{target}: No space left on device"):
        read(config, tmp_path / target)
    gc.collect()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [config]


def test_a_full_temporary_folder_is_told_and_nothing_is_kept(config, tmp_path) -> None:
    """Where windows wait for their proof: TMPDIR, whatever the target."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(
            OutputError, match=r"TMPDIR \(\S+\): File too large. Downloads lie there"
        ):
            read(config, tmp_path / "raw")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [config]


@pytest.mark.slow
def test_a_table_gets_the_columns_that_are_asked_for_later(sandbox, config, tmp_path) -> None:
    database = tmp_path / "own.db"
    target = f"duckdb:///{database}#order"
    read(config, target, "--columns", "event_name, properties")
    sandbox.clock.advance(timedelta(hours=3))
    read(config, target)
    with duckdb.connect(str(database)) as connection:
        rows = connection.sql('SELECT event_id, properties, time FROM "order"').fetchall()
        connection.sql("CREATE TABLE other (event_id VARCHAR, time VARCHAR)")
    assert {key for key, _, _ in rows} == truth(sandbox)
    assert all(properties for _, properties, _ in rows)
    assert 0 < sum(time is not None for _, _, time in rows) < len(rows)
    # Of events: for their owner's eyes.
    assert database.stat().st_mode & 0o777 == 0o600
    before = len(sandbox.requests)
    with pytest.raises(OutputError, match="its column time is VARCHAR, and would have to be BIGI"):
        read(config, f"duckdb:///{database}#other")
    assert len(sandbox.requests) == before


@pytest.mark.parametrize("target", ["x.parquet", "duckdb:///x.db", "-"])
def test_days_have_folders_in_a_folder_only(sandbox, config, target) -> None:
    with pytest.raises(OutputError, match="--by-day: only a folder"):
        read(config, target, "--by-day")
    assert sandbox.requests == []
