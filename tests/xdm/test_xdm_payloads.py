from __future__ import annotations

import pytest
from xdm_samples import Files, attribute

from tap_mixpanel_export.xdm.cli.payloads import (
    field_group_payload,
    field_payload,
    identity_descriptors,
    schema_payload,
)
from tap_mixpanel_export.xdm.mapping.binding import load_mapping
from tap_mixpanel_export.xdm.schema.field import XdmField, XdmType
from tap_mixpanel_export.xdm.schema.field_group import FieldGroup


def test_the_field_group_has_the_tenants_name_and_reads_back_the_same():
    group = FieldGroup.load().with_tenant("acme")
    payload = field_group_payload(group)
    assert "{TENANT_ID}" not in str(payload)
    assert payload["meta:intendedToExtend"] == ["https://ns.adobe.com/xdm/context/experienceevent"]
    tenant = payload["definitions"]["customFields"]["properties"]["_acme"]
    assert tenant["properties"]["time"] == {
        "title": "Time",
        "description": (
            "When the event occurred, as exported: epoch time, of older projects the wall clock."
        ),
        "type": "integer",
        "meta:xdmType": "long",
        "minimum": -9007199254740991,
        "maximum": 9007199254740991,
    }
    assert FieldGroup.of(payload).root == group.root


@pytest.mark.parametrize(
    "field",
    [
        *(XdmField(t) for t in (XdmType.STRING, XdmType.URI, XdmType.DATE, XdmType.DATE_TIME)),
        XdmField(XdmType.NUMBER, minimum=0.5),
        XdmField(XdmType.BYTE, minimum=-128, maximum=127),
        XdmField(XdmType.STRING, enum=("a", "b"), pattern="^a", min_length=1, max_length=3),
        XdmField(XdmType.ARRAY, items=XdmField(XdmType.BOOLEAN)),
        XdmField(XdmType.MAP, items=XdmField(XdmType.STRING)),
        XdmField(
            XdmType.OBJECT,
            title="T",
            properties={"x": XdmField(XdmType.BOOLEAN)},
            required=frozenset({"x"}),
        ),
    ],
    ids=lambda field: field.label,
)
def test_every_field_reads_back_the_same(field):
    document = {"properties": {"_t": {"type": "object", "properties": {"f": field_payload(field)}}}}
    found = FieldGroup.of(document).root.at(("_t", "f"))
    assert found.json_schema() == field.json_schema()
    assert found.type is field.type


def test_the_schema_is_the_class_and_the_group_together():
    payload = schema_payload(load_mapping(tenant_id="acme"), title="Events")
    assert payload["title"] == "Events"
    assert payload["allOf"] == [
        {"$ref": "https://ns.adobe.com/xdm/context/experienceevent"},
        {"$ref": "https://ns.adobe.com/acme/mixins/{FIELD_GROUP_ID}"},
    ]
    named = schema_payload(load_mapping(), field_group_id="https://x/1")
    assert named["allOf"][1] == {"$ref": "https://x/1"}


def test_identity_flags_become_descriptors(tmp_path):
    flags = {"identity": True, "identityPrimary": True, "namespaceCode": "MIXPANEL"}
    mapping = Files(tmp_path).load(
        [attribute("data.distinct_id", "_extconndev.user.id", **flags)],
        {"user": {"type": "object", "properties": {"id": {"type": "string"}}}},
    )
    assert identity_descriptors(mapping, "https://x/2") == [
        {
            "@type": "xdm:descriptorIdentity",
            "xdm:sourceSchema": "https://x/2",
            "xdm:sourceVersion": 1,
            "xdm:sourceProperty": "/_extconndev/user/id",
            "xdm:namespace": "MIXPANEL",
            "xdm:property": "xdm:code",
            "xdm:isPrimary": True,
        }
    ]
    assert identity_descriptors(load_mapping()) == []
