from __future__ import annotations

import gzip
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.errors import OutputError
from tap_mixpanel_export.records.spool import Spool

records = st.binary(max_size=20).map(lambda text: text.replace(b"\n", b" "))


def lines_of(spool):
    lines = []
    for block in spool.records():
        assert len(block.lines()) == block.count
        if block.member is not None:
            assert gzip.decompress(block.member) == block.text
        lines += block.lines()
    return lines


def write(spool, records):
    spool.write(b"".join(record + b"\n" for record in records), len(records))


@given(
    st.lists(st.lists(records, max_size=5), max_size=6),
    st.sampled_from([None, 0, 1, 3]),
    st.sampled_from([0, 20, 10_000]),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_what_is_written_and_not_dropped_is_read(blocks, gzip_level, memory_bytes, data):
    written = [record for block in blocks for record in block]
    dropped = data.draw(st.sets(st.integers(0, len(written) - 1)) if written else st.just(set()))
    with Spool(gzip_level, memory_bytes) as spool:
        for block in blocks:
            write(spool, block)
        assert spool.count == len(written)
        assert spool.drop(iter(dropped)) == len(dropped)
        expected = [record for at, record in enumerate(written) if at not in dropped]
        assert lines_of(spool) == expected
        # It can be read again: BATCH and the plain path share it.
        assert lines_of(spool) == expected


def test_ordinals_may_come_in_any_order_and_in_several_calls():
    with Spool() as spool:
        write(spool, [b"a", b"b"])
        write(spool, [b"c"])
        assert spool.drop([2, 0]) == 2
        assert spool.drop([]) == 0
        assert lines_of(spool) == [b"b"]


def test_nothing_is_left_on_disk_even_while_it_is_in_use(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Spool() as spool:
        write(spool, [b"x" * 100_000])
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="closed"):
        lines_of(spool)


def test_records_are_kept_compressed(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Spool() as spool:
        write(
            spool,
            [b'{"event_id":"%064d","timestamp":"2026-11-22T14:03:11Z"}' % n for n in range(5000)],
        )
        assert len(lines_of(spool)) == 5000
        assert os.fstat(spool._file.fileno()).st_size < 5000 * 110 // 4


def test_few_records_need_no_file(monkeypatch):
    def refuse():
        raise OutputError("there is no room")

    monkeypatch.setattr("tap_mixpanel_export.records.spool.open_temporary", refuse)
    with Spool(memory_bytes=100) as spool:
        write(spool, [b"a", b"b"])
        write(spool, [b"c"])
        assert lines_of(spool) == [b"a", b"b", b"c"]
        with pytest.raises(OutputError, match="there is no room"):
            write(spool, [os.urandom(200).replace(b"\n", b" ")])
    with pytest.raises(ValueError, match="closed"):
        lines_of(spool)


def test_gzip_members_are_a_gzip_file_without_any_work():
    with Spool(1) as spool:
        write(spool, [b"a", b"b"])
        write(spool, [b"c", b"d"])
        file = b"".join(block.member for block in spool.records())
        assert gzip.decompress(file) == b"a\nb\nc\nd\n"
        spool.drop([1])
        assert [block.member is None for block in spool.records()] == [True, False]
        assert lines_of(spool) == [b"a", b"c", b"d"]
