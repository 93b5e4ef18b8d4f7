"""Proxies and private certificate authorities, with the usual environment variables."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
from contextlib import closing
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
import trustme
from connect_proxy import connect_proxy
from event_truth import expected_rows, parse
from meltano_project import environment
from requests.auth import HTTPBasicAuth

from tap_mixpanel_export.api import auth
from tap_mixpanel_export.api.client import ExportClient
from tap_mixpanel_export.api.connection import Endpoint
from tap_mixpanel_export.errors import ConnectionFailedError
from tap_mixpanel_export.sandbox import Credentials, Event, Sandbox, SandboxClock
from tap_mixpanel_export.timezones import DayRange

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
SECRET = Credentials().service_account_secret


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> tuple[trustme.CA, Path]:
    """A company's own certificate authority, and the file that it hands out."""
    bundle = tmp_path_factory.mktemp("authority") / "company.pem"
    company = trustme.CA()
    company.cert_pem.write_to_path(bundle)
    return company, bundle


@pytest.fixture
def service(authority, tmp_path) -> Iterator[Sandbox]:
    """The service over HTTPS, with a certificate of the company's."""
    company, _ = authority
    with https_sandbox(company.issue_cert("127.0.0.1"), tmp_path) as sandbox:
        yield sandbox


def https_sandbox(certificate: trustme.LeafCert, folder: Path) -> Sandbox:
    chain, key = folder / "chain.pem", folder / "key.pem"
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    certificate.private_key_pem.write_to_path(key)
    return Sandbox(
        [Event.at(NOON.replace(hour=hour), insert_id=f"e{hour}") for hour in range(12)],
        clock=SandboxClock.fixed(NOON),
        tls=(chain, key),
    )


def export(sandbox: Sandbox, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the tap for one day, with no proxy and no authority but the given ones."""
    outer = environment(sandbox)
    for name in ("NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        outer.pop(name, None)
    return subprocess.run(
        [sys.executable, "-m", "tap_mixpanel_export", "--config=ENV"],
        check=False,
        capture_output=True,
        text=True,
        env={
            **outer,
            "TAP_MIXPANEL_EXPORT_START_DATE": "2026-11-20",
            **settings,
        },
    )


def assert_complete(done: subprocess.CompletedProcess[str], sandbox: Sandbox) -> None:
    assert done.returncode == 0, done.stderr
    messages = [parse(line) for line in done.stdout.splitlines()]
    ids = [m["record"]["event_id"] for m in messages if m["type"] == "RECORD"]
    assert sorted(ids) == sorted(expected_rows(sandbox.visible()))


def assert_message(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr
    for word in words:
        assert word in done.stderr


def test_a_private_authority_is_trusted_when_named(service, authority):
    _, bundle = authority
    assert_complete(export(service, REQUESTS_CA_BUNDLE=str(bundle)), service)


@pytest.mark.parametrize("other", [None, "another.pem"])
def test_an_unknown_certificate_ends_the_run_before_any_secret_is_sent(service, other, tmp_path):
    settings = {}
    if other is not None:
        trustme.CA().cert_pem.write_to_path(tmp_path / other)
        settings = {"REQUESTS_CA_BUNDLE": str(tmp_path / other)}
    done = export(service, **settings)
    assert_message(done, "certificate", "REQUESTS_CA_BUNDLE", service.api_url)
    assert done.stderr.count("not accepted") == 1
    assert service.requests == []


def test_a_certificate_of_another_host_is_refused(authority, tmp_path):
    company, bundle = authority
    with https_sandbox(company.issue_cert("data.example.com"), tmp_path) as sandbox:
        done = export(sandbox, REQUESTS_CA_BUNDLE=str(bundle))
        assert_message(done, "certificate", "not accepted")
        assert sandbox.requests == []


def test_a_bundle_that_is_not_there_is_told(service, tmp_path):
    done = export(service, REQUESTS_CA_BUNDLE=str(tmp_path / "missing.pem"))
    assert_message(done, "REQUESTS_CA_BUNDLE", "cannot be used")


@pytest.mark.parametrize("login", [None, "tap:pr0xy-password"])
def test_queries_go_through_the_proxy_and_it_reads_none(service, authority, login):
    _, bundle = authority
    with connect_proxy(login) as proxy:
        before = "" if login is None else f"{login}@"
        done = export(
            service,
            HTTPS_PROXY=f"http://{before}{proxy.address}",
            REQUESTS_CA_BUNDLE=str(bundle),
        )
        assert_complete(done, service)
        host = service.api_url.split("/")[2]
        assert set(proxy.asked) == {host}
        # Credentials are inside the tunnel's TLS.
        assert SECRET.encode() not in proxy.seen
        known = f"{service.credentials.service_account_username}:{SECRET}"
        assert base64.b64encode(known.encode()) not in proxy.seen
        assert b"pr0xy-password" not in done.stderr.encode()


def test_hosts_of_no_proxy_are_asked_directly(service, authority):
    _, bundle = authority
    with connect_proxy() as proxy:
        done = export(
            service,
            HTTPS_PROXY=f"http://{proxy.address}",
            NO_PROXY="localhost,127.0.0.1",
            REQUESTS_CA_BUNDLE=str(bundle),
        )
        assert_complete(done, service)
        assert proxy.asked == []


def test_a_proxy_that_asks_for_a_login_is_named_and_its_password_is_not(service, authority):
    _, bundle = authority
    with connect_proxy("tap:right") as proxy:
        done = export(
            service,
            HTTPS_PROXY=f"http://tap:wr0ng-password@{proxy.address}",
            REQUESTS_CA_BUNDLE=str(bundle),
        )
        assert_message(done, "proxy", "407")
        assert "wr0ng-password" not in done.stderr
        assert service.requests == []
        # A refused login does not become right by trying again.
        assert len(proxy.asked) == 1


def test_a_proxy_that_is_not_there_is_named(service, authority, monkeypatch):
    _, bundle = authority
    endpoint = Endpoint(
        url=service.api_url,
        credentials=auth.Credentials("service account", HTTPBasicAuth("user", SECRET), "advice"),
        project_id=service.credentials.project_id,
        region="US",
        event_names=(),
        time_in_ms=False,
        user_agent="test",
        timeout=120,
    )
    client = ExportClient(endpoint)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with socket.socket() as taken, closing(client):
        # Bound, but nothing listens: connections are refused.
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{taken.getsockname()[1]}")
        # It may come back: the tries of a window are for this, too.
        with pytest.raises(ConnectionFailedError, match="proxy"):
            list(client.export(DayRange(NOON.date(), NOON.date()), None, lambda _: None))
    assert service.requests == []
