"""Where things stand in a record of `events`, for all that make, select and read records."""

from __future__ import annotations

EVENT_ID = "event_id"
"""The key: a digest in hex."""

TIMESTAMP = "timestamp"
"""When the event occurred: RFC 3339 text in UTC."""

PROPERTIES = "properties"
"""All that was exported of the event; the last column, because it is most of the text."""

ALWAYS_WRITTEN = (EVENT_ID, TIMESTAMP)
"""The columns that no selection leaves out, the first ones of a record."""

# A digest in hex has 64 characters.
_DAY_START = len(f'{{"{EVENT_ID}":"","{TIMESTAMP}":"') + 64

DAY = slice(_DAY_START, _DAY_START + len(b"2026-11-22"))
"""Where the UTC day of the timestamp is in the JSON text of a record."""
