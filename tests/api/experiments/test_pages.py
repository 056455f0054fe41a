"""The pages of experiments in a real browser, while trainings are simulated."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from domain.training.version import VersionTrainingFailed
from tests.adapters.running import eventually
from tests.api.experiments.conftest import SMALL, SPACE, TRIALS, Laboratory
from tests.api.pages.test_pages import CHARTS_FOLLOW, CHECKS, SCHEMES, is_the_same, show
from tests.application.experiments.simulation import Trainer


def drawn(page: Page, chart: str) -> int:
    """How many points a chart has."""
    return int(page.locator(f'[data-chart="{chart}"]').get_attribute("data-points") or 0)


def test_curves_move_until_the_best_is_named(laboratory: Laboratory, page: Page) -> None:
    _, view_id = laboratory.site.trainable()
    body = {"budget": 3, "concurrency": 3, "space": SPACE, "options": SMALL}
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
    expect(verdict).to_contain_text("because all its trials are done")
    expect(verdict.get_by_role("link").first).to_have_attribute(
        "href", f"/versions/{best['version_id']}"
    )
    expect(page.locator(f'[data-trial="{best["number"]}"] [data-is-best]')).to_be_visible()
    epochs = laboratory.get(f"/experiments/{experiment_id}")["experiment"]["epochs_trained"]
    assert drawn(page, "curves") == epochs
    assert drawn(page, "history") == drawn(page, "parameters") == 3
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
    page.get_by_role("button", name="Keep training").click()
    expect(page.locator("h1 [data-status]")).to_have_text("running")
    stop.click()
    page.locator("#confirm").get_by_role("button", name="Stop experiment").click()
    expect(page.locator("h1 [data-status]")).to_have_text("stopping")
    expect(page.locator("[data-stopping]")).to_be_visible()
    expect(stop).to_have_count(0)
    laboratory.run(experiment_id)
    page.wait_for_selector("body[data-ended]")
    expect(page.locator("[data-verdict]")).to_contain_text("because it was stopped")


def test_one_whose_trials_all_fail_says_why(
    laboratory: Laboratory, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, view_id = laboratory.site.trainable()
    full = VersionTrainingFailed("the disk is full")
    failures = {(trial, attempt): full for trial in range(1, 9) for attempt in range(1, 5)}
    monkeypatch.setattr(laboratory, "trainer", Trainer(laboratory.site.store, failures))
    experiment_id = laboratory.start(view_id)
    laboratory.run(experiment_id)
    show(page, laboratory.site, f"/experiments/{experiment_id}")
    page.wait_for_selector("body[data-ended]")
    expect(page.locator("[data-verdict]")).to_contain_text("No trial completed")
    expect(page.locator("[data-verdict]")).to_contain_text("because its first trials all failed")
    expect(page.locator("[data-reason]")).to_contain_text("the disk is full")
    expect(page.locator("[data-trial]").first.locator("[data-status]")).to_have_text("failed")
    expect(page.get_by_role("link", name="Open best version")).to_have_count(0)


def test_pruned_trials_are_faint_and_what_mattered_is_drawn(
    laboratory: Laboratory, finished: tuple[str, str], page: Page
) -> None:
    _, experiment_id = finished
    show(page, laboratory.site, f"/experiments/{experiment_id}")
    page.wait_for_selector("body[data-ended]")
    lines = page.eval_on_selector(
        '[data-chart="curves"] .plot',
        "plot => plot.data.map((one) => [one.meta, one.opacity, one.line.width])",
    )
    widths = {number: width for number, _, width in lines}
    opacities = {number: opacity for number, opacity, _ in lines}
    shown = laboratory.get(f"/experiments/{experiment_id}")["experiment"]
    best = shown["best"]["number"]
    assert lines[-1][0] == best, "drawn above the others"
    trials = laboratory.get(f"/experiments/{experiment_id}/trials")["items"]
    pruned = [trial["number"] for trial in trials if trial["status"] == "pruned"]
    others = [number for number in widths if number not in {best, *pruned}]
    assert widths[best] > max(widths[number] for number in others)
    assert min(widths[n] for n in others) > max(widths[n] for n in pruned)
    assert opacities[best] == 1
    bars = page.eval_on_selector(
        '[data-chart="importances"] .plot', "plot => [plot.data[0].x, plot.data[0].y]"
    )
    assert bars[0] == sorted(shown["conclusion"]["importances"].values())
    assert "Rate multiplier" in bars[1]


def test_trials_are_sorted_and_filtered_in_the_address(
    laboratory: Laboratory, finished: tuple[str, str], page: Page
) -> None:
    _, experiment_id = finished
    trials = laboratory.get(f"/experiments/{experiment_id}/trials")["items"]
    show(page, laboratory.site, f"/experiments/{experiment_id}")
    rows = page.locator("[data-trial]")
    expect(rows).to_have_count(TRIALS)
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
    expect(words).to_contain_text(f"{100 * pruned[0]['pruning']['cut']:.1f}%")
    page.get_by_label("Status", exact=True).select_option("failed")
    expect(page.locator('[data-empty="trials"]')).to_contain_text("No trial is failed")
    page.reload()
    expect(page.get_by_label("Status", exact=True)).to_have_value("failed")


def test_chosen_trials_are_compared_by_keyboard(
    laboratory: Laboratory, finished: tuple[str, str], page: Page
) -> None:
    _, experiment_id = finished
    page.goto(f"/experiments/{experiment_id}")
    page.wait_for_selector("body[data-ended]")
    compare = page.get_by_role("button", name="Compare chosen trials")
    boxes = page.locator("[data-choose]")
    boxes.nth(0).press("Space")
    expect(compare).to_be_disabled()
    for place in range(1, 8):
        boxes.nth(place).press("Space")
    expect(boxes.nth(8)).to_be_disabled()
    for place in range(3, 8):
        boxes.nth(place).press("Space")
    compare.press("Enter")
    expect(page).to_have_url(re.compile(r"/compare\?trials=1%2C2%2C3$"))
    trials = laboratory.get(f"/experiments/{experiment_id}/trials")["items"][:3]
    curves = laboratory.get(f"/experiments/{experiment_id}/curves")["curves"]
    by_metric = {(each["number"], each["metric"]): each["values"] for each in curves}
    values = page.locator('[data-row="value"] td')
    expect(values).to_have_text([f"{100 * trial['value']:.1f}%" for trial in trials])
    rates = page.locator('[data-compared="options"] tr', has_text="Learning rate").locator("td")
    rate = "initial_learning_rate"
    expect(rates).to_have_text([f"{trial['options'][rate]:.3g}" for trial in trials])
    assert overlaid(page) == [by_metric[n, "validation_accuracy"] for n in (1, 2, 3)]
    page.get_by_role("link", name="Validation loss").click()
    expect(page).to_have_url(re.compile("metric=validation_loss"))
    page.wait_for_selector('[data-chart="compared"][data-points]')
    assert overlaid(page) == [by_metric[n, "validation_loss"] for n in (1, 2, 3)]
    page.goto(f"/experiments/{experiment_id}/compare?trials=1,2")
    page.get_by_role("link", name="Compare their predictions").click()
    pair = "/compare/".join(trial["version_id"] for trial in trials[:2])
    expect(page).to_have_url(re.compile(f"/versions/{pair}$"))


def overlaid(page: Page) -> list[list[float]]:
    """The values of each curve of the comparison."""
    script = "plot => plot.data.map((one) => one.y)"
    found: list[list[float]] = page.eval_on_selector('[data-chart="compared"] .plot', script)
    return found


def test_the_past_of_an_experiment_is_as_it_was(
    laboratory: Laboratory, finished: tuple[str, str], page: Page
) -> None:
    _, experiment_id = finished
    trials = laboratory.get(f"/experiments/{experiment_id}/trials")["items"]
    at = next(trial["pruning"] for trial in trials if trial["pruning"])["log_position"]
    page.goto(f"/experiments/{experiment_id}?as_of={at}")
    expect(page.locator("[data-live]")).to_have_text("Past state")
    then = laboratory.get(f"/experiments/{experiment_id}?as_of={at}")["experiment"]
    expect(page.locator("h1 [data-status]")).to_have_text("running")
    assert drawn(page, "curves") == then["epochs_trained"]
    assert page.locator("[data-trial]").count() < TRIALS
    expect(page.get_by_role("button", name="Stop experiment")).to_have_count(0)
    page.get_by_role("navigation", name="View").get_by_role("link", name="Experiments").click()
    row = page.locator(f'[data-experiment="{experiment_id}"]')
    expect(row.locator("[data-status]")).to_have_text("running")
    row.get_by_role("link").first.click()
    page.get_by_role("link", name="Back to now").click()
    expect(page.locator("h1 [data-status]")).to_have_text("concluded")


def test_experiments_of_a_view_are_listed_live(laboratory: Laboratory, page: Page) -> None:
    _, view_id = laboratory.site.trainable()
    show(page, laboratory.site, f"/views/{view_id}")
    page.get_by_role("navigation", name="View").get_by_role("link", name="Experiments").click()
    expect(page.locator('[data-empty="experiments"]')).to_contain_text("Start an experiment")
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
        f"/experiments/{experiment_id}/compare?trials=1,2,3": "[data-points]",
        f"/views/{view_id}/experiments": "[data-experiment]",
        f"/views/{view_id}": "[data-experiment]",
    }.items():
        page.goto(path)
        page.wait_for_selector(ready)
        for width in (1400, 400):
            page.set_viewport_size({"width": width, "height": 900})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                page.wait_for_function(CHARTS_FOLLOW)
                assert page.evaluate(CHECKS) == [], f"{path} {scheme} {width}"


def opened(page: Page, laboratory: Laboratory, view_id: str) -> Locator:
    """The dialog that starts an experiment, once it knows the space."""
    show(page, laboratory.site, f"/views/{view_id}/experiments")
    page.get_by_role("link", name="Start experiment", exact=True).click()
    page.locator("[data-custom][data-filled]").wait_for(state="attached")
    page.evaluate("window.theSame = true")
    return page.locator("#start")


def sent(page: Page, dialog: Locator) -> Any:
    """The body that is sent when the experiment is started."""
    with page.expect_request(
        lambda made: made.method == "POST" and made.url.endswith("/experiments")
    ) as request:
        dialog.get_by_role("button", name="Start experiment").click()
    return request.value.post_data_json


def test_a_preset_is_started_by_keyboard(laboratory: Laboratory, page: Page) -> None:
    _, view_id = laboratory.site.trainable()
    dialog = opened(page, laboratory, view_id)
    expect(dialog.get_by_label("Quick")).to_be_focused()
    summary = dialog.locator("[data-summary]")
    expect(summary).to_have_text("8 trainings of at most 6 epochs.")
    expect(dialog).to_contain_text("6 training and 4 validation images.")
    expect(dialog.locator('[data-part="workers"]')).to_contain_text("workers online is unknown")
    expect(dialog.locator("[data-custom]").first).to_be_hidden()
    expect(dialog.locator("[data-estimate]")).to_contain_text(
        "no training has completed in this project yet"
    )
    page.keyboard.press("ArrowDown")
    expect(summary).to_have_text("24 trainings of at most 9 epochs.")
    with page.expect_request(lambda made: made.method == "POST") as request:
        page.keyboard.press("Enter")
    assert request.value.post_data_json == {"preset": "thorough"}
    expect(page).to_have_url(re.compile("/experiments/"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("running")
    expect(page.locator("[data-trial]")).to_have_count(4)


def test_custom_choices_are_sent_and_errors_are_at_their_fields(
    laboratory: Laboratory, page: Page
) -> None:
    _, view_id = laboratory.site.trainable()
    dialog = opened(page, laboratory, view_id)
    dialog.get_by_label("Custom").check()
    # As the server would search it.
    chosen = dialog.locator("#start-architectures input:checked")
    default = laboratory.get("/forms/classification/space")["space"]
    expect(chosen).to_have_count(len(default["architectures"]))
    expect(dialog.get_by_label("Weight decays")).to_have_value("0, 0.0001, 0.001")
    for box in chosen.all()[::-1]:
        box.uncheck()
    start = dialog.get_by_role("button", name="Start experiment")
    start.click()
    expect(dialog.locator("#start-architectures-error")).to_contain_text("choose one or more")
    dialog.get_by_label("ResNet 18", exact=True).check()
    for label, value, key in (
        ("Budget", "0", "budget"),
        ("Epochs of a trial", "0", "epochs"),
        ("At once", "65", "concurrency"),
        ("Seed", "-1", "seed"),
        ("Lowest rate multiplier", "20", "rate_multiplier"),
        ("Image sizes", "33, 17", "image_sizes"),
        ("Weight decays", "small", "weight_decays"),
    ):
        field = dialog.get_by_label(label, exact=True)
        before = field.input_value()
        field.fill(value)
        start.click()
        expect(dialog.locator(f"#start-{key}-error")).to_be_visible()
        expect(dialog.locator(".field-error:visible")).to_have_count(1)
        field.fill(before)
    assert is_the_same(page)
    dialog.get_by_label("Budget", exact=True).fill("3")
    dialog.get_by_label("Epochs of a trial").fill("2")
    dialog.get_by_label("At once", exact=True).fill("2")
    dialog.get_by_label("Image sizes").fill("32, 64")
    dialog.get_by_label("Pruning").uncheck()
    dialog.locator("#start-name").fill("mine")
    expect(dialog.locator("[data-summary]")).to_have_text("3 trainings of at most 2 epochs.")
    assert sent(page, dialog) == {
        "name": "mine",
        "budget": 3,
        "concurrency": 2,
        "pruning": False,
        "options": {"epochs": 2},
        "space": default | {"architectures": ["resnet18"], "image_sizes": [32, 64]},
    }
    expect(page.get_by_role("heading", level=1)).to_contain_text("mine")


def test_the_dialog_of_a_training_leads_to_an_experiment(
    laboratory: Laboratory, page: Page
) -> None:
    _, view_id = laboratory.site.trainable()
    show(page, laboratory.site, f"/views/{view_id}")
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_role("button", name="Search for the best options").click()
    expect(page.locator("#train")).to_be_hidden()
    expect(page.locator("#start")).to_be_visible()
    expect(page.locator("#start").get_by_label("Quick")).to_be_focused()


def test_the_library_folds_an_experiment_into_its_best(
    laboratory: Laboratory, finished: tuple[str, str], page: Page
) -> None:
    view_id, experiment_id = finished
    named = laboratory.site.version(view_id)
    best = laboratory.get(f"/experiments/{experiment_id}")["experiment"]["best"]
    show(page, laboratory.site, f"/views/{view_id}")
    expect(page.locator("[data-version]")).to_have_count(1)
    row = page.locator(f"#experiment-{experiment_id}")
    expect(row.locator("[data-indicator]")).to_have_text(f"{100 * best['value']:.1f}%")
    expect(row).to_contain_text(f"{TRIALS} / {TRIALS}")
    row.locator("summary").click()
    expect(row.get_by_role("link", name="Best version")).to_have_attribute(
        "href", f"/versions/{best['version_id']}"
    )
    order = page.locator("tr[id]").evaluate_all("all => all.map((one) => one.id)")
    assert order == [f"experiment-{experiment_id}", f"version-{named}"]
    page.get_by_role("link", name="Show trials").click()
    expect(page).to_have_url(re.compile(r"\?trials=true#library$"))
    expect(page.locator("[data-version]")).to_have_count(TRIALS + 1)
    expect(page.locator("[data-experiment]")).to_have_count(0)
    page.get_by_role("link", name="Fold experiments").click()
    expect(row).to_be_visible()


def test_a_version_leads_to_its_experiment(
    laboratory: Laboratory, finished: tuple[str, str]
) -> None:
    _, experiment_id = finished
    page = laboratory.site.http.get(f"/versions/{laboratory.trials(experiment_id)[4]}").text
    assert re.search(f'href="/experiments/{experiment_id}"[^>]*>Trial 5 of an experiment', page)


def test_the_dialog_can_be_read_in_both_schemes(
    laboratory: Laboratory, finished: tuple[str, str], page: Page
) -> None:
    view_id, _ = finished
    dialog = opened(page, laboratory, view_id)
    dialog.get_by_label("Custom").check()
    dialog.get_by_label("Budget", exact=True).fill("0")
    dialog.get_by_role("button", name="Start experiment").click()
    expect(dialog.locator("#start-budget-error")).to_be_visible()
    for width in (1400, 400):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(CHECKS) == [], f"{scheme} {width}"
