from __future__ import annotations

import json
from contextlib import closing
from datetime import timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_makers import DAY, response_of

from tap_mixpanel_export.config import load_columns
from tap_mixpanel_export.errors import IncompleteExportError, MalformedLinesError
from tap_mixpanel_export.records.event_filter import EventFilter, Skip
from tap_mixpanel_export.records.malformed import MalformedLines
from tap_mixpanel_export.records.records import RecordMaker
from tap_mixpanel_export.records.response import Response
from tap_mixpanel_export.records.spool import Spool
from tap_mixpanel_export.timezones import Instants

COLUMNS, _ = load_columns({})


def line_of(number, **others):
    properties = {"time": number, "$insert_id": str(number), "text": "blå \u2028", **others}
    return json.dumps({"event": "a", "properties": properties}, ensure_ascii=False).encode()


def answered(*blocks, accept=False, done=None, deduplicate=True, event_filter=None, whole=False):
    """The records, or their times, of an answer of some blocks, and its counts."""
    make = RecordMaker(
        COLUMNS,
        Instants(timezone.utc, milliseconds=False),
        event_filter=event_filter or EventFilter(),
    )
    how = {"deduplicate": deduplicate, "done": done, "may_be_malformed": accept}
    with Spool() as spool:
        with response_of(make, spool, **how) as response:
            for block in blocks:
                response.take(block)
            response.finish()
        records = [json.loads(line) for block in spool.records() for line in block.lines()]
    return records if whole else [record["time"] for record in records], response.counts


def test_the_records_of_all_blocks_are_spooled_and_counted():
    times, counts = answered(line_of(1) + b"\n" + line_of(2) + b"\n", line_of(3) + b"\n")
    assert times == [1, 2, 3]
    assert (counts.lines, counts.records, counts.malformed) == (3, 3, 0)
    assert not counts.skipped


def test_the_last_line_needs_no_end_and_blank_lines_are_none():
    times, counts = answered(b"\n" + line_of(1) + b"\n \r\n", line_of(2))
    assert times == [1, 2]
    assert (counts.lines, counts.malformed) == (2, 0)


@given(st.integers(1, len(line_of(2)) - 1), st.booleans())
@settings(max_examples=60, deadline=None)
def test_an_event_broken_over_two_lines_anywhere_is_one_event(cut, in_one_block):
    broken = line_of(2)
    lines = [line_of(1), broken[:cut], broken[cut:], line_of(3)]
    blocks = [line + b"\n" for line in lines]
    times, counts = answered(*([b"".join(blocks)] if in_one_block else blocks))
    assert times == [1, 2, 3]
    assert (counts.lines, counts.malformed) == (3, 0)


def test_two_broken_events_in_a_row():
    first, second = line_of(1), line_of(2)
    lines = [first[:9], first[9:], second[:30], second[30:]]
    times, _ = answered(b"\n".join(lines) + b"\n")
    assert times == [1, 2]


BAD = [b"not json", b'{"event":"a"}', b'{"event":"\xff","properties":{"time":9}}', b"{"]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("place", [0, 1])
def test_a_malformed_line_costs_no_event(bad, place):
    lines = [line_of(1), line_of(2)]
    lines.insert(place, bad)
    block = b"\n".join(lines) + b"\n"
    with pytest.raises(MalformedLinesError) as caught:
        answered(block)
    assert caught.value.count == 1
    times, counts = answered(block, accept=True)
    assert times == [1, 2]
    assert (counts.lines, counts.malformed) == (2, 1)


def test_malformed_lines_in_a_row_are_counted_each():
    _, counts = answered(b"x\ny\n" + line_of(1) + b"\nz\n" + line_of(2), accept=True)
    assert (counts.lines, counts.malformed) == (2, 3)
    assert counts.malformed_percent == 60


@pytest.mark.parametrize("accept", [False, True])
@pytest.mark.parametrize(
    "end", [b"terminated early", b"\nterminated early\n", b"\n" + line_of(2)[:20]]
)
def test_a_response_that_was_cut_off_is_not_whole(end, accept):
    with pytest.raises(IncompleteExportError):
        answered(line_of(1) + b"\n" + line_of(2)[:25] + end, accept=accept)


@pytest.mark.parametrize("accept", [False, True])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n \r\n\n"])
@pytest.mark.parametrize(
    "bad", [BAD[0], BAD[1], BAD[3], b'{"error":"Sorry\\u0007"}', b"<html>\n</html>"]
)
@pytest.mark.parametrize("events", [0, 1, 5])
def test_a_response_that_ends_with_something_else_than_an_event_is_not_whole(
    accept, end, bad, events
):
    block = b"".join(line_of(n) + b"\n" for n in range(1, events + 1))
    with pytest.raises(IncompleteExportError, match="behind its events" if events else "no event"):
        answered(block + bad + end, accept=accept)
    with pytest.raises(IncompleteExportError):
        answered(*[line + b"\n" for line in (block + bad + end).split(b"\n")], accept=accept)


def test_only_what_follows_the_last_event_says_why_a_response_is_none():
    with pytest.raises(IncompleteExportError, match=r"an error of the service: Sorry\\x07$"):
        answered(b"<html>\n" + line_of(1) + b'\n{"error":"Sorry\\u0007"}\n')
    with pytest.raises(IncompleteExportError, match="no event, but a web page"):
        answered(b"<html>\n" + b"x" * 10_000 + b"\n" * 5000 + b"<p>\n</html>")


def test_an_event_that_cannot_be_used_ends_a_response_as_well_as_others():
    block = line_of(1) + b'\n{"event":"a","properties":{}}\n'
    times, counts = answered(block, accept=True)
    assert (times, counts.lines, counts.malformed) == ([1], 1, 1)
    with pytest.raises(MalformedLinesError):
        answered(block)


def test_an_event_is_mended_over_blank_lines():
    broken = line_of(2)
    times, counts = answered(broken[:30] + b"\n\n" + broken[30:] + b"\n")
    assert (times, counts.malformed) == ([2], 0)


def test_millions_of_blank_lines_are_not_looked_at_one_by_one(monkeypatch):
    looked_at = []
    take_line = Response._take_line
    monkeypatch.setattr(
        Response, "_take_line", lambda self, line: (looked_at.append(line), take_line(self, line))
    )
    blanks = b"\n" * 500_000 + b" \t\r\n" * 100_000
    times, _ = answered(
        blanks,
        blanks + line_of(1) + b"\n" + blanks + b"bad\n" + blanks,
        blanks + line_of(2),
        accept=True,
    )
    assert times == [1, 2]
    assert len(looked_at) < 10


def test_of_the_copies_of_an_event_the_latest_processed_is_kept():
    copies = [
        line_of(1, mp_processing_time_ms=processed, copy=copy)
        for copy, processed in enumerate([5, 9, 9, 7])
    ]
    block = b"\n".join(copies) + b"\n"
    times, counts = answered(block[: len(copies[0]) + 1], block[len(copies[0]) + 1 :])
    assert times == [1]
    assert (counts.lines, counts.duplicates, counts.records) == (4, 3, 1)
    times, counts = answered(block, deduplicate=False)
    assert times == [1, 1, 1, 1]
    assert counts.duplicates == 0


# Few numbers, so that there are copies; some are known from earlier runs.
numbers = st.integers(1, 6)
processing_times = st.sampled_from([None, 5, 6, 7])


@st.composite
def events_as_exported(draw):
    """An event's number, processing time, and text; the number is None without `$insert_id`."""
    number, processed = draw(numbers), draw(processing_times)
    properties = {"time": number, "$insert_id": f"{number}", "text": "blå \u2028"}
    if is_anonymous := draw(st.sampled_from([False, False, False, True])):
        del properties["$insert_id"]
    if processed is not None:
        properties["mp_processing_time_ms"] = processed
    # What the fast way leaves to the careful one: it must find the same identity.
    properties |= draw(st.sampled_from([{}, {}, {"$import": "yes"}, {"b": "\ud800"}]))
    event = {"event": "a", "properties": properties}
    is_ascii = "b" in properties or draw(st.booleans())
    separators = draw(st.sampled_from([(",", ":"), (",", ":"), (", ", ": ")]))
    text = json.dumps(event, ensure_ascii=is_ascii, separators=separators).encode()
    return number, is_anonymous, processed, text


@st.composite
def answers(draw):
    """Events in order, the number of malformed lines, and the blocks that hold them."""
    events, lines, bad = [], [], 0
    bad_lines = [b"not json", b'{"event":"a"}', b'{"event":"\xff"}', b"{"]
    for _ in range(draw(st.integers(0, 14))):
        kind = draw(st.sampled_from(["event"] * 6 + ["broken", "broken", "bad", "blank"]))
        if kind in {"event", "broken"}:
            *event, text = draw(events_as_exported())
            events.append(event)
            cut = draw(st.integers(1, len(text) - 1)) if kind == "broken" else 0
            lines += [text[:cut], text[cut:]] if cut else [text]
        elif kind == "bad":
            bad += 1
            lines.append(draw(st.sampled_from(bad_lines)))
        else:
            lines.append(draw(st.sampled_from([b"", b" \r"])))
    borders = draw(st.lists(st.booleans(), min_size=len(lines), max_size=len(lines)))
    blocks = [b""]
    for line, is_border in zip(lines, borders, strict=True):
        blocks[-1] += line + b"\n"
        if is_border:
            blocks.append(b"")
    ends = [line for line in lines if line.strip()]
    is_whole = not ends or ends[-1] not in bad_lines
    return events, bad, [block for block in blocks if block], is_whole


@pytest.mark.slow
@given(answers())
@settings(max_examples=300, deadline=None)
def test_any_mixture_of_lines_gives_each_event_once_and_counts_the_rest(answer):
    events, bad, blocks, is_whole = answer
    best = {}
    for ordinal, (number, is_anonymous, processed) in enumerate(events):
        age = -1 if processed is None else processed
        if number >= 3 and not is_anonymous and (number not in best or age > best[number][0]):
            best[number] = (age, ordinal)
    kept = {ordinal for _, ordinal in best.values()}
    wanted = [ordinal for ordinal, event in enumerate(events) if event[0] >= 3]
    expected = [o for o in wanted if o in kept or events[o][1]]
    options = {"accept": True, "event_filter": EventFilter(lower=3000), "whole": True}
    if not is_whole:
        with pytest.raises(IncompleteExportError):
            answered(*blocks, **options)
        blocks = [*blocks, line_of(1)]
        events = [*events, (1, False, None)]
        wanted = [ordinal for ordinal, event in enumerate(events) if event[0] >= 3]
    written, counts = answered(*blocks, **options)
    assert [(r["time"], r["insert_id"] is None, r["mp_processing_time_ms"]) for r in written] == [
        tuple(events[ordinal]) for ordinal in expected
    ]
    assert (counts.lines, counts.malformed) == (len(events), bad)
    assert sum(counts.skipped.values()) == len(events) - len(wanted)
    assert counts.duplicates == len(wanted) - len(expected)


def test_skipped_and_late_events_and_those_from_the_future_are_counted():
    block = b"\n".join(line_of(n, mp_processing_time_ms=100_000) for n in (10, 20, 150, 161))
    times, counts = answered(block, done=20_000, event_filter=EventFilter(lower=20_000))
    assert times == [20, 150, 161]
    assert (counts.lines, counts.skipped, counts.late) == (4, {Skip.OUTSIDE_SPAN: 1}, 1)
    # Clocks of devices may be ahead by a minute.
    assert counts.from_future == 1


def test_what_is_malformed_twice_is_kept_in_its_file(tmp_path):
    with Spool() as spool, closing(MalformedLines(tmp_path, DAY, DAY)) as malformed:
        make = RecordMaker(COLUMNS, Instants(timezone.utc, milliseconds=False))
        with response_of(make, spool, malformed) as answer:
            answer.take(b"bad\n" + line_of(1) + b"\n")
            answer.finish()
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_bytes())["line"] == "bad"
