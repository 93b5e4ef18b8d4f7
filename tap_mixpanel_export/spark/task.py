"""What one task of Spark does: one window, under a lease, unless the service has refused before."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote as quoted

from tap_mixpanel_export.api.object_store import open_store
from tap_mixpanel_export.api.quota import open_quota
from tap_mixpanel_export.errors import ClockError, LongPauseError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from tap_mixpanel_export.api.object_store import ObjectStore
    from tap_mixpanel_export.export.window import Window
    from tap_mixpanel_export.spark.options import SparkOptions

# Spark tries a task four times within minutes; who loads later has changed something, perhaps.
_REFUSAL_SECONDS = 600.0

# Of the machine, before a task has its own.
_TEMPORARY = tempfile.gettempdir()


@dataclass(frozen=True)
class Task:
    """What a task is to read; can be pickled, and holds no secret.

    Attributes:
        job: Name of the load, the same in all of its tasks.
        window: The piece of the export.
        to_its_end: Whether it is read for the last time, as micro-batches of a stream are.
    """

    job: str
    window: Window
    to_its_end: bool = False


def read_task(options: SparkOptions, task: Task | None) -> Iterator[pa.RecordBatch]:
    """Read a window, in a Python worker of an executor.

    Without windows Spark makes one partition, of nothing: there is no task, and no event.

    Of several tries at once one asks, the others wait. What the service has refused for one task
    of the load is refused for all of them, without asking.

    Raises:
        ExportError: As `Export.read_window`; `SettingsError` without credentials.
    """
    if task is None:
        return
    _use_local_disk()
    credentials = options.read_credentials()
    project = f"{options.settings.get('project_id') or credentials.get('project_id') or ''}"
    url = options.quota or _own_quota()
    # 60 queries, unless the tasks get a share of them only.
    limit = int(options.settings.get("max_queries_per_hour") or 60)
    store = open_store(url, f"{quoted(project, safe='') or 'default'}-refusals")
    with closing(open_quota(f"{url}/", project=project, max_per_hour=limit)) as quota:
        export = options.export(quota, credentials)
        with quota.lease(f"{task.job} {task.window.id}"):
            _raise_if_refused(store, task.job)
            try:
                with export.read_window(task.window, to_its_end=task.to_its_end) as reader:
                    yield from reader
            except (RequestError, LongPauseError, ClockError) as error:
                store.write(task.job, {"at": time.time(), "text": str(error)})
                raise


def _raise_if_refused(store: ObjectStore, job: str) -> None:
    for name in store.names():
        at = store.read(name).get("at")
        if not isinstance(at, float) or abs(time.time() - at) > _REFUSAL_SECONDS:
            store.remove(name)
        elif name == job:
            text = store.read(name).get("text")
            raise RequestError(f"{text} (asked once; load again to ask again)")


def _own_quota() -> str:
    """A folder that all Python workers of this user on this machine find."""
    return str(Path(_TEMPORARY) / f"mixpanel-export-quota-{os.getuid()}")


def _use_local_disk() -> None:
    """Keep spools where Spark keeps its own: the temporary folder of executors is small."""
    folders = [folder for folder in os.environ.get("SPARK_LOCAL_DIRS", "").split(",") if folder]
    if folders and "TMPDIR" not in os.environ:
        tempfile.tempdir = folders[0]
