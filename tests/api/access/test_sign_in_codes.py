"""Sign-in codes: they sign one browser in, once; and no link replaces a session unasked."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, expect
from sqlalchemy import text

from adapters.postgres.postgres import passing_engine
from api.access.session_cookies import TOKEN_HEADER
from cli.main import main
from tests.api.access.test_sessions import COOKIE, browser, key_of, token_of
from tests.api.scene import KEY, Scene


def code_for(site: Scene, key: str = KEY) -> str:
    with site.client(key) as client:
        answer = client.post("/api/v1/sessions/codes").raise_for_status()
    assert answer.headers["Cache-Control"] == "no-store"
    return str(answer.json()["code"])


def sign_in(site: Scene, **credentials: object) -> httpx.Response:
    with site.nobody() as client:
        return client.post("/api/v1/sessions", json=credentials)


def test_a_code_signs_in_once_with_the_rights_of_the_key(site: Scene) -> None:
    code = code_for(site, key_of(site, "vera", "viewer"))
    with site.nobody() as client:
        client.post("/api/v1/sessions", json={"code": code}).raise_for_status()
        who = client.get("/api/v1/whoami").json()
    assert (who["actor"], [one["role"] for one in who["roles"]]) == ("vera", ["viewer"])
    again = sign_in(site, code=code)
    assert (again.status_code, "already used" in again.json()["detail"]) == (401, True)


def test_of_many_that_use_a_code_at_once_one_is_signed_in(site: Scene) -> None:
    code = code_for(site)
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda _: sign_in(site, code=code).status_code, range(8)))
    assert sorted(statuses) == [201] + [401] * 7


def test_a_code_expires_and_only_its_digest_is_stored(site: Scene) -> None:
    code = code_for(site)
    engine = passing_engine(site.settings.require("database_url"))
    with engine.begin() as connection:
        rows = connection.scalars(text("SELECT codes::text FROM work.sign_in_codes AS codes"))
        assert not any(code in row for row in rows)
        lasts = "SELECT max(until) BETWEEN now() AND now() + interval '10 minutes'"
        assert connection.scalar(text(f"{lasts} FROM work.sign_in_codes"))
        late = hashlib.sha256(b"late").hexdigest()
        copied = f"SELECT '{late}', key_id, key_revision, now() FROM work.sign_in_codes LIMIT 1"
        connection.execute(text(f"INSERT INTO work.sign_in_codes {copied}"))
    assert sign_in(site, code="late").status_code == 401


def test_a_code_ends_with_its_key(site: Scene) -> None:
    key = key_of(site, "rona")
    code = code_for(site, key)
    site.post(f"/keys/{key.split('_')[1]}/rotate", {"overlap_seconds": 60})
    assert sign_in(site, code=code).status_code == 401
    with site.client(key) as replaced:
        assert replaced.post("/api/v1/sessions/codes").status_code == 401, "it signs nobody in"


def test_a_session_issues_no_codes(site: Scene) -> None:
    client = browser(site)
    refused = client.post("/api/v1/sessions/codes", headers={TOKEN_HEADER: token_of(client)})
    assert refused.status_code == 403


@pytest.mark.parametrize("credentials", [{}, {"key": KEY, "code": "both"}])
def test_a_key_or_a_code_is_needed(site: Scene, credentials: dict[str, str]) -> None:
    assert sign_in(site, **credentials).status_code == 422


def test_a_session_of_somebody_else_is_replaced_only_if_confirmed(site: Scene) -> None:
    client = browser(site, key_of(site, "mona"))
    session = client.cookies[COOKIE]
    code = code_for(site, key_of(site, "mallory"))
    refused = client.post("/api/v1/sessions", json={"code": code})
    assert refused.status_code == 409
    assert all(name in refused.json()["detail"] for name in ("mona", "mallory"))
    assert client.get("/api/v1/whoami").json()["actor"] == "mona"
    client.post("/api/v1/sessions", json={"code": code, "replace": True}).raise_for_status()
    assert client.get("/api/v1/whoami").json()["actor"] == "mallory"
    cookies = {COOKIE: session}
    with site.nobody() as before:
        before.cookies = cookies
        old = before.get("/api/v1/whoami")
    assert old.status_code == 401, "the session that was replaced has ended"


def test_ones_own_session_is_renewed_unasked(site: Scene) -> None:
    client = browser(site)
    assert client.post("/api/v1/sessions", json={"code": code_for(site)}).status_code == 201


@pytest.mark.parametrize("fragment", ["key", "code"])
def test_a_link_asks_before_it_replaces_a_session(
    site: Scene, chromium: Browser, fragment: str
) -> None:
    context = chromium.new_context(base_url=site.url)
    context.add_cookies([site.session(key_of(site, "vic"))])  # type: ignore[list-item]
    page = context.new_page()
    key = key_of(site, "mallory")
    secret = code_for(site, key) if fragment == "code" else key
    question = page.get_by_role("dialog")

    page.goto(f"/login#{fragment}={secret}")
    expect(question).to_contain_text("signed in as vic")
    expect(question).to_contain_text("sign in as mallory")
    assert fragment + "=" not in page.url
    page.get_by_role("button", name="Keep session").click()
    page.goto("/")
    expect(page.locator(".who")).to_have_text("vic")

    page.goto(f"/login#{fragment}={secret}")
    page.get_by_role("button", name="Replace session").click()
    expect(page.locator(".who")).to_have_text("mallory")
    context.close()


def test_a_link_signs_in_from_the_sign_in_page_that_is_already_open(
    site: Scene, chromium: Browser
) -> None:
    context = chromium.new_context(base_url=site.url)
    page = context.new_page()
    page.goto("/")
    expect(page.get_by_label("API key")).to_be_visible()
    page.goto(f"{page.url}#code={code_for(site, key_of(site, 'vera'))}")
    expect(page.locator(".who")).to_have_text("vera")
    context.close()


def test_the_command_prints_an_address_with_a_code(site: Scene) -> None:
    printed = CliRunner().invoke(main, ["login"], env=site.environment)
    assert printed.exit_code == 0, printed.output
    address = printed.output.strip()
    assert KEY not in address
    assert sign_in(site, code=address.partition("#code=")[2]).status_code == 201
