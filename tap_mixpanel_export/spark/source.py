"""The classes that Spark calls, on its driver and in the Python workers of its executors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition

from tap_mixpanel_export.spark.filters import Wanted, wanted
from tap_mixpanel_export.spark.options import read_options
from tap_mixpanel_export.spark.stream import StreamReader
from tap_mixpanel_export.spark.task import Task, read_task

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

    from tap_mixpanel_export.spark.options import SparkOptions


class DefaultSource(DataSource):
    """`spark.read.format("mixpanel_export")`: raw events, a snapshot, or as a stream."""

    @classmethod
    def name(cls) -> str:
        """The short name of the format."""
        return "mixpanel_export"

    def schema(self) -> Any:
        """Spark's form of the export's schema; sends nothing."""
        # Spark knows its types' names; the module imports no pandas.
        from pyspark.sql.pandas.types import from_arrow_schema  # noqa: PLC0415 - half a second

        return from_arrow_schema(read_options(self.options).export_for_planning().schema)

    def reader(self, schema: Any) -> DataSourceReader:  # noqa: ARG002 - it is that of `schema`
        """The reader of a load, which pushes filters only when asked to."""
        options = read_options(self.options)
        options.refuse_options_of_streams()
        return PushingReader(options) if options.filter_pushdown else SnapshotReader(options)

    def streamReader(self, schema: Any) -> StreamReader:  # noqa: ARG002, N802 - as above; Spark's name
        """The reader of a stream."""
        return StreamReader(read_options(self.options))


class SnapshotReader(DataSourceReader):
    """Reads the time from `start_date` to `end_date`, window by window."""

    def __init__(self, options: SparkOptions) -> None:
        self.options = options
        self.wanted = Wanted()

    def partitions(self) -> list[InputPartition]:
        """The windows; sends nothing."""
        options, job = self.options, uuid4().hex
        if self.wanted.names is not None and not options.settings.get("event_names"):
            # None of the names that are wanted is among those that the load was given.
            return []
        windows = options.export_for_planning().plan(
            days=options.partition_days,
            splits_per_day=options.splits_per_day,
            between=(self.wanted.since, self.wanted.until),
        )
        return [InputPartition(Task(job, window)) for window in windows]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Read one window."""
        return read_task(self.options, partition.value)


class PushingReader(SnapshotReader):
    """The same, for the days and event names that Spark's filters leave.

    Spark refuses a reader with this method unless `spark.sql.python.filterPushdown.enabled` is set.
    """

    def pushFilters(self, filters: list[Any]) -> Iterable[Any]:  # noqa: N802 - Spark's name
        """Look at the filters; Spark applies all of them again."""
        self.wanted = wanted(filters)
        changed = {
            *self.options.settings.get("hash_properties", ()),
            *self.options.settings.get("exclude_properties", ()),
        }
        names = self.wanted.names
        if names is not None and changed.isdisjoint({"event", "event_name"}):
            self.options = self.options.of_events(names)
        elif names is not None:
            # Filters speak of what is written, the export's setting of what is exported.
            self.wanted = Wanted(self.wanted.since, self.wanted.until)
        yield from filters
