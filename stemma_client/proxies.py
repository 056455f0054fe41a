"""The proxy of the environment (`HTTPS_PROXY`), and the servers that are reached through it."""

from __future__ import annotations

import ipaddress

import httpx


def uses_proxy(url: str) -> bool:
    """Whether a server is reached through the proxy that the environment names.

    Only over TLS, where the proxy cannot read the key, and never a server on this machine.
    """
    server = httpx.URL(url)
    return server.scheme == "https" and not _is_loopback(server.host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
