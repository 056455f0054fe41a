"""Signing in with an identity provider: OpenID Connect, authorization code flow with PKCE."""

import logging
from collections.abc import Mapping
from typing import Any

import httpx2
import msgspec
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import OAuth2Client

from adapters.access.id_tokens import Claims, UnknownSigner, claims_in, claims_of, identity_in
from adapters.access.oidc_discovery import (
    TIMEOUT_SECONDS,
    Discovery,
    Metadata,
    is_https,
    is_loopback,
)
from adapters.access.sign_in_attempts import Attempts
from adapters.settings import Settings, SettingsError
from application.access.sign_in import SignInPolicy
from domain.access.identity import Identity
from domain.errors import SignInRefused

log = logging.getLogger(__name__)


class Provider:
    """The configured identity provider. Safe to use from many threads."""

    def __init__(self, settings: Settings) -> None:
        self.label = settings.oidc_label
        self.terms = SignInPolicy(settings.oidc_default_role, settings.group_roles())
        self._groups_claim = settings.oidc_groups_claim
        self._issuer = settings.oidc_issuer
        self._client_id = settings.oidc_client_id
        self._client_secret = settings.oidc_client_secret
        self._scopes = settings.oidc_scopes
        # Loading the certificate authorities takes longer than everything else here.
        self._tls = httpx2.create_ssl_context()
        self._discovery = Discovery(self._issuer, self._tls)

    def begin(self, attempts: Attempts, redirect_uri: str, then: str) -> tuple[str, str]:
        """The authorization URL for the browser, and the sealed attempt that the browser keeps."""
        metadata = self._discovery.published().metadata
        attempt, sealed = attempts.begin(then)
        with self._client(metadata, redirect_uri) as client:
            address, _ = client.create_authorization_url(
                metadata.authorization_endpoint,
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return str(address), sealed

    def finish(
        self, attempts: Attempts, sealed: str, answer: Mapping[str, str], redirect_uri: str
    ) -> tuple[Identity, str]:
        """The identity in the provider's response, and the path to redirect to.

        Raises `SignInRefused`.
        """
        attempt = attempts.use(sealed, answer.get("state", ""))
        # RFC 9207: a response from another issuer is rejected.
        if answer.get("iss", self._issuer) != self._issuer:
            raise SignInRefused(
                "another identity provider answered: sign in again", reason="sign-in: wrong issuer"
            )
        if "error" in answer or not answer.get("code"):
            raise SignInRefused(
                "the identity provider did not sign you in: you declined, or it refused; begin"
                " again, or ask an administrator",
                reason="sign-in: declined",
            )
        metadata = self._discovery.published().metadata
        with self._client(metadata, redirect_uri) as client:
            token = _redeem(client, metadata, answer["code"], attempt.verifier)
            claims = self._validate(str(token.get("id_token", "")), attempt.nonce)
            incomplete = claims.has_no_name or (self.terms.group_roles and claims.groups is None)
            if incomplete and metadata.userinfo_endpoint:
                claims = self._complete(client, metadata.userinfo_endpoint, claims)
        if self.terms.group_roles and claims.groups is None:
            log.warning("the identity provider sends no groups: no claim %r", self._groups_claim)
        return identity_in(claims, self._issuer), attempt.then

    def _validate(self, token: str, nonce: str) -> Claims:
        """The token's claims, by the cached keys or, if the signer is unknown, by fresh ones."""
        for fresh in (False, True):
            keys = self._discovery.published(fresh=fresh).keys
            try:
                return claims_in(
                    token,
                    keys,
                    issuer=self._issuer,
                    client_id=self._client_id,
                    nonce=nonce,
                    groups_claim=self._groups_claim,
                )
            except UnknownSigner:
                continue
        raise SignInRefused(
            "the identity provider's statement about you has no valid signature: try again, and"
            " tell an administrator if this persists",
            reason="sign-in: wrong signature",
        )

    def _complete(self, client: Any, address: str, claims: Claims) -> Claims:
        """The claims, completed from the userinfo endpoint."""
        try:
            response = client.get(address).raise_for_status()
            payload = msgspec.json.decode(response.content, type=dict[str, Any])
            more = claims_of(payload, self._groups_claim)
            if more.sub != claims.sub:
                raise ValueError("its subject is not that of the ID token")
        except (AuthlibBaseError, httpx2.HTTPError, ValueError) as error:
            log.warning("the identity provider's userinfo response is unusable: %s", error)
            raise SignInRefused(
                "the identity provider does not identify you: try again, and tell an"
                " administrator if this persists",
                reason="sign-in: no userinfo",
            ) from error
        return claims.completed_by(more)

    def _client(self, metadata: Metadata, redirect_uri: str) -> Any:
        methods = metadata.token_endpoint_auth_methods_supported
        basic = "client_secret_basic" in methods or "client_secret_post" not in methods
        method = "client_secret_basic" if basic else "client_secret_post"
        return OAuth2Client(
            self._client_id,
            self._client_secret or None,
            scope=self._scopes,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            token_endpoint_auth_method=method if self._client_secret else "none",
            timeout=TIMEOUT_SECONDS,
            verify=self._tls,
        )


def provider_in(settings: Settings) -> Provider | None:
    """The configured provider, or None if none is configured. Raises `SettingsError`."""
    issuer = settings.oidc_issuer
    if not issuer:
        return None
    if not (is_https(issuer) or is_loopback(issuer)):
        raise SettingsError(
            "STEMMA_OIDC_ISSUER is wrong: it must begin with https://, unless it is on this machine"
        )
    if not settings.oidc_client_id:
        raise SettingsError(
            "STEMMA_OIDC_CLIENT_ID is not set: it is the id of this server at the identity provider"
        )
    if "openid" not in settings.oidc_scopes.split():
        raise SettingsError("STEMMA_OIDC_SCOPES is wrong: `openid` is not among them")
    return Provider(settings)


def _redeem(client: Any, metadata: Metadata, code: str, verifier: str) -> Mapping[str, object]:
    try:
        token: Mapping[str, object] = client.fetch_token(
            metadata.token_endpoint,
            grant_type="authorization_code",
            code=code,
            code_verifier=verifier,
        )
    except (AuthlibBaseError, httpx2.HTTPError, ValueError) as error:
        log.warning("the identity provider rejects the authorization code: %s", error)
        raise SignInRefused(
            "the identity provider rejects its own code: it was used, is too old, or this server"
            " is not known there; try again, and tell an administrator if this persists",
            reason="sign-in: code not redeemed",
        ) from error
    return token
