"""The page of access: one's own keys, and for administrators the accounts and their roles."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from domain.access.account import account_id
from tests.api.scene import Scene

CHECKS = (Path(__file__).parents[1] / "pages_checks.js").read_text()


def test_a_key_is_issued_shown_once_rotated_and_revoked(site: Scene, page: Page) -> None:
    page.goto("/")
    page.get_by_text("Admin", exact=True).click()
    page.get_by_role("link", name="Members").click()
    page.get_by_role("button", name="New key").click()
    page.get_by_role("button", name="Issue key").click()
    expect(page.locator("#key-label-error")).not_to_be_empty()
    page.get_by_label("Purpose").fill("notebook")
    page.get_by_role("button", name="Issue key").click()
    shown = page.get_by_label("It has your permissions")
    expect(shown).to_have_value(re.compile("^stemma_"))
    first = shown.input_value()
    assert site.client(first).get("/api/v1/whoami").is_success
    page.get_by_role("button", name="Done").click()
    assert first not in page.content()
    row = page.locator("[data-key]", has_text="notebook")
    row.get_by_role("button", name="Rotate the key notebook").click()
    page.locator("#confirm").get_by_role("button", name="Rotate").click()
    expect(shown).to_have_value(re.compile("^stemma_"))
    second = shown.input_value()
    page.get_by_role("button", name="Done").click()
    assert site.client(first).get("/api/v1/whoami").status_code == 401
    assert site.client(second).get("/api/v1/whoami").is_success
    row.get_by_role("button", name="Revoke the key notebook").click()
    page.locator("#confirm").get_by_role("button", name="Revoke").click()
    expect(row).to_have_count(0)
    assert site.client(second).get("/api/v1/whoami").status_code == 401


def test_an_account_is_opened_granted_a_role_and_closed(site: Scene, page: Page) -> None:
    project = site.project("Digits")
    site.visible()
    page.goto("/access")
    page.get_by_role("button", name="New account").click()
    page.locator("#account-name").fill("grace")
    page.get_by_role("button", name="Open account").click()
    row = page.locator('[data-account="grace"]')
    expect(row).to_contain_text("none")
    row.get_by_role("button", name="Grant grace a role").click()
    page.locator("#grant-role").select_option("trainer")
    page.locator("#grant-project").select_option(project)
    page.get_by_role("button", name="Grant", exact=True).click()
    expect(row).to_contain_text("trainer in Digits")
    row.get_by_role("button", name="Withdraw trainer in Digits from grace").click()
    page.locator("#confirm").get_by_role("button", name="Withdraw").click()
    expect(row).to_contain_text("none")
    site.post(f"/accounts/{account_id('grace')}/roles", {"role": "viewer"})
    expect(row).to_contain_text("viewer in all projects")
    row.get_by_role("button", name="Close the account grace").click()
    page.locator("#confirm").get_by_role("button", name="Close it").click()
    expect(row).to_contain_text("closed")
    expect(row.locator('[data-label="Roles"]')).to_have_text("none")
    expect(page.locator("[data-position]")).to_have_text(str(site.store.head()))


def test_a_role_given_elsewhere_appears_by_itself(site: Scene, page: Page) -> None:
    account = site.post("/accounts", {"name": "linus"})["id"]
    page.goto("/access")
    row = page.locator('[data-account="linus"]')
    expect(row).to_contain_text("none")
    site.post(f"/accounts/{account}/roles", {"role": "viewer"})
    expect(row).to_contain_text("viewer in all projects")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_can_be_read_in_both_schemes(page: Page, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    for width in (1400, 400):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto("/access")
        assert page.evaluate(CHECKS) == [], width


def test_each_sees_of_others_what_they_administer(site: Scene) -> None:
    mine, other = site.project("Mine"), site.project("Other")
    site.post("/accounts", {"name": "hidden", "email": "hidden@example.com"})
    grants = {"role": "trainer", "project_id": other}
    site.post(f"/accounts/{account_id('hidden')}/roles", grants)
    with site.person("eve", "viewer") as eve:
        alone = eve.get("/access").raise_for_status().text
        assert "data-account" not in alone
        assert "New account" not in alone
        body = {"role": "administrator", "project_id": mine}
        site.post(f"/accounts/{account_id('eve')}/roles", body)
        site.visible()
        told = eve.get("/access").raise_for_status().text
    assert 'data-account="hidden"' in told
    assert "trainer in" not in told
    assert "hidden@example.com" not in told
    assert "New account" not in told


def test_a_colleague_is_invited_in_three_clicks_and_signs_in_by_the_link(
    site: Scene, page: Page, chromium: Browser
) -> None:
    project = site.project("Shared")
    site.visible()
    page.goto(f"/projects/{project}")
    page.get_by_role("link", name="Members").click()
    page.get_by_role("button", name="Invite").click()
    expect(page.locator("#invite-name")).to_be_focused()
    page.keyboard.type("hedy")
    page.locator("#invite-role").select_option("trainer")
    expect(page.locator("#invite-project")).to_have_value(project)
    page.get_by_role("button", name="Create link").click()
    shown = page.get_by_label("It works once")
    expect(shown).to_have_value(re.compile("^http.*/login#invitation=stemma_"))
    link = shown.input_value()
    secret = link.partition("=")[2]
    # Until it is accepted it opens nothing else.
    assert site.client(secret).get("/api/v1/whoami").status_code == 401
    page.get_by_role("button", name="Done").click()
    expect(page.locator('[data-account="hedy"]')).to_contain_text("trainer in Shared")
    assert secret not in page.content()

    theirs = chromium.new_context(base_url=site.url)
    tab = theirs.new_page()
    tab.goto(link)
    assert "#" not in tab.url
    tab.get_by_role("button", name="Accept invitation").click()
    own = tab.get_by_label("You sign in with this key")
    expect(own).to_have_value(re.compile("^stemma_"))
    key = own.input_value()
    tab.get_by_role("button", name="Done").click()
    expect(tab.get_by_role("heading", name="Projects", exact=True)).to_be_visible()
    expect(tab.locator(".who")).to_have_text("hedy")
    assert site.client(key).get("/api/v1/whoami").json()["actor"] == "hedy"
    # A second time the link opens nothing.
    tab.goto("/notices")
    tab.goto(link)
    tab.get_by_role("button", name="Accept invitation").click()
    problem = tab.locator("[data-invitation] [data-problem]")
    expect(problem).to_contain_text("already accepted")
    # A new invitation in the same tab, which loads no page, can be accepted.
    invited = {"name": "hedy-2", "role": "trainer", "project_id": project}
    tab.goto(site.post("/invitations", invited)["link"])
    expect(problem).to_be_hidden()
    tab.get_by_role("button", name="Accept invitation").click()
    expect(own).to_have_value(re.compile("^stemma_"))
    assert own.input_value() != key
    theirs.close()
    # Neither secret is in the log.
    events = str([recorded.event for recorded in site.store.read_all()])
    assert secret.rpartition("_")[2] not in events
    assert key.rpartition("_")[2] not in events


def test_an_invitation_is_refused_to_whom_may_not_invite(site: Scene) -> None:
    project = site.project("Closed")
    body = {"name": "eve", "role": "administrator"}
    trainer = site.person("tess", "trainer")
    assert trainer.post("/api/v1/invitations", json=body).status_code == 403
    wrong = {"name": "a b", "role": "trainer", "project_id": project}
    assert site.http.post("/api/v1/invitations", json=wrong).json()["errors"][0]["field"] == "name"
    late = body | {"days": 31}
    assert site.http.post("/api/v1/invitations", json=late).status_code == 422
    unknown = {"invitation": "stemma_0123456789abcdef_" + "0" * 64}
    answer = site.http.post("/api/v1/invitations/accept", json=unknown)
    assert answer.status_code == 401
