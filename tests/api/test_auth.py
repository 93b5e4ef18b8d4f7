from __future__ import annotations

import base64
from datetime import date

import pytest
import requests

from tap_mixpanel_export.api.auth import PROJECT_SECRETS_END, choose_credentials

SERVICE_ACCOUNT = {
    "service_account_username": "robot.mp-service-account",
    "service_account_secret": "pass:wörd ✓",
    "project_id": 1,
}


def chosen(today=None, **settings):
    problems = []
    credentials = choose_credentials(settings, problems, today)
    return credentials, problems


def header_of(credentials):
    request = requests.Request("GET", "https://example.com", auth=credentials.auth)
    return request.prepare().headers["Authorization"]


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_a_service_account_signs_with_http_basic_in_utf_8():
    credentials, problems = chosen(**SERVICE_ACCOUNT)
    assert not problems
    assert credentials.kind == "service account"
    assert header_of(credentials) == basic("robot.mp-service-account:pass:wörd ✓")


def test_an_oauth_token_signs_as_a_bearer():
    credentials, problems = chosen(oauth_token="t0ken", project_id=1)
    assert not problems
    assert credentials.kind == "OAuth token"
    assert header_of(credentials) == "Bearer t0ken"


def test_a_project_secret_is_a_user_name_without_a_password():
    credentials, problems = chosen(project_secret="s3cret")
    assert not problems
    assert credentials.kind == "project secret"
    assert header_of(credentials) == basic("s3cret:")


@pytest.mark.parametrize("kind", ["oauth_token", "project_secret"])
def test_a_netrc_file_does_not_replace_the_credentials(kind, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine example.com login someone password else")
    monkeypatch.setenv("NETRC", str(netrc))
    credentials, _ = chosen(**{kind: "mine"}, project_id=1)
    with requests.Session() as session:
        session.auth = credentials.auth
        request = session.prepare_request(requests.Request("GET", "https://example.com"))
    expected = "Bearer mine" if kind == "oauth_token" else basic("mine:")
    assert request.headers["Authorization"] == expected


def test_the_advice_for_a_project_secret_knows_the_date():
    assert date(2027, 3, 3) == PROJECT_SECRETS_END
    before, _ = chosen(date(2027, 3, 2), project_secret="x")
    after, _ = chosen(date(2027, 3, 3), project_secret="x")
    assert "Mixpanel retires project secrets on 2027-03-03: use a service account" in before.advice
    assert "Mixpanel retired project secrets on 2027-03-03: use a service account" in after.advice


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "no credentials: set service_account_username and service_account_secret"),
        ({"project_id": 1}, "no credentials"),
        ({"service_account_username": "x"}, "one is missing"),
        ({"service_account_secret": "x"}, "one is missing"),
        (
            {**SERVICE_ACCOUNT, "oauth_token": "x"},
            "service_account_username and oauth_token are set; keep one kind",
        ),
        (
            {"oauth_token": "x", "project_secret": "y", "project_id": 1},
            "oauth_token and project_secret are set",
        ),
        ({**SERVICE_ACCOUNT, "project_id": None}, "project_id is needed with service_account_u"),
        ({"oauth_token": "x"}, "project_id is needed with oauth_token"),
        ({"oauth_token": "x\n", "project_id": 1}, "oauth_token has characters that no token has"),
        ({"oauth_token": "tökén", "project_id": 1}, "oauth_token has characters that no token"),
    ],
)
def test_what_cannot_be_used_is_named(settings, problem):
    _, (told,) = chosen(**settings)
    assert problem in told
