"""Dagster: one Parquet file for each day of Mixpanel's events, replaced whole."""

import os
from datetime import date
from pathlib import Path

import dagster
import pyarrow.parquet

from tap_mixpanel_export import Export, Window

FOLDER = Path(os.environ.get("MIXPANEL_FOLDER", "mixpanel"))
# Yesterday, and the days before it, for which phones still deliver events.
DAYS = 6
DAILY = dagster.DailyPartitionsDefinition(start_date="2026-01-01")


@dagster.asset(partitions_def=DAILY)
def mixpanel_events(context: dagster.AssetExecutionContext) -> dagster.MaterializeResult:
    """Read a day, and put the complete file in the place of the old one."""
    day = date.fromisoformat(context.partition_key)
    FOLDER.mkdir(parents=True, exist_ok=True)
    part = FOLDER / f".{day}.part"
    rows = 0
    with (
        Export().read_window(Window(day, day)) as events,
        pyarrow.parquet.ParquetWriter(part, events.schema) as file,
    ):
        for batch in events:
            file.write_batch(batch)
            rows += batch.num_rows
    part.replace(FOLDER / f"{day}.parquet")
    return dagster.MaterializeResult(metadata={"dagster/row_count": rows})


@dagster.schedule(target="mixpanel_events", cron_schedule="30 3 * * *")
def every_night(context: dagster.ScheduleEvaluationContext) -> list[dagster.RunRequest]:
    """Ask for the last days again: what came late is in their files then."""
    night = context.scheduled_execution_time
    days = DAILY.get_partition_keys(current_time=night)[-DAYS:]
    return [dagster.RunRequest(run_key=f"{night:%F} {day}", partition_key=day) for day in days]


definitions = dagster.Definitions(assets=[mixpanel_events], schedules=[every_night])
