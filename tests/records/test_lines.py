from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_mixpanel_export.errors import IncompleteExportError
from tap_mixpanel_export.records.lines import blocks_of_lines

texts = st.lists(
    st.sampled_from([b"\n", b"a", b"\r", "\u2028\u2029\u0085".encode(), b"{}"]), max_size=30
).map(b"".join)


@given(texts, st.lists(st.integers(0, 40), max_size=8))
@settings(max_examples=200, deadline=None)
def test_blocks_hold_the_text_and_are_cut_at_line_ends_only(text, cuts):
    borders = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[start:end] for start, end in pairwise(borders)]
    blocks = list(blocks_of_lines([b"", *pieces, b""]))
    assert b"".join(blocks) == text
    assert all(blocks)
    assert all(block.endswith(b"\n") for block in blocks[:-1])


def test_only_the_line_feed_ends_a_line():
    text = "a\u2028b\u2029c\u0085d\re\x0bf\x0cg".encode()
    assert list(blocks_of_lines([text, b"\n", text])) == [text + b"\n", text]


def test_a_block_is_passed_on_as_soon_as_it_is_whole():
    seen = []

    def pieces():
        for piece in (b"a\nb", b"c", b"\nd"):
            seen.append(piece)
            yield piece

    blocks = blocks_of_lines(pieces())
    assert next(blocks) == b"a\n"
    assert seen == [b"a\nb"]
    assert list(blocks) == [b"bc\n", b"d"]


def test_no_text_has_no_block():
    assert list(blocks_of_lines([])) == list(blocks_of_lines([b""])) == []


def test_a_text_without_line_ends_is_given_up_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr("tap_mixpanel_export.records.lines._LINE_BYTES", 2**20)
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield bytes(2**16)

    with pytest.raises(IncompleteExportError, match="longer than 1 MB"):
        list(blocks_of_lines(endless()))
    assert len(taken) == 17


def test_pieces_of_nothing_are_not_kept():
    def pieces():
        for _ in range(10):
            yield b""
        yield b"a"
        yield b""
        yield b"\n"

    assert list(blocks_of_lines(pieces())) == [b"a\n"]
