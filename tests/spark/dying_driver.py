"""A stream into files, one folder for each micro-batch; as a program, it dies behind the third."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

_LAST_WORK = 2


def available_now(spark, options, folder, after_write=lambda _number: None):
    """Read what there is, and write it."""

    def write(frame, number):
        # A batch that is written again replaces what is there.
        frame.write.mode("overwrite").parquet(f"{folder}/rows/batch={number}")
        after_write(number)

    events = spark.readStream.format("mixpanel_export").options(**options).load()
    query = (
        events.writeStream.foreachBatch(write)
        .option("checkpointLocation", f"{folder}/checkpoint")
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()


def main():
    """Run in a session of its own, and die before the commit."""
    folder, status = sys.argv[1:]
    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    options = json.loads((Path(folder) / "options.json").read_text())

    def die(number):
        if number == _LAST_WORK:
            os._exit(int(status))

    available_now(session.getOrCreate(), options, folder, die)


if __name__ == "__main__":
    main()
