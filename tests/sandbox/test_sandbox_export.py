from __future__ import annotations

import base64
import gzip
import json
import socket
import subprocess
import sys
import threading
import time
from datetime import date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from itertools import pairwise
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
import requests
from event_lines import event_of_line

from tap_mixpanel_export.sandbox import Event, Limits, Sandbox, SandboxClock, limits

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
DAYS = {"from_date": "2026-11-01", "to_date": "2026-11-20"}


def basic(username, password=""):
    token = base64.b64encode(f"{username}:{password}".encode()).decode()
    return f"Basic {token}"


@pytest.fixture(scope="module")
def sample():
    """A sandbox with the bundled data set, that no test changes."""
    with Sandbox(clock=SandboxClock.fixed(NOON), hostile=True, null_bytes=True) as sandbox:
        yield sandbox


@pytest.fixture
def ask(sample):
    def get(authorization, **params):
        headers = {"Authorization": authorization} if authorization else {}
        with requests.Session() as session:
            session.trust_env = False
            return session.get(
                f"{sample.api_url}/export", params={**DAYS, **params}, headers=headers, timeout=120
            )

    return get


def test_every_line_comes_out_once_and_unchanged(sample, fetch, lines_of):
    answer = fetch(sample)
    assert answer.status_code == 200
    assert lines_of(answer.content) == sorted(sample.visible())
    assert len(sample.visible()) > 2000


def test_days_are_inclusive_and_mixed(sample, fetch, lines_of):
    answer = fetch(sample, from_date="2026-11-15", to_date="2026-11-17")
    days = [
        event_of_line(line, day=date(2026, 1, 1)).day for line in answer.content.split(b"\n")[:-1]
    ]
    assert set(days) == {date(2026, 11, 15), date(2026, 11, 16), date(2026, 11, 17)}
    assert sum(one != other for one, other in pairwise(days)) > 10
    singles = [
        fetch(sample, from_date=day, to_date=day).content
        for day in ("2026-11-15", "2026-11-16", "2026-11-17")
    ]
    assert lines_of(b"".join(singles)) == lines_of(answer.content)
    assert fetch(sample, from_date="2020-01-01", to_date="2020-12-31").content == b""


def test_credentials_of_all_kinds(sample, ask):
    known = sample.credentials
    account = basic(known.service_account_username, known.service_account_secret)
    for authorization, kind in (
        (account, "service_account"),
        (f"Bearer {known.oauth_token}", "oauth_token"),
        (basic(known.project_secret), "project_secret"),
    ):
        assert ask(authorization, project_id=known.project_id, limit=1).status_code == 200
        assert sample.requests[-1].credential == kind
    assert ask(basic(known.project_secret), limit=1).status_code == 200


@pytest.mark.parametrize(
    ("authorization", "project_id", "refusal"),
    [
        (None, "{project}", (400, "Unable to authenticate request")),
        ("Digest x", "{project}", (400, "Unable to authenticate request")),
        ("Basic ???", "{project}", (400, "Unable to authenticate request")),
        (basic("", "x"), "{project}", (400, "Unable to authenticate request")),
        (basic("{user}", "wrong"), "{project}", (401, "Unable to authenticate request")),
        (basic("someone", "{secret}"), "{project}", (401, "Unable to authenticate request")),
        ("Bearer wrong", "{project}", (401, "Unable to authenticate request")),
        (basic("wrong"), None, (401, "Invalid API secret")),
        ("account", None, (400, "project_id")),
        ("account", "17", (403, "denied")),
        ("account", "abc", (400, "project_id")),
        ("token", None, (400, "project_id")),
        ("secret", "17", (403, "denied")),
    ],
)
def test_credentials_that_are_refused(sample, ask, authorization, project_id, refusal):
    known = sample.credentials
    fitting = {
        "account": basic(known.service_account_username, known.service_account_secret),
        "token": f"Bearer {known.oauth_token}",
        "secret": basic(known.project_secret),
    }
    params = {}
    if project_id is not None:
        params["project_id"] = project_id.format(project=known.project_id)
    answer = ask(fitting.get(authorization, authorization), **params)
    status, text = refusal
    assert answer.status_code == status
    assert text in answer.json()["error"]
    assert set(answer.json()) == {"error", "request", "status"}
    assert sample.requests[-1].status == status


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"from_date": None}, "from_date"),
        ({"to_date": None}, "to_date"),
        ({"from_date": "2026-11-1"}, "from_date"),
        ({"from_date": "20261101"}, "from_date"),
        ({"from_date": "2026-11-31"}, "from_date"),
        ({"from_date": "2026-11-01T00:00:00"}, "from_date"),
        ({"from_date": "2026-11-19", "to_date": "2026-11-18"}, "from_date"),
        ({"to_date": "2026-11-21"}, "to_date cannot be later than today"),
        ({"event": "Search"}, "event"),
        ({"event": "[]"}, "event"),
        ({"event": "[1]"}, "event"),
        ({"event": '"Search"'}, "event"),
        ({"limit": "0"}, "limit"),
        ({"limit": "100001"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"time_in_ms": "1"}, "time_in_ms"),
        ({"where": ""}, "where"),
        ({"where": "properties.x = 1"}, "where"),
        ({"format": "json"}, "format"),
        ({"from_date": ["2026-11-01", "2026-11-02"]}, "twice"),
    ],
)
def test_parameters_that_are_refused(sample, fetch, params, text):
    answer = fetch(sample, **params)
    assert answer.status_code == 400
    assert text in answer.json()["error"]


def test_other_paths_and_methods_are_refused(sample):
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(f"{sample.api_url}/events", timeout=120).status_code == 404
        answer = session.post(f"{sample.api_url}/export", data="x", timeout=120)
        assert answer.status_code == 405
        assert answer.headers["Connection"] == "close"


def test_the_path_may_end_in_a_slash(sample):
    # As Mixpanel's older documentation and some clients write it.
    with requests.Session() as session:
        session.trust_env = False
        session.auth = (sample.credentials.project_secret, "")
        day = {"from_date": "2026-11-18", "to_date": "2026-11-18"}
        bodies = {
            session.get(f"{sample.api_url}/{path}", params=day, timeout=120).content
            for path in ("export", "export/")
        }
    assert len(bodies) == 1
    assert bodies.pop().count(b"\n") > 50


def test_filters(sample, fetch, lines_of):
    lines = sample.visible()
    named = {b"Search", b"Signed up"}
    expected = sorted(line for line in lines if line.split(b'"')[3] in named)
    answer = fetch(sample, event='["Search","Signed up"]')
    assert lines_of(answer.content) == expected
    processed = 'properties["mp_processing_time_ms"]'
    where = f"{processed} > 1795100000000 or not defined({processed})"
    found = lines_of(fetch(sample, where=where).content)
    assert found == sorted(
        line
        for line in lines
        if json.loads(line)["properties"].get("mp_processing_time_ms", 1e99) > 1795100000000
    )
    assert 0 < len(found) < len(lines)
    both = fetch(
        sample, event='["Search"]', where='event["$time"] < datetime("2026-11-15T00:00:00")'
    )
    assert 0 < len(lines_of(both.content)) < len(expected)
    assert len(lines_of(fetch(sample, limit=7).content)) == 7


def test_time_in_milliseconds(sample, fetch, lines_of):
    answer = fetch(sample, time_in_ms="true")
    assert lines_of(answer.content) == sorted(sample.visible(time_in_ms=True))
    where = 'properties["time"] < 1795000000'
    seconds = fetch(sample, where=where).content.count(b"\n")
    assert seconds == fetch(sample, where=where, time_in_ms="true").content.count(b"\n") > 0


def test_bodies_over_1400_bytes_are_gzipped_for_those_who_take_it(fetch, clock):
    line = b'{"event":"x","properties":{"time":1795000000,"s":"%s"}}'
    padding = 1400 - len(line % b"") - 1
    exact = [event_of_line(line % (b"s" * padding))]
    longer = [event_of_line(line % (b"s" * (padding + 1)))]
    with Sandbox(exact, clock=clock) as small, Sandbox(longer, clock=clock) as large:
        assert len(fetch(small).content) == 1400
        assert "Content-Encoding" not in fetch(small).headers
        assert fetch(large).headers["Content-Encoding"] == "gzip"
        assert len(fetch(large).content) == 1401
        for refused in ("identity", "gzip;q=0, br", ""):
            answer = fetch(large, headers={"Accept-Encoding": refused})
            assert "Content-Encoding" not in answer.headers
            assert len(answer.content) == 1401


def test_a_body_is_one_gzip_member_in_chunks(sample, fetch):
    with requests.Session() as session:
        session.trust_env = False
        known = sample.credentials
        answer = session.get(
            f"{sample.api_url}/export",
            params=DAYS,
            auth=(known.project_secret, ""),
            stream=True,
            timeout=120,
        )
        body = answer.raw.read(decode_content=False)
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert gzip.decompress(body) == fetch(sample).content
    assert sample.requests[-2].bytes_sent == len(body)


def test_one_connection_serves_many_requests(clock):
    events = [Event.at(NOON - timedelta(hours=number)) for number in range(1, 30)]
    with Sandbox(events, clock=clock) as sandbox:
        port = int(sandbox.api_url.split(":")[2].split("/")[0])
        request = (
            "GET /api/2.0/export?from_date=2026-11-01&to_date=2026-11-20 HTTP/1.1\r\n"
            f"Host: x\r\nAuthorization: {basic(sandbox.credentials.project_secret)}\r\n%s\r\n"
        )
        with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
            connection.sendall((request % "" + request % "Connection: close\r\n").encode())
            received = b"".join(iter(lambda: connection.recv(65536), b""))
        assert received.count(b"HTTP/1.1 200 OK") == 2
        assert received.endswith(b"0\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
            connection.sendall(b"hello\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_the_clock_drives_the_date_today_and_what_there_is(fetch, lines_of):
    clock = SandboxClock.fixed(datetime(2026, 11, 20, 23, 59, 59, tzinfo=timezone.utc))
    early = Event.at(datetime(2026, 11, 20, 8, tzinfo=timezone.utc), insert_id="early")
    late = Event.at(
        datetime(2026, 11, 18, 8, tzinfo=timezone.utc),
        processed=datetime(2026, 11, 21, 0, 0, 1, tzinfo=timezone.utc),
        insert_id="late",
    )
    with Sandbox([early, late], clock=clock) as sandbox:
        answer = fetch(sandbox)
        assert parsedate_to_datetime(answer.headers["Date"]) == clock.now()
        assert lines_of(answer.content) == [early.line()] == sandbox.visible()
        assert fetch(sandbox, to_date="2026-11-21").status_code == 400
        clock.advance(1)
        assert lines_of(fetch(sandbox, to_date="2026-11-21").content) == [early.line()]
        clock.advance(1)
        both = sorted([early.line(), late.line()])
        assert lines_of(fetch(sandbox).content) == both == sorted(sandbox.visible())
        assert sandbox.visible(NOON) == [early.line()]


def test_events_can_arrive_while_it_serves(fetch, lines_of, clock):
    with Sandbox([], clock=clock) as sandbox:
        for number in range(3):
            event = Event.at(NOON - timedelta(hours=2), insert_id=f"{number}")
            sandbox.add([event, event])
            assert len(lines_of(fetch(sandbox).content)) == 2 * number + 2
        assert lines_of(fetch(sandbox).content) == sorted(sandbox.visible())


def test_an_old_project_has_days_and_today_of_its_zone(fetch, lines_of):
    zone = ZoneInfo("America/Los_Angeles")
    clock = SandboxClock.fixed(datetime(2022, 5, 18, 6, tzinfo=timezone.utc))
    event = Event.at(datetime(2022, 5, 18, 5, 5, 48, tzinfo=timezone.utc), zone=zone)
    with Sandbox([event], clock=clock, timezone="America/Los_Angeles") as sandbox:
        days = {"from_date": "2022-05-17", "to_date": "2022-05-17"}
        assert lines_of(fetch(sandbox, **days).content) == [event.line()]
        assert b'"time":1652825148,' in event.line()
        answer = fetch(sandbox, from_date="2022-05-17", to_date="2022-05-18")
        assert answer.json()["error"] == "to_date cannot be later than today"


@pytest.mark.parametrize("retry_after", [True, False])
def test_limits_answer_429(fetch, clock, retry_after, monkeypatch):
    # No real time passes, however busy the machine is.
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: 0.0))
    with Sandbox([], clock=clock, limits=Limits(retry_after=retry_after)) as sandbox:
        assert [fetch(sandbox).status_code for _ in range(4)] == [200, 200, 200, 429]
        answer = fetch(sandbox)
        assert answer.json()["error"].startswith("Project exceeded rate limits")
        assert answer.headers.get("Retry-After") == ("1" if retry_after else None)
        clock.advance(1)
        assert fetch(sandbox, to_date="x").status_code == 400
        assert [fetch(sandbox).status_code for _ in range(3)] == [200, 200, 429]


def test_the_log_tells_what_was_asked(fetch, clock, tmp_path):
    log = tmp_path / "requests.jsonl"
    with Sandbox(clock=clock, log_file=log) as sandbox:
        fetch(sandbox, headers={"User-Agent": "me"}, where='defined(properties["x"])', limit=5)
        fetch(sandbox, to_date="soon")
    first, second = sandbox.requests
    assert (first.index, first.status, first.credential) == (0, 200, "service_account")
    assert (first.from_date, first.to_date) == (date(2026, 11, 1), date(2026, 11, 20))
    assert first.where == 'defined(properties["x"])'
    assert first.params["limit"] == "5"
    assert first.user_agent == "me"
    assert first.time == clock.now()
    assert second.to_date is None
    assert second.finished >= second.monotonic >= first.monotonic
    written = [json.loads(line) for line in log.read_text().splitlines()]
    assert [entry["status"] for entry in written] == [200, 400]
    assert sandbox.credentials.service_account_secret not in log.read_text()


def test_it_starts_and_stops_at_once_and_leaves_nothing(fetch):
    threads = set(threading.enumerate())
    sandbox = Sandbox([])
    for _ in range(50):
        with sandbox:
            assert fetch(sandbox, to_date="2026-11-01").status_code == 200
        with pytest.raises(requests.ConnectionError):
            fetch(sandbox)
    assert set(threading.enumerate()) == threads


def test_a_client_that_goes_away_does_no_harm(sample, fetch):
    port = int(sample.api_url.split(":")[2].split("/")[0])
    for text in (b"", b"GET /api", b"GET /api/2.0/export HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
            connection.sendall(text)
    assert fetch(sample, limit=1).status_code == 200


def test_it_listens_on_loopback_only(sample):
    assert sample.api_url.startswith("http://127.0.0.1:")
    assert sample._server._listener.getsockname()[0] == "127.0.0.1"


def test_many_clients_at_once(sample, fetch):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(requests_get(sample))) for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = fetch(sample).content
    assert answers == [expected] * 12


def requests_get(sandbox):
    with requests.Session() as session:
        session.trust_env = False
        url = f"{sandbox.api_url}/export"
        secret = sandbox.credentials.project_secret
        return session.get(url, params=DAYS, auth=(secret, ""), timeout=120).content


def test_https(tmp_path, clock):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
        f"-addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {certificate}"
    )
    try:
        subprocess.run(command.split(), check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("makes its certificate with the openssl command")
    events = [Event.at(NOON - timedelta(hours=1))]
    with Sandbox(events, clock=clock, tls=(certificate, key)) as sandbox:
        assert sandbox.api_url.startswith("https://127.0.0.1:")
        secret = sandbox.credentials.project_secret
        with requests.Session() as session:
            session.trust_env = False
            url = f"{sandbox.api_url}/export"
            for _ in range(2):
                answer = session.get(
                    url, params=DAYS, auth=(secret, ""), verify=str(certificate), timeout=120
                )
                assert answer.content.splitlines() == [events[0].line()]
            with pytest.raises(requests.exceptions.SSLError):
                session.get(url, timeout=120)
            port = int(sandbox.api_url.split(":")[2].split("/")[0])
            # One that never shakes hands must not keep the sandbox from stopping.
            silent = socket.create_connection(("127.0.0.1", port), timeout=120)
            time.sleep(0.05)
    silent.close()


def test_importing_it_needs_no_singer_sdk():
    code = "import sys, tap_mixpanel_export.sandbox as s; sys.exit('singer_sdk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
