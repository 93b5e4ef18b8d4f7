"""Where things stand in a record of `events`, for all that make, select and read records."""

from __future__ import annotations

STREAM = "events"
"""The stream's name."""

EVENT_ID = "event_id"
"""The key: a digest in hex."""

TIMESTAMP = "timestamp"
"""When the event occurred: RFC 3339 text in UTC."""

PROPERTIES = "properties"
"""All that was exported of the event; the last column, because it is most of the text."""

ALWAYS_WRITTEN = (EVENT_ID, TIMESTAMP)
"""The columns that no selection leaves out, the first ones of a record."""
