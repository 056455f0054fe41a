"""OpenID Connect Discovery: the addresses and keys that an identity provider publishes."""

import logging
import ssl
import threading
import time
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from domain.errors import SignInRefused

TIMEOUT_SECONDS = 5.0
KEPT_SECONDS = 3600.0
PAUSE_SECONDS = 5.0
"""How long after a failure the provider is not requested again."""

LOOPBACK = ("127.0.0.1", "::1", "localhost")

PROVIDER_ERRORS = (
    *(httpx2.HTTPError, httpx2.InvalidURL, JoseError),
    *(LookupError, TypeError, ValueError),
)
"""Errors of a provider that does not respond, responds with another format, or has invalid keys."""

Document = TypeVar("Document")
log = logging.getLogger(__name__)


class Metadata(msgspec.Struct, frozen=True):
    """The provider metadata that Stemma uses (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class PublishedKeys(msgspec.Struct, frozen=True):
    """A JSON Web Key Set (RFC 7517, section 5)."""

    keys: list[dict[str, Any]]


class Published(msgspec.Struct, frozen=True):
    """Metadata and keys of a provider, and when they were fetched (monotonic clock)."""

    metadata: Metadata
    keys: KeySet
    at: float


class Discovery:
    """The published metadata and keys of a provider, cached for an hour."""

    def __init__(self, issuer: str, tls: ssl.SSLContext) -> None:
        self._issuer = issuer
        self._tls = tls
        self._cached: Published | None = None
        self._failed_at = float("-inf")
        self._fetching = threading.Lock()

    def published(self, *, fresh: bool = False) -> Published:
        """The published data, from the cache unless `fresh`. Raises `SignInRefused`."""
        with self._fetching:
            cached = self._cached
            if cached is None or fresh or time.monotonic() - cached.at >= KEPT_SECONDS:
                cached = self._cached = self._fetch_unless_paused()
            return cached

    def _fetch_unless_paused(self) -> Published:
        try:
            if time.monotonic() - self._failed_at < PAUSE_SECONDS:
                raise _unreachable()
            return self._fetch()
        except PROVIDER_ERRORS as error:
            self._failed_at = time.monotonic()
            log.warning("the identity provider %s cannot be used: %s", self._issuer, error)
            raise _unreachable() from error

    def _fetch(self) -> Published:
        address = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        with httpx2.Client(timeout=TIMEOUT_SECONDS, verify=self._tls) as client:
            metadata = _fetch(client, address, Metadata)
            if metadata.issuer != self._issuer:
                raise ValueError(f"its metadata has the issuer {metadata.issuer!r}")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                self._check(getattr(metadata, name))
            if metadata.userinfo_endpoint:
                self._check(metadata.userinfo_endpoint)
            keys = _fetch(client, metadata.jwks_uri, PublishedKeys).keys
        return Published(metadata, KeySet.import_key_set({"keys": keys}), time.monotonic())

    def _check(self, endpoint: str) -> None:
        if not (is_https(endpoint) or (is_loopback(self._issuer) and is_loopback(endpoint))):
            raise ValueError(f"{endpoint!r} is not an https address")


def _fetch(client: httpx2.Client, address: str, kind: type[Document]) -> Document:
    response = client.get(address).raise_for_status()
    return msgspec.json.decode(response.content, type=kind)


def is_https(address: str) -> bool:
    split = urlsplit(address)
    return split.scheme == "https" and bool(split.hostname)


def is_loopback(address: str) -> bool:
    return urlsplit(address).hostname in LOOPBACK


def _unreachable() -> SignInRefused:
    return SignInRefused(
        "the identity provider does not answer correctly: try again in a few seconds, or sign in"
        " with a key; the server's log has details",
        reason="sign-in: provider unreachable",
    )
