"""Record batches of an export, as they are verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    import pyarrow as pa
    from typing_extensions import Self

    from tap_mixpanel_export.sync.summary import RunSummary


class EventReader:
    """An iterator of `pyarrow.RecordBatch`, and a context manager that ends the export early.

    Arrow's C stream interface (`__arrow_c_stream__`) lets DuckDB, Polars, pandas and pyarrow read
    it as it is. A batch comes out only after its whole window was verified. What fails raises an
    `ExportError`; so does every later try to read on.

    It can be read once. Leaving it half read is fine: close it, or let it go.

    Args:
        schema: Of all batches.
        batches: Downloads; each batch, and the state (None when it does not move) once all batches
            of a window were taken.
        state: What the state says before anything is read, in Singer's form.
        summary: What the export does, as it goes on.
    """

    def __init__(
        self,
        schema: pa.Schema,
        batches: Callable[[EventReader], Generator[pa.RecordBatch, None, None]],
        state: dict[str, Any] | None,
        summary: RunSummary,
    ) -> None:
        self.schema = schema
        self.state = state
        """For `Export.read`, the next time: everything up to it was taken from this reader."""
        self.summary = summary
        """Counts so far; `to_dict()` gives them with Adobe's names."""
        self._batches = batches(self)
        self._error: BaseException | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> pa.RecordBatch:
        if self._error is not None:
            raise self._error
        try:
            return next(self._batches)
        except StopIteration:
            raise
        except BaseException as error:
            # An iterator that has failed once would look as if it had come to its end.
            self._error = error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all downloads, and free their disk space."""
        self._batches.close()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The batches as an Arrow C stream, see Arrow's PyCapsule interface."""
        return self.to_reader().__arrow_c_stream__(requested_schema)

    def to_reader(self) -> pa.RecordBatchReader:
        """The batches as a `pyarrow.RecordBatchReader`."""
        import pyarrow as pa  # noqa: PLC0415 - an extra, and half a second to import

        return pa.RecordBatchReader.from_batches(self.schema, self)

    def read_all(self) -> pa.Table:
        """All batches as one table, in memory."""
        return self.to_reader().read_all()
