"""Who may export: the three kinds of credentials that the export API takes."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from tap_mixpanel_export.sandbox.http import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_mixpanel_export.sandbox.request_log import CredentialKind


_UNKNOWN = "Unable to authenticate request"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the sandbox lets in. They open nothing else: the server listens on loopback only.

    Attributes:
        service_account_username: User name for HTTP Basic.
        service_account_secret: Its secret.
        project_secret: The deprecated secret of the project: user name for HTTP Basic, with an
            empty password.
        oauth_token: Token for `Authorization: Bearer`.
        project_id: The project that all three belong to.
    """

    service_account_username: str = "sandbox-account.0a1b2c.mp-service-account"
    service_account_secret: str = "sandbox-account-secret"  # noqa: S105
    project_secret: str = "sandbox-project-secret"  # noqa: S105
    oauth_token: str = "sandbox-oauth-token"  # noqa: S105
    project_id: int = 2195193


def authenticate(
    credentials: Credentials, authorization: str | None, params: Mapping[str, str]
) -> CredentialKind:
    """Say which kind of credential a request carries.

    A service account and an OAuth token can reach several projects, so the request must name one; a
    project secret is the project's own.

    Raises:
        ApiError: 400 or 401 when nobody is recognised, 400 without a needed `project_id`, 403 for
        another project.
    """
    kind = _recognise(credentials, authorization)
    project_id = params.get("project_id")
    if project_id is None:
        if kind == "project_secret":
            return kind
        raise ApiError(HTTPStatus.BAD_REQUEST, "Missing required parameter: project_id")
    if not (project_id.isascii() and project_id.isdigit()):
        raise ApiError(HTTPStatus.BAD_REQUEST, "project_id must be an integer")
    if int(project_id) != credentials.project_id:
        raise ApiError(HTTPStatus.FORBIDDEN, f"Access to project {project_id} is denied")
    return kind


def _recognise(credentials: Credentials, authorization: str | None) -> CredentialKind:
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() == "bearer":
        if value == credentials.oauth_token:
            return "oauth_token"
        raise ApiError(HTTPStatus.UNAUTHORIZED, _UNKNOWN)
    if scheme.lower() != "basic":
        raise ApiError(HTTPStatus.BAD_REQUEST, _UNKNOWN)
    try:
        decoded = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, _UNKNOWN) from error
    username, colon, password = decoded.partition(":")
    if not colon or not username:
        raise ApiError(HTTPStatus.BAD_REQUEST, _UNKNOWN)
    if not password:
        if username == credentials.project_secret:
            return "project_secret"
        raise ApiError(
            HTTPStatus.UNAUTHORIZED, "Invalid API secret. Please check your project settings"
        )
    known = (credentials.service_account_username, credentials.service_account_secret)
    if (username, password) != known:
        raise ApiError(HTTPStatus.UNAUTHORIZED, _UNKNOWN)
    return "service_account"
