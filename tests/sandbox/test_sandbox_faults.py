from __future__ import annotations

import gzip
import json
import threading
import time
import zlib
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone

import pytest
import requests

from tap_mixpanel_export.sandbox import (
    Event,
    Fault,
    Sandbox,
    SandboxClock,
    Scenario,
    ScenarioError,
    load_scenario,
)
from tap_mixpanel_export.sandbox.faults import KINDS

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
        sandbox = faulty(Fault(kind, seconds=0.01))
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


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 429, 500, 502, 503, 504])
def test_status(faulty, fetch, status):
    sandbox = faulty(Fault("status", status=status, retry_after=7))
    answer = fetch(sandbox)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert answer.headers["Retry-After"] == "7"
    assert sandbox.requests[0].status == status


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
@pytest.mark.parametrize("lines", [1, 5, 1000])
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


@pytest.mark.parametrize("kind", ["stall", "drip"])
def test_silence_ends_when_the_sandbox_does(faulty, raw, kind):
    sandbox = faulty(Fault(kind, seconds=600, times=2))
    threads = [threading.Thread(target=raw, args=(sandbox,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    while sum(entry.bytes_sent > 0 for entry in sandbox.requests) < 2:
        time.sleep(0.01)
    sandbox.stop()
    for thread in threads:
        thread.join(timeout=20)
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
