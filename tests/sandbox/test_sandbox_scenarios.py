"""Which requests a fault happens to, and scenarios in files."""

from __future__ import annotations

from datetime import date

import pytest
from faulty_sandboxes import NOON

from tap_mixpanel_export.sandbox import (
    Fault,
    Sandbox,
    SandboxClock,
    Scenario,
    ScenarioError,
    load_scenario,
)


def test_faults_hit_the_requests_that_they_name(faulty, fetch):
    sandbox = faulty(
        Fault("status", request=1, status=500),
        Fault("status", day=date(2026, 11, 10), times=2, status=502),
        Fault("status", day=0, times=None, status=503, where="with"),
        Fault("status", day=0, where="without", status=504),
    )
    first_days = {"from_date": "2026-11-01", "to_date": "2026-11-09"}
    middle = {"from_date": "2026-11-10", "to_date": "2026-11-12"}
    today = {"from_date": "2026-11-20", "to_date": "2026-11-20"}
    where = 'defined(properties["time"])'
    asked = [
        (first_days, None, 200),
        (first_days, None, 500),
        (middle, None, 502),
        (middle, None, 502),
        (middle, None, 200),
        (today, where, 503),
        (today, where, 503),
        (today, None, 504),
        (today, None, 200),
        (today, where, 503),
    ]
    for days, expression, status in asked:
        assert fetch(sandbox, **days, where=expression).status_code == status
    sandbox.clear_faults()
    assert fetch(sandbox, **today, where=where).status_code == 200
    sandbox.add_faults(Fault("empty"))
    assert fetch(sandbox).content == b""


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "typo"},
        {"kind": "reset", "share": 2},
        {"kind": "reset", "times": 0},
        {"kind": "reset", "times": True},
        {"kind": "reset", "request": -1},
        {"kind": "reset", "lines": 0},
        {"kind": "status", "status": 200},
        {"kind": "status", "status": 600},
        {"kind": "gzip_bomb", "megabytes": 0},
        {"kind": "status", "retry_after": -1},
        {"kind": "stall", "seconds": "long"},
        {"kind": "reset", "where": "maybe"},
        {"kind": "reset", "day": True},
        {"kind": "reset", "text": 1},
    ],
)
def test_a_fault_that_cannot_be_is_refused(wrong):
    with pytest.raises(ScenarioError, match=wrong["kind"]):
        Fault(**wrong)


def test_a_scenario_is_read_from_a_file(tmp_path):
    path = tmp_path / "scenario.json"
    path.write_text(
        '[{"kind": "reset", "day": "2026-11-10"}, {"kind": "empty", "times": null, "day": -1}]'
    )
    faults = [Fault("reset", day=date(2026, 11, 10)), Fault("empty", times=None, day=-1)]
    assert load_scenario(path) == Scenario(faults)
    path.write_text('{"faults": [{"kind": "reset"}], "behaviour": {"where": "nothing"}}')
    assert load_scenario(path) == Scenario([Fault("reset")], {"where": "nothing"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("[", "not JSON"),
        ('{"fault": []}', "list"),
        ('{"faults": {}}', "list"),
        ('{"behaviour": {"where": "maybe"}}', "behaviour: .*where: one of documented"),
        ('{"behaviour": []}', "behaviour: not an object"),
        (
            '[1, {"kind": "reset", "shar": 1}, {"kind": "x"}]',
            "fault 1.*fault 2.*shar.*fault 3.*'x'",
        ),
        ('[{"kind": "reset", "day": "tomorrow"}]', "'tomorrow' is no date"),
        ('[{"kind": "status", "status": "500"}]', "status"),
    ],
)
def test_a_broken_scenario_is_one_message(tmp_path, text, message):
    path = tmp_path / "scenario.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ScenarioError, match=message) as caught:
        load_scenario(path)
    assert "\n" not in str(caught.value)


def test_a_sandbox_with_a_fault_forever_never_answers_otherwise():
    clock = SandboxClock.fixed(NOON)
    plan = Sandbox([], clock=clock, faults=[Fault("empty", times=None)]).faults
    day = NOON.date()
    assert {plan.next((day, day), None, day).kind for _ in range(100)} == {"empty"}
