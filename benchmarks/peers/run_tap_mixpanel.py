"""tap-mixpanel 1.8.0, pointed at the sandbox; its own code does all of the work.

The sandbox serves the export only. What else the tap asks for before it exports is answered here:
the check of the credentials, and the names of the properties for its discovery.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any

_PREFIX = "TAP_MIXPANEL_EXPORT_"
# A JSON array of the properties' names, where those of one event are too few.
_NAMES = "BENCHMARK_PROPERTY_NAMES"


def _names(day: str) -> dict[str, Any]:
    """The properties' names as Mixpanel's `events/properties/top` gives them: of one event."""
    if _NAMES in os.environ:
        return {name: {"count": 1} for name in json.loads(os.environ[_NAMES])}
    import requests  # noqa: PLC0415 - of the peer's environment

    with requests.get(
        os.environ[_PREFIX + "API_URL"] + "/export",
        params={"from_date": day, "to_date": day},
        auth=(os.environ["BENCHMARK_PROJECT_SECRET"], ""),
        stream=True,
        timeout=60,
    ) as response:
        response.raise_for_status()
        event = json.loads(next(response.iter_lines()))
    return {name: {"count": 1} for name in event["properties"]}


def main(day: str, last_day: str) -> None:
    """Write the messages of some days to stdout."""
    # It exists in an environment of its own only.
    import tap_mixpanel  # type: ignore[import-not-found]  # noqa: PLC0415
    from tap_mixpanel import discover, streams  # noqa: PLC0415
    from tap_mixpanel.client import MixpanelClient  # type: ignore[import-not-found]  # noqa: PLC0415

    only = {"export": streams.STREAMS["export"]}
    for table in (streams.STREAMS, discover.STREAMS):
        table.clear()
        table.update(only)
    streams.STREAMS["export"].url = os.environ[_PREFIX + "API_URL"]
    names = _names(day)
    MixpanelClient.check_access = lambda _self: True
    MixpanelClient.request = lambda _self, **_request: names

    config = {
        # It sends this as the whole Basic credential; the colon before the empty password is part
        # of one, and the sandbox insists on it.
        "api_secret": os.environ["BENCHMARK_PROJECT_SECRET"] + ":",
        "project_timezone": os.environ.get("BENCHMARK_PROJECT_TIMEZONE", "UTC"),
        "attribution_window": "1",
        "start_date": f"{day}T00:00:00Z",
        "end_date": f"{last_day}T23:59:59Z",
        "date_window_size": "2",
        "user_agent": "benchmark",
        "select_properties_by_default": "true",
    }
    client = MixpanelClient("", "", 60)
    # As its `main` does: the name is not mangled there.
    setattr(client, "__api_domain", "")
    catalog = discover.discover(client, "true").to_dict()
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            entry["metadata"]["selected"] = True
    with tempfile.TemporaryDirectory() as folder:
        for name, document in (("config", config), ("catalog", catalog)):
            with open(f"{folder}/{name}", "w", encoding="utf-8") as file:  # noqa: PTH123
                json.dump(document, file)
        sys.argv[1:] = ["--config", f"{folder}/config", "--catalog", f"{folder}/catalog"]
        tap_mixpanel.main()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[-1])
