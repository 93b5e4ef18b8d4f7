"""A dlt source: the export as Arrow batches, merged by `event_id`, with its state in dlt's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.typing import TSecretStrValue  # noqa: TC002 - dlt reads the annotations

from tap_mixpanel_export.export.api import Export

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

_STAMP = "mp_processing_time_ms"


@dlt.source(name="mixpanel", section="mixpanel")
def mixpanel(
    settings: dict[str, Any] | None = None,
    # Not `columns`: dlt would take the width of the terminal (COLUMNS) for it.
    column_names: list[str] | None = None,
    service_account_secret: TSecretStrValue | None = None,
    oauth_token: TSecretStrValue | None = None,
) -> Any:
    """Raw events, one resource `events`: each run brings what is new, late events included.

    All arguments can stand in dlt's configuration, section `sources.mixpanel`, and the settings in
    the environment, as the tap has them (`TAP_MIXPANEL_EXPORT_…`).

    Args:
        settings: The tap's, as in its `config.json`.
        column_names: Names of the columns wanted besides `event_id` and `timestamp`; None for all.
        service_account_secret: Where dlt keeps the secret.
        oauth_token: The same, of the other kind.

    Raises:
        SettingsError: All problems of the settings, in one message.
    """
    secrets = {"service_account_secret": service_account_secret, "oauth_token": oauth_token}
    given = {name: value for name, value in secrets.items() if value is not None}
    export = Export({**(settings or {}), **given}, columns=column_names)

    def events() -> Iterator[pa.RecordBatch]:
        # dlt keeps it together with what was loaded: an extraction that fails moves nothing.
        state = dlt.current.resource_state()
        with export.read(state.get("singer")) as reader:
            yield from reader
        state["singer"] = reader.state

    hints: dict[str, Any] = {"event_id": {"nullable": False}}
    if _STAMP in export.schema.names:
        # Of copies that come in one load, the one processed last stays.
        hints[_STAMP] = {"dedup_sort": "desc"}
    return dlt.resource(
        events, name="events", write_disposition="merge", primary_key="event_id", columns=hints
    )
