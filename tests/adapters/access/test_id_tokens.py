"""An ID token is believed if all of it is right, and no forgery is."""

import base64
import hmac
import time
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from adapters.access.id_tokens import LEEWAY_SECONDS, Claims, UnknownSigner, claims_in, identity_in
from domain.errors import SignInRefused
from tests.adapters.access.identity_provider import new_signing_key

KEY = new_signing_key()
NOW = int(time.time())
CLAIMS: dict[str, Any] = {
    "iss": "https://idp.example",
    "aud": "stemma",
    "exp": NOW + 600,
    "iat": NOW,
    "nonce": "of this sign-in",
    "sub": "ada",
}


def believe(token: str, keys: KeySet | None = None) -> Claims:
    return claims_in(
        token,
        keys or KeySet([KEY]),
        issuer="https://idp.example",
        client_id="stemma",
        nonce="of this sign-in",
        groups_claim="roles",
    )


def signed(claims: dict[str, Any], key: RSAKey | ECKey = KEY, alg: str = "RS256") -> str:
    return jwt.encode({"alg": alg, "kid": key.kid}, _as_of_now(claims), key)


def _as_of_now(claims: dict[str, Any]) -> dict[str, Any]:
    """The same, as if they had been made now and not when this module was read."""
    late = int(time.time()) - NOW
    return {
        name: value + late if name in {"exp", "iat", "nbf"} and isinstance(value, int) else value
        for name, value in claims.items()
    }


def by_hand(header: dict[str, str], claims: dict[str, Any], secret: bytes | None) -> str:
    """A token that no library would make."""
    parts = (header, _as_of_now(claims))
    head, body = (_base64(msgspec.json.encode(part)) for part in parts)
    signature = hmac.digest(secret, f"{head}.{body}".encode(), "sha256") if secret else b""
    return f"{head}.{body}.{_base64(signature)}"


def _base64(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"aud": ["stemma"]},
        {"aud": ["stemma", "another"], "azp": "stemma"},
        {"exp": NOW - LEEWAY_SECONDS + 30},
    ],
)
def test_a_right_token_is_believed(changed: dict[str, Any]) -> None:
    assert believe(signed(CLAIMS | changed)).sub == "ada"


def test_elliptic_signatures_are_believed_too() -> None:
    key = ECKey.generate_key("P-256", auto_kid=True)
    assert believe(signed(CLAIMS, key, "ES256"), KeySet([KEY, key])).sub == "ada"


@pytest.mark.parametrize(
    ("claim", "changed"),
    [
        ("iss", {"iss": "https://another.example"}),
        ("iss", {"iss": "https://idp.example/"}),
        ("aud", {"aud": "another"}),
        ("aud", {"aud": ["another"]}),
        ("azp", {"aud": ["stemma", "another"]}),
        ("azp", {"aud": ["stemma", "another"], "azp": "another"}),
        ("azp", {"azp": "another"}),
        ("exp", {"exp": NOW - LEEWAY_SECONDS - 1}),
        ("exp", {"exp": "never"}),
        ("iat", {"iat": NOW + LEEWAY_SECONDS + 600}),
        ("nbf", {"nbf": NOW + LEEWAY_SECONDS + 600}),
        ("nonce", {"nonce": "of another sign-in"}),
        ("nonce", {"nonce": ""}),
        ("sub", {"sub": 5}),
    ],
)
def test_a_wrong_claim_is_not_believed(claim: str, changed: dict[str, Any]) -> None:
    with pytest.raises(SignInRefused, match=rf"\({claim}:"):
        believe(signed(CLAIMS | changed))


@pytest.mark.parametrize("claim", CLAIMS)
def test_no_claim_may_be_left_out(claim: str) -> None:
    with pytest.raises(SignInRefused, match=rf"\({claim}:"):
        believe(signed({name: value for name, value in CLAIMS.items() if name != claim}))


def test_a_token_that_nobody_signed_is_not_believed() -> None:
    for header in ({"alg": "none"}, {"alg": "NONE"}, {"alg": "none", "kid": str(KEY.kid)}):
        with pytest.raises(SignInRefused, match="is not valid"):
            believe(by_hand(header, CLAIMS, None))


def test_a_signature_with_what_everybody_knows_is_not_believed() -> None:
    header = {"alg": "HS256", "kid": str(KEY.kid)}
    with pytest.raises(SignInRefused, match="is not valid"):
        believe(by_hand(header, CLAIMS, KEY.as_pem(private=False)))
    # Even where the provider publishes a secret.
    shared = OctKey.import_key({"kty": "oct", "k": _base64(b"x" * 32), "kid": str(KEY.kid)})
    with pytest.raises(SignInRefused, match="is not valid"):
        believe(by_hand(header, CLAIMS, b"x" * 32), KeySet([shared]))


def test_another_ones_signature_is_told_from_the_providers() -> None:
    foreign = new_signing_key()
    same_id = RSAKey.import_key(foreign.as_dict(private=True) | {"kid": str(KEY.kid)})
    for key in (foreign, same_id):
        with pytest.raises(UnknownSigner):
            believe(signed(CLAIMS, key))
    body = signed(CLAIMS | {"sub": "eve"}).split(".")[1]
    head, _, signature = signed(CLAIMS).split(".")
    with pytest.raises(UnknownSigner):
        believe(f"{head}.{body}.{signature}")


@pytest.mark.parametrize("text", ["", "a.b.c", "é.é.é", "x" * 100_000, f"{_base64(b'[]')}.."])
def test_what_is_no_token_is_not_believed(text: str) -> None:
    with pytest.raises(SignInRefused, match="is not valid"):
        believe(text)


def test_an_address_counts_once_it_is_verified() -> None:
    def email(address: str, verified: object) -> str | None:
        return identity_in(Claims("ada", address, verified), "https://idp.example").email

    assert email("ada@example.com", True) == "ada@example.com"
    for verified in (False, None, "true", 1):
        assert email("ada@example.com", verified) is None, verified
    assert email("no address", True) is None


@pytest.mark.parametrize("subject", ["", "x" * 256, "a\0b", "\ud800"])
def test_a_subject_that_cannot_be_is_none(subject: str) -> None:
    with pytest.raises(SignInRefused, match=r"\(sub:"):
        identity_in(Claims(subject), "https://idp.example")


@pytest.mark.parametrize(
    ("said", "groups"),
    [(["a", "b"], {"a", "b"}), ("a", {"a"}), ([], set()), (None, None)],
)
def test_groups_are_read_where_the_operator_says(said: object, groups: set[str] | None) -> None:
    claims = believe(signed(CLAIMS | {"roles": said, "groups": ["others"]}))
    assert claims.groups == groups
    assert identity_in(claims, "x").groups == (groups or set())


def test_groups_that_cannot_be_told_are_not_taken_for_none() -> None:
    with pytest.raises(SignInRefused, match="too many"):
        believe(signed(CLAIMS | {"_claim_names": {"roles": "src1"}}))
    with pytest.raises(SignInRefused, match="is not valid"):
        believe(signed(CLAIMS | {"roles": [{"name": "a"}]}))
