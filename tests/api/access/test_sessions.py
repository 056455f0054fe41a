"""Browsers that sign in: what a session opens, when it ends, and who cannot use it."""

from pathlib import Path
from typing import Literal

import httpx
import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import text

from adapters.postgres.postgres import passing_engine
from api.access.session_cookies import TOKEN_HEADER
from api.access.sign_in import safe_next
from domain.access.account import account_id
from tests.adapters.running import eventually
from tests.api.scene import KEY, Scene

CHECKS = (Path(__file__).parents[1] / "pages_checks.js").read_text()
COOKIE = "stemma_session"


def key_of(site: Scene, name: str, role: str = "trainer") -> str:
    client = site.person(name, role)
    return client.headers["Authorization"].removeprefix("Bearer ")


def browser(site: Scene, key: str = KEY) -> httpx.Client:
    """Somebody's browser, signed in: it sends its cookie, and no key."""
    client = site.nobody()
    client.post("/api/v1/sessions", json={"key": key}).raise_for_status()
    return client


def token_of(client: httpx.Client) -> str:
    page = client.get("/").raise_for_status().text
    return page.split('name="csrf-token" content="')[1].split('"')[0]


def create(client: httpx.Client, **headers: str) -> httpx.Response:
    return client.post("/api/v1/projects", json={"name": "Mine"}, headers=headers)


def test_a_session_may_what_its_key_may_and_no_more(site: Scene) -> None:
    client = browser(site, key_of(site, "vera", "viewer"))
    who = client.get("/api/v1/whoami").json()
    assert (who["actor"], [one["role"] for one in who["roles"]]) == ("vera", ["viewer"])
    refused = create(client, **{TOKEN_HEADER: token_of(client)})
    assert (refused.status_code, "right train" in refused.json()["detail"]) == (403, True)


def test_the_cookie_is_out_of_reach_and_its_token_is_not_kept(site: Scene) -> None:
    with site.nobody() as client:
        answer = client.post("/api/v1/sessions", json={"key": KEY})
    cookie = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    assert KEY not in cookie
    token = answer.cookies[COOKIE]
    with passing_engine(site.settings.require("database_url")).connect() as connection:
        kept = connection.scalars(text("SELECT sessions::text FROM work.sessions AS sessions"))
        assert not any(token in row for row in kept)


def test_a_change_needs_the_token_of_a_page_and_no_other_site_asks(site: Scene) -> None:
    client = browser(site)
    mine = token_of(client)
    stranger = token_of(browser(site))
    for wrong in ({}, {TOKEN_HEADER: ""}, {TOKEN_HEADER: stranger}):
        refused = create(client, **wrong)
        assert (refused.status_code, TOKEN_HEADER in refused.json()["detail"]) == (403, True)
    for elsewhere in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert create(client, **{TOKEN_HEADER: mine} | elsewhere).status_code == 403
        signing_in = client.post("/api/v1/sessions", json={"key": KEY}, headers=elsewhere)
        assert signing_in.status_code == 403
    assert create(client, **{TOKEN_HEADER: mine, "Origin": site.url}).status_code == 201
    assert create(client, Authorization=f"Bearer {KEY}").status_code == 201, "a key needs none"

    def reasons() -> set[str]:
        return {one["reason"] for one in site.http.get("/api/v1/refusals").json()["items"]}

    eventually(lambda: {"no token of the page", "another site's request"} <= reasons())


@pytest.mark.parametrize("end", ["sign out", "rotate", "revoke", "close", "expire", "idle"])
def test_a_session_ends_at_once(site: Scene, end: str) -> None:
    name = f"eli-{end.replace(' ', '-')}"
    key = key_of(site, name)
    client = browser(site, key)
    assert client.get("/api/v1/whoami").is_success
    key_id = key.split("_")[1]
    match end:
        case "sign out":
            header = {TOKEN_HEADER: token_of(client)}
            cookie = client.cookies[COOKIE]
            client.delete("/api/v1/sessions/current", headers=header).raise_for_status()
            client.cookies.set(COOKIE, cookie)
        case "rotate":
            site.post(f"/keys/{key_id}/rotate", {"overlap_seconds": 60})
        case "revoke":
            site.http.delete(f"/api/v1/keys/{key_id}").raise_for_status()
        case "close":
            site.http.delete(f"/api/v1/accounts/{account_id(name)}").raise_for_status()
        case _:
            column = "until" if end == "expire" else "seen_at"
            engine = passing_engine(site.settings.require("database_url"))
            change = f"UPDATE work.sessions SET {column} = {column} - interval '8 days'"
            with engine.begin() as connection:
                connection.execute(text(f"{change} WHERE key_id = :key"), {"key": key_id})
    assert client.get("/api/v1/whoami").status_code == 401


def test_what_is_no_key_signs_nobody_in(site: Scene) -> None:
    other = KEY[:-1] + ("1" if KEY.endswith("0") else "0")
    with site.nobody() as client:
        for wrong in ("", "nonsense", "stemma_a_b", "stemma__", other, KEY.upper()):
            refused = client.post("/api/v1/sessions", json={"key": wrong})
            assert refused.status_code == 401
            assert "Set-Cookie" not in refused.headers


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "evil",
        "",
        "/\n/x",
        "javascript:1",
    ],
)
def test_signing_in_leads_nowhere_else(path: str) -> None:
    assert safe_next(path) == "/"
    assert safe_next("/views/1?a=b#c") == "/views/1?a=b#c"


def test_a_person_signs_in_looks_changes_and_signs_out(site: Scene, chromium: Browser) -> None:
    project = site.project("Secret cats")
    site.visible()
    context = chromium.new_context(base_url=site.url)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.goto(f"/projects/{project}")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.get_by_label("API key").fill("nonsense")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("form [data-problem]").first).to_contain_text("malformed or incomplete")
    assert [one for one in complaints if "401" not in one] == []
    page.get_by_label("API key").fill(key_of(site, "cleo"))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Secret cats")
    expect(page.locator(".who")).to_have_text("cleo")
    page.goto("/")
    page.get_by_role("button", name="New project").first.click()
    page.get_by_label("Name", exact=True).fill("Cleo's")
    page.get_by_role("button", name="Create project").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Cleo's")
    page.locator(".who").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto("/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(f"/login#key={key_of(site, 'dora')}")
    expect(page.locator(".who")).to_have_text("dora")
    page.go_back()
    assert "key=" not in page.url
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_to_sign_in_is_a_card_in_the_middle(
    site: Scene, chromium: Browser, scheme: Literal["light", "dark"]
) -> None:
    with chromium.new_context(base_url=site.url, color_scheme=scheme) as context:
        page = context.new_page()
        for width in (1280, 400):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto("/login")
            card, key = page.locator(".card").bounding_box(), page.get_by_label("API key")
            field = key.bounding_box()
            assert card is not None
            assert field is not None
            assert card["width"] <= 420
            assert abs(card["x"] + card["width"] / 2 - width / 2) < 10
            assert field["x"] - card["x"] >= 10
            assert page.evaluate(CHECKS) == [], width
