"""The stream that Spark reads in micro-batches; offsets are planned without a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pyspark.sql.datasource import DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import (
    ReadMaxFiles,
    SupportsTriggerAvailableNow,
)

from tap_mixpanel_export.spark.offsets import Offset
from tap_mixpanel_export.spark.task import Task, read_task
from tap_mixpanel_export.sync import server_clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from tap_mixpanel_export.spark.options import SparkOptions


class StreamReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Reads each event once: new days, and what comes late on the days before.

    The driver plans by its own clock, and asks for nothing: it has no credentials. Whether that
    clock was right the tasks tell, before they give a row: until they do, the batch fails, and is
    read again from the checkpoint.
    """

    def __init__(self, options: SparkOptions) -> None:
        self.options = options
        self._plan, self._bookmark = options.stream()
        self._target_ms: int | None = None

    def initialOffset(self) -> dict[str, Any]:  # noqa: N802 - Spark's name
        """Where a stream without a checkpoint begins."""
        return self._plan.first(self._bookmark).to_dict()

    def getDefaultReadLimit(self) -> Any:  # noqa: N802 - Spark's name
        """How many days a micro-batch reads for the first time; to Spark they are files."""
        return ReadMaxFiles(self.options.max_days_per_trigger or self._plan.usual_days)

    def latestOffset(self, start: dict[str, Any], limit: Any) -> dict[str, Any]:  # noqa: N802 - Spark's name
        """The end of the next micro-batch; `start` when there is nothing to read."""
        offset = Offset.from_dict(start)
        most_days = limit.max_files if isinstance(limit, ReadMaxFiles) else None
        end = self._plan.next(offset, self._present_ms(), most_days)
        # Spark compares texts.
        return start if end == offset else end.to_dict()

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802 - Spark's name
        """Take the present as the end of all micro-batches of this query."""
        self._target_ms = self._present_ms()

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> list[InputPartition]:
        """The windows of a micro-batch."""
        job = uuid4().hex
        windows = self._plan.windows(Offset.from_dict(start), Offset.from_dict(end))
        return [InputPartition(Task(job, window, to_its_end=True)) for window in windows]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Read one window."""
        return read_task(self.options, partition.value)

    def _present_ms(self) -> int:
        if self._target_ms is not None:
            return self._target_ms
        return self._plan.present(server_clock.machine_now())
