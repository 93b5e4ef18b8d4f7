"""Airbyte's source-mixpanel 4.0.2, pointed at the sandbox; its own code does all of the work.

The sandbox serves the export only: the other streams are left out, and the question for the
properties' names is answered here, with none where `BENCHMARK_PROPERTY_NAMES` has no JSON array of
them. Properties that the source has no column for are texts then.
"""

from __future__ import annotations

import copy
import json
import os
from typing import Any

from source_mixpanel import source, streams  # type: ignore[import-not-found]
from source_mixpanel.run import run  # type: ignore[import-not-found]


def _only_export(self: Any, config: dict[str, Any]) -> list[Any]:
    settings = self._validate_and_transform(copy.deepcopy(config))
    authenticator = self.get_authenticator(config)
    return [streams.Export(authenticator=authenticator, **settings, reqs_per_hour_limit=0)]


streams.Export.url_base = os.environ["TAP_MIXPANEL_EXPORT_API_URL"] + "/"
streams.ExportSchema.read_records = lambda *_arguments, **_more: iter(
    json.loads(os.environ.get("BENCHMARK_PROPERTY_NAMES", "[]"))
)
source.SourceMixpanel.streams = _only_export
run()
