"""The fields that the class XDM ExperienceEvent itself gives to every record."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from tap_mixpanel_export.xdm.schema.field import XdmField, XdmType

if TYPE_CHECKING:
    from collections.abc import Mapping

CLASS_ID = "https://ns.adobe.com/xdm/context/experienceevent"
"""The class in the Schema Registry."""

REQUIRED_BASE_FIELDS = frozenset({"_id", "timestamp"})
"""Without these a row is rejected with INGEST-1555-400."""

_IDENTITY = XdmField(
    XdmType.OBJECT,
    properties=MappingProxyType(
        {
            "id": XdmField(XdmType.STRING),
            "authenticatedState": XdmField(
                XdmType.STRING, enum=("ambiguous", "authenticated", "loggedOut")
            ),
            "primary": XdmField(XdmType.BOOLEAN),
        }
    ),
)

BASE_FIELDS: Mapping[str, XdmField] = MappingProxyType(
    {
        "_id": XdmField(XdmType.STRING, "Identifier", "Unique identifier of the event."),
        "timestamp": XdmField(
            XdmType.DATE_TIME, "Timestamp", "When the event occurred, with its zone."
        ),
        "eventType": XdmField(XdmType.STRING, "Event type", "The kind of the event."),
        "producedBy": XdmField(XdmType.STRING, "Produced by", "What produced the event."),
        "eventMergeId": XdmField(
            XdmType.STRING,
            "Event merge identifier",
            "Identifies events that are to be merged into one.",
        ),
        "identityMap": XdmField(
            XdmType.MAP,
            "Identity map",
            "Identities of the person, by namespace.",
            items=XdmField(XdmType.ARRAY, items=_IDENTITY),
        ),
    }
)
"""Base fields by name."""
