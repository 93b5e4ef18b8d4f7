"""Faults of the answer's status and of its transfer."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from contextlib import suppress

import pytest
import requests
from faulty_sandboxes import EVENTS, sorted_body, whole
from harness import wait_for

from tap_mixpanel_export.sandbox import Fault
from tap_mixpanel_export.sandbox.fault_kinds import KINDS


def takes_connections(sandbox):
    host, _, port = sandbox.api_url.split("/")[2].partition(":")
    with suppress(ConnectionError), socket.create_connection((host, int(port)), timeout=60):
        return True
    return False


@pytest.mark.slow
def test_every_fault_passes_and_the_retry_is_flawless(faulty, fetch):
    for kind in sorted(KINDS):
        seconds = 0 if kind == "drip_bytes" else 0.01
        sandbox = faulty(Fault(kind, seconds=seconds, megabytes=1))
        where = 'properties["mp_processing_time_ms"] > 0' if kind == "refuse_where" else None
        with suppress(requests.RequestException):
            fetch(sandbox, where=where)
        if kind == "refuse":
            wait_for(lambda: takes_connections(sandbox))  # noqa: B023 - called at once
        answer = fetch(sandbox, where=where)
        assert sorted_body(answer.content) == whole(sandbox), kind
        assert [entry.fault for entry in sandbox.requests][:1] == [kind]


STATUSES = [400, 401, 402, 403, 404, 407, 408, 409, 413, 414, 425, 429, 499]


@pytest.mark.parametrize("status", [*STATUSES, 500, 502, 503, 504, 521, 599])
def test_status(faulty, fetch, status):
    sandbox = faulty(Fault("status", status=status, retry_after=7))
    answer = fetch(sandbox)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert answer.headers["Retry-After"] == "7"
    assert sandbox.requests[0].status == status


@pytest.mark.parametrize(("text", "location"), [(None, "/login"), ("https://x.example/", None)])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects(faulty, fetch, status, text, location):
    sandbox = faulty(Fault("status", status=status, text=text))
    # The client of these tests would follow them.
    answer = fetch(sandbox, allow_redirects=False)
    assert answer.status_code == status
    assert answer.headers["Location"] == (text or location)


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body_keep_the_connection(faulty, fetch, status):
    sandbox = faulty(Fault("status", status=status))
    answer = fetch(sandbox)
    assert (answer.status_code, answer.content) == (status, b"")
    assert "Content-Length" not in answer.headers
    assert sorted_body(fetch(sandbox).content) == whole(sandbox)


def test_a_partial_answer_ends_with_a_line(faulty, fetch):
    sandbox = faulty(Fault("status", status=206, share=0.25))
    answer = fetch(sandbox)
    assert answer.status_code == 206
    lines = answer.content.splitlines()
    assert 90 < len(lines) < 100
    assert set(lines) < set(sandbox.visible())
    assert answer.headers["Content-Range"].startswith(f"bytes 0-{len(answer.content) - 1}/")
    assert sandbox.requests[0].bytes_sent == len(answer.content)


def test_text_of_a_status(faulty, fetch):
    sandbox = faulty(Fault("status", status=400, text="Unable to authenticate request"))
    answer = fetch(sandbox)
    assert answer.json()["error"] == "Unable to authenticate request"
    assert "Retry-After" not in answer.headers


def test_refused_where(faulty, fetch):
    sandbox = faulty(Fault("refuse_where", times=None))
    for _ in range(3):
        assert fetch(sandbox, where='properties["mp_processing_time_ms"] > 0').status_code == 400
    assert fetch(sandbox, where='defined(properties["x"])').status_code == 200
    assert fetch(sandbox).status_code == 200


def test_reset_before_the_headers(faulty, fetch):
    sandbox = faulty(Fault("reset"))
    with pytest.raises(requests.ConnectionError):
        fetch(sandbox)
    assert sandbox.requests[0].status == 0


def test_refused_connections(faulty, fetch):
    sandbox = faulty(Fault("refuse", seconds=30))
    with pytest.raises(requests.ConnectionError):
        fetch(sandbox)
    for _ in range(3):
        with pytest.raises(requests.ConnectionError, match="refused"):
            fetch(sandbox)
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("kind", ["reset_in_body", "truncated_chunk", "no_final_chunk"])
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_broken_transfers(faulty, raw, kind, share):
    body, error = raw(faulty(Fault(kind, share=share)))
    assert error is not None
    if share == 0.5 and kind == "truncated_chunk":
        assert 0 < len(body) < 20_000


def test_truncated_gzip_in_a_complete_transfer(faulty, raw):
    for share in (0, 0.5, 0.99, 1):
        sandbox = faulty(Fault("truncated_gzip", share=share))
        body, error = raw(sandbox)
        assert error is None
        decompressor = zlib.decompressobj(31)
        decompressor.decompress(body)
        assert not decompressor.eof


def test_corrupt_gzip(faulty, raw):
    body, error = raw(faulty(Fault("corrupt_gzip")))
    assert error is None
    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        gzip.decompress(body)


def test_answers_without_a_length(faulty, raw):
    sandbox = faulty(Fault("until_close"), Fault("until_close_cut", share=0.3))
    body, error = raw(sandbox)
    assert (sorted_body(body), error) == (whole(sandbox), None)
    cut, error = raw(sandbox)
    assert error is None
    assert cut.endswith(b"\n")
    assert 0.2 < len(cut) / len(body) < 0.3
    assert set(cut.splitlines()) < set(sandbox.visible())
    assert [entry.bytes_sent for entry in sandbox.requests] == [len(body), len(cut)]


def test_lengths_that_are_wrong(faulty, raw):
    sandbox = faulty(Fault("short_length", share=0.3), Fault("long_length", share=0.3))
    short, error = raw(sandbox)
    assert error is None
    assert short.endswith(b"\n")
    assert set(short.splitlines()) < set(sandbox.visible())
    long, error = raw(sandbox)
    assert "IncompleteRead" in repr(error)
    assert long == short
    # All was sent of the one, this much of the other.
    sent = [entry.bytes_sent for entry in sandbox.requests]
    assert sent == [len(whole(sandbox)), len(long)]


def test_headers_one_by_one(faulty, fetch):
    sandbox = faulty(Fault("drip_headers", seconds=0.001))
    answer = fetch(sandbox)
    assert len(answer.headers) > 90
    assert sorted_body(answer.content) == whole(sandbox)


@pytest.mark.parametrize("kind", ["stall", "drip", "drip_bytes"])
def test_silence_ends_when_the_sandbox_does(faulty, raw, kind):
    sandbox = faulty(Fault(kind, seconds=600, times=2))
    threads = [threading.Thread(target=raw, args=(sandbox,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_for(lambda: sum(entry.bytes_sent > 0 for entry in sandbox.requests) == 2)
    sandbox.stop()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    "kind", ["slow_start", "stall", "drip", "no_trailing_newline", "wrong_charset", "no_date"]
)
def test_what_is_odd_but_complete(faulty, fetch, kind):
    sandbox = faulty(Fault(kind, seconds=0.001))
    answer = fetch(sandbox)
    body = answer.content
    if kind == "no_trailing_newline":
        assert not body.endswith(b"\n")
        body += b"\n"
    assert sorted_body(body) == whole(sandbox)
    assert ("Date" in answer.headers) is (kind != "no_date")
    assert ("iso-8859-1" in answer.headers["Content-Type"]) is (kind == "wrong_charset")


def test_compression_that_is_not_as_usual(faulty, fetch):
    small = faulty(Fault("always_gzip"), events=EVENTS[:1])
    assert fetch(small).headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in fetch(small).headers
    large = faulty(Fault("never_gzip"))
    assert "Content-Encoding" not in fetch(large).headers
    assert fetch(large).headers["Content-Encoding"] == "gzip"
