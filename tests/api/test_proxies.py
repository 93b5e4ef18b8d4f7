"""Which proxy is used, which variable is named for it, and that none reads the credentials."""

from __future__ import annotations

import os
import socket
import time

import pytest
from connect_proxy import connect_proxy
from one_query import answering, endpoint_of, exported

from tap_mixpanel_export.api.proxies import proxy_for
from tap_mixpanel_export.errors import ConnectionFailedError, RequestError

ALL_NAMES = [
    spelling
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    for spelling in (name, name.upper())
]
SERVICE = "https://data.mixpanel.com/api/2.0"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in ALL_NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def dead():
    """The address of a proxy that is not there."""
    with socket.socket() as taken:
        # Bound, but nothing listens: connections are refused.
        taken.bind(("127.0.0.1", 0))
        yield f"http://user:pr0xy-password@127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("names", [ALL_NAMES[:2], ALL_NAMES[:4], ["ALL_PROXY"], ["all_proxy"]])
def test_plain_http_goes_through_no_proxy_whatever_the_environment_says(start, monkeypatch, names):
    sandbox = start()
    with connect_proxy() as proxy:
        for name in names:
            monkeypatch.setenv(name, f"http://{proxy.address}")
        assert exported(endpoint_of(sandbox))
        assert proxy.asked == []
        assert proxy.seen == b""
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "a"}, "HTTPS_PROXY"),
        ({"https_proxy": "a"}, "https_proxy"),
        ({"https_proxy": "a", "HTTPS_PROXY": "b"}, "https_proxy"),
        ({"https_proxy": "a", "HTTPS_PROXY": "a"}, "https_proxy"),
        ({"HTTP_PROXY": "a", "http_proxy": "a"}, None),
        ({"ALL_PROXY": "a"}, "ALL_PROXY"),
        ({"all_proxy": "a", "HTTPS_PROXY": "b"}, "HTTPS_PROXY"),
        ({"all_proxy": "a", "HTTP_PROXY": "b"}, "all_proxy"),
        ({"HTTPS_PROXY": "a", "NO_PROXY": "mixpanel.com"}, None),
        ({"HTTPS_PROXY": "a", "no_proxy": "*"}, None),
        ({"ALL_PROXY": "a", "NO_PROXY": "example.com"}, "ALL_PROXY"),
    ],
)
def test_the_variable_that_was_really_used_is_known(monkeypatch, environment, variable):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    proxy = proxy_for(SERVICE)
    assert (proxy and proxy.variable) == variable
    if proxy is not None:
        assert os.environ[proxy.variable] == proxy.url


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_that_is_not_there_is_named_by_its_variable(start, monkeypatch, dead, name):
    monkeypatch.setenv(name, dead)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    # It may come back: the tries of a window are for this, too.
    with pytest.raises(ConnectionFailedError, match=f"the proxy of {name} made no conn") as caught:
        exported(endpoint_of(start(), url=SERVICE))
    assert "pr0xy-password" not in str(caught.value)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "address",
    ["socks5://user:pr0xy-password@127.0.0.1:1", "http:///pr0xy-password", "http://[", "x://y"],
)
def test_an_address_that_is_no_proxy_is_refused_at_once(start, monkeypatch, name, address):
    monkeypatch.setenv(name, address)
    with pytest.raises(RequestError, match=f"{name} names no proxy that can be used") as caught:
        exported(endpoint_of(start(), url=SERVICE))
    assert "pr0xy-password" not in str(caught.value)


def test_a_login_that_a_proxy_refuses_is_to_be_mended_in_its_variable(start, monkeypatch):
    with connect_proxy("tap:right") as proxy:
        monkeypatch.setenv("all_proxy", f"http://tap:wr0ng@{proxy.address}")
        with pytest.raises(RequestError, match="write it into all_proxy as") as caught:
            exported(endpoint_of(start(), url=SERVICE))
        assert "wr0ng" not in str(caught.value)
        assert len(proxy.asked) == 1


def test_a_proxy_that_answers_byte_by_byte_keeps_nobody_waiting(start, monkeypatch):
    head = b"HTTP/1.1 200 OK\r\nX: "

    def slowly(connection):
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.02)

    with answering(head, after=slowly) as url:
        monkeypatch.setenv("HTTPS_PROXY", url.removesuffix("/api/2.0"))
        with pytest.raises(ConnectionFailedError):
            exported(endpoint_of(start(), url=SERVICE, timeout=0.3))
