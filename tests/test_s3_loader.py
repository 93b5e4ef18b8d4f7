"""A loader that writes to S3 and what speaks like it, tried against a server of the test's own."""

from __future__ import annotations

import gzip
import json
import subprocess
from datetime import datetime, timezone

import pytest
from event_truth import Row, expected_rows, instant_of, parse
from meltano_project import BIN, environment
from one_environment import make_environment

from tap_mixpanel_export.sandbox import Sandbox, SandboxClock

pytestmark = [pytest.mark.warehouses, pytest.mark.slow]

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
PACKAGE = "plinxore-target-s3==0.1.7"
KEYS = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}


def test_every_event_arrives_in_s3_once(tmp_path, s3):
    python = make_environment(tmp_path, PACKAGE)
    s3.create_bucket(Bucket="lake")
    where = {
        "aws_region": "us-east-1",
        "aws_bucket": "lake",
        "aws_endpoint_override": s3.meta.endpoint_url,
    }
    config = {
        "format": {"format_type": "jsonl"},
        "cloud_provider": {"cloud_provider_type": "aws", "aws": {**KEYS, **where}},
        "prefix": "mixpanel",
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    with Sandbox(clock=SandboxClock.fixed(NOON)) as sandbox:
        exported = subprocess.run(
            [BIN / "tap-mixpanel-export", "--config=ENV"],
            check=True,
            env=environment(
                sandbox,
                TAP_MIXPANEL_EXPORT_START_DATE="2026-11-13",
                TAP_MIXPANEL_EXPORT_PROPERTIES_FORMAT="string",
            ),
            stdout=subprocess.PIPE,
        ).stdout
        truth = expected_rows(sandbox.visible())
    subprocess.run(
        [python.parent / "target-s3", "--config", tmp_path / "config.json"],
        check=True,
        input=exported,
        env=environment(),
        stdout=subprocess.DEVNULL,
    )
    rows = []
    for entry in s3.list_objects_v2(Bucket="lake", Prefix="mixpanel/events/")["Contents"]:
        content = s3.get_object(Bucket="lake", Key=entry["Key"])["Body"].read()
        rows += [json.loads(line) for line in gzip.decompress(content).split(b"\n") if line]
    assert len(rows) == len(truth)
    assert {
        row["event_id"]: Row(
            row["event_name"], instant_of(row["timestamp"]), parse(row["properties"])
        )
        for row in rows
    } == truth
