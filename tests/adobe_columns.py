"""The columns for everybody: the attributes of Adobe's Mixpanel source, as its page lists them."""

from __future__ import annotations

ADOBE_COLUMNS = {
    "distinct_id": "String",
    "event_name": "String",
    "import": "Boolean",
    "insert_id": "String",
    "item_id": "String",
    "item_name": "String",
    "item_price": "String",
    "mp_api_endpoint": "String",
    "mp_api_timestamp_ms": "Long",
    "mp_processing_time_ms": "Long",
    "time": "Long",
}
"""Names, in their order, and Adobe's names of their types."""
