"""Laws of watermarks, and of the plan by which sweeps raise them."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from harness import DAY, UTC
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.sync.sweeps import SweepPlan
from tap_mixpanel_export.sync.watermarks import Watermarks

days = st.integers(0, 400).map(lambda n: date(2020, 1, 1) + n * DAY)
ages = st.integers(0, 60)


@st.composite
def histories(draw):
    now = datetime(2021, 6, 1, tzinfo=UTC)
    marks = draw(st.dictionaries(days, ages, min_size=1, max_size=12))
    watermarks = Watermarks(tuple((d, now - a * DAY / 4) for d, a in sorted(marks.items())))
    first = min(marks)
    plan = SweepPlan(
        first,
        first + draw(st.integers(0, 500)) * DAY,
        draw(st.integers(1, 10)) * DAY,
        draw(st.sampled_from([1, 7, 30, 366])),
    )
    return watermarks, plan, now


@pytest.mark.slow
@given(histories())
@settings(max_examples=200, deadline=None)
def test_a_sweep_takes_the_oldest_first_and_all_that_is_due(history):
    watermarks, plan, now = history
    due = plan.due(watermarks, now)
    assert 0 <= due <= plan.days
    for first, last, mark in watermarks.pieces(plan.first, plan.last):
        if mark <= now - plan.interval:
            assert due >= (last - first).days + 1
    while plan.due(watermarks, now):
        oldest = min(m for *_, m in watermarks.pieces(plan.first, plan.last))
        days = plan.next_window(watermarks)
        first, last = days.first, days.last
        assert plan.first <= first <= last <= plan.last
        assert (last - first).days < plan.width
        assert watermarks.lowest(first, last) == oldest
        watermarks = watermarks.raised(first, last, now)
    assert all(mark > now - plan.interval for *_, mark in watermarks.pieces(plan.first, plan.last))


@given(histories(), st.integers(1, 5))
@settings(max_examples=100, deadline=None)
def test_compact_watermarks_are_never_later_than_the_full_ones(history, most):
    watermarks, plan, _ = history
    compact = watermarks.compacted(most)
    assert len(compact.marks) <= max(most, 2)
    assert compact.marks[-1] == watermarks.marks[-1]
    blurred = watermarks.blurred()
    for n in range(-1, plan.days + 1):
        day = plan.first + n * DAY
        full = watermarks.of(day)
        assert full is None or compact.of(day) <= full
        around = [watermarks.of(day + shift) for shift in (-DAY, 0 * DAY, DAY)]
        if full is not None:
            assert blurred.of(day) <= min(mark for mark in around if mark is not None)


@pytest.mark.slow
@given(histories(), days, st.none() | days, ages)
@settings(max_examples=200, deadline=None)
def test_raising_watermarks_changes_the_days_named_and_no_others(history, first, last, age):
    watermarks, plan, now = history
    mark = now - age * DAY / 4
    raised = watermarks.raised(first, last, mark)
    for n in range(-5, 500, 7):
        day = plan.first + n * DAY
        before, after = watermarks.of(day), raised.of(day)
        if last is not None and last + DAY < watermarks.marks[0][0]:
            assert after == before
        elif first <= day and (last is None or day <= last):
            assert after == (mark if before is None else max(mark, before))
        else:
            assert after == before
