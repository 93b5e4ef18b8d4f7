"""Every status but 200 says what it means."""

from __future__ import annotations

import base64
import re
from datetime import timedelta
from urllib.parse import quote, quote_plus

import pytest
from one_query import LAST, NOW, answering, endpoint_of, exported

from tap_mixpanel_export.errors import (
    AccessError,
    AuthenticationError,
    DayError,
    ExportError,
    NotFoundError,
    PlanError,
    RejectedQueryError,
    RequestError,
    ServerError,
    WideQueryError,
)
from tap_mixpanel_export.sandbox import Fault

PASSING = (408, 409, 425, 499, 500, 502, 503, 504, 520, 599)


@pytest.mark.parametrize(
    ("status", "text", "kind", "message"),
    [
        (
            400,
            None,
            RejectedQueryError,
            r"refused the query \(400\): neither where nor event_names",
        ),
        (400, "Unable to authenticate request", AuthenticationError, r"service account \(400\)"),
        (400, "to_date cannot be later than today", DayError, "Set project_timezone"),
        (401, None, AuthenticationError, "service account .401.: check the user name and secret"),
        (401, "Invalid API secret", AuthenticationError, "did not accept the service account"),
        (402, None, PlanError, "plan of project 2195193 does not include"),
        (403, None, AccessError, "service account has no access to project 2195193"),
        (404, None, NotFoundError, "check api_url, and whether .* region EU"),
        (405, None, RejectedQueryError, "405"),
        (407, None, RequestError, "the proxy wants another login"),
        (413, None, RejectedQueryError, r"\(413\): it is too long for something on the way"),
        (414, None, RejectedQueryError, r"\(414\): it is too long"),
        (418, None, RejectedQueryError, "418"),
        (431, None, RejectedQueryError, r"\(431\): it is too long"),
        (451, None, RequestError, "legal reasons"),
        *((status, None, ServerError, f"the service answered {status}") for status in PASSING),
        (500, "a\x1b[31m\nb", ServerError, r"answered 500; it says: a\\x1b\[31m\\nb$"),
        (403, "No \u202erole", AccessError, r"; it says: No \\u202erole$"),
    ],
)
def test_each_status_has_its_error(start, status, text, kind, message):
    sandbox = start(Fault("status", status=status, text=text))
    transfers = []
    with pytest.raises(kind, match=message) as caught:
        exported(endpoint_of(sandbox, region="EU"), on_response=transfers.append)
    assert type(caught.value) is kind
    assert [(transfer.granted, transfer.server_time) for transfer in transfers] == [(False, NOW)]
    assert sandbox.credentials.service_account_secret not in str(caught.value)
    # The next request is served on the same terms as ever.
    assert exported(endpoint_of(sandbox))


@pytest.mark.parametrize(
    ("where", "names", "advice"),
    [
        (None, (), "neither where nor event_names is set"),
        ('defined(properties["a"])', (), "check where"),
        (None, ("a",), "check event_names"),
        ('defined(properties["a"])', ("a",), "check where and event_names"),
    ],
)
def test_advice_is_about_what_is_set(start, where, names, advice):
    for status, words in ((400, advice), (418, advice)):
        sandbox = start(Fault("status", status=status))
        with pytest.raises(RejectedQueryError, match=rf"\({status}\): {words}; it says"):
            exported(endpoint_of(sandbox, event_names=names), where)
    sandbox = start(Fault("status", status=414))
    with pytest.raises(
        RejectedQueryError, match="make it too long" if where or names else "is too"
    ):
        exported(endpoint_of(sandbox, event_names=names), where)


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (204, "", "204: no content, which is no export"),
        (206, "", "206: a part of an export, which was not asked for"),
        (203, "", r"refused the query \(203\)"),
        (301, "Location: https://evil.example/a?b=1", r"redirects \(301\) to evil.example, which"),
        (302, "Location: https://user:pw@evil.example\x1b/", r"to evil.example\\x1b, which"),
        (302, "Location: //[", "to another place on the same host"),
        (303, "X: y", "to another place on the same host"),
        (307, "Location: /login?next=from_date", "to another place on the same host"),
        (304, "", r"refused the query \(304\)"),
        (999, "", "the service answered 999"),
    ],
)
def test_what_is_neither_an_export_nor_an_error_says_what_it_is(start, status, headers, message):
    head = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n{headers}".rstrip() + "\r\n\r\n"
    with answering(head.encode("latin-1")) as url, pytest.raises(ExportError) as caught:
        exported(endpoint_of(start(), url=url))
    assert re.search(message, str(caught.value))
    assert "from_date" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_a_wide_query_that_is_refused_may_pass_in_halves(start):
    for days, kind in ((30, RejectedQueryError), (31, WideQueryError)):
        sandbox = start(Fault("status", status=400))
        with pytest.raises(RejectedQueryError) as caught:
            exported(endpoint_of(sandbox), first=LAST - timedelta(days=days - 1))
        assert type(caught.value) is kind
    for text in ("Unable to authenticate request", "to_date cannot be later than today"):
        sandbox = start(Fault("status", status=400, text=text))
        with pytest.raises(RequestError) as caught:
            exported(endpoint_of(sandbox), first=LAST - timedelta(days=300))
        assert not isinstance(caught.value, RejectedQueryError)


def test_nothing_of_a_request_is_shown_when_the_service_repeats_it(start):
    where = 'properties["e-mail"] == "bob@example.com" and defined(properties["plan b"])'
    sandbox = start()
    known = sandbox.credentials
    secret = known.service_account_secret
    basic = base64.b64encode(f"{known.service_account_username}:{secret}".encode()).decode()
    for said in (
        f"bad secret {secret}!",
        f"bad header Basic {basic}!",
        f"bad secret {quote(secret + ' ')}!",
        f"bad user {known.service_account_username}!",
        f"cannot read {where}!",
        "no such value bob@example.com!",
        f"?where={quote_plus(where)}!",
        "unknown event Sign up!",
    ):
        sandbox.add_faults(Fault("status", status=418, text=said))
        with pytest.raises(RejectedQueryError) as caught:
            exported(endpoint_of(sandbox, event_names=("Sign up",)), where)
        shown = str(caught.value).partition("it says: ")[2]
        assert shown.endswith("!")
        assert "***" in shown
        for hidden in (secret, basic, "bob", "e-mail", "plan b", "Sign up"):
            assert hidden not in shown
