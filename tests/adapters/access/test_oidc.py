"""Whom an identity provider vouches for is believed; all that could be forged is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from joserfc import jwt

from adapters.access import sign_in_attempts
from adapters.access.oidc import Provider, provider_in
from adapters.access.sign_in_attempts import Attempts
from adapters.postgres.postgres import passing_engine
from adapters.servers.postgres import EmbeddedPostgres
from adapters.settings import Settings, SettingsError
from domain.access.identity import Identity
from domain.errors import SignInRefused
from tests.adapters.access.identity_provider import (
    CLIENT_ID,
    SECRET,
    IdentityProvider,
    new_signing_key,
    providing,
)
from tests.servers import Database, new_database

BACK = "http://127.0.0.1:8300/login/oidc/callback"


@pytest.fixture(scope="module")
def shared() -> Iterator[IdentityProvider]:
    with providing() as one:
        one.user("ada", email="ada@example.com", email_verified=True, preferred_username="ada")
        yield one


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[Database]:
    with new_database(postgres, migrated_template) as made:
        yield made


@pytest.fixture(scope="module")
def attempts(database: Database) -> Attempts:
    return Attempts(passing_engine(database.app_url))


@pytest.fixture
def idp(shared: IdentityProvider) -> Iterator[IdentityProvider]:
    """The provider, which is honest again after each test."""
    yield shared
    shared.forge, shared.published = None, {}


def settings(issuer: str, **others: Any) -> Settings:
    given = {"oidc_client_id": CLIENT_ID, "oidc_client_secret": SECRET} | others
    return Settings(data=Path("nowhere"), oidc_issuer=issuer, **given)


@pytest.fixture(scope="module")
def provider(shared: IdentityProvider) -> Provider:
    return new_provider(shared.issuer)


def new_provider(issuer: str) -> Provider:
    found = provider_in(settings(issuer))
    assert found is not None
    return found


def answered(address: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address).query))


def sign_in(
    attempts: Attempts, provider: Provider, idp: IdentityProvider, subject: str = "ada"
) -> Identity:
    address, sealed = provider.begin(attempts, BACK, "/")
    return provider.finish(attempts, sealed, answered(idp.approve(address, subject)), BACK)[0]


def refused(attempts: Attempts, provider: Provider, idp: IdentityProvider) -> str:
    """Why a sign-in comes to nothing."""
    with pytest.raises(SignInRefused) as caught:
        sign_in(attempts, provider, idp)
    return f"{caught.value.reason}: {caught.value.detail}"


def test_somebody_comes_back_as_who_they_are(
    attempts: Attempts, provider: Provider, idp: IdentityProvider
) -> None:
    assert sign_in(attempts, provider, idp) == Identity(idp.issuer, "ada", "ada@example.com", "ada")
    assert idp.verifier_fits


def test_names_that_the_token_lacks_are_asked_for(
    attempts: Attempts, provider: Provider, idp: IdentityProvider
) -> None:
    idp.forge = lambda claims: idp.signed(
        {name: value for name, value in claims.items() if name in ("iss", "aud", "exp", "iat")}
        | {"sub": "ada", "nonce": claims["nonce"]}
    )
    assert sign_in(attempts, provider, idp).email == "ada@example.com"
    idp.forge = lambda claims: idp.signed(
        {name: claims[name] for name in ("iss", "aud", "exp", "iat", "nonce")} | {"sub": "bea"}
    )
    assert "no userinfo" in refused(attempts, provider, idp)


def test_groups_that_the_token_lacks_are_asked_for(
    attempts: Attempts, idp: IdentityProvider
) -> None:
    idp.user("cleo", preferred_username="cleo", groups=["vision"])
    provider = provider_in(settings(idp.issuer, oidc_group_roles="vision=trainer"))
    assert provider is not None
    idp.forge = lambda claims: idp.signed(
        {name: value for name, value in claims.items() if name != "groups"}
        | {"preferred_username": "cleo in the token"}
    )
    found = sign_in(attempts, provider, idp, "cleo")
    assert found.username == "cleo in the token"
    assert found.groups == {"vision"}
    idp.forge = lambda claims: idp.signed(claims | {"groups": []})
    assert sign_in(attempts, provider, idp, "cleo").groups == frozenset(), "what it says counts"


def test_what_a_token_says_is_checked(
    attempts: Attempts, provider: Provider, idp: IdentityProvider
) -> None:
    idp.forge = lambda claims: idp.signed(claims | {"nonce": "that of another sign-in"})
    assert "(nonce:" in refused(attempts, provider, idp)


def test_keys_that_changed_a_moment_ago_are_asked_for_once(
    attempts: Attempts, provider: Provider, idp: IdentityProvider
) -> None:
    sign_in(attempts, provider, idp)
    before, idp.key = idp.key, new_signing_key()
    assert sign_in(attempts, provider, idp).subject == "ada"
    idp.forge = lambda claims: jwt.encode({"alg": "RS256", "kid": before.kid}, claims, before)
    assert "wrong signature" in refused(attempts, provider, idp)


def test_an_answer_is_of_the_browser_that_asked_and_used_once(
    attempts: Attempts, provider: Provider, idp: IdentityProvider
) -> None:
    address, sealed = provider.begin(attempts, BACK, "/versions/1")
    _, another = provider.begin(attempts, BACK, "/")
    answer = answered(idp.approve(address, "ada"))
    for kept, told, reason in (
        (another, answer, "wrong state"),
        ("", answer, "none begun"),
        (sealed[:-4], answer, "none begun"),
        (sealed, answer | {"state": "é"}, "wrong state"),
    ):
        with pytest.raises(SignInRefused) as caught:
            provider.finish(attempts, kept, told, BACK)
        assert caught.value.reason == f"sign-in: {reason}"
    assert provider.finish(attempts, sealed, answer, BACK)[1] == "/versions/1"
    with pytest.raises(SignInRefused, match="already used"):
        provider.finish(attempts, sealed, answer, BACK)


def test_an_answer_is_taken_by_any_process_and_by_one_only(
    attempts: Attempts, database: Database
) -> None:
    """Also by one that was started while the browser was at the provider."""
    attempt, sealed = attempts.begin("/versions/1")
    another = Attempts(passing_engine(database.app_url))
    assert another.use(sealed, attempt.state) == attempt
    with pytest.raises(SignInRefused, match="already used"):
        attempts.use(sealed, attempt.state)


def test_a_code_is_redeemed_once(
    attempts: Attempts, provider: Provider, idp: IdentityProvider
) -> None:
    address, sealed = provider.begin(attempts, BACK, "/")
    code = answered(idp.approve(address, "ada"))["code"]
    provider.finish(attempts, sealed, {"code": code, "state": answered(address)["state"]}, BACK)
    address, sealed = provider.begin(attempts, BACK, "/")
    with pytest.raises(SignInRefused, match="rejects its own code"):
        provider.finish(attempts, sealed, {"code": code, "state": answered(address)["state"]}, BACK)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"error": "access_denied", "code": "x"}, "declined"),
        ({}, "declined"),
        ({"code": "x", "iss": "https://another.example"}, "wrong issuer"),
    ],
)
def test_an_answer_that_signs_nobody_in_says_so(
    attempts: Attempts, provider: Provider, answer: dict[str, str], reason: str
) -> None:
    address, sealed = provider.begin(attempts, BACK, "/")
    with pytest.raises(SignInRefused) as caught:
        provider.finish(attempts, sealed, answer | {"state": answered(address)["state"]}, BACK)
    assert caught.value.reason == f"sign-in: {reason}"


def test_a_provider_by_another_name_is_not_asked_further(
    attempts: Attempts, idp: IdentityProvider
) -> None:
    provider = new_provider(idp.issuer)
    idp.published = {"issuer": f"{idp.issuer}/"}
    before = idp.asked
    for _ in range(3):
        with pytest.raises(SignInRefused, match="does not answer correctly"):
            provider.begin(attempts, BACK, "/")
    assert idp.asked == before + 1, "nor asked again at once"


@pytest.mark.parametrize("name", ["authorization", "token", "userinfo"])
def test_nobody_is_sent_where_others_can_listen(
    attempts: Attempts, idp: IdentityProvider, name: str
) -> None:
    idp.published = {f"{name}_endpoint": "http://idp.example/"}
    with pytest.raises(SignInRefused, match="does not answer correctly"):
        new_provider(idp.issuer).begin(attempts, BACK, "/")
    idp.published = {f"{name}_endpoint": "https://idp.example/"}
    assert new_provider(idp.issuer).begin(attempts, BACK, "/")


def test_a_sign_in_that_takes_too_long_begins_again(
    attempts: Attempts, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, sealed = provider.begin(attempts, BACK, "/")
    monkeypatch.setattr(sign_in_attempts, "LASTS_SECONDS", -1)
    with pytest.raises(SignInRefused, match="started no sign-in"):
        provider.finish(attempts, sealed, {"code": "x", "state": answered(address)["state"]}, BACK)


def test_a_provider_that_is_down_is_said_to_be(attempts: Attempts) -> None:
    with pytest.raises(SignInRefused, match="does not answer"):
        new_provider("http://localhost:9").begin(attempts, BACK, "/")


@pytest.mark.parametrize(
    ("issuer", "others", "variable"),
    [
        ("http://idp.example", {}, "STEMMA_OIDC_ISSUER"),
        ("idp.example", {}, "STEMMA_OIDC_ISSUER"),
        ("https://idp.example", {"oidc_client_id": ""}, "STEMMA_OIDC_CLIENT_ID"),
        ("https://idp.example", {"oidc_scopes": "email"}, "STEMMA_OIDC_SCOPES"),
    ],
)
def test_wrong_settings_are_named(issuer: str, others: dict[str, Any], variable: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        provider_in(settings(issuer, **others))


def test_without_an_issuer_there_is_no_provider() -> None:
    assert provider_in(settings("")) is None
