from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone

import pytest
from event_lines import event_of_line

from tap_mixpanel_export.sandbox import Generated, Sandbox, SandboxClock, generate
from tap_mixpanel_export.sandbox.clock import epoch_milliseconds

LAST = date(2026, 11, 19)


def lines(what: Generated) -> list[bytes]:
    return [line for piece in generate(what) for line in piece.block.data().splitlines()]


@pytest.mark.parametrize(("shape", "properties"), [("wide", 35), ("adobe", 10)])
def test_shapes(shape, properties):
    made = lines(Generated(1000, 3, LAST, shape))
    assert len(made) == len(set(made)) == 1000
    decoded = [json.loads(line) for line in made]
    assert all(len(event["properties"]) == properties for event in decoded)
    assert len({event["event"] for event in decoded}) == 4
    assert {event_of_line(line).day for line in made} == {
        LAST - timedelta(days=n) for n in range(3)
    }
    if shape == "wide":
        assert 1100 <= sum(map(len, made)) / 1000 <= 1160


def test_the_same_description_gives_the_same_lines():
    assert lines(Generated(500, 2, LAST)) == lines(Generated(500, 2, LAST))
    assert lines(Generated(500, 2, LAST)) != lines(Generated(500, 2, LAST, seed=1))


def test_shares_of_repeats_and_of_late_events():
    made = lines(Generated(4000, 2, LAST, "adobe", duplicates=0.1, late=0.05))
    assert len(set(made)) == 4000
    assert 4300 <= len(made) <= 4500
    delays = [event.processed_ms - event.time_ms for event in map(event_of_line, set(made))]
    late = [delay for delay in delays if delay > 86_400_000]
    assert 150 <= len(late) <= 250
    assert max(delays) < 5 * 86_400_000


def test_a_data_set_of_no_days_is_refused():
    with pytest.raises(ValueError, match="day"):
        list(generate(Generated(1, 0, LAST)))


def test_generated_events_exist_from_their_processing_time_on(fetch, lines_of):
    what = Generated(2000, 2, LAST, "adobe", late=0.3)
    clock = SandboxClock.fixed(datetime(2026, 11, 19, 12, tzinfo=timezone.utc))
    with Sandbox(events=[], pieces=generate(what), clock=clock) as sandbox:
        truth = [event_of_line(line) for line in lines(what)]
        for _ in range(6):
            now = epoch_milliseconds(clock.now())
            expected = sorted(event.line() for event in truth if event.processed_ms <= now)
            body = fetch(sandbox, to_date="2026-11-19").content
            assert lines_of(body) == expected == sorted(sandbox.visible())
            clock.advance(timedelta(days=1))
        assert len(expected) == 2000
        body = fetch(sandbox, to_date="2026-11-19", time_in_ms="true").content
        assert lines_of(body) == sorted(event.line(time_in_ms=True) for event in truth)
        assert sorted(sandbox.visible(time_in_ms=True)) == lines_of(body)
