"""A query, and its answer or its error."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from contextlib import closing
from datetime import timedelta

import pytest
from one_query import (
    DAYS,
    EVENTS,
    LAST,
    NOW,
    answering,
    endpoint_of,
    exported,
    lines_of,
    slow_reads,
)

from tap_mixpanel_export.api.auth import choose_credentials
from tap_mixpanel_export.api.client import ExportClient
from tap_mixpanel_export.api.pace import _PacedResponse
from tap_mixpanel_export.errors import (
    AuthenticationError,
    ConnectionFailedError,
    DayError,
    IncompleteExportError,
    RateLimitedError,
    RejectedQueryError,
    RequestError,
    TransientError,
)
from tap_mixpanel_export.sandbox import Fault, Limits


def test_an_export_is_the_text_of_all_events(start):
    sandbox = start()
    transfers = []
    text = exported(endpoint_of(sandbox), on_response=transfers.append)
    assert lines_of(text) == sorted(sandbox.visible())
    (transfer,), (request,) = transfers, sandbox.requests
    assert transfer.granted
    assert transfer.server_time == NOW
    assert request.gzipped
    assert transfer.received == request.bytes_sent < len(text)


@pytest.mark.parametrize("kind", ["never_gzip", "always_gzip", "wrong_charset"])
def test_the_form_of_the_transfer_makes_no_difference(start, kind):
    sandbox = start(Fault(kind))
    assert lines_of(exported(endpoint_of(sandbox))) == sorted(sandbox.visible())


def test_an_empty_answer_is_valid(start):
    assert exported(endpoint_of(start(events=[]))) == b""


def test_what_is_asked_for(start):
    sandbox = start()
    exported(endpoint_of(sandbox))
    exported(
        endpoint_of(sandbox, event_names=('Søk "1"', "b"), time_in_ms=True),
        where='properties["plan"] == "gød&x"',
        first=LAST,
    )
    # The last answer is empty: it is asked for twice.
    plain, full, again = sandbox.requests
    assert again.params == full.params
    assert plain.path == "/api/2.0/export"
    assert plain.user_agent == "agent/1"
    assert plain.params == {
        "from_date": "2026-11-01",
        "to_date": "2026-11-20",
        "project_id": "2195193",
    }
    assert json.loads(full.params.pop("event")) == ['Søk "1"', "b"]
    assert full.params == {
        "from_date": "2026-11-20",
        "to_date": "2026-11-20",
        "project_id": "2195193",
        "where": 'properties["plan"] == "gød&x"',
        "time_in_ms": "true",
    }


@pytest.mark.parametrize("kind", ["service_account", "oauth_token", "project_secret"])
def test_each_kind_of_credentials_is_accepted(start, kind):
    sandbox = start()
    project_id = None if kind == "project_secret" else sandbox.credentials.project_id
    assert exported(endpoint_of(sandbox, kind, project_id=project_id))
    assert sandbox.requests[0].credential == kind
    assert ("project_id" in sandbox.requests[0].params) == (kind != "project_secret")


def test_wrong_credentials_are_told_by_their_kind(start):
    sandbox = start()
    for kind, name in (
        ("service_account", "service account"),
        ("oauth_token", "OAuth token"),
        ("project_secret", "project secret"),
    ):
        wrong = choose_credentials(
            {
                "service_account": {
                    "service_account_username": "someone",
                    "service_account_secret": "hush",
                },
                "oauth_token": {"oauth_token": "hush"},
                "project_secret": {"project_secret": "hush"},
            }[kind]
            | {"project_id": 1},
            [],
        )
        with pytest.raises(AuthenticationError, match=f"did not accept the {name}") as caught:
            exported(endpoint_of(sandbox, credentials=wrong))
        assert "hush" not in str(caught.value)


def test_days_past_today_are_told_apart_from_other_refusals(start):
    with pytest.raises(DayError, match="created before 2023-01-01"):
        exported(endpoint_of(start()), last=LAST + timedelta(days=1))


def test_an_expression_that_the_service_cannot_read(start):
    with pytest.raises(RejectedQueryError, match="check where") as caught:
        exported(endpoint_of(start()), where="properties[my secret")
    assert "my secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        (0, 0.0),
        (31_536_000, 31_536_000.0),
        ("9" * 200, 1e9),
        ("9" * 400, None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 1e9),
        ("Fri, 31 Dec 9999 23:59:59 -1200", None),
        ("Fri, 20 Nov 2026 12:01:30 +9999", None),
        (7, 7.0),
        ("1.5", 1.5),
        ("Fri, 20 Nov 2026 12:01:30 GMT", 90.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
        ("Friday, 20-Nov-26 12:00:05 GMT", 5.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("Fri, 99 Nov 2026 12:01:30 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_time_of_the_services_clock(start, header, seconds):
    sandbox = start(Fault("status", status=429, retry_after=header))
    with pytest.raises(RateLimitedError) as caught:
        exported(endpoint_of(sandbox))
    assert caught.value.retry_after == seconds


def test_the_limits_of_the_service_are_rate_limits(start):
    sandbox = start(limits=Limits())
    for _ in range(3):
        exported(endpoint_of(sandbox))
    with pytest.raises(RateLimitedError):
        exported(endpoint_of(sandbox))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("reset"), ConnectionFailedError),
        (Fault("reset_in_body"), ConnectionFailedError),
        (Fault("reset_in_body", share=0), ConnectionFailedError),
        (Fault("truncated_chunk"), ConnectionFailedError),
        (Fault("no_final_chunk"), ConnectionFailedError),
        (Fault("truncated_gzip"), IncompleteExportError),
        (Fault("truncated_gzip", share=0), IncompleteExportError),
        (Fault("truncated_gzip", share=1), IncompleteExportError),
        (Fault("corrupt_gzip"), IncompleteExportError),
        (Fault("slow_start", seconds=5), ConnectionFailedError),
        (Fault("stall", seconds=5), ConnectionFailedError),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_an_answer_that_is_not_whole_is_never_taken_for_one(start, fault, error):
    sandbox = start(fault)
    # On a busy machine what comes may take its time.
    is_silent = fault.kind in {"slow_start", "stall"}
    with pytest.raises(error) as caught:
        exported(endpoint_of(sandbox, timeout=0.3 if is_silent else 60))
    assert isinstance(caught.value, TransientError)
    # Texts of network errors quote addresses with their parameters.
    assert "from_date" not in str(caught.value)


@pytest.mark.slow
def test_silence_is_told_with_its_setting(start, monkeypatch):
    with pytest.raises(ConnectionFailedError, match=r"no answer within 0\.2 s \(request_timeout"):
        exported(endpoint_of(start(Fault("slow_start", seconds=60)), timeout=0.2))
    begin = _PacedResponse.begin

    def begin_and_hurry(response):
        begin(response)
        # Not before: a busy machine may take its time for the headers.
        response._reader._socket.settimeout(0.2)

    monkeypatch.setattr(_PacedResponse, "begin", begin_and_hurry)
    with pytest.raises(ConnectionFailedError, match=r"silence for 20 s \(request_timeout\) in"):
        exported(endpoint_of(start(Fault("stall", seconds=60)), timeout=20))


def test_a_slow_answer_is_waited_for_as_long_as_bytes_come(start, monkeypatch):
    # The whole answer takes longer than the timeout.
    slow_reads(monkeypatch, 2)
    sandbox = start(Fault("drip", seconds=0.01), events=EVENTS)
    assert lines_of(exported(endpoint_of(sandbox, timeout=30))) == sorted(sandbox.visible())


def test_nobody_listens(start):
    sandbox = start()
    endpoint = endpoint_of(sandbox)
    sandbox.stop()
    with pytest.raises(ConnectionFailedError, match=r"connection to http://127.* failed \(.*refus"):
        exported(endpoint)


def test_a_certificate_that_is_not_trusted_is_the_users_to_mend(start, tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("makes its certificate with the openssl command")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [*command.split(), "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    sandbox = start(tls=(certificate, key))
    with pytest.raises(RequestError, match="set REQUESTS_CA_BUNDLE to that") as caught:
        exported(endpoint_of(sandbox))
    assert not isinstance(caught.value, TransientError)


def test_a_connection_that_breaks_in_the_handshake_is_tried_again(start):
    with answering(b"") as url, pytest.raises(ConnectionFailedError):
        exported(endpoint_of(start(), url=url.replace("http:", "https:")))


def test_a_file_of_certificates_that_does_not_exist_is_told(start, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(RequestError, match="REQUESTS_CA_BUNDLE"):
        exported(endpoint_of(start(), url="https://127.0.0.1:9/api/2.0"))


def test_an_answer_without_a_date_tells_no_time(start):
    transfers = []
    exported(endpoint_of(start(Fault("no_date"))), on_response=transfers.append)
    assert transfers[0].server_time is None


def test_an_answer_shorter_than_it_said_is_not_whole(start):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}\n"
    with answering(answer) as url, pytest.raises(ConnectionFailedError):
        exported(endpoint_of(start(), url=url))


def test_a_gzip_file_may_have_several_members(start):
    body = gzip.compress(b"a\n") + gzip.compress(b"b\n")
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    with answering(head.encode() + body) as url:
        assert exported(endpoint_of(start(), url=url)) == b"a\nb\n"


def test_credentials_do_not_follow_a_redirect(start):
    sandbox = start()
    answer = (
        "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n"
        f"Location: {sandbox.api_url}/export?from_date=2026-11-01&to_date=2026-11-01\r\n\r\n"
    )
    with answering(answer.encode()) as url, pytest.raises(RequestError, match="302"):
        exported(endpoint_of(sandbox, url=url))
    assert sandbox.requests == []


def test_an_export_that_is_left_early_closes_its_connection(start):
    sandbox = start(Fault("drip", seconds=0.01))
    with closing(ExportClient(endpoint_of(sandbox))) as client:
        with closing(client.export(DAYS, None, lambda _transfer: None)) as pieces:
            next(pieces)
        assert lines_of(b"".join(client.export(DAYS, None, lambda _transfer: None)))
