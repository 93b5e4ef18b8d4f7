"""BATCH files: complete or not there, for their owner only, and where the setting says."""

from __future__ import annotations

import gzip
import io
import json
import signal
from collections import Counter
from datetime import datetime, timedelta, timezone

import pyarrow.parquet as pq
import pytest
from commands import command, start, tap_config
from fixtures_unit import tap_output
from harness import truth, wait_for
from singer_sdk.helpers._batch import StorageTarget

from tap_mixpanel_export.errors import OutputError
from tap_mixpanel_export.output.storage import open_batch_file
from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
GZIP = {"format": "jsonl", "compression": "gzip"}


@pytest.fixture
def sandbox():
    events = [Event.at(NOW - timedelta(hours=n + 1), insert_id=str(n)) for n in range(30)]
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


def batches(lines):
    messages = [json.loads(line) for line in lines]
    return [url for m in messages if m["type"] == "BATCH" for url in m["manifest"]]


def ids(contents):
    lines = [line for content in contents for line in gzip.decompress(content).splitlines()]
    return Counter(json.loads(line)["event_id"] for line in lines)


def test_files_and_folders_are_for_their_owner_only(sandbox, tmp_path):
    root = tmp_path / "new" / "root"
    storage = {"root": f"file://{root}", "prefix": "some/where/x-"}
    config = {"encoding": GZIP, "storage": storage, "batch_size": 7}
    lines = tap_output(sandbox, start_date="2026-11-19", batch_config=config)
    files = sorted((root / "some" / "where").iterdir())
    assert sorted(batches(lines)) == [file.as_uri() for file in files]
    assert ids(file.read_bytes() for file in files) == truth(sandbox)
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    for folder in (tmp_path / "new", root, root / "some", root / "some" / "where"):
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("root", ["out", "./out", "file://{}/out"])
def test_a_root_may_be_written_in_any_way(sandbox, tmp_path, monkeypatch, root):
    monkeypatch.chdir(tmp_path)
    config = {"encoding": GZIP, "storage": {"root": root.format(tmp_path)}}
    lines = tap_output(sandbox, start_date="2026-11-19", batch_config=config)
    files = sorted((tmp_path / "out").iterdir())
    assert sorted(batches(lines)) == [file.as_uri() for file in files]
    assert ids(file.read_bytes() for file in files) == truth(sandbox)


def target(root, **others):
    return StorageTarget(root=f"file://{root}", **others)


def write(storage, name, *contents):
    with open_batch_file(storage, name) as file:
        for content in contents:
            file.write(content)


def test_a_file_that_is_not_completed_is_not_there(tmp_path):
    with pytest.raises(TypeError):
        write(target(tmp_path / "root"), "file", b"some", None)
    assert list((tmp_path / "root").iterdir()) == []


def test_a_link_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "file").symlink_to("victim")
    with pytest.raises(OutputError, match="symbolic link"):
        write(target(tmp_path), "file", b"some")
    assert (tmp_path / "victim").read_text() == "untouched"


def test_a_link_inside_of_the_root_does_not_lead_out(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "other")
    with pytest.raises(OutputError, match="leads out"):
        write(target(tmp_path / "root"), "link/file", b"some")
    assert list((tmp_path / "other").iterdir()) == []


def test_a_root_that_is_a_link_is_the_users_choice(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write(target(tmp_path / "link"), "a/file", b"some")
    assert (tmp_path / "real" / "a" / "file").read_bytes() == b"some"


def test_a_root_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"batch_config: file://\S+/file/x cannot be written"):
        write(target(tmp_path / "file"), "x", b"some")


@pytest.mark.slow
@pytest.mark.parametrize("encoding", [GZIP, {"format": "parquet"}], ids=lambda one: one["format"])
def test_a_run_that_is_ended_leaves_complete_files_only(tmp_path, encoding):
    # The last of three windows does not come.
    events = [Event.at(NOW - timedelta(days=n, hours=1), insert_id=str(n)) for n in range(3)]
    root = tmp_path / "root"
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        sandbox.add_faults(Fault("stall", day=NOW.date(), seconds=280, times=None))
        config = tap_config(
            sandbox,
            tmp_path,
            start_date="2026-11-18",
            max_window_days=1,
            batch_config={"encoding": encoding, "storage": {"root": str(root)}},
        )
        with start(command("tap-mixpanel-export", "--config", config), tmp_path) as process:
            wait_for(lambda: root.exists() and len(list(root.iterdir())) == 2)
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate()
    assert process.returncode == 143
    assert {file.as_uri() for file in root.iterdir()} >= set(batches(output.splitlines()))
    assert not [file for file in root.iterdir() if file.name.startswith(".")]
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.fixture
def bucket(s3_everywhere):
    s3_everywhere.create_bucket(Bucket="events-bucket")
    return s3_everywhere


def ids_of_parquet(contents):
    tables = [pq.read_table(io.BytesIO(content)) for content in contents]
    return Counter(key for table in tables for key in table["event_id"].to_pylist())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("encoding", "prefix", "read"),
    [(GZIP, "raw/", ids), ({"format": "parquet"}, "raw/date={date}/", ids_of_parquet)],
    ids=["jsonl", "parquet"],
)
def test_files_go_to_s3(sandbox, bucket, encoding, prefix, read):
    storage = {"root": "s3://events-bucket/mixpanel", "prefix": prefix}
    config = {"encoding": encoding, "storage": storage, "batch_size": 7}
    lines = tap_output(sandbox, start_date="2026-11-19", batch_config=config)
    found = {
        f"s3://events-bucket/{one['Key']}": bucket.get_object(
            Bucket="events-bucket", Key=one["Key"]
        )["Body"].read()
        for one in bucket.list_objects_v2(Bucket="events-bucket")["Contents"]
    }
    assert sorted(found) == sorted(batches(lines))
    assert {url.rpartition("/")[0] for url in found} == {
        f"s3://events-bucket/mixpanel/{prefix.format(date=day)}".rstrip("/")
        for day in ("2026-11-19", "2026-11-20")
    }
    assert read(found.values()) == truth(sandbox)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_what_s3_does_not_take_is_not_there_and_told(bucket, monkeypatch):
    storage = StorageTarget(root="s3://events-bucket/mixpanel")
    with pytest.raises(TypeError):
        write(storage, "file", b"some", None)
    assert "Contents" not in bucket.list_objects_v2(Bucket="events-bucket")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    unreachable = StorageTarget(
        root="s3://other-bucket/x",
        params={"config_kwargs": {"retries": {"max_attempts": 0}}},
    )
    with pytest.raises(OutputError, match="batch_config: s3://other-bucket/x/file cannot"):
        write(unreachable, "file", b"some")
