"""The service asked for a day's events, with nothing in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX = "TAP_MIXPANEL_EXPORT_"


def ask(day: str, service: Mapping[str, str], **more: str) -> requests.Response:
    """Ask for an export; its body is still to be read.

    Args:
        day: The day.
        service: The tap's variables, which say where and as whom.
        **more: More parameters of the query.

    Raises:
        requests.HTTPError: It was refused.
    """
    project = service[_PREFIX + "PROJECT_ID"]
    response = requests.get(
        service[_PREFIX + "API_URL"] + "/export",
        params={"from_date": day, "to_date": day, "project_id": project, **more},
        auth=(
            service[_PREFIX + "SERVICE_ACCOUNT_USERNAME"],
            service[_PREFIX + "SERVICE_ACCOUNT_SECRET"],
        ),
        headers={"Accept-Encoding": "gzip"},
        stream=True,
        timeout=60,
    )
    response.raise_for_status()
    return response
