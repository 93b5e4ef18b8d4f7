"""Where and as whom to ask, and what it means when there is no answer."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import requests

from tap_mixpanel_export.api.pace import FLOOR_BYTES, LeftoverError, PacedAdapter, SlowTransferError
from tap_mixpanel_export.api.service_text import Redactor
from tap_mixpanel_export.errors import ConnectionFailedError, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_mixpanel_export.api.auth import Credentials
    from tap_mixpanel_export.api.proxies import Proxy
    from tap_mixpanel_export.errors import ExportError

# Words of Python's http.client; it knows no status of a tunnel that was refused.
_PROXY_LOGIN = "Tunnel connection failed: 407"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and as whom to ask, the same for all queries of a run.

    Attributes:
        url: Address of the API, up to `/api/2.0`.
        credentials: Sign the requests.
        project_id: Needed with service accounts and OAuth tokens.
        region: For advice when the project is not found.
        event_names: Only these events; empty for all.
        time_in_ms: Ask for `time` in milliseconds.
        user_agent: Sent with each request.
        timeout: Seconds to connect, of the longest silence between bytes, and within which a
            kilobyte has to come.
    """

    url: str
    credentials: Credentials
    project_id: int | None
    region: str
    event_names: tuple[str, ...]
    time_in_ms: bool
    user_agent: str
    timeout: float

    @property
    def project(self) -> str:
        """What to call the project."""
        return "the project" if self.project_id is None else f"project {self.project_id}"

    def redactor(self, where: str | None = None) -> Redactor:
        """What takes secrets and names out of the service's texts.

        Args:
            where: The expression of a query.
        """
        return Redactor(self.credentials.secrets, where, self.event_names)


class _Session(requests.Session):
    """Follows no redirect, nor reads what comes with it: it would take the credentials elsewhere.

    Told not to follow one, `requests` looks at its address and reads its whole body all the same.
    """

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - overrides
        return None


def open_session(endpoint: Endpoint) -> requests.Session:
    """A session that signs its requests, and reads no answer that is too slow."""
    session = _Session()
    session.auth = endpoint.credentials.auth
    session.headers.update(
        {"User-Agent": endpoint.user_agent, "Accept-Encoding": "gzip", "Accept": "*/*"}
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, PacedAdapter())
    return session


def no_response(
    error: requests.exceptions.RequestException, endpoint: Endpoint, proxy: Proxy | None
) -> ExportError:
    """What it means that there is no answer, by what `requests` made of it."""
    # A connection that breaks in the handshake is an SSLError, too.
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
        return RequestError(
            f"the TLS certificate of {endpoint.url} was not accepted; behind a proxy with its own "
            "certificate authority set REQUESTS_CA_BUNDLE to that authority's file"
        )
    if isinstance(error, requests.exceptions.ProxyError) and proxy is not None:
        if _PROXY_LOGIN in str(error):
            # A refused login stays refused.
            return RequestError(
                f"the proxy wants another login (407): write it into {proxy.variable} as "
                "http://user:password@host:port, or the service's host into NO_PROXY"
            )
        return ConnectionFailedError(
            f"the proxy of {proxy.variable} made no connection to {endpoint.url} "
            f"({_kind_of(error)})"
        )
    if isinstance(error, requests.exceptions.Timeout):
        return ConnectionFailedError(f"no answer within {endpoint.timeout:g} s (request_timeout)")
    return ConnectionFailedError(f"the connection to {endpoint.url} failed ({_kind_of(error)})")


def broken_response(error: BaseException, endpoint: Endpoint) -> ConnectionFailedError:
    """What it means that an answer does not go on, by what the HTTP library made of it."""
    timeout = endpoint.timeout
    for cause in _causes(error):
        if isinstance(cause, LeftoverError):
            return ConnectionFailedError(
                "more bytes came behind the end of the answer: its length is wrong"
            )
        if isinstance(cause, SlowTransferError):
            return ConnectionFailedError(
                f"less than {FLOOR_BYTES} bytes came within {timeout:g} s (request_timeout)"
            )
        if isinstance(cause, TimeoutError):
            return ConnectionFailedError(
                f"silence for {timeout:g} s (request_timeout) in mid-answer"
            )
    return ConnectionFailedError(f"the connection broke in mid-answer ({_kind_of(error)})")


def _kind_of(error: BaseException) -> str:
    """What broke, in a word: texts of network errors may quote the address with its parameters."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno is not None:
            return cause.strerror or type(cause).__name__
    return type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was made of; urllib3 keeps some in an attribute."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        reason = getattr(cause, "reason", None)
        cause = (
            reason if isinstance(reason, BaseException) else (cause.__cause__ or cause.__context__)
        )
