"""What the Meltano Hub and a Meltano project are told about the tap agrees with the tap."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any
from xml.etree import ElementTree  # noqa: ICN001 - its name

import jsonschema
import pytest
import yaml
from meltano_project import BIN, ROOT
from yamllint import linter
from yamllint.config import YamlLintConfig

from docs import hub, meltano, tables
from docs.about import about

HUB = ROOT / "hub"
MAPPERS_CAPABILITIES = {"about", "schema-flattening", "stream-maps", "structured-logging"}
PROJECT_FILES = [ROOT / "meltano.yml", ROOT / "tests" / "targets" / "meltano.yml"]


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return about()


@pytest.fixture(scope="module")
def definition() -> dict[str, Any]:
    return yaml.safe_load((HUB / "tap-mixpanel-export.yml").read_text())


@pytest.fixture(scope="module")
def extractor() -> dict[str, Any]:
    (only,) = yaml.safe_load((ROOT / "meltano.yml").read_text())["plugins"]["extractors"]
    return only


@pytest.mark.slow
def test_the_files_are_what_tap_and_mapper_say(told):
    generated = hub.files(told, about("map_mixpanel_xdm"))
    assert {name: (HUB / name).read_text() for name in generated} == generated, "run python -m docs"
    assert {path.name for path in HUB.iterdir()} == {*hub.FILES, "schema.json"}


@pytest.mark.parametrize("name", ["tap-mixpanel-export.yml", "map-mixpanel-xdm.yml"])
def test_the_pull_request_agrees_with_itself(name):
    # The Hub takes a plugin's name for that of its folder, and asks for a maintainer of that name.
    plugin = yaml.safe_load((HUB / name).read_text())
    kind, folder, file = hub.FILES[name].split("/")[-3:]
    assert (plugin["name"], f"{plugin['variant']}.yml") == (folder, file)
    variants = yaml.safe_load((HUB / "default_variants.yml").read_text())
    assert variants[kind][plugin["name"]] == plugin["variant"]
    maintainer = yaml.safe_load((HUB / "maintainers.yml").read_text())[plugin["variant"].lower()]
    assert maintainer.keys() == {"label", "name", "url"}
    assert plugin["repo"].startswith(maintainer["url"])


def test_the_hub_has_the_logos():
    logos = {
        yaml.safe_load((HUB / name).read_text())["logo_url"]
        for name in ("tap-mixpanel-export.yml", "map-mixpanel-xdm.yml")
    }
    new = {f"/{place.partition('/')[2]}" for place in hub.FILES.values() if "/logos/" in place}
    # That of Mixpanel's other taps is there already.
    assert logos - new == {"/assets/logos/extractors/mixpanel.png"}
    assert new <= logos
    logo = ElementTree.parse(HUB / "map-mixpanel-xdm.svg").getroot()  # noqa: S314 - our own
    assert logo.tag == "{http://www.w3.org/2000/svg}svg"


# The Hub's own rules for its YAML, as its linter has them.
LINT = """
extends: default
rules:
  braces: {forbid: non-empty}
  document-start: {present: false}
  indentation: {indent-sequences: false, spaces: 2}
  key-ordering: enable
  line-length: disable
  trailing-spaces: disable
  truthy: disable
"""


@pytest.mark.parametrize("name", sorted(name for name in hub.FILES if name.endswith(".yml")))
def test_the_linter_of_the_hub_is_content(name):
    problems = linter.run((HUB / name).read_text(), YamlLintConfig(LINT))
    assert [str(problem) for problem in problems] == []


@pytest.mark.slow
def test_the_mapper_is_one_of_the_hub():
    mapper = yaml.safe_load((HUB / "map-mixpanel-xdm.yml").read_text())
    assert list(mapper) == sorted(mapper)
    # An extractor has more capabilities, and a schema for all: the rest is the same.
    assert set(mapper["capabilities"]) <= MAPPERS_CAPABILITIES
    of_an_extractor = {
        "name": "tap-any",
        "namespace": "tap_any",
        "settings_group_validation": [["tenant_id"]],
        "logo_url": "/assets/logos/extractors/any.svg",
    }
    validator().validate({**mapper, **of_an_extractor})
    names = [setting["name"] for setting in mapper["settings"]]
    assert names == list(about("map_mixpanel_xdm")["settings"]["properties"])


def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads((HUB / "schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def test_the_definition_follows_the_rules_of_the_hub(definition):
    validator().validate(definition)
    assert list(definition) == sorted(definition)
    names = {setting["name"] for setting in definition["settings"]}
    assert len(names) == len(definition["settings"])
    for group in definition["settings_group_validation"]:
        assert set(group) <= names


@pytest.mark.parametrize(
    "change",
    [
        {"quality": "platinum"},
        {"colour": "red"},
        {"capabilities": ["fly"]},
        {"domain_url": "mixpanel"},
        {"settings": [{"label": "no name"}]},
        {"settings": [{"name": "region", "kind": "options"}]},
        {"settings": [{"name": "region", "kind": "text"}]},
    ],
)
def test_the_rules_refuse_what_the_hub_would(definition, change):
    assert not validator().is_valid({**definition, **change})


@pytest.mark.parametrize("missing", ["name", "namespace", "variant", "quality"])
def test_the_rules_ask_for_what_the_hub_needs(definition, missing):
    assert not validator().is_valid({k: v for k, v in definition.items() if k != missing})


def test_secrets_are_passwords_and_dates_are_dates(definition):
    kinds = {setting["name"]: setting["kind"] for setting in definition["settings"]}
    assert {name for name, kind in kinds.items() if kind == "password"} == {
        "hash_salt",
        "oauth_token",
        "project_secret",
        "service_account_secret",
    }
    assert kinds["start_date"] == kinds["end_date"] == "date_iso8601"


@pytest.mark.slow
@pytest.mark.parametrize("path", PROJECT_FILES, ids=lambda path: path.parent.name)
def test_project_files_are_valid_for_meltano(path):
    done = subprocess.run(
        [BIN / "check-jsonschema", "--builtin-schema", "vendor.meltano", path],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_the_project_file_declares_what_the_tap_says(told):
    project = (ROOT / "meltano.yml").read_text()
    assert project == meltano.render(project, told), "run python -m docs"


def test_each_setting_of_the_tap_can_be_set_in_meltano(told, extractor):
    declared = {setting["name"]: setting for setting in extractor["settings"]}
    properties = told["settings"]["properties"]
    # Members of an object are settings of their own, so that each has a variable.
    assert list(dict.fromkeys(name.partition(".")[0] for name in declared)) == list(properties)
    # Meltano hands a number or list of another kind on as text.
    kinds = {"integer": "integer", "number": "decimal", "string": None}
    for name in properties.keys() & declared.keys():
        (kind,) = (kind for kind in properties[name]["type"] if kind != "null")
        setting = declared[name]
        assert setting.get("kind") == kinds.get(kind, kind), name
        assert setting.get("sensitive", False) == properties[name].get("secret", False), name
    assert sorted(extractor["capabilities"]) == sorted(told["capabilities"])


def test_a_setting_that_is_new_is_written_into_every_file(told):
    new = {"type": ["integer", "null"], "title": "New", "description": "New.", "secret": True}
    settings = {"properties": {**told["settings"]["properties"], "brand_new": new}}
    later = {**told, "settings": settings}
    assert "| `brand_new` | integer, secret |" in tables.settings_table(later)
    assert {"name": "brand_new", "kind": "password", "label": "New", "description": "New."} in (
        hub.definition(later)["settings"]
    )
    assert {"name": "brand_new", "sensitive": True} in meltano.declaration(later)["settings"]


@pytest.mark.slow
def test_about_needs_no_settings():
    done = subprocess.run(
        [sys.executable, "-m", "tap_mixpanel_export", "--about", "--format=markdown"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "service_account_username" in done.stdout
