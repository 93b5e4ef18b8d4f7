"""Which proxy a request goes through, and which environment variable says so."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies

from tap_mixpanel_export.errors import RequestError


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy of the environment.

    Attributes:
        variable: What names it, for messages: its address may hold a password.
        url: Its address.
    """

    variable: str
    url: str


def proxy_for(url: str) -> Proxy | None:
    """The proxy that the environment has for an address.

    Plain http is for this machine only, and goes through none: the proxy would read the credentials
    that each request holds, and hand them on in clear text. With https they are inside the tunnel.

    Args:
        url: The address.

    Returns:
        The proxy, None when the address is to be asked directly (`NO_PROXY`).

    Raises:
        RequestError: What the variable holds is no proxy's address.
    """
    scheme = urlsplit(url).scheme
    if scheme == "http":
        return None
    proxies = get_environ_proxies(url, no_proxy=None)
    for kind in (scheme, "all"):
        if address := proxies.get(kind):
            proxy = Proxy(_variable(f"{kind}_proxy", address), address)
            if not _is_usable(address):
                raise RequestError(
                    f"{proxy.variable} names no proxy that can be used: write it as "
                    "http://host:port (SOCKS is not supported)"
                )
            return proxy
    return None


def _is_usable(address: str) -> bool:
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _variable(name: str, address: str) -> str:
    """How the variable is written; the lower-case one wins where both are set."""
    spellings = [n for n in os.environ if n.lower() == name and os.environ[n] == address]
    # macOS has proxies in its settings, too.
    return min(spellings, key=lambda n: n != name, default="the system's settings")
