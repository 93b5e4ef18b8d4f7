"""Airflow 3: the job of a Meltano project each night, and a message when it fails."""

import json
import os
from pathlib import Path
from typing import Any

import requests
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag

PROJECT = Path(os.environ.get("MIXPANEL_PROJECT", "/project"))


def tell(context: dict[str, Any]) -> None:
    """Post what the last run's document says to a chat."""
    document = PROJECT / "report" / "run.json"
    run = json.loads(document.read_text()) if document.exists() else {}
    lines = [
        f"{context['dag'].dag_id} failed. The last run of the export:",
        f"{run.get('startedAt', 'none')}: {run.get('headline', 'see the log of the task')}",
        run.get("error") or "It ended well: see the log of the task.",
    ]
    url = os.environ["MIXPANEL_ALERTS_URL"]
    requests.post(url, json={"text": "\n".join(lines)}, timeout=30).raise_for_status()


@dag(schedule="30 3 * * *", catchup=False, max_active_runs=1)
def mixpanel_watched() -> None:
    """Run what `meltano.yml` calls `mixpanel-watched`."""
    BashOperator(
        task_id="export",
        bash_command="meltano run mixpanel-watched",
        cwd=str(PROJECT),
        on_failure_callback=tell,
    )


mixpanel_watched()
