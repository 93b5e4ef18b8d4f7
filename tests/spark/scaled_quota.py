"""A function of a user's, which executors call for credentials: here it scales their quota, too."""

from __future__ import annotations

import os
from typing import Any

from tap_mixpanel_export.api.waiting import Quota

_PREFIX = "TAP_MIXPANEL_EXPORT_"


def credentials() -> dict[str, Any]:
    """The credentials of the executors' environment, and an hour of half a minute."""
    Quota.HOUR_SECONDS = 30.0
    names = ("service_account_username", "service_account_secret")
    given = {name: os.environ[f"{_PREFIX}{name.upper()}"] for name in names}
    return {**given, "project_id": int(os.environ[f"{_PREFIX}PROJECT_ID"])}
