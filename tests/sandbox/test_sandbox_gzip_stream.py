from __future__ import annotations

import gzip
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.sandbox.gzip_stream import Block, gzip_member
from tap_mixpanel_export.sandbox.transfer import rechunk


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=3000)), st.randoms())
def test_blocks_in_any_order_are_one_valid_member(pieces, order):
    blocks = [Block.of(piece) for piece in pieces]
    order.shuffle(blocks)
    member = b"".join(gzip_member(blocks))
    whole = b"".join(block.data() for block in blocks)
    # `gzip` checks checksum and length; the decompressor that nothing follows the one member.
    assert gzip.decompress(member) == whole
    decompressor = zlib.decompressobj(31)
    assert decompressor.decompress(member) == whole
    assert decompressor.eof
    assert decompressor.unused_data == b""


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=500)), st.integers(0, 3))
def test_chunks_hold_the_body_in_pieces_of_many_sizes(parts, doubled):
    parts = [part * 40**doubled for part in parts]
    chunks = list(rechunk(parts))
    assert b"".join(chunks) == b"".join(parts)
    assert all(chunks)
    if sum(map(len, parts)) > 100_000:
        assert len({len(chunk) for chunk in chunks}) > 4
