"""No answer is taken that is cut, and none keeps a run waiting or fills its memory."""

from __future__ import annotations

import dataclasses
import gzip
import logging
import time
from contextlib import closing
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from one_query import (
    DAYS,
    EVENTS,
    answering,
    endpoint_of,
    exported,
    lines_of,
    slow_reads,
)

from tap_mixpanel_export.api.client import ExportClient
from tap_mixpanel_export.errors import (
    ConnectionFailedError,
    ExportError,
    IncompleteExportError,
)
from tap_mixpanel_export.sandbox import Fault

# Answers whose end nobody can see


HEAD = b"HTTP/1.1 200 OK\r\n"
# One line, two, and the same two in another order, one of them twice.
ONE, TWO, SWAPPED, THREE = b"a\n", b"a\nb\n", b"b\n\na", b"a\nb\na\n"


def closed(body):
    return HEAD + b"Connection: close\r\n\r\n" + body


def counted(body):
    return HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def chunked(body):
    chunks = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    head = b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    return HEAD + head + chunks + b"0\r\n\r\n"


def old(body):
    return b"HTTP/1.0 200 OK\r\n\r\n" + body


@pytest.mark.parametrize("form", [closed, counted, old])
@pytest.mark.parametrize("again", [closed, counted, old])
@pytest.mark.parametrize(("first", "second"), [(TWO, SWAPPED), (SWAPPED, TWO), (b"", b"\n")])
def test_an_answer_without_a_marked_end_is_taken_when_it_comes_twice(
    start, form, again, first, second
):
    permits = []
    with (
        answering(form(first), again(second)) as url,
        closing(ExportClient(endpoint_of(start(), url=url), lambda: permits.append(1))) as client,
    ):
        pieces = list(client.export(DAYS, None, lambda _transfer: None))
    assert b"".join(pieces) == first
    # Each of the two is a query of the project's quota.
    assert len(permits) == 2


@pytest.mark.parametrize("form", [closed, counted, old])
@pytest.mark.parametrize(
    ("first", "second"),
    [(ONE, TWO), (TWO, ONE), (TWO, THREE), (THREE, TWO), (b"", ONE), (ONE, b""), (b"a", b"aa")],
)
def test_an_answer_without_a_marked_end_that_changes_is_not_whole(start, form, first, second):
    with answering(form(first), form(second)) as url, pytest.raises(IncompleteExportError) as error:
        exported(endpoint_of(start(), url=url))
    assert "held other lines" in str(error.value)


def test_an_empty_answer_is_read_twice_too(start):
    with answering(chunked(b""), chunked(b"")) as url:
        assert exported(endpoint_of(start(), url=url)) == b""
    with answering(chunked(b""), chunked(ONE)) as url, pytest.raises(IncompleteExportError):
        exported(endpoint_of(start(), url=url))


def test_a_marked_end_is_enough(start):
    with answering(chunked(TWO)) as url:
        assert exported(endpoint_of(start(), url=url)) == TWO


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 2\r\n\r\na\nb\n",
        HEAD + b"Content-Length: 0\r\n\r\na\nb\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n2\r\na\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\na\n\r\n0\r\n\r\n" + b"x" * 100_000,
        # The rest is still on its way from the kernel to the library.
        HEAD + b"Content-Length: 100000\r\n\r\n" + b"x" * 300_000,
    ],
    ids=["short length", "no length", "empty chunk first", "text behind the chunks", "much more"],
)
def test_more_than_the_answer_says_is_no_whole_answer(start, answer):
    with (
        answering(answer) as url,
        pytest.raises(ConnectionFailedError, match="its length is wrong"),
    ):
        exported(endpoint_of(start(), url=url))


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        HEAD + b"X: y\r\n" * 200 + b"\r\n",
        HEAD + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
        HEAD + b"Content-Length: 5, 6\r\n\r\nabcdef",
        CHUNKED + b"zz\r\nabc",
        CHUNKED + b"-5\r\nabc",
        CHUNKED + b"-1\r\na\nb\n",
        CHUNKED + b"1" * 70_000,
    ],
    ids=range(10),
)
def test_what_is_no_http_is_a_broken_connection(start, answer):
    with answering(answer) as url, pytest.raises(ConnectionFailedError):
        exported(endpoint_of(start(), url=url))


def test_headers_that_cannot_be_read_are_neither_taken_nor_logged(start, caplog):
    caplog.set_level(logging.DEBUG)
    # How the body is sent comes behind them.
    strange = HEAD + b"X: a\r\n\x1b]0;evil secret\r\nTransfer-Encoding: chunked\r\n\r\na\n"
    with answering(strange) as url, pytest.raises(ConnectionFailedError) as caught:
        exported(endpoint_of(start(), url=url), "properties[1]")
    for hidden in ("secret", "properties", "from_date", "Traceback", "\x1b"):
        assert hidden not in caplog.text + str(caught.value)


WHOLE = gzip.compress(b"".join(b'{"event":"a","properties":{"time":%d}}\n' % n for n in range(60)))
ANSWERS = [
    HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s" % (len(WHOLE), WHOLE),
    HEAD + b"Content-Encoding: gzip\r\n" + chunked(WHOLE).removeprefix(HEAD),
    b'HTTP/1.1 429 X\r\nRetry-After: 9\r\nContent-Length: 13\r\n\r\n{"error":"a"}',
    b"HTTP/1.1 302 X\r\nLocation: https://[::1]/\r\nContent-Length: 0\r\n\r\n",
]
PIECES = [b"\r\n", b"-", b"0", b"\0", b";", b"\xff", b"Content-Length: 3\r\n", b"HTTP/1.1 "]


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    answer=st.sampled_from(ANSWERS),
    at=st.integers(0, 250),
    length=st.integers(0, 30),
    piece=st.one_of(st.sampled_from(PIECES), st.binary(max_size=8)),
)
def test_whatever_comes_is_the_whole_text_or_an_error_of_ours(start, answer, at, length, piece):
    damaged = answer[:at] + piece + answer[at + length :]
    endpoint = endpoint_of(start(events=[]), timeout=0.2)
    with answering(damaged) as url:
        try:
            text = exported(dataclasses.replace(endpoint, url=url))
        except ExportError:
            return
    # A header that has become another one may leave the text compressed: it has no event then.
    assert text == gzip.decompress(WHOLE) or b'"event"' not in text


# Hostile sizes and paces


def test_a_coding_that_nobody_asked_for_is_told(start):
    answer = HEAD + b"Content-Encoding: br\x1b\r\nContent-Length: 3\r\n\r\nabc"
    with answering(answer) as url, pytest.raises(IncompleteExportError, match=r"as br\\x1b, which"):
        exported(endpoint_of(start(), url=url))


def test_a_bomb_is_unpacked_with_bounded_memory(start):
    body = gzip.compress(b"\n" * 50_000_000, 9)
    head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    with answering(HEAD + head + body) as url:
        endpoint = endpoint_of(start(), url=url)
        with closing(ExportClient(endpoint)) as client:
            sizes = [len(p) for p in client.export(DAYS, None, lambda _transfer: None)]
    assert sum(sizes) == 50_000_000
    assert max(sizes) <= 2**20


def drip(connection):
    # Until nobody listens any more.
    for _ in range(10_000):
        connection.sendall(b"x")
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("begin", "message"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", "no answer within 20 s"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "no answer within 20 s"),
        (HEAD + b"Content-Length: 9999\r\n\r\n", "less than 1024 bytes came within 20 s"),
        (HEAD + b"\r\n", "less than 1024 bytes came within 20 s"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n270f\r\n", "less than 1024 bytes"),
        (b"HTTP/1.1 400 Bad\r\nContent-Length: 9999\r\n\r\n", r"refused the query \(400\)"),
    ],
    ids=["headers", "continue", "length", "close", "chunk", "error"],
)
def test_nobody_keeps_a_run_waiting_byte_by_byte(start, begin, message, monkeypatch):
    slow_reads(monkeypatch, 10)
    with answering(begin, after=drip) as url, pytest.raises(ExportError, match=message):
        exported(endpoint_of(start(), url=url, timeout=20))


def test_a_slow_answer_that_keeps_the_pace_is_read_whole(start, monkeypatch):
    slow_reads(monkeypatch, 10)

    def go_on(connection):
        for _ in range(20):
            time.sleep(0.005)
            connection.sendall(b"x" * 1023 + b"\n")

    begin = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5000\r\n"

    def whole(connection):
        go_on(connection)
        connection.sendall(b"\r\n0\r\n\r\n")

    with answering(begin, after=whole) as url:
        assert len(exported(endpoint_of(start(), url=url, timeout=20))) == 20 * 1024


def test_only_waiting_counts_against_the_pace(start, monkeypatch):
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr("tap_mixpanel_export.api.pace.time", clock)
    sandbox = start(Fault("drip", seconds=0.01), events=EVENTS[:60])
    with closing(ExportClient(endpoint_of(sandbox, timeout=20))) as client:
        text = b""
        for piece in client.export(DAYS, None, lambda _transfer: None):
            text += piece
            # What is done with a piece may take its time.
            clock.now += 100
    assert lines_of(text) == sorted(sandbox.visible())
