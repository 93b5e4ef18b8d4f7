"""Nothing of the credentials or of the events gets into a log or an error, at any level."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from harness import UTC, run_command, run_tap

from tap_mixpanel_export.sandbox import Credentials, Event, Fault, Sandbox, SandboxClock

NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
# Each can be told wherever it turns up, whatever stands around it.
MARK = "Q7x"
SECRETS = Credentials(
    service_account_username=f"account-{MARK}",
    service_account_secret=f"secret-{MARK}",
    project_secret=f"project-{MARK}",
    oauth_token=f"token-{MARK}",
)
FAULTS = [
    Fault(kind, request=number, lines=2)
    for number, kind in enumerate(
        [
            "reset",
            "reset_in_body",
            "truncated_chunk",
            "truncated_gzip",
            "corrupt_gzip",
            "terminated_early",
            "cut_last_line",
            "split_event",
        ]
    )
]
# Lines that are no events, each with a mark in it.
MALFORMED = [
    f'{{"event": "{MARK}", "properties": {{"x": {MARK}}}}}',
    f'{{"event": "{MARK}"}}',
    f'{{"properties": {{"time": 1, "name": "{MARK}"}}}}',
    f'{{"event": "{MARK}", "properties": {{"time": "{MARK}", "distinct_id": "{MARK}"}}}}',
    f'{{"event": "{MARK}", "properties": {{"time": 1e999999999, "x": "{MARK}"}}}}',
    f'{{"event": "{MARK}", "properties": {{"time": {"9" * 5000}, "x": "{MARK}"}}}}',
    f"[{MARK}]",
    f'"{MARK}"',
    MARK,
]
CREDENTIALS = {
    "service account": {},
    "project secret": {
        "service_account_username": None,
        "service_account_secret": None,
        "project_secret": SECRETS.project_secret,
    },
    "OAuth token": {
        "service_account_username": None,
        "service_account_secret": None,
        "oauth_token": SECRETS.oauth_token,
    },
}


def events():
    """Events that are full of marks, and do not fit their columns."""
    for number in range(40):
        at = NOW - timedelta(hours=number)
        yield Event.at(
            at,
            f"Bought {MARK}",
            distinct_id=f"user {MARK}",
            insert_id=f"{MARK}{number}",
            item_id=[MARK],
            item_price={MARK: MARK},
            **{MARK: MARK, "$import": MARK, "$mp_api_timestamp_ms": MARK},
        )


@pytest.fixture
def sandbox():
    with Sandbox(events(), clock=SandboxClock.fixed(NOW), credentials=SECRETS) as sandbox:
        yield sandbox


def run(sandbox, state=None, **settings):
    return run_tap(
        sandbox,
        state,
        **{
            "start_date": "2026-03-13",
            "event_names": [f"Bought {MARK}"],
            "where": f'properties["{MARK}"] == "{MARK}"',
            **settings,
        },
    )


@pytest.mark.slow
@pytest.mark.parametrize("credentials", CREDENTIALS.values(), ids=CREDENTIALS)
def test_runs_that_succeed_tell_nothing(sandbox, logged, credentials):
    first = run(sandbox, **credentials)
    assert first.records
    sandbox.clock.advance(timedelta(hours=1))
    sandbox.add_faults(Fault("refuse_where", times=None))
    run(sandbox, first.state(), **credentials)
    assert_tells_nothing(logged())
    # The requests themselves are told.
    assert "/export" in logged()


@pytest.mark.slow
def test_runs_that_meet_faults_tell_nothing(sandbox, logged):
    sandbox.add_faults(*FAULTS)
    got = run(sandbox, max_window_days=1)
    assert got.error is None
    assert_tells_nothing(logged())


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["another", "401 of the service"])
@pytest.mark.parametrize("credentials", CREDENTIALS.values(), ids=CREDENTIALS)
def test_credentials_that_are_refused_are_not_told(sandbox, logged, credentials, wrong):
    if wrong == "another":
        given = credentials or {"service_account_secret": SECRETS.service_account_secret}
        credentials = {name: value and f"other-{MARK}" for name, value in given.items()}
    else:
        sandbox.add_faults(Fault("status", status=401, text=f"Invalid API secret {MARK}"))
    got = run(sandbox, **credentials)
    assert got.error is not None
    assert_tells_nothing(logged(), got.error)


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 402, 403, 404, 418, 429, 500])
def test_what_the_service_says_of_an_error_is_not_passed_on(sandbox, logged, status):
    sandbox.add_faults(Fault("status", status=status, text=f"wrong: {MARK}", times=5))
    got = run(sandbox)
    assert_tells_nothing(logged(), got.error)


@pytest.mark.slow
@pytest.mark.parametrize("line", MALFORMED, ids=range(len(MALFORMED)))
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not kept"])
def test_malformed_lines_are_not_told(sandbox, logged, tmp_path, line, kept):
    sandbox.add_faults(Fault("malformed_line", text=line, times=None))
    folder = str(tmp_path) if kept else None
    got = run(sandbox, diagnostics_dir=folder, error_threshold_percent=100)
    assert got.error is None if kept else "malformed" in str(got.error)
    assert_tells_nothing(logged(), got.error)


def test_split_malformed_and_cut_off_lines_are_not_told(sandbox, logged):
    sandbox.add_faults(Fault("terminated_early", text=f'{{"event":"{MARK}terminated early'))
    got = run(sandbox)
    assert got.error is None
    assert_tells_nothing(logged())


@pytest.mark.slow
def test_a_service_that_is_not_there_is_named_without_the_query(logged):
    with Sandbox([], credentials=SECRETS) as gone:
        url = gone.api_url
    got = run(gone, api_url=url)
    assert "connection" in str(got.error)
    assert_tells_nothing(logged(), got.error)


@pytest.mark.slow
@pytest.mark.parametrize(
    "bad",
    [
        {"service_account_secret": 5, "oauth_token": [MARK]},
        {"service_account_secret": {MARK: MARK}},
        {"oauth_token": f"token\n{MARK}"},
        {"api_url": f"https://user:{MARK}@host/api"},
        {"api_url": f"https://host/api?token={MARK}"},
        {"project_secret": f"{MARK}", "oauth_token": f"{MARK}"},
        {"where": " "},
        {"stream_maps": {"events": {"x": f"{MARK}("}}},
    ],
    ids=str,
)
def test_settings_that_are_refused_are_not_told(sandbox, tmp_path, monkeypatch, bad):
    monkeypatch.setenv("TAP_MIXPANEL_EXPORT_LOGLEVEL", "DEBUG")
    done = run_command(sandbox, tmp_path, **{"start_date": "2026-03-13", **bad})
    assert done.returncode == 1
    text = done.stderr.decode()
    if "stream_maps" not in bad:
        assert "Traceback" not in text
        assert_tells_nothing(text)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["well", "401", "malformed"])
def test_the_command_at_debug_tells_nothing(sandbox, tmp_path, monkeypatch, end):
    monkeypatch.setenv("LOGLEVEL", "DEBUG")
    monkeypatch.setenv("TAP_MIXPANEL_EXPORT_LOGLEVEL", "DEBUG")
    # Everything that any library says.
    logs = tmp_path / "logging.json"
    logs.write_text(
        json.dumps(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "formatters": {"all": {"format": "%(levelname)s %(name)s %(message)s %(args)s"}},
                "handlers": {
                    "stderr": {
                        "class": "logging.StreamHandler",
                        "stream": "ext://sys.stderr",
                        "formatter": "all",
                    }
                },
                "root": {"level": "DEBUG", "handlers": ["stderr"]},
            }
        )
    )
    monkeypatch.setenv("SINGER_SDK_LOG_CONFIG", str(logs))
    faults = {
        "well": FAULTS[:2],
        "401": [Fault("status", status=401)],
        "malformed": [Fault("malformed_line", text=MALFORMED[0], times=None)],
    }
    sandbox.add_faults(*faults[end])
    done = run_command(
        sandbox,
        tmp_path,
        start_date="2026-03-13",
        where=f'properties["{MARK}"] == "{MARK}"',
        event_names=[f"Bought {MARK}"],
    )
    text = done.stderr.decode()
    assert done.returncode == (end != "well")
    assert "urllib3.connectionpool" in text
    assert "Traceback" not in text
    assert_tells_nothing(text)


def assert_tells_nothing(text, error=None):
    while error is not None:
        text += f"{error} {error!r} {error.args}"
        error = error.__cause__ or error.__context__
    assert MARK not in text
