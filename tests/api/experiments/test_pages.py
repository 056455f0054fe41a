"""The pages of experiments in a real browser, while trainings are simulated."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.adapters.running import eventually
from tests.api.experiments.conftest import Laboratory
from tests.api.experiments.test_experiments import SMALL, SPACE
from tests.api.pages.tabs import opened_tab
from tests.api.pages.test_pages import CHARTS_FOLLOW, CHECKS, REFUSED, SCHEMES, is_the_same, show
from tests.waiting import HANG_MS


@pytest.fixture(scope="module")
def profile(laboratory: Laboratory, chromium: Browser) -> Iterator[BrowserContext]:
    browsing = laboratory.site.browsing
    context = chromium.new_context(**browsing, viewport={"width": 1400, "height": 900})
    context.set_default_timeout(HANG_MS)
    yield context
    context.close()


@pytest.fixture
def page(profile: BrowserContext) -> Iterator[Page]:
    """A tab that must have nothing to complain about but refusals."""
    with opened_tab(profile, REFUSED) as tab:
        yield tab


@pytest.fixture(scope="module")
def finished(laboratory: Laboratory) -> tuple[str, str]:
    """A view, and an experiment in it that has ended, with pruned trials."""
    _, view_id = laboratory.site.trainable()
    body = {"budget": 14, "concurrency": 3, "space": SPACE, "options": SMALL}
    experiment_id = laboratory.start(view_id, **body)
    laboratory.run(experiment_id)
    return view_id, experiment_id


def drawn(page: Page, chart: str) -> int:
    """How many points a chart has."""
    return int(page.locator(f'[data-chart="{chart}"]').get_attribute("data-points") or 0)


def test_curves_move_until_the_best_is_named(laboratory: Laboratory, page: Page) -> None:
    _, view_id = laboratory.site.trainable()
    body = {"budget": 6, "concurrency": 3, "space": SPACE, "options": SMALL}
    experiment_id = laboratory.start(view_id, **body)
    eventually(lambda: len(laboratory.trials(experiment_id)) == 3)
    show(page, laboratory.site, f"/experiments/{experiment_id}")
    expect(page.locator("[data-live]")).to_have_text("Live")
    expect(page.locator("h1 [data-status]")).to_have_text("running")
    expect(page.locator("[data-verdict]")).to_contain_text("No trial has completed yet")
    for epochs in (1, 2):
        # Their first step takes them up.
        laboratory.run(experiment_id, steps=2 if epochs == 1 else 1)
        page.wait_for_selector(f'[data-chart="curves"][data-points="{3 * epochs}"]')
    lines = page.eval_on_selector(
        '[data-chart="curves"] .plot', "plot => plot.data.map((one) => one.y.length)"
    )
    assert lines == [2, 2, 2]
    laboratory.run(experiment_id)
    page.wait_for_selector("body[data-ended]")
    best = laboratory.get(f"/experiments/{experiment_id}")["experiment"]["best"]
    expect(page.locator("h1 [data-status]")).to_have_text("concluded")
    verdict = page.locator("[data-verdict]")
    expect(verdict).to_contain_text(f"The best is trial {best['number']}: {best['value']:.1%}"[:-1])
    expect(verdict).to_contain_text("since all its trials are done")
    expect(verdict.get_by_role("link").first).to_have_attribute(
        "href", f"/versions/{best['version_id']}"
    )
    expect(page.locator(f'[data-trial="{best["number"]}"] [data-is-best]')).to_be_visible()
    epochs = laboratory.get(f"/experiments/{experiment_id}")["experiment"]["epochs_trained"]
    assert drawn(page, "curves") == epochs
    assert drawn(page, "history") == drawn(page, "parameters") == 6
    assert is_the_same(page)
    page.get_by_role("link", name="Open best version").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("ready")


def test_an_experiment_is_stopped_on_its_page(laboratory: Laboratory, page: Page) -> None:
    _, view_id = laboratory.site.trainable()
    experiment_id = laboratory.start(view_id, budget=50, concurrency=3)
    eventually(lambda: len(laboratory.trials(experiment_id)) == 3)
    for _ in range(3):
        laboratory.trainer.step(laboratory.trials(experiment_id)[0])
    show(page, laboratory.site, f"/experiments/{experiment_id}")
    stop = page.get_by_role("button", name="Stop experiment")
    stop.click()
    page.get_by_role("button", name="Let it go on").click()
    expect(page.locator("h1 [data-status]")).to_have_text("running")
    stop.click()
    page.locator("#confirm").get_by_role("button", name="Stop experiment").click()
    expect(page.locator("h1 [data-status]")).to_have_text("stopping")
    expect(page.locator("[data-stopping]")).to_be_visible()
    expect(stop).to_have_count(0)
    laboratory.run(experiment_id)
    page.wait_for_selector("body[data-ended]")
    expect(page.locator("[data-verdict]")).to_contain_text("since it was stopped")


def test_trials_are_sorted_and_filtered_in_the_address(
    laboratory: Laboratory, finished: tuple[str, str], page: Page
) -> None:
    _, experiment_id = finished
    trials = laboratory.get(f"/experiments/{experiment_id}/trials")["items"]
    show(page, laboratory.site, f"/experiments/{experiment_id}")
    rows = page.locator("[data-trial]")
    expect(rows).to_have_count(14)
    page.get_by_role("columnheader").get_by_role("link", name="Validation accuracy").click()
    expect(page).to_have_url(re.compile(r"\?sort=best#trials$"))
    order = rows.evaluate_all("all => all.map((one) => Number(one.dataset.trial))")
    ranked = laboratory.get(f"/experiments/{experiment_id}/trials?sort=best")["items"]
    assert order == [trial["number"] for trial in ranked]
    page.get_by_label("Status", exact=True).select_option("pruned")
    expect(page).to_have_url(re.compile(r"\?sort=best&status=pruned"))
    pruned = [trial for trial in trials if trial["pruning"]]
    expect(rows).to_have_count(len(pruned))
    words = page.locator(f'[data-pruning="{pruned[0]["number"]}"]')
    expect(words).to_contain_text(f"compared with {pruned[0]['pruning']['compared']} trials")
    expect(words).to_contain_text(f"{100 * pruned[0]['pruning']['cut']:.1f} %")
    page.get_by_label("Status", exact=True).select_option("failed")
    expect(page.locator('[data-empty="trials"]')).to_contain_text("No trial is failed")
    page.reload()
    expect(page.get_by_label("Status", exact=True)).to_have_value("failed")


def test_two_trials_are_chosen_and_compared_by_keyboard(
    finished: tuple[str, str], page: Page
) -> None:
    _, experiment_id = finished
    page.goto(f"/experiments/{experiment_id}?status=ready")
    page.wait_for_selector("body[data-ended]")
    compare = page.get_by_role("button", name="Compare chosen trials")
    boxes = page.locator("[data-choose]")
    first, second = (str(boxes.nth(index).get_attribute("value")) for index in (0, 1))
    boxes.nth(0).press("Space")
    expect(compare).to_be_disabled()
    boxes.nth(1).press("Space")
    compare.press("Enter")
    expect(page).to_have_url(re.compile(f"/versions/{first}/compare/{second}$"))


def test_the_past_of_an_experiment_is_as_it_was(
    laboratory: Laboratory, finished: tuple[str, str], page: Page
) -> None:
    _, experiment_id = finished
    trials = laboratory.get(f"/experiments/{experiment_id}/trials")["items"]
    at = next(trial["pruning"] for trial in trials if trial["pruning"])["log_position"]
    page.goto(f"/experiments/{experiment_id}?as_of={at}")
    expect(page.locator("[data-live]")).to_have_text("As it was")
    then = laboratory.get(f"/experiments/{experiment_id}?as_of={at}")["experiment"]
    expect(page.locator("h1 [data-status]")).to_have_text("running")
    assert drawn(page, "curves") == then["epochs_trained"]
    assert page.locator("[data-trial]").count() < 14
    expect(page.get_by_role("button", name="Stop experiment")).to_have_count(0)
    page.get_by_role("link", name="Back to now").click()
    expect(page.locator("h1 [data-status]")).to_have_text("concluded")


def test_experiments_of_a_view_are_listed_live(laboratory: Laboratory, page: Page) -> None:
    _, view_id = laboratory.site.trainable()
    show(page, laboratory.site, f"/views/{view_id}")
    page.get_by_role("link", name="Experiments", exact=True).click()
    expect(page.locator('[data-empty="experiments"]')).to_contain_text("Press Train")
    body = {"name": "first search", "budget": 2, "concurrency": 2, "space": SPACE, "options": SMALL}
    experiment_id = laboratory.start(view_id, **body)
    show(page, laboratory.site, f"/views/{view_id}/experiments")
    row = page.locator(f'[data-experiment="{experiment_id}"]')
    expect(row).to_contain_text("first search")
    laboratory.run(experiment_id)
    expect(row.locator("[data-status]")).to_have_text("concluded")
    expect(row.locator('[data-count="completed"]')).to_have_text("2")
    best = laboratory.get(f"/experiments/{experiment_id}")["experiment"]["best"]
    expect(row.locator("[data-best] a")).to_have_attribute(
        "href", f"/versions/{best['version_id']}"
    )
    assert is_the_same(page)


def test_the_pages_can_be_read_and_steered_in_both_schemes(
    finished: tuple[str, str], page: Page
) -> None:
    view_id, experiment_id = finished
    for path, ready in {
        f"/experiments/{experiment_id}": "body[data-ended]",
        f"/views/{view_id}/experiments": "[data-experiment]",
    }.items():
        page.goto(path)
        page.wait_for_selector(ready)
        for width in (1400, 400):
            page.set_viewport_size({"width": width, "height": 900})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                page.wait_for_function(CHARTS_FOLLOW)
                page.screenshot(path=f"/tmp/shot{width}{scheme}{path[1:4]}.png", full_page=True)
                assert page.evaluate(CHECKS) == [], f"{path} {scheme} {width}"
