"""`mixpanel-export check`: each mistake is named with what to do, and nothing else is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from unittest import mock
from zoneinfo import ZoneInfo

import commands as commands_of_tests
import pytest
import trustme
from fake_time import FakeTime, machine_at
from harness import DAY, UTC, config_for, some_days

from tap_mixpanel_export.api.quota import open_quota
from tap_mixpanel_export.config import check_all, json_schema
from tap_mixpanel_export.errors import ExportError
from tap_mixpanel_export.export.check.checker import MOST_QUERIES
from tap_mixpanel_export.export.cli import commands
from tap_mixpanel_export.export.given import SDK_SETTINGS, check_given, read_settings
from tap_mixpanel_export.sandbox import Event, Fault, Sandbox, SandboxClock
from tap_mixpanel_export.sandbox.behaviour import Behaviour
from tap_mixpanel_export.tap import TapMixpanelExport

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
START = datetime(2026, 3, 1, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
HOUR = timedelta(hours=1)


class Checked:
    """What a check said, and what it cost."""

    def __init__(self, code, text, requests):
        self.code = code
        self.said = json.loads(text)
        self.requests = requests
        self.text = text

    def topics(self, level):
        return [f["topic"] for f in self.said["findings"] if f["level"] == level]

    @property
    def problems(self):
        return self.topics("problem")

    def text_of(self, topic):
        return " ".join(f["text"] for f in self.said["findings"] if f["topic"] == topic)


@pytest.fixture
def check(tmp_path, capsys):
    def run(sandbox, *, region_urls=None, machine_off=timedelta(), **settings):
        path = tmp_path / "config.json"
        # By default it is counted from this machine's clock, whatever the sandbox's says.
        start = {"start_date": sandbox.clock.now().date() - 30 * DAY}
        config = config_for(sandbox, **{**start, **settings})
        path.write_text(json.dumps(config, default=str))
        time = FakeTime()
        before = len(sandbox.requests)
        with ExitStack() as stack:
            quota = partial(open_quota, clock=time.clock, wait=time.wait)
            stack.enter_context(mock.patch("tap_mixpanel_export.config.run.open_quota", quota))
            stack.enter_context(machine_at(sandbox.clock.now() + machine_off))
            code = commands.run_check(
                read_settings([str(path)]), as_json=True, region_urls=region_urls
            )
        return Checked(code, capsys.readouterr().out, sandbox.requests[before:])

    return run


def shop(**options):
    """A project of two weeks."""
    return Sandbox(
        options.pop("events", some_days(START, 15)), clock=SandboxClock.fixed(NOW), **options
    )


def assert_found(checked, topic, *words):
    assert checked.problems == [topic], checked.text
    assert checked.code == 1
    assert not checked.said["ok"]
    for word in words:
        assert word in checked.text_of(topic)
    assert checked.said["queries"] <= MOST_QUERIES


def test_nothing_is_wrong_with_a_healthy_project(check):
    with shop() as sandbox:
        checked = check(sandbox, start_date="2026-03-01", event_names=["Signed up", "Twice"])
    assert checked.problems == []
    assert checked.code == 0
    assert checked.said["ok"]
    assert checked.topics("note") == []
    assert {
        *("settings", "connection", "clock", "credentials", "project", "project_timezone"),
        *("event_names", "late events", "disk", "loaders"),
    } <= {*checked.topics("ok")}
    assert checked.said["queries"] == len(checked.requests) <= MOST_QUERIES


def test_nothing_is_wrong_with_the_sandbox_and_queries_are_small(check):
    with Sandbox() as sandbox:
        checked = check(sandbox)
    assert checked.problems == []
    assert checked.said["queries"] == len(checked.requests) == 2
    assert all(r.from_date == r.to_date or "limit" in r.params for r in checked.requests)


def test_a_wrong_secret(check):
    with shop() as sandbox:
        checked = check(sandbox, service_account_secret="quite-wrong")
    assert_found(checked, "credentials", "service account", "401")
    assert "quite-wrong" not in checked.text


def test_no_role_in_the_project(check):
    with shop() as sandbox:
        checked = check(sandbox, project_id=1)
    assert_found(checked, "project", "role", "403")


def test_a_plan_without_exports(check):
    with shop(faults=[Fault("status", status=402, times=None)]) as sandbox:
        checked = check(sandbox)
    assert_found(checked, "project", "plan", "402")


@pytest.mark.parametrize("is_404", [False, True])
def test_the_wrong_region(check, is_404):
    faults = [Fault("status", status=404, times=None)] if is_404 else []
    with shop(events=[], faults=faults) as us, shop() as eu, shop(events=[]) as india:
        urls = {"US": us.api_url, "IN": india.api_url, "EU": eu.api_url}
        checked = check(us, region_urls=urls, api_url=None)
        asked = len(us.requests) + len(eu.requests) + len(india.requests)
    assert_found(checked, "region", "set region to EU")
    assert checked.said["queries"] == asked <= MOST_QUERIES


def test_a_project_without_events_anywhere_is_a_note(check):
    with shop(events=[]) as us, shop(events=[]) as eu:
        checked = check(us, region_urls={"US": us.api_url, "EU": eu.api_url}, api_url=None)
    assert checked.problems == []
    assert "project" in checked.topics("note")


def test_other_regions_are_not_asked_where_the_address_is_given(check):
    with shop(events=[]) as us, shop() as eu:
        check(us, region_urls={"US": us.api_url, "EU": eu.api_url})
        assert eu.requests == []


@pytest.mark.parametrize(
    ("zone_of_project", "setting", "words"),
    [
        (None, "America/New_York", "not needed"),
        (NEW_YORK, None, "looks missing"),
        (NEW_YORK, "Europe/Berlin", "looks wrong"),
    ],
)
def test_a_zone_that_is_not_needed_missing_or_wrong(check, zone_of_project, setting, words):
    events = some_days(START, 15, zone=zone_of_project)
    name = None if zone_of_project is None else zone_of_project.key
    with shop(events=events, timezone=name) as sandbox:
        checked = check(sandbox, project_timezone=setting)
    assert_found(checked, "project_timezone", words)


def test_the_right_zone(check):
    with shop(events=some_days(START, 15, zone=NEW_YORK), timezone=NEW_YORK.key) as sandbox:
        checked = check(sandbox, project_timezone=NEW_YORK.key)
    assert checked.problems == []
    assert "America/New_York" in checked.text_of("project_timezone")


@pytest.mark.parametrize(
    "mode", ["nothing", "half", "ignored", "31_bits_most", "refused", "failing"]
)
def test_a_filter_that_lies(check, mode):
    with shop(behaviour=Behaviour(where=mode)) as sandbox:
        checked = check(sandbox)
    assert_found(checked, "late events", "look-back whole")


def test_a_filter_that_cannot_be_judged_is_a_note(check):
    with shop(behaviour=Behaviour(stamps="missing")) as sandbox:
        checked = check(sandbox)
    assert checked.problems == []
    assert {"late events", "project_timezone"} <= {*checked.topics("note")}


@pytest.mark.parametrize("off", [HOUR, -HOUR])
def test_a_clock_that_is_an_hour_off(check, off):
    with shop() as sandbox:
        checked = check(sandbox, machine_off=off)
    assert_found(checked, "clock", "NTP", "1:00:00")


def test_a_where_that_matches_nothing(check):
    with shop() as sandbox:
        checked = check(sandbox, where='properties["plan"] == "gold"')
    assert_found(checked, "where", "no event")
    assert "gold" not in checked.text


def test_a_where_that_is_refused(check):
    with shop() as sandbox:
        checked = check(sandbox, where="properties[")
    assert_found(checked, "where", "400")
    # The rest is looked at all the same.
    assert "late events" in checked.topics("ok")


@pytest.mark.parametrize("others", [[], ["Twice"]])
def test_a_misspelt_event_name(check, others):
    with shop() as sandbox:
        checked = check(sandbox, event_names=["signed_up", *others], start_date="2026-03-01")
    assert_found(checked, "event_names", "“signed_up” (probably meant: “Signed up”)")


def test_a_misspelt_name_to_leave_out(check):
    with shop() as sandbox:
        checked = check(sandbox, exclude_event_names=["Twice "])
    assert_found(checked, "exclude_event_names", "probably meant: “Twice”")


def test_a_name_that_is_rare_is_no_mistake(check):
    rare = Event.at(START + DAY, "Rare", insert_id="rare")
    with shop(events=[*some_days(START, 15), rare]) as sandbox:
        checked = check(sandbox, event_names=["Rare", "Twice"], start_date="2026-03-01")
    assert checked.problems == []
    assert "all 2 occur" in checked.text_of("event_names")


def test_names_cannot_act_on_a_terminal(check):
    with shop() as sandbox:
        checked = check(sandbox, event_names=["\x1b[2Jsigned up", "Twice"])
    assert "\\x1b" in checked.text_of("event_names")
    assert "\x1b" not in checked.text_of("event_names")


def test_no_disk(check, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=100))
    with shop() as sandbox:
        checked = check(sandbox)
    assert_found(checked, "disk", "TMPDIR")


def test_a_temporary_folder_that_cannot_be_written(check, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    with shop() as sandbox, monkeypatch.context() as patch:
        patch.setattr("tempfile.TemporaryFile", refuse)
        checked = check(sandbox)
    assert_found(checked, "disk", "Permission denied")


def test_all_problems_of_settings_are_told_and_nothing_is_asked(check):
    with shop() as sandbox:
        checked = check(sandbox, region="XX", lookback_days=-1, project_timezone="Mars")
    assert checked.problems == ["settings"] * 3
    assert checked.said["queries"] == len(checked.requests) == 0


def test_a_day_without_events_is_no_end(check):
    with shop(events=some_days(START, 5)) as sandbox:
        checked = check(sandbox, start_date="2026-03-01")
    assert checked.problems == []
    assert "late events" in checked.topics("ok")
    assert checked.said["queries"] == len(checked.requests) <= MOST_QUERIES


def test_the_quota_of_others_is_respected(check, tmp_path):
    quota_file = tmp_path / "quota"
    time = FakeTime()
    other = open_quota(quota_file, project="2195193", clock=time.clock, wait=time.wait)
    other.acquire()
    other.close()
    with shop() as sandbox:
        checked = check(sandbox, quota_file=str(quota_file), max_queries_per_hour=1)
    assert_found(checked, "quota", "UTC")
    assert checked.requests == []


def test_a_limit_of_the_service_is_told(check):
    with shop(faults=[Fault("status", status=429, retry_after=1800, times=None)]) as sandbox:
        checked = check(sandbox)
    assert_found(checked, "quota", "429")


def test_what_loaders_stumble_over_is_counted_without_names_and_values(check):
    noon = datetime(2026, 3, 14, 12, tzinfo=UTC)
    odd = [
        Event.at(noon, insert_id="1", secret_note="a\0b"),
        Event.at(noon, insert_id="2", account=2**60),
        Event.at(noon, insert_id="3", essay="x" * 70_000),
        Event.at(noon, insert_id="4", Plan="gold", plan="gold"),
    ]
    with shop(events=[*some_days(START, 15), *odd]) as sandbox:
        checked = check(sandbox)
    assert checked.problems == []
    assert checked.topics("note") == ["loaders"] * 4
    told = checked.text_of("loaders")
    for word in ("U+0000", "2^53", "65,535", "case"):
        assert word in told
    for word in ("secret_note", "account", "essay", "gold", "xxx"):
        assert word not in told


def test_lines_that_are_no_events_are_told(check):
    with shop(faults=[Fault("malformed_line", lines=3, request=0)]) as sandbox:
        checked = check(sandbox)
    assert "diagnostics_dir" in checked.text_of("lines")


@pytest.mark.parametrize("kind", ["web_page", "error_text", "error_object"])
def test_an_answer_that_is_no_export(check, kind):
    # In the place of the events, not after some of them.
    with shop(faults=[Fault(kind, share=0, times=None)]) as sandbox:
        checked = check(sandbox)
    assert_found(checked, "connection", "no event")


def test_a_proxy_that_does_not_answer(check, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hidden@127.0.0.1:9")
    with shop() as sandbox:
        checked = check(sandbox, api_url="https://data.mixpanel.com/api/2.0")
    assert_found(checked, "connection", "HTTPS_PROXY")
    assert "hidden" not in checked.text


def test_a_certificate_that_nobody_vouches_for(check, tmp_path, monkeypatch):
    authority = trustme.CA()
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate = authority.issue_cert("127.0.0.1")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    certificate.private_key_pem.write_to_path(key)
    with shop(tls=(chain, key)) as sandbox:
        assert_found(check(sandbox), "connection", "REQUESTS_CA_BUNDLE")
        bundle = tmp_path / "bundle.pem"
        authority.cert_pem.write_to_path(bundle)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        checked = check(sandbox)
    assert checked.problems == []
    assert "its certificate was accepted" in checked.text_of("connection")


@pytest.mark.slow
def test_the_exit_code_is_that_of_the_findings_and_no_sdk_is_imported(tmp_path):
    code = (
        "import sys; from tap_mixpanel_export.export.cli.commands import main; "
        "sys.exit('singer_sdk' in sys.modules or 'pyarrow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with Sandbox() as sandbox:
        good = commands_of_tests.tap_config(sandbox, tmp_path)
        bad = tmp_path / "bad.json"
        bad.write_text(json.dumps(config_for(sandbox, service_account_secret="wrong")))
        for path, expected in ((good, 0), (str(bad), 1)):
            line = commands_of_tests.command("mixpanel-export", "check", "--config", path)
            done = subprocess.run(line, check=False, capture_output=True, text=True)
            assert done.returncode == expected, done.stderr
            assert done.stderr == ""


def test_a_config_that_cannot_be_read_is_told_in_words(tmp_path):
    for content, words in ((None, "No such file"), ("{", "is not JSON"), ("[]", "not an object")):
        path = tmp_path / "config.json"
        if content is not None:
            path.write_text(content)
        with pytest.raises(ExportError, match=words):
            read_settings([str(path)])


def test_the_command_reads_the_environment_and_says_its_findings(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with Sandbox(clock=SandboxClock.fixed(NOW)) as sandbox:
        for name, value in sandbox.environment.items():
            monkeypatch.setenv(name, value)
        code = commands.main.main(["check"], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert all(line.split()[0] in {"OK", "note"} for line in lines[:-1])
    assert lines[-1] == "no problem; 2 of the hour's queries sent (6 at most)"


def test_settings_of_the_sdk_are_no_strangers():
    TapMixpanelExport.append_builtin_config(TapMixpanelExport.config_jsonschema)
    properties = TapMixpanelExport.config_jsonschema["properties"]
    # They have a check of their own.
    of_sdk = {"stream_maps": {"type": ["object", "null"]}} | {
        name: checked_part(properties[name])
        for name in properties.keys() - json_schema()["properties"].keys() - {"stream_maps"}
    }
    assert of_sdk == {name: checked_part(schema) for name, schema in SDK_SETTINGS.items()}


def checked_part(schema):
    """A schema without what is told to people, and without the many ways to write one type."""
    if isinstance(schema, list):
        return [checked_part(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    told = {"title", "description", "default", "additionalProperties"}
    kept = {name: checked_part(value) for name, value in schema.items() if name not in told}
    return kept | ({"type": kept["type"][0]} if len(kept.get("type", "")) == 1 else {})


@pytest.mark.parametrize(
    ("batch_config", "problem"),
    [
        ({"storage": {"root": 5}}, "batch_config.storage.root is not of type string"),
        ({"encoding": "jsonl"}, "batch_config.encoding is not of type object"),
        (
            {"encoding": {"format": "csv"}},
            "batch_config.encoding.format is none of jsonl, parquet",
        ),
    ],
)
def test_settings_of_the_sdk_are_checked_as_in_the_tap(batch_config, problem):
    """They ended in a traceback here."""
    checked = check_given({"batch_config": batch_config})
    assert problem in checked.problems
    tap_says = check_all({"batch_config": batch_config}, TapMixpanelExport._whole_schema())[1]
    assert sorted(checked.problems) == sorted(tap_says)
