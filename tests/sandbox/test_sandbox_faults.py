from __future__ import annotations

import gzip
import json
import threading
import zlib
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone

import pytest
import requests
from harness import wait_for

from tap_mixpanel_export.sandbox import (
    Event,
    Fault,
    Sandbox,
    SandboxClock,
    Scenario,
    ScenarioError,
    load_scenario,
)
from tap_mixpanel_export.sandbox.fault_kinds import KINDS

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
EVENTS = [
    Event.at(NOON - timedelta(hours=number), "Søk", insert_id=f"{number * 2654435761:032x}")
    for number in range(1, 400)
]


@pytest.fixture
def faulty(clock):
    """Return a running sandbox with the faults given; all are stopped in the end."""
    running = []

    def start(*faults, events=EVENTS):
        sandbox = Sandbox(events, clock=clock, faults=faults)
        sandbox.start()
        running.append(sandbox)
        return sandbox

    yield start
    for sandbox in running:
        sandbox.stop()


@pytest.fixture
def raw():
    """Return the body as it is on the wire, and what went wrong with reading it."""

    def get(sandbox):
        known = sandbox.credentials
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(
                f"{sandbox.api_url}/export",
                params={"from_date": "2026-11-01", "to_date": "2026-11-20"},
                auth=(known.project_secret, ""),
                stream=True,
                timeout=20,
            )
            received = b""
            try:
                for chunk in answer.raw.stream(4096, decode_content=False):
                    received += chunk
            except Exception as error:  # noqa: BLE001 - which one is the question
                return received, error
            return received, None

    return get


def whole(sandbox):
    return b"".join(sorted(line + b"\n" for line in sandbox.visible()))


def sorted_body(body):
    return b"".join(sorted(body.splitlines(keepends=True)))


def test_every_fault_passes_and_the_retry_is_flawless(faulty, fetch):
    for kind in sorted(KINDS):
        seconds = 0 if kind == "drip_bytes" else 0.01
        sandbox = faulty(Fault(kind, seconds=seconds, megabytes=1))
        where = 'properties["mp_processing_time_ms"] > 0' if kind == "refuse_where" else None
        with suppress(requests.RequestException):
            fetch(sandbox, where=where)
        for _ in range(200):
            try:
                answer = fetch(sandbox, where=where)
                break
            except requests.ConnectionError:
                assert kind == "refuse"
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


def test_headers_one_by_one(faulty, fetch):
    sandbox = faulty(Fault("drip_headers", seconds=0.001))
    answer = fetch(sandbox)
    assert len(answer.headers) > 90
    assert sorted_body(answer.content) == whole(sandbox)


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


def test_faults_hit_the_requests_that_they_name(faulty, fetch):
    sandbox = faulty(
        Fault("status", request=1, status=500),
        Fault("status", day=date(2026, 11, 10), times=2, status=502),
        Fault("status", day=0, times=None, status=503, where="with"),
        Fault("status", day=0, where="without", status=504),
    )
    first_days = {"from_date": "2026-11-01", "to_date": "2026-11-09"}
    middle = {"from_date": "2026-11-10", "to_date": "2026-11-12"}
    today = {"from_date": "2026-11-20", "to_date": "2026-11-20"}
    where = 'defined(properties["time"])'
    asked = [
        (first_days, None, 200),
        (first_days, None, 500),
        (middle, None, 502),
        (middle, None, 502),
        (middle, None, 200),
        (today, where, 503),
        (today, where, 503),
        (today, None, 504),
        (today, None, 200),
        (today, where, 503),
    ]
    for days, expression, status in asked:
        assert fetch(sandbox, **days, where=expression).status_code == status
    sandbox.clear_faults()
    assert fetch(sandbox, **today, where=where).status_code == 200
    sandbox.add_faults(Fault("empty"))
    assert fetch(sandbox).content == b""


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "typo"},
        {"kind": "reset", "share": 2},
        {"kind": "reset", "times": 0},
        {"kind": "reset", "times": True},
        {"kind": "reset", "request": -1},
        {"kind": "reset", "lines": 0},
        {"kind": "status", "status": 200},
        {"kind": "status", "status": 600},
        {"kind": "gzip_bomb", "megabytes": 0},
        {"kind": "status", "retry_after": -1},
        {"kind": "stall", "seconds": "long"},
        {"kind": "reset", "where": "maybe"},
        {"kind": "reset", "day": True},
        {"kind": "reset", "text": 1},
    ],
)
def test_a_fault_that_cannot_be_is_refused(wrong):
    with pytest.raises(ScenarioError, match=wrong["kind"]):
        Fault(**wrong)


def test_a_scenario_is_read_from_a_file(tmp_path):
    path = tmp_path / "scenario.json"
    path.write_text(
        '[{"kind": "reset", "day": "2026-11-10"}, {"kind": "empty", "times": null, "day": -1}]'
    )
    faults = [Fault("reset", day=date(2026, 11, 10)), Fault("empty", times=None, day=-1)]
    assert load_scenario(path) == Scenario(faults)
    path.write_text('{"faults": [{"kind": "reset"}], "behaviour": {"where": "nothing"}}')
    assert load_scenario(path) == Scenario([Fault("reset")], {"where": "nothing"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("[", "not JSON"),
        ('{"fault": []}', "list"),
        ('{"faults": {}}', "list"),
        ('{"behaviour": {"where": "maybe"}}', "behaviour: .*where: one of documented"),
        ('{"behaviour": []}', "behaviour: not an object"),
        (
            '[1, {"kind": "reset", "shar": 1}, {"kind": "x"}]',
            "fault 1.*fault 2.*shar.*fault 3.*'x'",
        ),
        ('[{"kind": "reset", "day": "tomorrow"}]', "'tomorrow' is no date"),
        ('[{"kind": "status", "status": "500"}]', "status"),
    ],
)
def test_a_broken_scenario_is_one_message(tmp_path, text, message):
    path = tmp_path / "scenario.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ScenarioError, match=message) as caught:
        load_scenario(path)
    assert "\n" not in str(caught.value)


def test_a_sandbox_with_a_fault_forever_never_answers_otherwise():
    clock = SandboxClock.fixed(NOON)
    plan = Sandbox([], clock=clock, faults=[Fault("empty", times=None)])._faults
    day = NOON.date()
    assert {plan.next((day, day), None, day).kind for _ in range(100)} == {"empty"}
