"""A naive tap, as the SDK's template suggests it: public hooks only, nothing tuned.

It writes the same columns as this project's tap, without its promises: nothing is verified before
it is written, and no repeat is dropped.
"""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar

from requests.auth import HTTPBasicAuth
from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterable

    import requests
    from singer_sdk.helpers.types import Context

_PREFIX = "TAP_MIXPANEL_EXPORT_"
_COLUMNS = (
    ("import", "$import"),
    ("insert_id", "$insert_id"),
    ("item_id", "item_id"),
    ("item_name", "item_name"),
    ("item_price", "item_price"),
    ("mp_api_endpoint", "$mp_api_endpoint"),
    ("mp_api_timestamp_ms", "$mp_api_timestamp_ms"),
    ("mp_processing_time_ms", "mp_processing_time_ms"),
    ("distinct_id", "distinct_id"),
    ("time", "time"),
)


class NaiveStream(RESTStream[None]):
    """All events of the days that are asked for."""

    name = "events"
    path = "/export"
    primary_keys = ("event_id",)
    schema = th.PropertiesList(
        th.Property("event_id", th.StringType, required=True),
        th.Property("timestamp", th.DateTimeType, required=True),
        th.Property("event_name", th.StringType),
        th.Property("distinct_id", th.StringType),
        th.Property("import", th.BooleanType),
        th.Property("insert_id", th.StringType),
        th.Property("item_id", th.StringType),
        th.Property("item_name", th.StringType),
        th.Property("item_price", th.StringType),
        th.Property("mp_api_endpoint", th.StringType),
        th.Property("mp_api_timestamp_ms", th.IntegerType),
        th.Property("mp_processing_time_ms", th.IntegerType),
        th.Property("time", th.IntegerType),
        th.Property("properties", th.ObjectType(additional_properties=True)),
    ).to_dict()

    @property
    @override
    def url_base(self) -> str:
        return os.environ[_PREFIX + "API_URL"]

    @property
    @override
    def authenticator(self) -> HTTPBasicAuth:
        return HTTPBasicAuth(
            os.environ[_PREFIX + "SERVICE_ACCOUNT_USERNAME"],
            os.environ[_PREFIX + "SERVICE_ACCOUNT_SECRET"],
        )

    @override
    def get_url_params(self, context: Context | None, next_page_token: None) -> dict[str, Any]:
        return {
            "from_date": self.config["day"],
            "to_date": self.config["day"],
            "project_id": os.environ[_PREFIX + "PROJECT_ID"],
        }

    @override
    def parse_response(self, response: requests.Response) -> Iterable[dict[str, Any]]:
        for line in response.iter_lines():
            if line:
                yield json.loads(line)

    @override
    def post_process(
        self, row: dict[str, Any], context: Context | None = None
    ) -> dict[str, Any] | None:
        properties = row["properties"]
        record = {name: properties.get(source) for name, source in _COLUMNS}
        key = f"{row['event']}|{record['time']}|{record['distinct_id']}|{record['insert_id']}"
        record["item_price"] = str(record["item_price"])
        record["event_id"] = sha256(key.encode()).hexdigest()
        record["timestamp"] = datetime.fromtimestamp(record["time"], timezone.utc).isoformat()
        record["event_name"] = row["event"]
        record["properties"] = properties
        return record


class NaiveTap(Tap):
    """The naive tap."""

    name = "tap-naive"
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property("day", th.StringType, required=True)
    ).to_dict()

    @override
    def discover_streams(self) -> list[NaiveStream]:
        return [NaiveStream(self)]


if __name__ == "__main__":
    NaiveTap.cli()
