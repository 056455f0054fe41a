"""The page of webhooks in a real browser, with the part that delivers and a receiver."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from playwright.sync_api import Page, expect

from adapters.servers.postgres import EmbeddedPostgres
from cli.main import main as cli
from domain.access.account import account_id
from tests.adapters.running import running
from tests.adapters.subscriptions.webhooks.receiver import OK, Receiver, Reply, receiving
from tests.adapters.subscriptions.webhooks.scene import QUICK
from tests.api.conftest import serving, settings_at
from tests.api.pages.test_html import NASTY
from tests.api.scene import Scene
from tests.servers import new_database

CHECKS = (Path(__file__).parents[1] / "pages_checks.js").read_text()


@pytest.fixture(scope="module")
def site(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """The API, which may call loopback, and the part that delivers."""
    with new_database(postgres, migrated_template) as database:
        settings = settings_at(database, tmp_path_factory.mktemp("hooks"), **QUICK)
        with serving(settings) as scene, running(settings, "courier"):
            yield scene


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
def registered(site: Scene, receiver: Receiver, request: pytest.FixtureRequest) -> Iterator[str]:
    """A webhook of the test's own, to a path that is named as the test is; its id."""
    url = receiver.url(request.node.name)
    body = {"url": url, "description": "Ticker", "names": ["project.created"]}
    webhook_id = site.post("/webhooks", body)["id"]
    yield webhook_id
    receiver.reply = lambda _: OK
    site.http.delete(f"/api/v1/webhooks/{webhook_id}")


def state_of(site: Scene, webhook_id: str) -> dict[str, Any]:
    found = site.http.get(f"/api/v1/webhooks/{webhook_id}").raise_for_status().json()
    row: dict[str, Any] = found["webhook"]
    return row


def test_a_webhook_is_registered_and_its_secret_shown_once(
    site: Scene, receiver: Receiver, page: Page
) -> None:
    project_id = site.project("Told")
    site.visible()
    page.goto("/")
    page.get_by_text("Admin", exact=True).click()
    page.get_by_role("link", name="Webhooks").click()
    expect(page.locator("[data-empty]")).to_contain_text("No webhooks yet")
    page.get_by_role("button", name="New webhook").click()
    page.get_by_label("URL").fill("https://10.0.0.1/")
    page.get_by_role("button", name="Register webhook").click()
    expect(page.locator("#hook-url-error")).to_contain_text("not a public address")
    page.get_by_label("URL").fill(receiver.url("page"))
    page.get_by_label("Events", exact=True).fill("view.*\nmodel.*")
    page.get_by_label("Project", exact=True).select_option(label="Told")
    page.get_by_role("button", name="Register webhook").click()
    shown = page.get_by_label("It signs the messages")
    expect(shown).to_have_value(re.compile("^whsec_"))
    secret = shown.input_value()
    page.keyboard.press("Escape")
    expect(shown).to_be_visible()
    site.view(project_id)
    receiver.wait("page", 1)[0].verify(secret)
    page.get_by_role("button", name="Done").click()
    expect(shown).not_to_be_visible()
    expect(shown).to_have_value("")
    row = page.locator("[data-webhook]")
    expect(row).to_contain_text("view.*, model.* of Told")
    expect(row.locator("[data-status]")).to_have_text("active")
    expect(page.locator("[data-position]")).to_have_text(str(site.store.head()))
    assert secret not in page.content()


def test_what_fails_is_seen_as_it_happens(
    site: Scene, receiver: Receiver, page: Page, registered: str
) -> None:
    page.goto("/webhooks")
    row = page.locator(f'[data-webhook="{registered}"]')
    expect(row.locator("[data-status]")).to_have_text("active")
    receiver.reply = lambda _: Reply(503, {"Retry-After": "60"})
    site.project("Failing")
    expect(row).to_contain_text("answered 503 1 try since")
    expect(row).to_contain_text(re.compile(r"next try: in (5\d s|1 min)"))
    expect(row.locator("[data-status]")).to_have_text("failing")
    assert state_of(site, registered)["state"] == "active"
    listed = CliRunner().invoke(cli, ["webhooks", "show", registered], env=site.environment)
    assert "going: failing" in listed.output
    receiver.reply = lambda _: Reply(410)
    row.get_by_role("button", name="Replay").click()
    after = page.get_by_label("After position")
    expect(after).to_have_value("")
    page.keyboard.press("Enter")
    expect(page.locator("#replay [data-problem]")).to_contain_text("required field `after`")
    after.fill(str(state_of(site, registered)["position"]))
    page.keyboard.press("Enter")
    page.wait_for_url("**/webhooks")
    expect(row.locator("[data-status]")).to_have_text("parked")
    expect(row.locator("[data-reason]")).to_contain_text("410 (Gone)")
    receiver.reply = lambda _: OK
    row.get_by_role("button", name="Resume").click()
    expect(row.locator("[data-status]")).to_have_text("active")
    expect(row.locator("[data-reason]")).to_have_count(0)


def test_a_test_is_sent_and_told(receiver: Receiver, page: Page, registered: str) -> None:
    page.goto("/webhooks")
    row = page.locator(f'[data-webhook="{registered}"]')
    receiver.reply = lambda _: Reply(418)
    row.get_by_role("button", name="Send a test").click()
    expect(page.locator("[data-tried]")).to_contain_text("not accepted, answered 418")
    receiver.reply = lambda _: OK
    row.get_by_role("button", name="Send a test").click()
    expect(page.locator("[data-tried]")).to_contain_text("accepted, answered 204")


def test_a_webhook_is_paused_replayed_rotated_and_removed(
    site: Scene, receiver: Receiver, page: Page, registered: str
) -> None:
    page.goto("/webhooks")
    row = page.locator(f'[data-webhook="{registered}"]')
    row.get_by_role("button", name="Pause").click()
    expect(row.locator("[data-status]")).to_have_text("paused")
    row.get_by_role("button", name="Replay").click()
    page.get_by_label("After position").fill("-1")
    page.keyboard.press("Enter")
    expect(page.locator("#replay-after-error")).to_be_visible()
    page.get_by_label("After position").fill("0")
    page.keyboard.press("Enter")
    expect(row.locator('[data-label="Position"]')).to_have_text("0")
    row.get_by_role("button", name="Rotate").click()
    page.get_by_role("button", name="Rotate secret", exact=True).last.click()
    expect(page.get_by_label("It signs the messages")).to_have_value(re.compile("^whsec_"))
    page.get_by_role("button", name="Done").click()
    assert state_of(site, registered)["revision"] == 4
    row.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Remove", exact=True).last.click()
    expect(row).to_have_count(0)
    assert site.http.get(f"/api/v1/webhooks/{registered}").status_code == 404
    assert receiver.at("test_a_webhook_is_paused_replayed_rotated_and_removed") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_for_everybody(
    site: Scene, receiver: Receiver, page: Page, registered: str, scheme: Any
) -> None:
    site.post("/webhooks", {"url": receiver.url("nasty"), "description": NASTY})
    page.emulate_media(color_scheme=scheme)
    page.goto("/webhooks")
    expect(page.locator(f'[data-webhook="{registered}"]')).to_be_visible()
    for width in (1400, 400):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(CHECKS) == [], width
    assert "<img src=x" not in page.content()


def test_each_sees_what_they_administer(site: Scene, receiver: Receiver) -> None:
    mine, other = site.project("Mine"), site.project("Other")
    ids = {
        one: site.post("/webhooks", {"url": receiver.url("each"), "project_id": one})["id"]
        for one in (mine, other)
    }
    with site.person("viewer", "viewer") as ada:
        assert 'href="/webhooks"' not in seen(ada, "/")
        assert ada.get("/webhooks").status_code == 403
        where = {"role": "administrator", "project_id": mine}
        site.post(f"/accounts/{account_id('viewer')}/roles", where)
        site.visible()
        assert 'href="/webhooks"' in seen(ada, "/")
        shown = seen(ada, "/webhooks")
    assert ids[mine] in shown
    assert ids[other] not in shown
    assert '<option value=""' not in shown  # all projects are not hers to be told of
    assert f'<option value="{other}"' not in shown


def seen(client: httpx.Client, path: str) -> str:
    return client.get(path).raise_for_status().text
