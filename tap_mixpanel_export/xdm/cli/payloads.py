"""Payloads for the XDM Schema Registry: field group, schema, identity descriptors.

They go to the registry's `/tenant/fieldgroups`, `/tenant/schemas` and `/tenant/descriptors`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tap_mixpanel_export.xdm.schema.experience_event import BASE_FIELDS, CLASS_ID
from tap_mixpanel_export.xdm.schema.field import ITEM_KEYWORDS, XdmField, XdmType

if TYPE_CHECKING:
    from tap_mixpanel_export.xdm.mapping.binding import BoundMapping
    from tap_mixpanel_export.xdm.schema.documents import JsonObject
    from tap_mixpanel_export.xdm.schema.field_group import FieldGroup


def field_payload(field: XdmField) -> JsonObject:
    """Return a field as the registry writes it."""
    # The registry knows no type of URIs: they are strings with a format.
    xdm_type = XdmType.STRING if field.type is XdmType.URI else field.type
    texts = {"title": field.title, "description": field.description}
    payload: JsonObject = {key: text for key, text in texts.items() if text}
    payload |= {"type": field.type.json_type, "meta:xdmType": xdm_type.value, **field.keywords}
    if field.enum:
        payload["enum"] = list(field.enum)
        payload["meta:enum"] = {str(value): str(value) for value in field.enum}
    if field.type is XdmType.OBJECT:
        payload["properties"] = {n: field_payload(child) for n, child in field.properties.items()}
        if field.required:
            payload["required"] = sorted(field.required)
    elif field.type in ITEM_KEYWORDS:
        payload[ITEM_KEYWORDS[field.type]] = field_payload(field.item)
    return payload


def field_group_payload(group: FieldGroup) -> JsonObject:
    """Return the payload that creates a field group, with the tenant's name in place."""
    own = {n: child for n, child in group.root.properties.items() if n not in BASE_FIELDS}
    required = group.root.required & own.keys()
    custom = field_payload(replace(group.root, properties=own, required=required))
    return {
        "title": group.document.get("title", "Mixpanel events"),
        "description": group.document.get("description", "Properties of Mixpanel events."),
        "type": "object",
        "meta:intendedToExtend": [CLASS_ID],
        "definitions": {"customFields": custom},
        "allOf": [
            {"$ref": "#/definitions/customFields", "type": "object", "meta:xdmType": "object"}
        ],
    }


def schema_payload(
    mapping: BoundMapping, *, title: str = "Mixpanel events", field_group_id: str | None = None
) -> JsonObject:
    """Return the payload that creates the schema: the class and the field group together.

    Args:
        mapping: The mapping, for the field group and the tenant.
        title: Name of the schema.
        field_group_id: The `$id` that the registry gave to the field group; None is the one in the
            file, else a placeholder.
    """
    reference = (
        field_group_id
        or mapping.field_group.document.get("$id")
        or f"https://ns.adobe.com/{mapping.tenant_id}/mixins/{{FIELD_GROUP_ID}}"
    )
    return {
        "title": title,
        "description": "Raw Mixpanel events as XDM ExperienceEvents.",
        "type": "object",
        "allOf": [{"$ref": CLASS_ID}, {"$ref": reference}],
    }


def identity_descriptors(mapping: BoundMapping, schema_id: str | None = None) -> list[JsonObject]:
    """Return one payload per destination that identifies a person.

    Args:
        mapping: The mapping, with the identity flags of its lines.
        schema_id: The `$id` that the registry gave to the schema; None is the mapping set's
            `xdmSchema`, with the tenant's name in place.
    """
    schema = schema_id or str(mapping.mapping_set.schema_id or "{SCHEMA_ID}")
    return [
        {
            "@type": "xdm:descriptorIdentity",
            "xdm:sourceSchema": schema.replace("{TENANT_ID}", mapping.tenant_id),
            "xdm:sourceVersion": 1,
            "xdm:sourceProperty": "/" + "/".join(bound.destination),
            "xdm:namespace": bound.line.identity.namespace,
            "xdm:property": "xdm:code",
            "xdm:isPrimary": bound.line.identity.primary,
        }
        for bound in mapping.lines
        if bound.line.identity is not None
    ]
