"""The HTTP connections of a client, of which each process has its own."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Any

import httpx


def authorities(url: str) -> ssl.SSLContext | bool:
    """The certificate authorities that are trusted for a server, as httpx's option `verify`.

    None for a server without TLS: loading them takes longer than a request.
    """
    without_tls = httpx.URL(url).scheme == "http"
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if without_tls else True


class Connections:
    """Connections that are opened on use, and kept. Safe to use from several threads.

    A process that was forked opens its own: two processes that read from one connection would read
    each other's answers.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = dict(options)
        self._http = httpx.Client(**self._options)
        self._process = os.getpid()
        self._of_parent: httpx.Client | None = None

    @property
    def http(self) -> httpx.Client:
        """The connections of this process."""
        if self._process != os.getpid():
            # Kept as they are: closing them would end the parent's.
            self._of_parent = self._http
            self._http = httpx.Client(**self._options)
            self._process = os.getpid()
        return self._http

    def close(self) -> None:
        """Close all connections of this process."""
        self.http.close()
