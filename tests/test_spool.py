from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.spool import Spool

records = st.binary(max_size=20).map(lambda text: text.replace(b"\n", b" "))


def lines_of(spool):
    lines = []
    for text, count in spool.blocks():
        block = text.split(b"\n")
        assert len(block) == count
        lines += block
    return lines


@given(st.lists(st.lists(records, max_size=5), max_size=6), st.data())
@settings(max_examples=150, deadline=None)
def test_what_is_written_and_not_dropped_is_read(blocks, data):
    written = [record for block in blocks for record in block]
    dropped = data.draw(st.sets(st.integers(0, len(written) - 1)) if written else st.just(set()))
    with Spool() as spool:
        for block in blocks:
            spool.write(block)
        assert spool.count == len(written)
        assert spool.drop(iter(dropped)) == len(dropped)
        expected = [record for at, record in enumerate(written) if at not in dropped]
        assert lines_of(spool) == expected
        # It can be read again: BATCH and the plain path share it.
        assert lines_of(spool) == expected


def test_ordinals_may_come_in_any_order_and_in_several_calls():
    with Spool() as spool:
        spool.write([b"a", b"b"])
        spool.write([b"c"])
        assert spool.drop([2, 0]) == 2
        assert spool.drop([]) == 0
        assert lines_of(spool) == [b"b"]


def test_nothing_is_left_on_disk_even_while_it_is_in_use(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Spool() as spool:
        spool.write([b"x" * 100_000])
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="closed"):
        lines_of(spool)


def test_records_are_kept_compressed(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Spool() as spool:
        spool.write(
            [b'{"event_id":"%064d","timestamp":"2026-11-22T14:03:11Z"}' % n for n in range(5000)]
        )
        assert os.fstat(spool._file.fileno()).st_size < 5000 * 110 // 4
