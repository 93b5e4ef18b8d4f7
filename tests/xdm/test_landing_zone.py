"""From Mixpanel to files in S3 that Adobe Experience Platform's own source takes."""

from __future__ import annotations

import gzip
import io
import json
import re
import shlex
import subprocess
import sys
from datetime import datetime, timezone

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from commands import command, tap_config
from event_truth import instant_of
from harness import truth
from jsonschema import Draft202012Validator, FormatChecker
from meltano_project import environment
from one_environment import make_environment
from readme import read

from tap_mixpanel_export.sandbox import Sandbox
from tap_mixpanel_export.xdm.mapping.binding import load_mapping, with_required_lines
from tap_mixpanel_export.xdm.mapping.output_schema import output_schema

pytestmark = [
    pytest.mark.warehouses,
    pytest.mark.slow,
    pytest.mark.xdist_group("landing zone"),
    pytest.mark.skipif(sys.version_info >= (3, 13), reason="the loader is for Python up to 3.12"),
]

BUCKET = "my-bucket"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
# What Platform's guardrails say of files and of events toward Profile.
LARGEST_EVENT_BYTES = 10 * 1024


def loaders_of(block: str) -> list[dict]:
    return yaml.safe_load(block).get("plugins", {}).get("loaders", [])


def shown() -> dict:
    """The plugin as README shows it."""
    blocks = re.findall(r"```yaml\n(.*?)```", read(), re.DOTALL)
    plugins = [p for block in blocks for p in loaders_of(block)]
    [plugin] = [plugin for plugin in plugins if plugin["name"] == "target-s3"]
    return plugin


@pytest.fixture(scope="module")
def loader(tmp_path_factory):
    python = make_environment(tmp_path_factory.mktemp("landing"), shown()["pip_url"])
    return python.parent / shown()["executable"]


def objects(s3) -> dict[str, bytes]:
    listed = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    keys = [entry["Key"] for entry in listed]
    return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def load(sandbox, loader, s3, folder, **settings):
    """Run tap, mapper and loader as a pipeline, the loader with README's settings."""
    config = {**shown()["config"], **settings}
    config["cloud_provider"]["aws"]["aws_endpoint_override"] = s3.meta.endpoint_url
    path = folder / "target.json"
    path.write_text(json.dumps(config))
    mapper = folder / "mapper.json"
    mapper.write_text(json.dumps({"diagnostics_dir": str(folder / "rejected")}))
    pipeline = [
        command("tap-mixpanel-export", "--config", tap_config(sandbox, folder)),
        command("map-mixpanel-xdm", "--config", str(mapper)),
        [str(loader), "--config", str(path)],
    ]
    script = " | ".join(shlex.join(part) for part in pipeline)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        env=environment(**CREDENTIALS),
    )
    assert done.returncode == 0, done.stderr[-4000:]


def today() -> str:
    return datetime.now(timezone.utc).strftime("%Y/%m/%d")


def check_files(files: dict[str, bytes], sandbox: Sandbox, began: str) -> None:
    # The day may have ended in between.
    day = f"(?:{began}|{today()})"
    schema = output_schema(with_required_lines(load_mapping()))
    checker = FormatChecker(["date-time", "date", "uri"])
    validator = Draft202012Validator(schema, format_checker=checker)
    ids = []
    for key, content in files.items():
        assert re.fullmatch(rf"landing/mixpanel_experience_events/{day}/[\w.-]+\.jsonl\.gz", key)
        lines = gzip.decompress(content).splitlines()
        assert 1 <= len(lines) <= 1000
        for line in lines:
            assert len(line) <= LARGEST_EVENT_BYTES
            event = json.loads(line)
            validator.validate(event)
            assert None not in event.values()
            ids.append(event["_id"])
    expected = truth(sandbox)
    assert len(files) >= len(expected) / 1000
    assert set(ids) == expected.keys()
    assert len(ids) == expected.total()


def test_files_are_what_the_platform_takes_and_are_never_written_over(loader, s3, tmp_path):
    s3.create_bucket(Bucket=BUCKET)
    began = today()
    with Sandbox() as sandbox:
        load(sandbox, loader, s3, tmp_path, max_batch_size=1000)
        first = objects(s3)
        check_files(first, sandbox, began)
        load(sandbox, loader, s3, tmp_path)
        second = objects(s3)
    assert first.items() < second.items()
    with Sandbox([]) as empty:
        load(empty, loader, s3, tmp_path)
    assert objects(s3).keys() == second.keys()


def test_parquet_files_hold_the_same_events_in_the_schemas_types(loader, s3, tmp_path):
    s3.create_bucket(Bucket=BUCKET)
    (told,) = re.findall(r"`(format: .*parquet.*get_schema.*)`", read())
    with Sandbox() as sandbox:
        load(sandbox, loader, s3, tmp_path)
        lines = b"".join(gzip.decompress(content) for content in objects(s3).values())
        load(sandbox, loader, s3, tmp_path, **yaml.safe_load(told), prefix="parquet")
    events = {event["_id"]: event for event in map(json.loads, lines.splitlines())}
    files = {key: content for key, content in objects(s3).items() if key.startswith("parquet/")}
    rows = []
    for key, content in files.items():
        assert key.endswith(".parquet")
        table = pq.read_table(io.BytesIO(content))
        assert table.schema.field("timestamp").type == pa.timestamp("ms", tz="utc")
        rows += table.to_pylist()
    assert len(rows) == len(events)
    assert {row["_id"]: filled(row) for row in rows} == {
        key: {**event, "timestamp": instant_of(event["timestamp"])} for key, event in events.items()
    }


def filled(row: dict) -> dict:
    """A row without the columns that it has no value for, as an event of XDM is."""
    fields = {k: filled(v) if isinstance(v, dict) else v for k, v in row.items()}
    return {name: value for name, value in fields.items() if value is not None}
