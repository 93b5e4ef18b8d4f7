from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from datetime import datetime, timezone

import pytest
from adobe_columns import ADOBE_COLUMNS
from meltano_project import BIN
from singer_sdk.exceptions import ConfigValidationError

from tap_mixpanel_export.cli import plugin_command, run
from tap_mixpanel_export.config import json_schema
from tap_mixpanel_export.errors import StateError
from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock
from tap_mixpanel_export.tap import TapMixpanelExport
from tap_mixpanel_export.termination import SIGNALS

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
LONG = {
    "type": ["integer", "null"],
    "minimum": -9007199254740991,
    "maximum": 9007199254740991,
}
TEXT = {"type": ["string", "null"]}
SCHEMAS = {"String": TEXT, "Boolean": {"type": ["boolean", "null"]}, "Long": LONG}
COLUMNS = {name: SCHEMAS[kind] for name, kind in ADOBE_COLUMNS.items()}
SETTINGS = json_schema()["properties"]
GOOD = {
    "service_account_username": "user",
    "service_account_secret": "hush-hush",
    "project_id": 1,
    "api_url": "http://127.0.0.1:9/api/2.0",
}


@pytest.fixture(autouse=True)
def _keep_the_process():
    """A command takes signals, warnings and hooks of the process for itself."""
    hooks = sys.excepthook, sys.unraisablehook
    handlers = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGALRM)}
    yield
    sys.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(capture=False)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    """Runs the command; gives its exit code, stdout and stderr."""
    # Neither a .env file nor anything else of the checkout counts.
    monkeypatch.chdir(tmp_path)

    def run_command(*arguments):
        with pytest.raises(SystemExit) as caught:
            run(
                "tap-mixpanel-export",
                lambda: plugin_command(TapMixpanelExport),
                [str(argument) for argument in arguments],
            )
        code = caught.value.code
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return (0 if code is None else code), out, err

    return run_command


@pytest.fixture
def file(tmp_path):
    """Writes a file, text or JSON; gives its path."""

    def write(name, content):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def problems_of(**config):
    with pytest.raises(ConfigValidationError) as caught:
        TapMixpanelExport(config={**GOOD, **config})
    (text,) = caught.value.errors
    title, *problems = text.split("\n  - ")
    assert title == "Settings refused:"
    return problems


def test_discovery_shows_the_columns_of_adobes_mapping(command):
    code, out, _ = command("--discover")
    assert code == 0
    (stream,) = json.loads(out)["streams"]
    assert stream["tap_stream_id"] == "events"
    assert stream["key_properties"] == ["event_id"]
    assert stream["replication_key"] == "timestamp"
    assert stream["replication_method"] == "INCREMENTAL"
    found = stream["schema"]["properties"]
    assert list(found) == ["event_id", "timestamp", *COLUMNS, "properties"]
    for name, schema in COLUMNS.items():
        assert found[name].pop("description")
        assert found[name] == schema
    assert found["event_id"]["type"] == "string"
    assert (found["timestamp"]["type"], found["timestamp"]["format"]) == ("string", "date-time")
    assert found["properties"]["type"] == "object"
    assert stream["schema"]["required"] == ["event_id", "timestamp"]


def test_discovery_follows_the_settings(command, file):
    config = file("config.json", {**GOOD, "properties_format": "string", "time_in_ms": True})
    _, out, _ = command("--config", config, "--discover")
    properties = json.loads(out)["streams"][0]["schema"]["properties"]
    assert properties["properties"]["type"] == "string"
    assert "milliseconds" in properties["time"]["description"]


def test_discovery_names_the_problems_of_a_mapping(command, file):
    line = {"sourceType": "ATTRIBUTE", "source": "data.plan", "destination": "_extconndev.plan"}
    mapping = file("mapping.json", {"version": 0, "mappings": [line]})
    config = file("config.json", {"mapping_file": str(mapping)})
    code, out, err = command("--config", config, "--discover")
    assert (code, out) == (1, "")
    assert "mapping 1 (_extconndev.plan): no such field in the field group" in err


@pytest.mark.parametrize("more", [["--discover"], []])
def test_columns_that_are_one_in_databases_are_refused(command, file, more):
    """A loader would die of them, in the middle of the night."""
    lines = [
        {"sourceType": "ATTRIBUTE", "source": f"data.{name}", "destination": f"_extconndev.{field}"}
        for name, field in (("Id", "item_id"), ("id", "item_name"), ("x" * 64, "import"))
    ]
    mapping = file("mapping.json", {"version": 0, "mappings": lines})
    config = file("config.json", {**GOOD, "mapping_file": str(mapping)})
    code, out, err = command("--config", config, *more)
    assert (code, out) == (1, "")
    assert "its column 'id' and 'Id' of mapping 1 are one in databases" in err
    # Long names differ still when they are cut.
    assert "xxx" not in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", SETTINGS)
def test_each_setting_has_a_title_and_a_description(name):
    declared = TapMixpanelExport.config_jsonschema["properties"][name]
    assert declared["title"]
    assert declared["description"].endswith(".")
    # What a name like these holds is never shown.
    looks_secret = name.rsplit("_", 1)[-1] in {"secret", "token", "salt", "password"}
    assert declared.get("secret", False) == looks_secret


def test_the_defaults_are_the_contracts():
    # The SDK fills the defaults in.
    tap = TapMixpanelExport(config=dict(GOOD))
    expected = {
        "region": "US",
        "time_in_ms": False,
        "lookback_days": 5,
        "late_sweep_days": 7,
        "filter_proof_days": 7,
        "processing_delay_minutes": 15,
        "max_window_days": 366,
        "max_concurrent_queries": 4,
        "max_queries_per_hour": 60,
        "deduplicate": True,
        "properties_format": "object",
        "error_threshold_percent": 5,
        "request_timeout": 300,
    }
    assert {name: tap.config[name] for name in expected} == expected


def test_about_tells_all_settings(command):
    code, out, _ = command("--about", "--format=json")
    assert code == 0
    about = json.loads(out)
    assert about["name"] == "tap-mixpanel-export"
    assert about["settings"]["properties"].keys() >= SETTINGS.keys()
    code, out, _ = command("--about", "--format=markdown")
    assert code == 0
    assert all(f"| {name} |" in out for name in SETTINGS)


def test_the_version_is_told_without_any_setting(command):
    code, out, _ = command("--version")
    assert code == 0
    assert out.startswith("tap-mixpanel-export v")


def test_settings_come_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    values = {
        **GOOD,
        "project_id": "1",
        "event_names": '["a","b, c"]',
        "time_in_ms": "true",
        "deduplicate": "false",
        "lookback_days": "0",
        "request_timeout": "12.5",
        "error_threshold_percent": "7",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"TAP_MIXPANEL_EXPORT_{name.upper()}", value)
    tap = TapMixpanelExport(parse_env_config=True)
    expected = {
        **GOOD,
        "event_names": ["a", "b, c"],
        "time_in_ms": True,
        "deduplicate": False,
        "lookback_days": 0,
        "request_timeout": 12.5,
        "error_threshold_percent": 7,
    }
    assert {name: tap.config[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("project_id", "abc"),
        ("lookback_days", ""),
        ("max_window_days", "1.5"),
        ("request_timeout", "soon"),
    ],
)
def test_a_number_of_the_environment_that_is_none_is_refused_by_name(
    command, monkeypatch, name, value
):
    for good, text in GOOD.items():
        monkeypatch.setenv(f"TAP_MIXPANEL_EXPORT_{good.upper()}", str(text))
    monkeypatch.setenv(f"TAP_MIXPANEL_EXPORT_{name.upper()}", value)
    code, out, err = command("--config", "ENV")
    assert (code, out) == (1, "")
    assert name in err


def test_a_null_is_a_setting_that_is_not_set():
    tap = TapMixpanelExport(config={**GOOD, "oauth_token": None, "where": None})
    assert "oauth_token" not in tap.config


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ({"region": "UK"}, "region is none of US, EU, IN"),
        ({"project_id": "abc"}, "project_id is not of type integer"),
        ({"lookback_days": -1}, "lookback_days is too small: -1 (least is 0)"),
        ({"max_window_days": 0}, "max_window_days is too small: 0 (least is 1)"),
        ({"max_window_days": 367}, "max_window_days is too large: 367 (most is 366)"),
        ({"max_concurrent_queries": 101}, "max_concurrent_queries is too large: 101 (most is 100)"),
        ({"max_queries_per_hour": 61}, "max_queries_per_hour is too large: 61 (most is 60)"),
        ({"error_threshold_percent": 100.5}, "error_threshold_percent is too large: 100.5"),
        ({"request_timeout": 0}, "request_timeout is too small: 0"),
        ({"properties_format": "xml"}, "properties_format is none of object, string"),
        ({"event_names": "Sign up"}, "event_names is not of type array"),
        ({"deduplicate": "yes"}, "deduplicate is not of type boolean"),
        ({"where": ["x"]}, "where is not of type string"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_setting_of_the_wrong_kind_is_named(setting, problem):
    (told,) = problems_of(**setting)
    assert told.startswith(problem)


def test_all_problems_are_told_at_once_whatever_their_kind():
    problems = problems_of(
        region="UK", lookback_days=-1, project_timezone="Mars/Base", start_date="soon"
    )
    assert sorted(problem.split()[0].rstrip(":") for problem in problems) == [
        "lookback_days",
        "project_timezone",
        "region",
        "start_date",
    ]


@pytest.mark.parametrize("name", ["service_account_secret", "oauth_token", "project_secret"])
def test_a_secret_is_never_quoted(name):
    for value in (4711, ["hush-hush"], {"a": "hush-hush"}):
        text = " ".join(problems_of(**{name: value}))
        assert name in text
        assert "4711" not in text
        assert "hush" not in text


def test_bad_settings_are_refused_before_any_request(command, file):
    with Sandbox([], clock=SandboxClock.fixed(NOW)) as sandbox:
        config = {**GOOD, "api_url": sandbox.api_url, "project_timezone": "Mars/Base"}
        code, out, err = command("--config", file("config.json", config))
        assert (code, out) == (1, "")
        assert "project_timezone: there is no time zone 'Mars/Base'" in err
        assert "hush" not in err
        assert sandbox.requests == []


@pytest.mark.parametrize("option", ["--config", "--state", "--catalog"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{\n "hush": }', "is not JSON: Expecting value (line 2, column 10)"),
        (b'{"hush": "\xff"}', "is not UTF-8"),
        ('["hush"]', "is JSON, but not an object"),
        ('"hush"', "is JSON, but not an object"),
    ],
)
def test_a_file_that_is_no_json_object_is_named_and_not_quoted(
    command, file, option, content, message
):
    good, bad = file("good.json", GOOD), file("bad.json", content)
    code, out, err = command("--config", good, option, bad)
    assert (code, out) == (1, "")
    assert err.count("bad.json") == 1
    assert message in err
    assert "hush" not in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("option", ["--config", "--state", "--catalog"])
def test_a_file_that_cannot_be_read_is_named(command, file, tmp_path, option):
    good = file("good.json", GOOD)
    for path, reason in (
        (tmp_path / "missing.json", "No such file or directory"),
        (tmp_path, "Is a directory"),
    ):
        assert command("--config", good, f"{option}={path}") == (
            1,
            "",
            f"Error: {option} {path}: {reason}\n",
        )


def test_an_option_that_does_not_exist_is_a_matter_of_usage(command):
    code, _, err = command("--nonsense")
    assert code == 2
    assert "--nonsense" in err


def test_a_state_that_cannot_be_understood_ends_the_run(command, file):
    bookmark = {"replication_key": "timestamp", "replication_key_value": "soon"}
    state = file("state.json", {"bookmarks": {"events": bookmark}})
    code, out, err = command("--config", file("good.json", GOOD), "--state", state)
    assert code == 1
    assert "RECORD" not in out
    assert "state: replication_key_value of the stream events is not a date-time" in err


def of_a_project_secret(sandbox, **settings):
    secret = sandbox.credentials.project_secret
    return {"api_url": sandbox.api_url, "project_secret": secret, **settings}


def test_a_refusal_of_the_service_is_one_message(command, file):
    with Sandbox(
        [Event.at(NOW)], clock=SandboxClock.fixed(NOW), faults=[Fault("status", status=402)]
    ) as sandbox:
        config = of_a_project_secret(sandbox, start_date="2026-11-20")
        code, _, err = command("--config", file("config.json", config))
    assert code == 1
    assert "does not include the raw export API (402)" in err
    assert sandbox.credentials.project_secret not in err


@pytest.mark.slow
def test_a_run_with_a_project_secret_warns_once_with_the_dates(command, file):
    with Sandbox([Event.at(NOW)], clock=SandboxClock.fixed(NOW)) as sandbox:
        config = of_a_project_secret(sandbox, start_date="2026-11-19")
        code, out, err = command("--config", file("config.json", config))
        assert code == 0
        assert out.count('"RECORD"') == 0
        (warning,) = [line for line in err.splitlines() if "project_secret is deprecated" in line]
        assert "retired on 2027-03-03; create a service account" in warning
        _, _, err = command("--config", file("config.json", config), "--discover")
        assert "deprecated" not in err


@pytest.mark.parametrize(
    "state", [{"bookmarks": []}, {"bookmarks": None}, {"bookmarks": {"events": "x"}}]
)
def test_a_state_of_another_form_is_refused(state):
    with pytest.raises(StateError, match="state"):
        TapMixpanelExport(config={}, state=state, validate_config=False)


@pytest.mark.parametrize(
    ("program", "arguments", "option"),
    [
        ("mixpanel-xdm", ["schema", "--descriptors", "--schema-id", ""], "--schema-id"),
        ("mixpanel-xdm", ["schema", "--field-group-id="], "--field-group-id"),
        ("mixpanel-xdm", ["check", "--mapping-file", "", "--tenant-id", "x"], "--mapping-file"),
        ("mixpanel-sandbox", ["--scenario", "", "--", "true"], "--scenario"),
        ("map-mixpanel-xdm", ["--config", ""], "--config"),
        ("tap-mixpanel-export", ["--config="], "--config"),
    ],
)
def test_a_shell_variable_that_is_not_set_is_refused(program, arguments, option):
    done = subprocess.run([BIN / program, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{option} is empty; is the shell variable set" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_argument_of_another_command_is_its_own_affair():
    done = subprocess.run(
        [BIN / "mixpanel-sandbox", "--", "printf", "%s", "--x", ""],
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0
