"""What came in place of events, or among them: none of it is written, none of it hides a loss."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta

import pytest
from five_days import EACH_WINDOW, FIRST, NOW, WINDOWS, assert_resumable, five_days, lines_of, run
from harness import DAY, UTC, run_tap, some_days, truth

from tap_mixpanel_export import errors
from tap_mixpanel_export.sandbox import Fault, Sandbox, SandboxClock

ERROR = '{"error": "Unknown error\\u001b[0m", "status": 0}'
PAGE = "<!DOCTYPE html>\n<html>\n<title>Log in</title>\n</html>\n"


@pytest.fixture
def sandbox():
    with five_days() as sandbox:
        yield sandbox


@EACH_WINDOW
@pytest.mark.parametrize(
    "kind", ["malformed_line", "no_event", "no_properties", "no_time", "invalid_utf8"]
)
def test_malformed_lines_that_stay_end_the_run_when_they_cannot_be_kept(sandbox, kind, day):
    sandbox.add_faults(Fault(kind, day=day, times=None, lines=2))
    got = run(sandbox)
    assert type(got.error) is errors.DiagnosticsError
    assert f"2 malformed line(s) of {len(lines_of(sandbox, day)) + 2} in {day}" in str(got.error)
    assert [r.from_date for r in sandbox.requests].count(day) == 2
    assert_resumable(sandbox, got, day)


@EACH_WINDOW
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("malformed_line", "not a JSON object"),
        ("no_event", "no `event`"),
        ("no_properties", "no `properties`, or they are no object"),
        ("no_time", "no usable `time`"),
        ("invalid_utf8", "not a JSON object"),
    ],
)
def test_malformed_lines_that_stay_are_kept_in_a_file(  # noqa: PLR0917 - fixtures and cases
    sandbox, tmp_path, kind, reason, day, caplog
):
    sandbox.add_faults(Fault(kind, day=day, times=None, lines=2))
    folder = tmp_path / "diagnostics"
    # Of the last window, half a day, two lines are more than of the others.
    got = run(sandbox, diagnostics_dir=str(folder), error_threshold_percent=30)
    assert got.error is None
    assert got.ids == truth(sandbox)
    [file] = folder.iterdir()
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    assert [entry["days"] for entry in kept] == [f"{day}"] * 2
    assert len({entry["line"] for entry in kept}) == 1
    assert {entry["reason"] for entry in kept} == {reason}
    assert caplog.text.count(f"2 malformed line(s) kept in {folder} ({reason}: 2)") == 1
    assert kept[0]["line"] not in caplog.text


def test_too_many_malformed_lines_end_the_run_before_their_window_is_written(sandbox, tmp_path):
    day = WINDOWS["middle"]
    sandbox.add_faults(Fault("malformed_line", day=day, times=None, lines=5))
    settings = {"diagnostics_dir": str(tmp_path), "error_threshold_percent": 5}
    got = run(sandbox, **settings)
    assert type(got.error) is errors.DiagnosticsError
    assert f"5 malformed lines of {day} are" in str(got.error)
    assert len(list(tmp_path.iterdir())) == 1
    assert_resumable(sandbox, got, day)


def test_too_many_malformed_lines_of_a_window_do_not_hide_behind_those_before(sandbox, tmp_path):
    day = WINDOWS["last"]
    count = len(lines_of(sandbox, day)) // 4
    sandbox.add_faults(Fault("malformed_line", day=day, times=None, lines=count))
    settings = {"diagnostics_dir": str(tmp_path), "error_threshold_percent": 10}
    got = run(sandbox, **settings)
    assert type(got.error) is errors.DiagnosticsError
    assert f"{count} malformed lines of {day}" in str(got.error)
    assert_resumable(sandbox, got, day)


@EACH_WINDOW
@pytest.mark.parametrize(
    ("text", "share", "words"),
    [
        (ERROR, 0, r"no event, but an error of the service: Unknown error\x1b[0m"),
        (ERROR, 1, r"behind its events, with an error of the service: Unknown error\x1b[0m"),
        (PAGE, 0, "no event, but a web page"),
        ("Internal Server Error", 1, "an error in words"),
    ],
)
@pytest.mark.slow
def test_an_answer_that_is_no_export_is_never_a_malformed_line(  # noqa: PLR0917 - fixtures
    sandbox, tmp_path, text, share, words, day
):
    sandbox.add_faults(Fault("terminated_early", text=text, share=share, day=day, times=None))
    got = run(sandbox, diagnostics_dir=str(tmp_path), error_threshold_percent=100)
    assert type(got.error) is errors.WindowError
    assert words in str(got.error)
    assert list(tmp_path.iterdir()) == []
    assert_resumable(sandbox, got, day)


@EACH_WINDOW
def test_an_answer_whose_end_nobody_can_see_is_taken_when_it_comes_twice(sandbox, day):
    sandbox.add_faults(Fault("until_close_cut", day=day), Fault("until_close", day=day))
    got = run(sandbox)
    assert got.error is None
    assert got.ids == truth(sandbox)
    # A half, the whole that it is held against, and again: this time chunks mark the end.
    asked = [r.from_date for r in sandbox.requests]
    assert asked.count(day) == 3

    sandbox.add_faults(Fault("until_close", day=day, times=None))
    got = run(sandbox)
    assert got.ids == truth(sandbox)
    assert [r.from_date for r in sandbox.requests[len(asked) :]].count(day) == 2


@EACH_WINDOW
@pytest.mark.parametrize("kind", ["empty_first_chunk", "short_length"])
@pytest.mark.slow
def test_an_answer_that_always_ends_too_early_is_never_taken(sandbox, kind, day):
    sandbox.add_faults(Fault(kind, day=day, times=None))
    got = run(sandbox)
    assert type(got.error) is errors.WindowError
    assert "its length is wrong" in str(got.error)
    assert_resumable(sandbox, got, day)


def test_a_wide_query_that_is_refused_is_asked_for_in_halves():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with Sandbox(some_days(start, 70, each=1), clock=SandboxClock.fixed(start + 70 * DAY)) as box:
        first = run_tap(box, start_date="2026-01-01")
        box.clock.advance(timedelta(hours=1))
        asked = len(box.requests)
        # 64 days, then 32 of them.
        box.add_faults(Fault("status", status=400, day=date(2026, 2, 1), times=2))
        got = run_tap(box, first.state(), lookback_days=65, max_window_days=100)
        assert got.error is None
        asked = [r for r in box.requests[asked:] if r.from_date < date(2026, 3, 11)]
        widths = [(r.to_date - r.from_date).days + 1 for r in asked]
        assert [w for w, r in zip(widths, asked, strict=True) if r.status == 400] == [64, 32]
        assert sum(w for w, r in zip(widths, asked, strict=True) if r.status == 200) == 64
        # Many days say nothing against the filter for late events.
        assert all(r.where is not None for r in asked)


def test_a_long_pause_blocks_no_later_run(sandbox, tmp_path):
    quota_file = str(tmp_path / "quota.db")
    sandbox.add_faults(Fault("status", status=429, retry_after=31_536_000, day=FIRST))
    got = run(sandbox, quota_file=quota_file)
    assert type(got.error) is errors.LongPauseError
    assert got.waits == []
    got = run(sandbox, quota_file=quota_file)
    assert got.error is None
    assert got.ids == truth(sandbox)
    assert sum(got.waits) < 60


def test_lines_of_an_answer_that_does_not_count_are_not_kept(sandbox, tmp_path):
    day = WINDOWS["middle"]
    # Malformed, then malformed and cut off in the end, then as it should be.
    sandbox.add_faults(
        Fault("malformed_line", day=day),
        Fault("terminated_early", day=day, text="{oops\n{oops\nterminated early"),
    )
    got = run(sandbox, diagnostics_dir=str(tmp_path))
    assert got.ids == truth(sandbox)
    assert list(tmp_path.iterdir()) == []


@EACH_WINDOW
def test_a_day_without_events_is_a_valid_answer(day):
    with Sandbox(
        [e for e in some_days(datetime(2026, 3, 11, tzinfo=UTC), 5) if e.day != day],
        clock=SandboxClock.fixed(NOW),
    ) as emptier:
        got = run(emptier)
        assert got.ids == truth(emptier)
        # It is asked for twice: a service that is lost on the way may look the same.
        assert sorted(r.from_date for r in emptier.requests) == sorted(
            [*(FIRST + n * DAY for n in range(5)), day]
        )
        assert got.bookmarks[-1]["replication_key_value"] == NOW.isoformat()


def test_a_project_without_events_gets_a_bookmark():
    with Sandbox([], clock=SandboxClock.fixed(NOW)) as sandbox:
        got = run(sandbox)
        assert got.records == []
        assert got.bookmarks[-1]["replication_key_value"] == NOW.isoformat()
