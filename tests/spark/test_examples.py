"""What the documentation shows of Spark, run in a cluster."""

from __future__ import annotations

from cluster import MARKS, rows_of, sandbox, truth

from tap_mixpanel_export.sandbox import Limits, SandboxClock

pytestmark = MARKS

LOAD = """
events = (
    spark.read.format("mixpanel_export")
    .option("start_date", "2026-01-11")
    .option("quota", QUOTA)
    .load()
)
"""

STREAM = """
events = (
    spark.readStream.format("mixpanel_export")
    .option("start_date", "2026-01-11")
    .option("quota", QUOTA)
    .load()
)
query = (
    events.writeStream.option("checkpointLocation", CHECKPOINT)
    .trigger(availableNow=True)
    .toTable("mixpanel_events")
)
query.awaitTermination()
"""


def test_the_examples_of_the_documentation(spark, tmp_path):
    # The clock of the service and those of all machines agree.
    with sandbox(limits=Limits(per_hour=60), clock=SandboxClock()) as service:
        here = f'.option("api_url", "{service.api_url}").option("end_date", "2026-01-20").load()'
        names = {"spark": spark, "QUOTA": f"{tmp_path}/quota", "CHECKPOINT": f"{tmp_path}/c"}
        exec(LOAD.replace(".load()", here), names)  # noqa: S102 - the documentation's own
        assert rows_of(names["events"]) == truth(service)
        exec(STREAM.replace(".load()", here), names)  # noqa: S102 - the documentation's own
        assert rows_of(spark.table("mixpanel_events")) == truth(service)
