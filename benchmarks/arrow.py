"""The Python interface: a day's events as Arrow batches, counted, or written as Parquet.

Nothing is written to stdout; without a file, the number of rows is all that is left of them.
"""

from __future__ import annotations

import sys

from tap_mixpanel_export import Export


def main(day: str, rows_file: str, parquet_file: str | None = None) -> None:
    """Read the events of a day.

    Args:
        day: The day.
        rows_file: Takes the number of rows.
        parquet_file: Takes the rows; None to drop them.
    """
    reader = Export({"start_date": day, "end_date": day}).read()
    rows = 0
    if parquet_file is None:
        for batch in reader:
            rows += batch.num_rows
    else:
        import pyarrow.parquet as pq  # noqa: PLC0415 - only what is measured is imported

        # A dictionary of what is another value in each row is made to be given up.
        options = {"compression": "zstd", "use_dictionary": ["event_name", "mp_api_endpoint"]}
        with pq.ParquetWriter(parquet_file, reader.schema, **options) as writer:
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
    with open(rows_file, "w") as file:  # noqa: PTH123 - as little as can be besides the export
        file.write(str(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
