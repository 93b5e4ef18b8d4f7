"""Faults of what an answer holds: odd lines, errors among events, sizes that nobody expects."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from faulty_sandboxes import EVENTS, whole

from tap_mixpanel_export.sandbox import Fault


@pytest.mark.parametrize("text", [None, "export terminated early"])
def test_terminated_early(faulty, fetch, text):
    sandbox = faulty(Fault("terminated_early", share=0.25, text=text))
    answer = fetch(sandbox)
    assert answer.status_code == 200
    assert answer.headers["Content-Encoding"] == "gzip"
    *lines, last = answer.content.split(b"\n")
    assert last == (text or "terminated early").encode()
    assert len(lines) == len(EVENTS) // 4
    assert set(lines) < set(sandbox.visible())


LAST_LINES = {
    "error_object": '{"error": "Internal error, please try again", "status": 0}',
    "error_text": "Internal Server Error",
    "web_page": "<!DOCTYPE html>",
}


@pytest.mark.parametrize("kind", LAST_LINES)
def test_an_export_that_ends_with_an_error_or_is_none(faulty, fetch, kind):
    sandbox = faulty(Fault(kind, share=0.25), Fault(kind, share=0), Fault(kind, text="said"))
    *lines, last = fetch(sandbox).content.split(b"\n")
    assert len(lines) == len(EVENTS) // 4
    assert set(lines) < set(sandbox.visible())
    assert last.decode().startswith(LAST_LINES[kind])
    only = fetch(sandbox)
    assert only.content == last
    assert ("html" in only.headers["Content-Type"]) is (kind == "web_page")
    assert fetch(sandbox).content.split(b"\n")[-1] == b"said"


def test_an_empty_first_chunk_ends_the_body(faulty, raw):
    sandbox = faulty(Fault("empty_first_chunk"))
    assert raw(sandbox) == (b"", None)


@pytest.mark.slow
def test_a_bomb_is_small_on_the_wire(faulty, raw):
    sandbox = faulty(Fault("gzip_bomb", megabytes=200))
    body, error = raw(sandbox)
    assert error is None
    assert len(body) < 2_000_000
    assert sandbox.requests[0].bytes_sent == len(body)
    decompressor, size = zlib.decompressobj(31), 0
    text = body
    while text:
        last = decompressor.decompress(text, 10_000_000)
        size += len(last)
        text = decompressor.unconsumed_tail
    assert decompressor.eof
    assert set(last) == {0}
    assert size == 200 * 1024 * 1024 + len(whole(sandbox))


@pytest.mark.slow
def test_empty_lines_are_many_and_cost_nothing(faulty, raw):
    sandbox = faulty(Fault("empty_lines", lines=20_000_001), events=EVENTS)
    body, error = raw(sandbox)
    assert error is None
    assert len(body) < 300_000
    text = gzip.decompress(body)
    assert text.count(b"\n") == len(EVENTS) + 20_000_001
    assert {line for line in text.splitlines() if line} == set(sandbox.visible())


def test_cut_last_line(faulty, raw):
    sandbox = faulty(Fault("cut_last_line"))
    body, error = raw(sandbox)
    assert error is None
    *lines, last = gzip.decompress(body).split(b"\n")
    assert set(lines) < set(sandbox.visible())
    assert any(line.startswith(last) and line != last for line in sandbox.visible())


def test_empty_body(faulty, fetch):
    answer = fetch(faulty(Fault("empty")))
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("lines", [1, 3])
def test_split_event(faulty, fetch, lines):
    sandbox = faulty(Fault("split_event", lines=lines, share=0.3))
    physical = fetch(sandbox).content.split(b"\n")[:-1]
    assert len(physical) == len(EVENTS) + lines
    broken = [line for line in physical if line not in set(sandbox.visible())]
    assert len(broken) == 2 * lines
    for first, second in zip(broken[::2], broken[1::2], strict=True):
        assert first + second in sandbox.visible()


@pytest.mark.parametrize(
    "kind", ["malformed_line", "no_event", "no_properties", "no_time", "invalid_utf8"]
)
@pytest.mark.parametrize("lines", [1, pytest.param(1000, marks=pytest.mark.slow)])
def test_lines_that_do_not_belong(faulty, fetch, kind, lines):
    sandbox = faulty(Fault(kind, lines=lines))
    got = fetch(sandbox).content.split(b"\n")[:-1]
    extra = [line for line in got if line not in set(sandbox.visible())]
    assert len(got) - len(extra) == len(EVENTS)
    assert len(extra) == lines
    assert len(set(extra)) == 1
    if kind == "invalid_utf8":
        with pytest.raises(UnicodeDecodeError):
            extra[0].decode()
    elif kind == "malformed_line":
        with pytest.raises(ValueError, match="Expecting"):
            json.loads(extra[0])
    else:
        decoded = json.loads(extra[0])
        missing = {"no_event": "event", "no_properties": "properties", "no_time": "time"}[kind]
        assert missing not in decoded
        assert missing not in decoded.get("properties", {})
