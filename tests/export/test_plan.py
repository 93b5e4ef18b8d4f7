"""`mixpanel-export plan`: what it says is what the run does that follows."""

from __future__ import annotations

import json
import logging
import random
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from unittest import mock

import pytest
from fake_time import FakeTime, machine_at
from harness import DAY, config_for, run_tap, some_days, waits_of
from late_arrivals import NOW, START, first_runs

from tap_mixpanel_export.api.quota import open_quota
from tap_mixpanel_export.errors import ExportError
from tap_mixpanel_export.export.cli import commands
from tap_mixpanel_export.sandbox import Event, Sandbox, SandboxClock
from tap_mixpanel_export.sandbox.limits import Limits
from tap_mixpanel_export.sync import planner

HOUR = timedelta(hours=1)
LONG_AGO = NOW - 1500 * DAY
FROM = {"start_date": START.date().isoformat()}


def noise(seed):
    """Text that no compression makes smaller by much."""
    return random.Random(seed).randbytes(400).hex()  # noqa: S311 - no secret


@pytest.fixture
def plan(tmp_path, capsys):
    """Plan a run from a state, and give what is said, as JSON."""

    def run(sandbox, state=None, *options, as_json=True, **settings):
        config, state_file = tmp_path / "config.json", tmp_path / "state.json"
        config.write_text(json.dumps(config_for(sandbox, **settings)))
        arguments = ["plan", "--config", str(config), *options, *(["--json"] if as_json else [])]
        if state is not None:
            state_file.write_text(json.dumps(state))
            arguments += ["--state", str(state_file)]
        time = FakeTime()
        with ExitStack() as stack:
            quota = partial(open_quota, clock=time.clock, wait=time.wait)
            stack.enter_context(mock.patch("tap_mixpanel_export.config.run.open_quota", quota))
            stack.enter_context(machine_at(sandbox.clock.now()))
            commands.main.main(arguments, standalone_mode=False)
        said = capsys.readouterr().out
        return json.loads(said) if as_json else said

    return run


def assert_as_planned(planned, sandbox, state=None, **settings):
    """Run, and hold the log of requests against the plan."""
    before = len(sandbox.requests)
    got = run_tap(sandbox, state, **settings)
    assert got.error is None
    requests = sandbox.requests[before:]
    assert {r.status for r in requests} <= {200}
    planned_days = sorted(
        (w["from"], w["to"]) for w in planned["windows"] for _ in range(w["queries"])
    )
    assert planned_days == sorted((f"{r.from_date}", f"{r.to_date}") for r in requests)
    assert planned["queries"]["expected"] == len(requests)
    return got


def kinds(planned):
    return {window["kind"] for window in planned["windows"]}


@pytest.fixture
def shop():
    with Sandbox(some_days(START, 15), clock=SandboxClock.fixed(NOW)) as sandbox:
        yield sandbox


def test_a_first_run_is_planned_query_by_query(plan, shop):
    planned = plan(shop, **FROM)
    assert planned["run"] == "first"
    assert planned["probe"]["queries"] == len(shop.requests) == 1
    got = assert_as_planned(planned, shop, **FROM)
    assert planned["events"]["least"] <= len(got.records) <= planned["events"]["most"]


def test_windows_of_a_plan_depend_on_sizes_as_those_of_a_run_do(plan, monkeypatch):
    # What compression makes no smaller is of the same size every day.
    events = [
        Event.at(START + n * HOUR, insert_id=f"{n}", text=noise(f"{n}"))
        for n in range(14 * 24 + 12)
    ]
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        usual = plan(sandbox, **FROM)
        # Three days fit a window.
        monkeypatch.setattr(planner, "TARGET_BYTES", int(3.5 * usual["probe"]["bytes"]))
        planned = plan(sandbox, **FROM)
        assert planned["queries"]["expected"] > usual["queries"]["expected"]
        assert planned["queries"]["least"] < planned["queries"]["most"]
        assert_as_planned(planned, sandbox, **FROM)


@pytest.mark.slow
def test_an_incremental_run_is_planned_proof_and_all(plan, shop):
    shop.add([Event.at(NOW - HOUR, insert_id="before")])
    state = run_tap(shop, None, **FROM).state()
    for hours in (1, 1, 24, 24 * 9):
        shop.clock.advance(hours * HOUR)
        now = shop.clock.now()
        days = max(1, hours // 24)
        shop.add(
            Event.at(now - n * HOUR - HOUR / 2, insert_id=f"{hours} {n}") for n in range(24 * days)
        )
        planned = plan(shop, state, **FROM)
        assert planned["run"] == "incremental"
        assert {"look-back"} <= kinds(planned) <= {"look-back", "proof", "new days", "sweep"}
        state = assert_as_planned(planned, shop, state, **FROM).state(state)
    assert "filter_proof" in state["bookmarks"]["events"]


@pytest.mark.slow
def test_a_run_with_sweeps_is_planned(plan):
    events = [Event.at(NOW - n * DAY, insert_id=f"{n}") for n in range(1500)]
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        settings = {"start_date": LONG_AGO.date().isoformat()}
        _, second = first_runs(sandbox, **settings)
        sandbox.clock.advance(2 * DAY)
        now = sandbox.clock.now()
        sandbox.add(Event.at(now - n * HOUR, insert_id=f"new {n}") for n in range(1, 48))
        planned = plan(sandbox, second.state(), **settings)
        assert "sweep" in kinds(planned)
        assert_as_planned(planned, sandbox, second.state(), **settings)


def test_an_earlier_start_is_planned(plan, shop):
    state = run_tap(shop, None, start_date="2026-03-10").state()
    shop.clock.advance(6 * HOUR)
    planned = plan(shop, state, **FROM)
    assert "earlier days" in kinds(planned)
    assert_as_planned(planned, shop, state, **FROM)


@pytest.mark.slow
@pytest.mark.parametrize("per_hour", [8, 12])
def test_waits_for_the_quota_are_planned(plan, per_hour):
    events = some_days(START - 60 * DAY, 75, each=2)
    settings = {
        "start_date": (START - 60 * DAY).date().isoformat(),
        "max_window_days": 4,
        "max_queries_per_hour": per_hour,
        # Side by side, one would be on its way while the other's wait is skipped.
        "max_concurrent_queries": 1,
    }
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        planned = plan(sandbox, **settings)
    clock = SandboxClock.fixed(NOW)
    # A run that asked too early would be told so (429), and would not be as planned.
    limits = Limits(per_hour=per_hour)
    with waits_of(clock), Sandbox(events, clock=clock, limits=limits) as sandbox:
        got = assert_as_planned(planned, sandbox, **settings)
    waited = sum(got.waits)
    expected = planned["quotaWaitSeconds"]["expected"]
    assert waited / 2 <= expected <= waited * 2
    assert expected >= 3600 * ((planned["queries"]["expected"] - 1) // per_hour)


def test_without_a_probe_nothing_is_sent_and_the_least_is_said(plan, shop):
    planned = plan(shop, None, "--no-probe", **FROM)
    assert shop.requests == []
    assert planned["probe"] is None
    assert planned["events"] is planned["bytes"] is planned["durationSeconds"] is None
    assert planned["queries"]["most"] is None
    assert planned["queries"]["expected"] == plan(shop, **FROM)["queries"]["expected"]


def test_a_plan_changes_nothing(plan, shop, tmp_path):
    state = run_tap(shop, None, **FROM).state()
    before = json.dumps(state)
    report = tmp_path / "report"
    plan(shop, state, **FROM, report_dir=str(report))
    assert json.dumps(state) == before
    assert not report.exists()


@pytest.mark.slow
def test_days_without_events_are_counted_twice_in_the_most(plan):
    with Sandbox([], clock=SandboxClock.fixed(NOW)) as sandbox:
        planned = plan(sandbox, **FROM)
        assert planned["probe"]["queries"] == len(sandbox.requests) == 3
        assert_as_planned(planned, sandbox, **FROM)
    assert planned["queries"]["expected"] == 2 * len(planned["windows"])


def test_the_table_says_the_same(plan, shop):
    planned = plan(shop, **FROM)
    said = plan(shop, as_json=False, **FROM)
    assert "new days    2026-03-01 to 2026-03-15" in said
    assert f"a first run: {planned['queries']['expected']} " in said
    least = plan(shop, None, "--no-probe", as_json=False, **FROM)
    assert f"at least {planned['queries']['least']} queries" in least


def test_a_run_says_its_plan_first(shop, caplog):
    with caplog.at_level(logging.INFO):
        run_tap(shop, None, **FROM)
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("tap-mixpanel-export.")]
    asked = len(shop.requests)
    assert f"plan: at least {asked} queries for {asked} windows ({asked} of new days)" in ours
    assert not any("filter for late events" in text for text in ours)


def test_what_is_wrong_is_told_in_words(plan, shop, tmp_path):
    with pytest.raises(ExportError, match="region is none of"):
        plan(shop, **FROM, region="XX")
    state = {"bookmarks": {"events": {"replication_key_value": "2031-01-01T00:00:00+00:00"}}}
    with pytest.raises(ExportError, match="ahead of the clock"):
        plan(shop, state, **FROM)
    with pytest.raises(ExportError, match="401"):
        plan(shop, **FROM, service_account_secret="wrong")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(ExportError, match="is not JSON"):
        plan(shop, None, "--state", str(broken), **FROM)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_settings_and_the_schedule_runs_are_as_planned(plan, seed):
    pick = random.Random(seed)  # noqa: S311 - no secret
    start = NOW - pick.choice([10, 60]) * DAY
    settings = {
        "lookback_days": pick.choice([0, 1, 5, 30]),
        "late_sweep_days": pick.choice([0, 1, 7]),
        "max_window_days": pick.choice([1, 3, 366]),
        "max_concurrent_queries": pick.choice([1, 2, 4, 10]),
        "filter_proof_days": pick.choice([1, 7]),
    }
    many = (NOW + 40 * DAY - start) // (HOUR / 2)
    events = (Event.at(start + n * HOUR / 2, insert_id=f"{n}") for n in range(many))
    state = None
    with Sandbox(events, clock=SandboxClock.fixed(NOW)) as sandbox:
        for run in range(5):
            # The first run may begin later than the others.
            first = start if run or pick.random() < 0.7 else start + 3 * DAY
            own = {**settings, "start_date": first.date().isoformat()}
            if pick.random() < 0.2:
                own["end_date"] = (
                    (sandbox.clock.now() - pick.choice([0, 2]) * DAY).date().isoformat()
                )
            planned = plan(sandbox, state, **own)
            state = assert_as_planned(planned, sandbox, state, **own).state(state)
            sandbox.clock.advance(pick.choice([HOUR, 5 * HOUR, DAY, 3 * DAY, 9 * DAY]))


def test_a_plan_shares_the_quota_file(plan, shop, tmp_path):
    settings = {**FROM, "quota_file": str(tmp_path / "quota")}
    planned = plan(shop, **settings)
    assert planned["queriesLeftInHour"] == 59
    assert plan(shop, None, "--no-probe", **FROM)["queriesLeftInHour"] == 60
