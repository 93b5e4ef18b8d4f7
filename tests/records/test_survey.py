from __future__ import annotations

import json
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_mixpanel_export.records.survey import BoundedCounts, DayTally, Survey

DAY_MS = 86_400_000


@given(
    blocks=st.lists(st.lists(st.integers(-3 * DAY_MS, 3 * DAY_MS), min_size=1), max_size=8),
    done=st.none() | st.integers(-3 * DAY_MS, 3 * DAY_MS),
    data=st.data(),
)
def test_days_add_up_without_what_was_dropped(blocks, done, data) -> None:
    tally = DayTally(done)
    for block in blocks:
        tally.add(block)
    everything = [instant for block in blocks for instant in block]
    dropped = data.draw(st.sets(st.integers(0, max(0, len(everything) - 1))))
    dropped = [ordinal for ordinal in dropped if ordinal < len(everything)]
    assert list(tally.without(dropped)) == dropped
    kept = [instant for at, instant in enumerate(everything) if at not in dropped]
    days = Counter(instant // DAY_MS for instant in kept)
    late = Counter(instant // DAY_MS for instant in kept if done is not None and instant <= done)
    told = [one for one in tally.days() if one[1]]
    assert told == [(day, days[day], late[day]) for day in sorted(days)]
    assert tally.late == late.total()


def test_counts_have_a_bound_and_lose_nothing() -> None:
    counts = BoundedCounts(3)
    counts.add({"a": 1, "b": 2, "c": 3, "d": 4})
    counts.add({"a": 10, "e": 5})
    other = BoundedCounts(3)
    other.add({"f": 1, "g": 1, "h": 1, "i": 7})
    counts.add_all(other)
    assert counts.counts == {"a": 11, "b": 2, "c": 3}
    assert counts.other == 4 + 5 + 3 + 7


def line(**properties) -> bytes:
    return json.dumps({"event": "e", "properties": properties}).encode() + b"\n"


def test_the_first_events_are_all_looked_at_and_then_one_now_and_then() -> None:
    survey = Survey({"time"})
    survey.take(b"".join(line(time=1, a=1, **({"b": 2} if n % 2 else {})) for n in range(100)))
    assert survey.sampled == 100
    assert survey.unmapped.counts == {"a": 100, "b": 50}
    block = line(time=1, a=1) * 10_000
    for _ in range(21):
        survey.take(block)
    # The rest of the first two hundred, and one for each quarter of a megabyte.
    assert survey.sampled == 200 + 20


def test_names_are_bounded_in_number_and_length() -> None:
    survey = Survey(())
    for start in range(0, 5000, 25):
        survey.take(line(**{f"{n}-" * 300: 1 for n in range(start, start + 25)}))
    assert len(survey.unmapped.counts) == 1000
    assert survey.unmapped.other == 4000
    assert max(map(len, survey.unmapped.counts)) == 255


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"[", b'{"event":1}', b'{"properties":5}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_event_is_passed_over(text) -> None:
    survey = Survey(())
    survey.take(text)
    assert survey.sampled == 0


def test_no_value_is_kept() -> None:
    survey = Survey(())
    survey.take(line(a="secret", b={"c": "secret"}))
    assert list(islice(survey.unmapped.counts, 5)) == ["a", "b"]
