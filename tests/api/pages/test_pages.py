"""The pages in a real browser: forms call the API, what changes is seen without a reload."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from api.training.messages import LOWER_RATE
from domain.training.messages import BatchMetrics, EpochMetrics, Failed
from tests.api.pages.tabs import opened_tab
from tests.api.pages.test_html import NASTY
from tests.api.scene import KEY, Scene
from tests.waiting import HANG_MS

SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
CHECKS = (Path(__file__).parents[1] / "pages_checks.js").read_text()
DROP = """async (source) => {
  const picture = await (await fetch(source)).blob();
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([picture], "dropped.png", { type: "image/png" }));
  dataTransfer.items.add(new File(["a note"], "notes.txt", { type: "text/plain" }));
  const main = document.querySelector("main");
  main.dispatchEvent(new DragEvent("dragover", { dataTransfer, bubbles: true, cancelable: true }));
  const seen = document.querySelector("[data-drop-zone]").checkVisibility();
  main.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
  return seen;
}"""
"""Drops a picture and what is none on the page; whether it showed that it takes them."""
CHARTS_FOLLOW = """() => {
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--quiet").trim();
  const followed = ({ chart, layout }) => (chart ? chart.ink : layout?.font.color ?? ink) === ink;
  return [...document.querySelectorAll(".plot")].every(followed);
}"""
REFRESH = """async () => {
  const main = document.querySelector('script[src$="main.js"]').src;
  const { refresh } = await import(main.replace("main", "parts"));
  await refresh();
}"""
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4(09|22)")

expect.set_options(timeout=HANG_MS)


@pytest.fixture(scope="module")
def profile(site: Scene, chromium: Browser) -> Iterator[BrowserContext]:
    """One user's browser, whose cache the tests share."""
    context = chromium.new_context(**site.browsing, viewport={"width": 1400, "height": 900})
    context.set_default_timeout(HANG_MS)
    yield context
    context.close()


@pytest.fixture
def page(site: Scene, profile: BrowserContext) -> Iterator[Page]:
    """A tab that must stay on this machine and have nothing to complain about."""
    elsewhere: list[str] = []
    with opened_tab(profile, REFUSED) as tab:
        tab.on(
            "request",
            lambda made: (
                elsewhere.append(made.url)
                if urlsplit(made.url).netloc not in {urlsplit(site.url).netloc, ""}
                else None
            ),
        )
        yield tab
    assert elsewhere == []


def show(page: Page, site: Scene, path: str) -> None:
    """Open a page as it is after all that has happened; it must not be loaded again."""
    page.goto(f"{path}?at_least={site.store.head()}")
    page.evaluate("window.theSame = true")


def is_the_same(page: Page) -> bool:
    return bool(page.evaluate("window.theSame === true"))


def points(page: Page, metric: str, trace: int = 0) -> int:
    """How many points a chart has of a line."""
    plot = f'[data-metric="{metric}"] .plot'
    return int(page.eval_on_selector(plot, f"plot => plot.chart.lines[{trace}].x.length"))


def await_points(page: Page, metric: str, count: int) -> None:
    page.wait_for_selector(f'[data-metric="{metric}"][data-points="{count}"]')
    assert points(page, metric) == count


def test_from_nothing_to_a_training_that_moves(site: Scene, page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="New project").first.click()
    page.get_by_label("Name", exact=True).fill("Digits")
    page.get_by_role("button", name="Create project").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Digits")
    expect(page).not_to_have_url(re.compile("at_least"))
    project_id = page.url.rsplit("/", 1)[1]

    page.get_by_label("Name", exact=True).fill("Which digit")
    page.get_by_role("button", name="Create view").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Which digit")
    view_id = page.url.rsplit("/", 1)[1]

    page.get_by_label("Add concepts").fill("zero\none\n")
    page.get_by_role("button", name="Add concepts").click()
    expect(page.locator("[data-concept]")).to_have_count(2)

    concepts = [
        one["concept_id"]
        for one in site.http.get(f"/api/v1/views/{view_id}").json()["view"]["concepts"]
    ]
    images = site.images(project_id, 6)
    said = [
        {"image_id": image_id, "annotations": [{"concept_id": concepts[index % 2]}]}
        for index, image_id in enumerate(images)
    ]
    site.post(f"/views/{view_id}/annotations", {"images": said})
    site.post(f"/projects/{project_id}/validation-split", {"size": 2, "seed": 1})

    page.get_by_role("button", name="Train", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("first try")
    dialog.get_by_text("Advanced", exact=True).click()
    dialog.get_by_label("Architecture").select_option("resnet18")
    dialog.get_by_label("Optimizer", exact=True).select_option("momentum")
    rate = dialog.locator("#train-initial_learning_rate")
    expect(rate).to_have_attribute("placeholder", "0.02")
    dialog.get_by_label("Width").fill("32")
    dialog.get_by_label("Height").fill("32")
    with page.expect_request("**/versions") as sent:
        dialog.get_by_role("button", name="Start training").click()
    assert sent.value.headers["idempotency-key"]
    assert sent.value.post_data_json == {
        "name": "first try",
        "preset": "balanced",
        "options": {"architecture": "resnet18", "optimizer": "momentum", "width": 32, "height": 32},
    }
    row = page.locator("[data-version]")
    expect(row).to_contain_text("first try")
    expect(row.locator("[data-status]")).to_have_text("queued")

    page.evaluate("window.theSame = true")
    version_id = str(row.get_attribute("data-version"))
    site.begin(version_id)
    site.epoch(version_id, 2, of=4, held_out=0.6)
    expect(row.locator("[data-status]")).to_have_text("training")
    expect(row.locator("[data-percent]")).to_have_text("48%")
    expect(row.locator("[data-indicator]")).to_have_text("80.0%")
    position = site.finish(version_id)
    expect(row.locator("[data-status]")).to_have_text("ready")
    row.locator("summary").click()
    expect(row.get_by_role("link", name="Checkpoint")).to_be_visible()
    expect(page.locator("[data-position]")).to_have_text(str(position))
    assert is_the_same(page)


def test_charts_grow_as_values_come_until_the_end(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    version_id = site.version(view_id, architecture="resnet18")
    show(page, site, f"/versions/{version_id}")
    expect(page.locator("[data-live]")).to_have_text("Live")
    site.begin(version_id)
    expect(page.locator('[data-step="queued"]')).to_have_attribute("data-state", "done")
    site.epoch(version_id, 1, loss=1.0, held_out=0.9)
    await_points(page, "batch_loss", 10)
    page.eval_on_selector('[data-metric="batch_loss"] .plot', "plot => plot.drawn = 'once'")
    site.epoch(version_id, 2, loss=0.6, held_out=0.5)
    for metric, count in {
        "batch_loss": 20,
        "learning_rate": 20,
        "validation_loss": 2,
        "validation_accuracy": 2,
    }.items():
        await_points(page, metric, count)
    assert points(page, "batch_loss", 1) == 20, "the smoothed loss"
    training = page.locator('[data-step="training"]')
    expect(training).to_have_attribute("data-state", "running")
    assert training.locator("progress").get_attribute("value") == "0.5"
    expect(page.locator("[data-left]")).to_have_text(re.compile(r"^about \d+ s left$"))
    expect(page.locator("#progress [data-percent]").first).to_have_text("48%")
    expect(page.locator("[data-gap]")).to_be_hidden()

    site.epoch(version_id, 3, loss=0.3, held_out=0.8)
    expect(page.locator("[data-gap]")).to_contain_text("has risen from 0.5 to 0.8")
    site.epoch(version_id, 4, loss=0.2, held_out=0.9)
    position = site.finish(version_id)
    page.wait_for_selector(f'body[data-ended="{position}"]')
    await_points(page, "batch_loss", 40)
    expect(page.locator("h1 [data-status]")).to_have_text("ready")
    expect(page.locator('[data-digest="final"] code')).to_have_attribute("title", "cd" * 32)
    expect(page.get_by_role("link", name="Checkpoint")).to_be_visible()
    expect(page.locator("[data-position]")).to_have_text(str(position))
    drawn = page.eval_on_selector('[data-metric="batch_loss"] .plot', "plot => plot.drawn")
    assert drawn == "once"
    assert is_the_same(page)


def test_a_version_is_the_same_afterwards_as_it_was_live(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    version_id = site.version(view_id)
    site.begin(version_id)
    for number in (1, 2):
        site.epoch(version_id, number)
    site.finish(version_id)
    show(page, site, f"/versions/{version_id}")
    page.wait_for_selector("body[data-ended]")
    assert points(page, "batch_loss") == 20
    epochs = page.eval_on_selector(
        '[data-metric="validation_loss"] .plot', "plot => [...plot.chart.lines[0].x]"
    )
    assert epochs == [1, 2]
    # Smoothing is chosen, loss is drawn on a logarithmic axis, and a chart is saved as a picture.
    smoothed = '[data-metric="batch_loss"] .plot'
    assert page.eval_on_selector(smoothed, "plot => plot.chart.lines[1].y[9]") > 1.2
    page.get_by_label("Smoothing").fill("0")
    same = "plot => plot.chart.lines[1].y.every((value, at) => value === plot.chart.lines[0].y[at])"
    assert page.eval_on_selector(smoothed, same)
    page.get_by_label("Logarithmic loss").check()
    assert page.eval_on_selector(smoothed, "plot => plot.chart.log")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save Total loss (batch) as PNG").click()
    assert saved.value.suggested_filename == "batch_loss.png"


def test_a_trainers_own_metric_has_a_chart_of_its_own(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    site.post("/trainers", {"name": "acme/charts", "kinds": ["classification"]})
    version_id = str(site.post(f"/views/{view_id}/versions", {"trainer": "acme/charts"})["id"])
    site.begin(version_id)
    show(page, site, f"/versions/{version_id}")
    site.report(
        version_id,
        BatchMetrics(0, (0.1,) * 10, (1.0,) * 10),
        EpochMetrics(1, 10, 0.5, 0.9, None, {"f1": 0.75}),
    )
    await_points(page, "reported.f1", 1)
    expect(page.get_by_role("heading", name="f1, reported by the trainer")).to_be_visible()


def test_a_version_says_what_it_changed_and_is_drawn_over_another(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    versions = []
    for held_out, options in ((0.6, {}), (0.3, {"epochs": 4, "balancing": True})):
        versions.append(site.version(view_id, architecture="resnet18", **options))
        site.begin(versions[-1])
        site.epoch(versions[-1], 1, held_out=held_out)
        site.finish(versions[-1])
    first, second = versions
    show(page, site, f"/versions/{first}")
    expect(page.locator('[data-part="change"]')).to_contain_text("The first version of this view")
    show(page, site, f"/versions/{second}")
    change = page.locator('[data-part="change"]')
    expect(change).to_contain_text("Changed since Version 1")
    told = ["Epochs: 6 → 4", "Balancing: off → on", "Maximum expansion: not set → 2"]
    assert change.locator("li").all_inner_texts() == told
    expect(page.locator("[data-gain]")).to_have_text("+10.0 points")
    expect(page.locator('[data-option="epochs"] [data-changed]')).to_have_text("4")
    expect(page.locator('[data-option="optimizer"] [data-changed]')).to_have_count(0)
    use = page.locator("#use")
    expect(use).to_contain_text(f"stemma onnx {second} model.onnx")
    expect(use.get_by_role("link", name="Weights")).to_have_attribute(
        "href", f"/api/v1/versions/{second}/checkpoint"
    )
    await_points(page, "batch_loss", 10)
    page.get_by_label("Overlay").select_option("Version 1")
    losses = '[data-metric="batch_loss"]'
    page.wait_for_selector(f'{losses}[data-overlaid="1"]')
    names = "plot => plot.chart.lines.map(({ name, x }) => [name, x.length])"
    assert page.eval_on_selector(f"{losses} .plot", names) == [
        ["batch", 10],
        ["smoothed", 10],
        ["Version 1", 10],
    ]
    page.reload()
    page.wait_for_selector(f'{losses}[data-overlaid="1"]')
    page.get_by_role("button", name="Remove Version 1 from the charts").click()
    page.wait_for_selector(f'{losses}[data-overlaid="0"]')
    assert "overlay" not in page.url
    change.get_by_role("link", name="Compare both").click()
    page.wait_for_url(f"**/compare?versions={first},{second}")


def test_a_lost_connection_is_said_and_taken_up_again(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    version_id = site.version(view_id)
    events = f"**/versions/{version_id}/events*"
    page.route(events, lambda route: route.fulfill(status=204, body=""))
    show(page, site, f"/versions/{version_id}")
    expect(page.locator("[data-live]")).to_contain_text("Connection lost")
    page.unroute(events)
    expect(page.locator("[data-live]")).to_have_text("Live")


def test_a_page_that_is_cut_off_says_so_within_five_seconds(
    site: Scene, profile: BrowserContext
) -> None:
    _, view_id = site.trainable()
    with opened_tab(profile, re.compile(r".*net::ERR_FAILED")) as tab:
        tab.clock.install()
        tab.goto(f"/views/{view_id}")
        connection = tab.locator("[data-connection]")
        expect(connection).to_have_text("")
        tab.route("**/health/live", lambda route: route.abort())
        tab.clock.run_for(5000)
        expect(connection).to_have_text("Offline. This page may be outdated.")
        tab.unroute("**/health/live")
        tab.clock.run_for(5000)
        expect(connection).to_have_text("")


def test_a_session_that_ends_leads_to_sign_in_and_back(site: Scene, chromium: Browser) -> None:
    _, view_id = site.trainable()
    context = chromium.new_context(**site.browsing)
    with opened_tab(context, REFUSED) as tab:
        tab.goto(f"/views/{view_id}")
        tab.get_by_label("Add concepts").fill("two")
        context.clear_cookies()
        tab.evaluate(REFRESH)
        connection = tab.locator("[data-connection]")
        expect(connection).to_contain_text("Your session has expired")
        connection.get_by_role("button", name="Sign in").click()
        dialog = tab.get_by_role("dialog", name="Sign in again")
        dialog.get_by_label("API key").fill(KEY)
        dialog.get_by_role("button", name="Continue").click()
        expect(connection).to_have_text("")
        expect(tab.get_by_label("Add concepts")).to_have_value("two")
        tab.get_by_role("button", name="Add concepts").click()
        expect(tab.locator("[data-concept]")).to_have_count(3)
    context.close()


def test_a_training_that_diverged_is_begun_again_with_a_smaller_rate(
    site: Scene, page: Page
) -> None:
    _, view_id = site.trainable()
    flips = [{"op": "horizontal_flip"}]
    options = {"architecture": "resnet18", "initial_learning_rate": 0.5, "augmentations": flips}
    failed = site.version(view_id, **options, epochs=3, balancing=True)
    site.begin(failed)
    site.report(failed, Failed(f"the loss is nan: {LOWER_RATE}, or set gradient clipping"))
    show(page, site, f"/versions/{failed}")
    page.get_by_role("link", name="Train again with a smaller rate").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("#train-initial_learning_rate")).to_have_value("0.05")
    told = dialog.locator("[data-again]")
    expect(told).to_contain_text("With the options of Version 1")
    expect(told).to_contain_text("the loss is nan")
    expect(told).to_contain_text("A smaller initial learning rate is proposed: 0.05 instead of 0.5")
    with page.expect_request("**/versions") as sent:
        dialog.get_by_role("button", name="Start training").click()
    assert sent.value.post_data_json == {
        "preset": "balanced",
        "options": {**options, "initial_learning_rate": 0.05, "epochs": 3, "balancing": True},
    }
    expect(page.locator("[data-version]")).to_have_count(2)


def test_a_problem_is_shown_at_its_field(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    show(page, site, f"/views/{view_id}")
    page.get_by_role("button", name="Train", exact=True).click()
    epochs = page.get_by_label("Epochs", exact=True)
    epochs.fill("0")
    page.get_by_role("button", name="Start training").click()
    told = page.locator("#train-epochs-error")
    expect(told).to_have_text("epochs is 0; it must be from 0.1 to 200")
    expect(epochs).to_have_attribute("aria-invalid", "true")
    expect(epochs).to_be_focused()
    assert is_the_same(page)
    epochs.fill("")
    page.get_by_text("Advanced", exact=True).click()
    page.get_by_label("Batch size").fill("2.5")
    page.get_by_text("Advanced", exact=True).click()
    page.get_by_role("button", name="Start training").click()
    expect(page.locator("#train-batch_size-error")).to_contain_text("whole number")
    expect(told).to_be_hidden()
    assert is_the_same(page)


def test_a_problem_without_a_field_is_shown_where_it_arose(site: Scene, page: Page) -> None:
    view_id = site.view(site.project(), "zero", "one")
    show(page, site, f"/views/{view_id}")
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_role("button", name="Start training").click()
    expect(page.locator("#train [data-problem]")).to_contain_text("annotate some")
    page.get_by_role("button", name="Search for the best options").click()
    page.get_by_role("button", name="Start experiment").click()
    expect(page.locator("#start [data-problem]")).to_contain_text("annotate some")
    assert is_the_same(page)


def test_the_keyboard_is_enough(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    show(page, site, f"/views/{view_id}")
    opener = page.get_by_role("button", name="Train", exact=True)
    for _ in range(24):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
        if opener.evaluate("button => button === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.locator("#train").get_by_label("Name")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(opener).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    expect(page.locator("[data-version]")).to_contain_text("by keyboard")


def test_names_are_text_in_scripts_too(site: Scene, page: Page) -> None:
    project_id = site.project(NASTY)
    view_id = site.view(project_id, NASTY, "one", name=NASTY)
    show(page, site, f"/views/{view_id}")
    expect(page.get_by_role("heading", level=1)).to_have_text(NASTY)
    page.get_by_role("button", name=f"Rename concept {NASTY}").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("New name")).to_have_value(NASTY)
    dialog.get_by_label("New name").fill(f"{NASTY}2")
    dialog.get_by_role("button", name="Rename").click()
    remove = page.get_by_role("button", name=f"Remove concept {NASTY}2")
    remove.click()
    expect(page.locator("#confirm-text")).to_contain_text(f"{NASTY}2")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_label("Add concepts").fill(f"{NASTY}2")
    page.get_by_role("button", name="Add concepts").click()
    expect(page.locator("#add-concepts")).to_contain_text(NASTY)
    assert page.locator('img[src="x"]').count() == 0


def test_a_training_is_stopped_and_another_cancelled_on_the_page(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    version_id = site.version(view_id)
    show(page, site, f"/versions/{version_id}")
    stop = page.get_by_role("button", name="Stop version 1 early")
    cancel = page.get_by_role("button", name="Cancel training of version 1")
    expect(cancel).to_be_visible()
    expect(stop).to_have_count(0)
    site.begin(version_id)
    site.epoch(version_id, 1)
    stop.click()
    expect(page.get_by_text("Stopping after this epoch")).to_be_visible()
    expect(stop).to_have_count(0)
    site.finish(version_id, ended_by="stop")
    expect(page.locator("h1 [data-status]")).to_have_attribute("data-status", "stopped")
    expect(page.get_by_role("link", name="Checkpoint")).to_be_visible()
    expect(cancel).to_have_count(0)

    other = site.version(view_id)
    site.begin(other)
    show(page, site, f"/views/{view_id}")
    row = page.locator(f'[data-version="{other}"]')
    row.locator("summary").click()
    row.get_by_role("button", name="Cancel training").click()
    expect(page.locator("#confirm-text")).to_contain_text("cannot be retried")
    page.get_by_role("button", name="Keep training").click()
    expect(row.locator("[data-status]")).to_have_attribute("data-status", "training")
    row.get_by_role("button", name="Cancel training").click()
    page.locator("#confirm").get_by_role("button", name="Cancel training").click()
    expect(row.locator("[data-status]")).to_have_attribute("data-status", "cancelled")
    expect(row.get_by_role("button", name="Cancel training")).to_have_count(0)


def test_a_queued_version_says_what_it_waits_for(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    before, queued = site.version(view_id), site.version(view_id)
    site.visible()
    answer = site.http.get(f"/api/v1/versions/{queued}").json()
    count = answer["waiting"]["trainings_before"]
    show(page, site, f"/versions/{queued}")
    waiting = page.locator("[data-waiting]")
    expect(waiting).to_contain_text(f"Queued: {count} training")
    site.post(f"/versions/{before}/cancel", None)
    expect(waiting).to_contain_text(f"Queued: {count - 1 or 'no'} training")
    site.begin(queued)
    expect(waiting).to_have_count(0)
    assert is_the_same(page)
    site.finish(queued)


def test_a_library_is_kept_in_order(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    failed = site.version(view_id)
    site.begin(failed)
    site.report(failed, Failed("out of memory: choose a smaller batch"))
    show(page, site, f"/views/{view_id}")
    row = page.locator(f'[data-version="{failed}"]')
    row.locator("summary").click()
    row.get_by_role("button", name="Rename").click()
    page.get_by_role("dialog").get_by_label("New name").fill("too big")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(row).to_contain_text("too big")
    row.locator("summary").click()
    row.get_by_role("button", name="Retry").click()
    expect(row.locator("[data-status]")).to_have_text("queued")
    page.evaluate("window.theSame = true")
    # By another user, at the same time.
    site.version(view_id)
    expect(page.locator("[data-version]")).to_have_count(2)
    site.report(failed, Failed("out of memory again"), attempt=2)
    expect(page.locator(".reason")).to_contain_text("out of memory again")
    assert is_the_same(page)
    row.locator("summary").click()
    row.get_by_role("button", name="Archive").click()
    page.get_by_role("dialog").get_by_role("button", name="Archive").click()
    expect(row).to_have_count(0)
    page.get_by_role("link", name="Show archived").click()
    expect(row).to_contain_text("archived")

    remove = page.get_by_role("button", name="Remove concept one")
    remove.click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.locator("[data-concept]")).to_have_count(1)
    expect(page.locator("[data-model]").first).to_contain_text("Model 2")
    expect(page.locator(".lineage").first).to_contain_text("forked from Model 1: removed 'one'")


def test_home_shows_what_trains_and_a_picture_of_each_project(site: Scene, page: Page) -> None:
    project_id, view_id = site.trainable("With pictures")
    version_id = site.version(view_id)
    show(page, site, "/")
    card = page.locator(f'[data-project="{project_id}"]')
    expect(card.locator("[data-images]")).to_have_text("10")
    expect(card.locator("[data-annotated]")).to_have_text("100%")
    expect(card.locator("img")).to_have_js_property("naturalWidth", 8)
    training = page.locator(f'[data-training="{version_id}"]')
    expect(training.locator("[data-status]")).to_have_text("queued")
    site.begin(version_id)
    site.epoch(version_id, 1)
    site.finish(version_id)
    expect(training).to_have_count(0)
    assert is_the_same(page)
    show(page, site, "/")
    expect(card.locator("[data-best]")).to_have_text(re.compile(r"%$"))


def test_images_are_dropped_anywhere_on_the_page(site: Scene, page: Page) -> None:
    (image_id,) = site.images(site.project("Dragged from"), 1)
    project_id = site.project("Dropped on")
    show(page, site, f"/projects/{project_id}")
    assert page.evaluate(DROP, f"/api/v1/images/{image_id}/content")
    expect(page.locator("[data-image] img")).to_have_attribute("alt", "dropped.png")


def test_images_are_uploaded_split_and_filtered(site: Scene, page: Page, tmp_path: Path) -> None:
    source, _ = site.trainable(name="Source", images=4)
    site.visible()
    listed = site.http.get(f"/api/v1/projects/{source}/images").json()["items"]
    files = []
    for image in listed:
        file = tmp_path / image["file_name"]
        file.write_bytes(site.http.get(f"/api/v1/images/{image['image_id']}/content").content)
        files.append(file)
    broken = tmp_path / "broken.png"
    broken.write_text("no image")

    project_id = site.project("Uploads")
    show(page, site, f"/projects/{project_id}")
    page.get_by_label("Files", exact=True).set_input_files([*files, broken])
    page.get_by_role("button", name="Upload", exact=True).click()
    # What is no image is named, and all others are in.
    expect(page.locator("[data-refused] li")).to_contain_text(["broken.png"])
    expect(page.locator("[data-upload-progress]")).to_contain_text("4 of 5 files, 1 refused")
    expect(page.locator("[data-image]")).to_have_count(4)
    page.wait_for_function("() => document.querySelector('[data-image] img').naturalWidth === 8")
    assert (
        page.eval_on_selector("[data-image] img", "image => getComputedStyle(image).imageRendering")
        == "pixelated"
    )

    page.get_by_role("button", name="Draw validation set…").click()
    drawing = page.get_by_role("dialog")
    drawing.get_by_label("Size").fill("0.5")
    drawing.get_by_role("button", name="Draw validation set").click()
    expect(page.locator('[data-count="validation"]')).to_have_text("2")
    page.get_by_role("button", name="Draw test set…").click()
    drawing.get_by_label("Size").fill("0.5")
    drawing.get_by_role("button", name="Draw test set").click()
    expect(page.locator('[data-count="test"]')).to_have_text("1")
    expect(page.locator('[data-count="validation"]')).to_have_text("2")
    page.wait_for_load_state("domcontentloaded")
    page.get_by_label("Split", exact=True).select_option("validation")
    expect(page.locator("[data-image]")).to_have_count(2)
    assert urlsplit(page.url).query == "split=validation"
    page.reload()
    expect(page.get_by_label("Split", exact=True)).to_have_value("validation")
    expect(page.locator("[data-image]")).to_have_count(2)


def test_every_page_can_be_read_and_steered_in_both_schemes(site: Scene, page: Page) -> None:
    project_id, view_id = site.trainable()
    version_id = site.version(view_id)
    site.begin(version_id)
    for number, held_out in enumerate((0.9, 0.5, 0.8), start=1):
        site.epoch(version_id, number, loss=1 / number, held_out=held_out)
    failed = site.version(view_id)
    site.begin(failed)
    site.report(failed, Failed("out of memory: choose a smaller batch"))
    site.finish(version_id)
    site.begin(site.version(view_id))
    site.concepts(view_id, "two")
    site.visible()
    paths = {
        "/": "h1",
        f"/projects/{project_id}?view={view_id}": "[data-image]",
        f"/views/{view_id}": "[data-version]",
        f"/versions/{version_id}": "body[data-ended]",
        f"/versions/{failed}": "body[data-ended]",
        "/workers": "[data-version]",
    }
    for path, ready in paths.items():
        page.goto(path)
        page.wait_for_selector(ready)
        for width in (1400, 400):
            page.set_viewport_size({"width": width, "height": 900})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                page.wait_for_function(CHARTS_FOLLOW)
                assert page.evaluate(CHECKS) == [], f"{path} {scheme} {width}"
    page.goto(f"/views/{view_id}")
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_label("Epochs", exact=True).fill("0")
    page.get_by_role("button", name="Start training").click()
    expect(page.locator("#train-epochs-error")).to_be_visible()
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(CHECKS) == [], f"the dialog {scheme}"
