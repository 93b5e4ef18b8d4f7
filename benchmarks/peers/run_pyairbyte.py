"""PyAirbyte 0.71.3 into DuckDB, its source-mixpanel 4.0.2 from an environment of its own."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path


def main(source_python: str, config: str, database: str) -> None:
    """Read the stream `export`.

    Args:
        source_python: The interpreter that has the source.
        config: The source's settings, a file.
        database: The file to make; other files lie beside it.
    """
    folder = Path(database).parent
    # It keeps its cache where it runs.
    os.chdir(folder)
    os.environ["AIRBYTE_LOGGING_ROOT"] = str(folder / "logs")
    source = folder / "source-mixpanel"
    wrapper = Path(__file__).with_name("run_source_mixpanel.py")
    command = shlex.join([source_python, str(wrapper)])
    source.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    source.chmod(0o755)
    # It exists in an environment of its own only, and reads the variables above.
    import airbyte  # type: ignore[import-not-found]  # noqa: PLC0415
    from airbyte.caches import DuckDBCache  # type: ignore[import-not-found]  # noqa: PLC0415

    settings = json.loads(Path(config).read_text())
    reader = airbyte.get_source("source-mixpanel", local_executable=source, config=settings)
    reader.select_streams(["export"])
    reader.read(cache=DuckDBCache(db_path=database))


if __name__ == "__main__":
    main(*sys.argv[1:])
