"""ID tokens of an identity provider, validated as OpenID Connect Core 1.0, 3.1.3.7 requires."""

from collections.abc import Mapping
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import BadSignatureError, ClaimError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from domain.access.account import is_address
from domain.access.identity import Identity
from domain.errors import Invalid, SignInRefused
from domain.text import refuse_controls

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519", "EdDSA"),
)
"""Asymmetric signature algorithms: only the provider can make these signatures."""

LEEWAY_SECONDS = 60


class UnknownSigner(Exception):
    """The signature is by none of the cached keys; the provider may have new ones."""


class Claims(msgspec.Struct, frozen=True):
    """The claims of an ID token or of the userinfo endpoint."""

    sub: str
    email: str | None = None
    email_verified: object = None
    preferred_username: str | None = None
    groups: frozenset[str] | None = None

    @property
    def has_no_name(self) -> bool:
        return self.email is None and self.preferred_username is None

    def completed_by(self, more: "Claims") -> "Claims":
        """These claims, with names and groups taken from `more` if they are missing here."""
        groups = more.groups if self.groups is None else self.groups
        return msgspec.structs.replace(more if self.has_no_name else self, groups=groups)


def claims_in(
    token: str, keys: KeySet, *, issuer: str, client_id: str, nonce: str, groups_claim: str
) -> Claims:
    """The claims of a token. Raises `UnknownSigner`, and `SignInRefused` for an invalid token."""
    try:
        claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        ).validate(claims)
    except (InvalidKeyIdError, BadSignatureError) as error:
        raise UnknownSigner from error
    except ClaimError as error:
        raise _invalid_token(f"{error.claim}: {error.description}") from error
    except (JoseError, ValueError) as error:
        raise _invalid_token(str(error)) from error
    _check_party(claims, client_id)
    try:
        return claims_of(claims, groups_claim)
    except msgspec.ValidationError as error:
        raise _invalid_token(str(error)) from error


def claims_of(payload: Mapping[str, object], groups_claim: str) -> Claims:
    """The claims in a payload; `groups_claim` is its name for groups.

    Raises `msgspec.ValidationError`, and `SignInRefused` if the groups are a distributed claim
    because there are too many (OpenID Connect Core 1.0, 5.6.2).
    """
    groups = payload.get(groups_claim)
    elsewhere = payload.get("_claim_names")
    if groups is None and isinstance(elsewhere, Mapping) and groups_claim in elsewhere:
        raise SignInRefused(
            "the identity provider does not list your groups, because there are too many: an"
            " administrator can limit the list to groups that matter here",
            reason="sign-in: no groups in the token",
        )
    groups = [groups] if isinstance(groups, str) else groups
    return msgspec.convert({**payload, "groups": groups}, Claims)


def _check_party(claims: dict[str, Any], client_id: str) -> None:
    """A token with several audiences names the client that requested it."""
    audience, party = claims["aud"], claims.get("azp")
    several = isinstance(audience, list) and len(audience) > 1
    if (several or party is not None) and party != client_id:
        raise _invalid_token("azp: it was made for another client")


def identity_in(claims: Claims, issuer: str) -> Identity:
    """The identity that the claims are about. Raises `SignInRefused` for an invalid subject."""
    try:
        refuse_controls(claims.sub, "sub")
    except Invalid as error:
        raise _invalid_token(f"sub: {error.detail}") from error
    if not 1 <= len(claims.sub) <= 255:
        raise _invalid_token("sub: it has 1 to 255 characters")
    verified = claims.email_verified is True
    email = claims.email if verified and is_address(claims.email or "") else None
    groups = claims.groups or frozenset()
    return Identity(issuer, claims.sub, email, claims.preferred_username, groups)


def _invalid_token(why: str) -> SignInRefused:
    return SignInRefused(
        f"the identity provider's statement about you is not valid ({why}): try again, and tell"
        " an administrator if this persists",
        reason="sign-in: invalid ID token",
    )
