from __future__ import annotations

from contextlib import closing
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.records import duplicates as repeats
from tap_mixpanel_export.records.duplicates import ENTRY, KEY_BYTES, Duplicates


def key_of(number):
    return sha256(bytes([number])).digest()


def superseded(copies, block=3):
    with closing(Duplicates()) as found:
        for first in range(0, len(copies), block):
            numbers, processed = zip(*copies[first : first + block], strict=True)
            keys = [None if number is None else key_of(number) for number in numbers]
            found.add(keys, processed, first)
        return list(found.superseded())


def naive(copies):
    """All but the latest processed of each event, the first of equals."""
    kept = {}
    for ordinal, (number, processed) in enumerate(copies):
        # Without a key an event is never a repeat; without a processing time it is the oldest.
        name = ("no key", ordinal) if number is None else number
        age = -1 if processed is None else processed
        if name not in kept or age > kept[name][0]:
            kept[name] = (age, ordinal)
    return set(range(len(copies))) - {ordinal for _, ordinal in kept.values()}


copies_of_events = st.lists(
    st.tuples(
        st.none() | st.integers(0, 12),
        st.sampled_from([None, 0, 1, 2, 10**13, 2**63 - 1]),
    ),
    max_size=60,
)


@pytest.mark.parametrize("kept_in_memory", [1, 2, 7, 1000])
def test_the_latest_processed_copy_is_kept_and_the_first_of_equals(kept_in_memory, monkeypatch):
    monkeypatch.setattr(repeats, "_BUFFERED", kept_in_memory)

    @given(copies_of_events)
    @settings(max_examples=60, deadline=None)
    def check(copies):
        found = superseded(copies)
        assert len(found) == len(set(found))
        assert set(found) == naive(copies)

    check()


def test_keys_that_differ_in_one_bit_are_different_events():
    with closing(Duplicates()) as found:
        for ordinal in range(8 * KEY_BYTES):
            key = (1 << ordinal).to_bytes(KEY_BYTES, "big")
            found.add([key], [0], ordinal)
        assert list(found.superseded()) == []


def test_memory_is_bounded_by_a_file_without_a_name(monkeypatch, tmp_path):
    monkeypatch.setattr(repeats, "_BUFFERED", 10)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with closing(Duplicates()) as found:
        for ordinal in range(1000):
            found.add([key_of(ordinal % 250)], [ordinal], ordinal)
            assert sum(map(len, found._partitions)) < 10 * ENTRY.size
        assert sorted(found.superseded()) == list(range(750))
        assert list(tmp_path.iterdir()) == []
        # Nothing is used up by looking.
        assert sorted(found.superseded()) == list(range(750))


def test_few_events_need_no_file(monkeypatch):
    monkeypatch.setattr("tempfile.TemporaryFile", lambda: pytest.fail("no file is needed"))
    assert superseded([(1, 5), (1, 5), (2, 5)]) == [1]
