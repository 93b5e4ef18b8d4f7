from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.records.event_filter import BEGINNING_MS, END_MS, EventFilter, Skip

MEMBERS = {
    "lower": st.sampled_from([BEGINNING_MS, 0, 2, 5]),
    "upper": st.sampled_from([END_MS, 9, 6, 2]),
    "watermarks": st.dictionaries(st.integers(-1, 9), st.integers(-1, 9), max_size=3).map(
        lambda marks: tuple(sorted(marks.items()))
    ),
    "unread_from": st.none() | st.integers(0, 9),
    "processed_until": st.none() | st.integers(0, 9),
    "with_unstamped": st.booleans(),
    "excluded": st.frozensets(st.sampled_from("abc"), max_size=2),
}
filters = st.builds(EventFilter, **MEMBERS)
blocks = st.lists(
    st.tuples(st.integers(0, 9), st.none() | st.integers(0, 9), st.sampled_from("aaaab")),
    min_size=1,
    max_size=5,
)


def contracts_reason(f, instant, processed, name):
    """The contract's rule 4, said without any look-up."""
    if instant < f.lower or instant >= f.upper:
        return Skip.OUTSIDE_SPAN
    if name in f.excluded:
        return Skip.EXCLUDED
    if processed is None:
        return None if f.with_unstamped else Skip.NOT_YET
    if f.processed_until is not None and processed > f.processed_until:
        return Skip.NOT_YET
    mark = None
    for start, watermark in f.watermarks:
        mark = watermark if start <= instant else mark
    is_unread = f.unread_from is not None and instant >= f.unread_from
    return Skip.SEEN_BEFORE if mark is not None and processed <= mark and not is_unread else None


def test_every_member_of_a_filter_is_drawn():
    # Or else the law below says nothing of a new one.
    assert {field.name for field in fields(EventFilter)} == set(MEMBERS)


@pytest.mark.slow
@given(filters, blocks)
@settings(max_examples=500, deadline=None)
def test_a_block_is_chosen_from_as_event_by_event(event_filter, block):
    expected = [contracts_reason(event_filter, *event) for event in block]
    assert [event_filter.reason_to_skip(*event) for event in block] == expected
    columns = [list(column) for column in zip(*block, strict=True)]
    if event_filter.accepts_all(*columns):
        assert set(expected) == {None}
    accepted, skipped = event_filter.select(*columns)
    accepted = [True] * len(block) if accepted is None else accepted
    assert accepted == [reason is None for reason in expected]
    assert skipped == {skip: expected.count(skip) for skip in Skip if skip in expected}


@pytest.mark.parametrize(
    ("event_filter", "is_enough"),
    [
        (EventFilter(), True),
        (EventFilter(lower=2, upper=5), True),
        (EventFilter(lower=3), False),
        (EventFilter(upper=4), False),
        (EventFilter(excluded=frozenset("b")), True),
        (EventFilter(excluded=frozenset("a")), False),
        (EventFilter(watermarks=((0, 19),)), True),
        (EventFilter(watermarks=((0, 20),)), False),
        (EventFilter(watermarks=((0, 20),), unread_from=2), True),
        # Of the days before and after the block.
        (EventFilter(watermarks=((-9, 99), (-1, 19), (5, 99))), True),
        (EventFilter(watermarks=((5, 99),)), True),
        (EventFilter(watermarks=((-1, 19), (4, 99))), False),
        # The latest processed is one in the middle.
        (EventFilter(watermarks=((0, 19),), processed_until=29), False),
        (EventFilter(watermarks=((0, 19),), processed_until=30), True),
        (EventFilter(processed_until=29), False),
    ],
)
def test_a_block_is_accepted_by_a_few_look_ups(event_filter, is_enough):
    assert event_filter.accepts_all([2, 3, 4], [20, 30, 25], "aaa") is is_enough
    with_unstamped = event_filter.accepts_all([2, 3, 4], [20, None, 30], "aaa")
    assert with_unstamped is is_enough


def test_events_without_a_processing_time_are_never_taken_for_seen():
    event_filter = EventFilter(watermarks=((0, 20),), processed_until=1)
    assert event_filter.accepts_all([2, 3], [None, None], "aa")
