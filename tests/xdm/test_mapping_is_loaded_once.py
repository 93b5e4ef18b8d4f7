from __future__ import annotations

from xdm_samples import SIGN_UP, record_message, schema_message

from tap_mixpanel_export.tap import TapMixpanelExport
from tap_mixpanel_export.xdm.mapper.mapper import XdmMapper
from tap_mixpanel_export.xdm.mapping.mapping_set import MappingSet


def counted(monkeypatch):
    loads = []
    load = MappingSet.load
    monkeypatch.setattr(MappingSet, "load", lambda path=None: loads.append(path) or load(path))
    return loads


def test_the_tap_reads_the_mapping_set_once(monkeypatch):
    loads = counted(monkeypatch)
    credentials = {"service_account_username": "u", "service_account_secret": "s"}
    tap = TapMixpanelExport(config={**credentials, "project_id": 1})
    assert "item_price" in tap.streams["events"].schema["properties"]
    assert tap.catalog_dict["streams"]
    assert len(loads) == 1


def test_the_mapper_reads_the_mapping_set_once(monkeypatch):
    schema = schema_message()
    loads = counted(monkeypatch)
    mapper = XdmMapper(config={})
    list(mapper.map_schema_message(schema))
    list(mapper.map_record_message(record_message(SIGN_UP)))
    assert len(loads) == 1
