"""No secret is in what Spark shows or keeps: looked at when all other tests of the cluster ran."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
from cluster import CREDENTIALS, MARKS, SECRET, load, load_options, sandbox, truth

pytestmark = MARKS

PAGES = (
    *("/environment/", "/jobs/", "/stages/", "/executors/", "/SQL/", "/connect/"),
    *("/StreamingQuery/", "/api/v1/applications"),
)


@pytest.fixture
def client(connect_port):
    """Runs a program against Spark Connect, and gives what it prints."""
    pytest.importorskip("grpc", reason="Spark Connect needs grpcio: the group `spark`")

    def run(options):
        done = subprocess.run(
            [
                *(sys.executable, Path(__file__).parent / "connect_client.py"),
                *(f"sc://127.0.0.1:{connect_port}", json.dumps(options)),
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    return run


def test_no_secret_is_in_plans_pages_errors_or_event_logs(spark, tmp_path, event_logs, client):
    from pyspark.errors import PySparkException  # noqa: PLC0415 - there when a session is

    with sandbox() as service:
        with pytest.raises(PySparkException) as caught:
            load(spark, service, tmp_path, service_account_secret=SECRET)
        assert "service_account_secret is a secret" in str(caught.value)
        assert SECRET not in str(caught.value)
        frame = load(spark, service, tmp_path, partition_days=10)
        # Plans are kept with what ran.
        assert frame.count() == truth(service).total()
        told = client(load_options(service, tmp_path, partition_days=10))
        assert told.startswith(f"{truth(service).total()}\n")
        assert "oauth_token is a secret" in told
        plan = frame._jdf.queryExecution()
        shown = {"plan": plan.toString(), "plan as JSON": plan.analyzed().toJSON()}
        api_url = service.api_url
    context = spark.sparkContext
    rest = f"/api/v1/applications/{context.applicationId}"
    for page in (*PAGES, f"{rest}/environment", f"{rest}/sql"):
        with urlopen(f"{context.uiWebUrl}{page}") as response:  # noqa: S310 - on this machine
            shown[page] = response.read().decode()
    logs = [path.read_text() for path in event_logs.rglob("*") if path.is_file()]
    shown["event logs"] = "\n".join(logs)
    assert [name for name, text in shown.items() if SECRET in text] == []
    # What there is to be seen is there: the options, and that there is a secret.
    assert "mixpanel_export" in shown["plan"]
    # Of Spark Connect, which shows options.
    assert api_url in shown["event logs"]
    (secret,) = (name for name in CREDENTIALS if name.endswith("_SECRET"))
    assert secret in shown["event logs"]
    assert secret in shown[f"{rest}/environment"]
