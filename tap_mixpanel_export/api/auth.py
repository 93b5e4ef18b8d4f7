"""The three kinds of credentials that the export API takes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING

from requests.auth import AuthBase, HTTPBasicAuth

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from requests import PreparedRequest

PROJECT_SECRETS_END = date(2027, 3, 3)
"""From this day on Mixpanel refuses project secrets (announced by Mixpanel for its export API)."""


class BearerAuth(AuthBase):
    """`Authorization: Bearer …`, set at each request.

    Without an auth object `requests` would replace the header by what `~/.netrc` holds.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign the request."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


@dataclass(frozen=True, slots=True)
class Credentials:
    """One usable kind of credentials.

    Attributes:
        kind: What a person calls it, for messages.
        auth: Signs the requests.
        advice: What to check when the service refuses them.
    """

    kind: str
    auth: AuthBase
    advice: str


def choose_credentials(
    settings: Mapping[str, Any], problems: list[str], today: date | None = None
) -> Credentials | None:
    """The credentials that the settings name.

    Args:
        settings: The tap's settings.
        problems: Gets a sentence for each problem found.
        today: Defaults to today in UTC.

    Returns:
        The credentials, or None with at least one problem added.
    """
    username = settings.get("service_account_username")
    secret = settings.get("service_account_secret")
    token = settings.get("oauth_token")
    project_secret = settings.get("project_secret")
    if (username is None) != (secret is None):
        # All that a newcomer has to find is named in the first round.
        also = "" if settings.get("project_id") is not None else ", and so is project_id"
        problems.append(
            "service_account_username and service_account_secret belong together; "
            f"one is missing{also}"
        )
        return None
    kinds = [
        name
        for name, value in (
            ("service_account_username", username),
            ("oauth_token", token),
            ("project_secret", project_secret),
        )
        if value is not None
    ]
    if len(kinds) != 1:
        problems.append(
            f"{' and '.join(kinds)} are set; keep one kind of credentials"
            if kinds
            else "no credentials: set service_account_username and service_account_secret "
            "(or oauth_token), and project_id"
        )
        return None
    if kinds != ["project_secret"] and settings.get("project_id") is None:
        problems.append(f"project_id is needed with {kinds[0]}")
    if username is not None:
        return Credentials(
            "service account",
            # Header values are bytes: `requests` would encode text as Latin-1, and fail on more.
            HTTPBasicAuth(username.encode(), str(secret).encode()),
            "check the user name and secret, whether the service account has expired, and that it "
            "belongs to the project and its region",
        )
    if token is not None:
        if not (token.isascii() and token.isprintable()):
            problems.append("oauth_token has characters that no token has (a line end, perhaps)")
        return Credentials(
            "OAuth token", BearerAuth(token), "check the token, and whether it has expired"
        )
    expired = (today or datetime.now(timezone.utc).date()) >= PROJECT_SECRETS_END
    return Credentials(
        "project secret",
        HTTPBasicAuth(str(project_secret).encode(), b""),
        f"check the secret; Mixpanel {'retired' if expired else 'retires'} project secrets on "
        f"{PROJECT_SECRETS_END}: use a service account",
    )
