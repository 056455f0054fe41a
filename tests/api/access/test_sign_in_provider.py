"""Signing in with an identity provider, as a browser does it, and as others try to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
from playwright.sync_api import Browser

from adapters.servers.postgres import EmbeddedPostgres
from domain.access.account import account_id
from tests.adapters.access.identity_provider import CLIENT_ID, SECRET, IdentityProvider, providing
from tests.api.conftest import serving, settings_at
from tests.api.scene import Scene
from tests.servers import new_database
from tests.system.system import eventually
from tests.waiting import HANG_SECONDS

BEGIN = "/login/oidc"


class Organisation:
    """A server whose people sign in with their provider."""

    def __init__(self, scene: Scene, idp: IdentityProvider) -> None:
        self.scene = scene
        self.idp = idp

    def browser(self) -> httpx.Client:
        client = self.scene.nobody()
        client.headers["Accept"] = "text/html"
        return client

    def approved(self, browser: httpx.Client, subject: str, to: str = "/") -> str:
        """Where the provider sends a browser back to."""
        sent = browser.get(BEGIN, params={"next": to})
        assert sent.status_code == 302, sent.text
        return self.idp.approve(sent.headers["Location"], subject)

    def sign_in(self, browser: httpx.Client, subject: str, to: str = "/") -> httpx.Response:
        return browser.get(self.approved(browser, subject, to))

    def counted(self) -> dict[str, int]:
        """How often who was refused, by reason."""
        found: dict[str, int] = {}
        for one in self.scene.http.get("/api/v1/refusals").json()["items"]:
            found[one["reason"]] = found.get(one["reason"], 0) + one["count"]
        return found


@pytest.fixture(scope="module")
def organisation(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Organisation]:
    folder = tmp_path_factory.mktemp("organisation")
    with providing() as idp, new_database(postgres, migrated_template) as database:
        settings = settings_at(
            database,
            folder,
            oidc_issuer=idp.issuer,
            oidc_client_id=CLIENT_ID,
            oidc_client_secret=SECRET,
            oidc_label="Sign in with Example",
            oidc_group_roles="audit=auditor",
            failed_sign_ins=0,
        )
        with serving(settings) as scene:
            yield Organisation(scene, idp)


@pytest.fixture
def browser(organisation: Organisation) -> Iterator[httpx.Client]:
    with organisation.browser() as one:
        yield one
    organisation.idp.forge = None


def session_of(browser: httpx.Client) -> str | None:
    return browser.cookies.get("stemma_session")


def whoami(browser: httpx.Client) -> Any:
    return browser.get("/api/v1/whoami").raise_for_status().json()


def test_somebody_new_signs_in_and_waits_for_a_role(
    organisation: Organisation, browser: httpx.Client
) -> None:
    ada = organisation.idp.user("ada", email="ada@example.com", email_verified=True)
    page = browser.get("/", follow_redirects=True)
    assert page.url.path == "/login"
    assert f'<a class="button primary" href="{BEGIN}?next=/">Sign in with Example</a>' in page.text
    answer = organisation.sign_in(browser, ada, "/workers?state=busy")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/workers?state=busy")
    assert organisation.idp.verifier_fits
    assert whoami(browser)["actor"] == "ada@example.com"
    waiting = browser.get("/")
    assert waiting.status_code == 200
    assert "You have no role yet" in waiting.text
    assert "<b>ada@example.com</b>" in waiting.text
    granted = f"/accounts/{account_id('ada@example.com')}/roles"
    organisation.scene.post(granted, {"role": "viewer"})
    assert "All projects" in browser.get("/").text


def test_the_cookies_are_out_of_others_reach(
    organisation: Organisation, browser: httpx.Client
) -> None:
    begun = browser.get(BEGIN).headers["Set-Cookie"]
    answer = organisation.sign_in(browser, organisation.idp.user("bea"))
    session, ended = answer.headers.get_list("Set-Cookie")
    for cookie in (begun, session, ended):
        assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; ")), cookie
    assert "Max-Age=600" in begun
    assert ended.startswith('stemma_sign_in=""')
    assert "Max-Age=0" in ended
    assert "stemma_sign_in" not in browser.cookies
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_same_person_is_the_same_account(organisation: Organisation) -> None:
    one = organisation.idp.user("cat", preferred_username="cat")
    found = []
    for name in ("cat", "renamed"):
        organisation.idp.user(one, preferred_username=name)
        with organisation.browser() as browser:
            organisation.sign_in(browser, one)
            found.append(whoami(browser)["actor"])
    assert found == ["cat", "cat"]


def test_a_name_that_is_anothers_gives_nothing_of_theirs(
    organisation: Organisation, browser: httpx.Client
) -> None:
    eve = organisation.idp.user("eve", preferred_username="administrator")
    organisation.sign_in(browser, eve)
    me = whoami(browser)
    assert (me["actor"], me["roles"]) == ("administrator-2", [])
    assert browser.get("/api/v1/projects").status_code == 403


@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example", "/\\evil.example", "x"])
def test_a_sign_in_leads_to_no_other_site(
    organisation: Organisation, browser: httpx.Client, to: str
) -> None:
    answer = organisation.sign_in(browser, organisation.idp.user("dan"), to)
    assert answer.headers["Location"] == "/"


def test_an_answer_opens_only_in_the_browser_that_asked_and_once(
    organisation: Organisation, browser: httpx.Client
) -> None:
    address = organisation.approved(browser, organisation.idp.user("fay"))
    with organisation.browser() as other:
        assert_refused(other, other.get(address))
        other.get(BEGIN)
        assert_refused(other, other.get(address))
    kept = browser.cookies.get("stemma_sign_in")
    assert browser.get(address).status_code == 303
    with organisation.browser() as thief:
        thief.cookies.set("stemma_sign_in", str(kept))
        assert_refused(thief, thief.get(address))


@pytest.mark.parametrize("query", ["", "code=x", "state=%00&code=%ff", "error=access_denied"])
def test_an_answer_that_nobody_asked_for_is_a_page(browser: httpx.Client, query: str) -> None:
    assert_refused(browser, browser.get(f"{BEGIN}/callback?{query}"))


def test_a_forged_token_signs_nobody_in(organisation: Organisation, browser: httpx.Client) -> None:
    idp = organisation.idp
    idp.forge = lambda claims: idp.signed(claims | {"aud": "another client"})
    assert_refused(browser, organisation.sign_in(browser, idp.user("gus")))


def test_roles_come_and_go_with_groups(organisation: Organisation) -> None:
    for groups, roles in ((["audit"], ["auditor"]), ([], [])):
        organisation.idp.user("kim", preferred_username="kim", groups=groups)
        with organisation.browser() as browser:
            organisation.sign_in(browser, "kim")
            assert [one["role"] for one in whoami(browser)["roles"]] == roles


def test_a_closed_account_is_not_opened_again(
    organisation: Organisation, browser: httpx.Client
) -> None:
    hal = organisation.idp.user("hal", preferred_username="hal")
    organisation.sign_in(browser, hal)
    assert whoami(browser)["actor"] == "hal"
    organisation.scene.http.delete(f"/api/v1/accounts/{account_id('hal')}").raise_for_status()
    assert browser.get("/").headers["Location"] == "/login?next=/"
    browser.cookies.clear()
    refused = organisation.sign_in(browser, hal)
    assert_refused(browser, refused)
    assert "your account is closed" in refused.text


def test_refusals_are_counted(organisation: Organisation, browser: httpx.Client) -> None:
    before = organisation.counted().get("sign-in: none begun", 0)
    browser.get(f"{BEGIN}/callback?code=x&state=y")
    eventually(
        lambda: organisation.counted().get("sign-in: none begun", 0) > before, "it is counted", 10
    )


def test_a_real_browser_is_signed_in(organisation: Organisation, chromium: Browser) -> None:
    """Its rules for cookies and for what a page may lead to hold: the provider is another site."""
    ivy = organisation.idp.user("ivy", preferred_username="ivy")
    page = chromium.new_page(base_url=organisation.scene.url)
    page.goto("/workers")
    page.get_by_role("link", name="Sign in with Example").click()
    page.get_by_placeholder("sub").fill(ivy)
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url("**/workers")
    page.goto("/")
    assert page.locator("[data-no-role] b").inner_text() == "ivy"
    page.locator(".who").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login**")
    page.close()


def test_without_a_provider_there_is_no_such_sign_in(site: Scene) -> None:
    with httpx.Client(
        base_url=site.url, headers={"Accept": "text/html"}, timeout=HANG_SECONDS
    ) as browser:
        assert BEGIN not in browser.get("/login").text
        for path in (BEGIN, f"{BEGIN}/callback?code=x"):
            assert browser.get(path).status_code == 404


def test_the_provider_is_not_asked_of_wrong_answers_without_end(
    organisation: Organisation, tmp_path: Path
) -> None:
    settings = organisation.scene.settings
    strict = msgspec.structs.replace(settings, data=tmp_path, failed_sign_ins=2)
    with (
        serving(strict) as scene,
        scene.nobody() as browser,
    ):
        found = []
        for _ in range(4):
            sent = browser.get(BEGIN).headers["Location"]
            answer = {"code": "x", "state": parse_qs(urlsplit(sent).query)["state"][0]}
            before = organisation.idp.asked
            status = browser.get(f"{BEGIN}/callback", params=answer).status_code
            found.append((status, organisation.idp.asked > before))
        assert found == [(403, True), (403, True), (429, False), (429, False)]


def test_a_provider_that_is_down_is_a_page(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path: Any
) -> None:
    with new_database(postgres, migrated_template) as database:
        settings = settings_at(
            database, tmp_path, oidc_issuer="http://localhost:9", oidc_client_id=CLIENT_ID
        )
        with (
            serving(settings) as scene,
            scene.nobody() as browser,
        ):
            refused = browser.get(BEGIN)
            assert_refused(browser, refused)
            assert "does not answer" in refused.text


def assert_refused(browser: httpx.Client, answer: httpx.Response) -> None:
    """It is a page with the way back, and not signed in."""
    assert answer.status_code == 403, answer.text
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "You are not signed in" in answer.text
    assert 'href="/login"' in answer.text
    assert session_of(browser) is None
