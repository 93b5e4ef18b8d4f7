"""The SDK's own test suite for taps, against the sandbox."""

from __future__ import annotations

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from tap_mixpanel_export.sandbox import Sandbox
from tap_mixpanel_export.tap import TapMixpanelExport

pytestmark = pytest.mark.slow

SANDBOX = Sandbox()
SANDBOX.start()

CONFIG = {
    "service_account_username": SANDBOX.credentials.service_account_username,
    "service_account_secret": SANDBOX.credentials.service_account_secret,
    "project_id": SANDBOX.credentials.project_id,
    "api_url": SANDBOX.api_url,
}


def teardown_module() -> None:
    SANDBOX.stop()


TestTapMixpanelExport = get_tap_test_class(
    TapMixpanelExport,
    config=CONFIG,
    suite_config=SuiteConfig(max_records_limit=500),
)
