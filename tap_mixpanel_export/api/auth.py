"""The three kinds of credentials that the export API takes."""

from __future__ import annotations

from dataclasses import dataclass, field
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
        secrets: What must not be shown, wherever it turns up.
    """

    kind: str
    auth: AuthBase
    advice: str
    secrets: tuple[str, ...] = field(default=(), repr=False)


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
    kind = _only_kind(settings, problems)
    if kind is None:
        return None
    value = str(settings[kind])
    if kind != "project_secret" and settings.get("project_id") is None:
        problems.append(f"project_id is needed with {kind}")
    if kind == "service_account_username":
        secret = str(settings["service_account_secret"])
        return Credentials(
            "service account",
            # Header values are bytes: `requests` would encode text as Latin-1, and fail on more.
            HTTPBasicAuth(value.encode(), secret.encode()),
            "check the user name and secret, whether the service account has expired, and that it "
            "belongs to the project and its region",
            (value, secret),
        )
    if kind == "oauth_token":
        if not (value.isascii() and value.isprintable()):
            problems.append("oauth_token has characters that no token has (a line end, perhaps)")
        return Credentials(
            "OAuth token",
            BearerAuth(value),
            "check the token, and whether it has expired",
            (value,),
        )
    expired = (today or datetime.now(timezone.utc).date()) >= PROJECT_SECRETS_END
    return Credentials(
        "project secret",
        HTTPBasicAuth(value.encode(), b""),
        f"check the secret; Mixpanel {'retired' if expired else 'retires'} project secrets on "
        f"{PROJECT_SECRETS_END}: use a service account",
        (value, ""),
    )


def _only_kind(settings: Mapping[str, Any], problems: list[str]) -> str | None:
    """The setting that the one kind of credentials begins with, or None and a problem added."""
    has_user, has_secret = (
        settings.get(f"service_account_{part}") is not None for part in ("username", "secret")
    )
    if has_user != has_secret:
        # All that a newcomer has to find is named in the first round.
        also = "" if settings.get("project_id") is not None else ", and so is project_id"
        problems.append(
            "service_account_username and service_account_secret belong together; "
            f"one is missing{also}"
        )
        return None
    kinds = [
        name
        for name in ("service_account_username", "oauth_token", "project_secret")
        if settings.get(name) is not None
    ]
    if len(kinds) != 1:
        problems.append(
            f"{' and '.join(kinds)} are set; keep one kind of credentials"
            if kinds
            else "no credentials: set service_account_username and service_account_secret "
            "(or oauth_token), and project_id"
        )
        return None
    return kinds[0]
