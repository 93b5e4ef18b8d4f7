"""Airflow 3: one Parquet file for each day of Mixpanel's events, replaced whole."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Param, dag, task

FOLDER = Path(os.environ.get("MIXPANEL_FOLDER", "mixpanel"))
# Yesterday, and the days before it, for which phones still deliver events.
DAYS = 6
DATES = {name: Param(None, type=["null", "string"], format="date") for name in ("first", "last")}


@dag(schedule="30 3 * * *", catchup=False, max_active_runs=1, params=DATES)
def mixpanel_events() -> None:
    """Load the last days again, or those from `first` to `last`."""

    @task
    def plan(params: dict[str, Any], dag_run: Any) -> list[dict[str, Any]]:
        from tap_mixpanel_export import Export

        today = (dag_run.data_interval_end or dag_run.run_after).date()
        first = params["first"] or str(today - timedelta(days=DAYS))
        last = params["last"] or str(today - timedelta(days=1))
        days = Export({"start_date": first, "end_date": last}).plan(days=1)
        return [day.to_dict() for day in days]

    # The export itself tries again what may pass: no `retries`.
    @task(max_active_tis_per_dag=4)
    def load(day: dict[str, Any]) -> None:
        import pyarrow.parquet

        from tap_mixpanel_export import Export, Window

        window = Window.from_dict(day)
        FOLDER.mkdir(parents=True, exist_ok=True)
        part = FOLDER / f".{window.first}.part"
        with (
            Export().read_window(window) as events,
            pyarrow.parquet.ParquetWriter(part, events.schema) as file,
        ):
            for batch in events:
                file.write_batch(batch)
        part.replace(FOLDER / f"{window.first}.parquet")

    load.expand(day=plan())


mixpanel_events()
