"""The dialog of a training in a real browser: it is the form, alive."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from domain.errors import Invalid
from domain.training.form import KINDS, training_form
from domain.training.form_controls import resolve
from domain.training.presets import ACCURATE, BALANCED, QUICK, with_preset
from tests.api.pages.tabs import opened_tab
from tests.api.pages.test_pages import CHECKS, REFUSED, SCHEMES, show
from tests.api.scene import Scene
from tests.api.training.test_form import ended, put_weights
from tests.domain.training.test_options import forms
from tests.waiting import HANG_MS

RULES = """async ([form, given, preset]) => {
  const { resolve } = await import("/static/training/form_rules.js");
  const controls = form.sections.flatMap((section) => section.controls);
  const all = resolve(controls, given, form.presets.find(({ key }) => key === preset)?.options);
  return Object.fromEntries(all.map(({ control, value }) => [control.key, value]));
}"""


@pytest.fixture(scope="module")
def profile(site: Scene, chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(**site.browsing, viewport={"width": 1400, "height": 900})
    context.set_default_timeout(HANG_MS)
    yield context
    context.close()


@pytest.fixture
def page(profile: BrowserContext) -> Iterator[Page]:
    """A tab that must have nothing to complain about but refusals."""
    with opened_tab(profile, REFUSED) as tab:
        yield tab


def opened(page: Page, site: Scene, view_id: str, *, advanced: bool = True) -> Locator:
    """The dialog, once it is alive, with all its options."""
    show(page, site, f"/views/{view_id}")
    with page.expect_response("**/api/v1/versions?*"):
        page.get_by_role("button", name="Train", exact=True).click()
    dialog = page.get_by_role("dialog")
    if advanced:
        dialog.get_by_text("Advanced", exact=True).click()
    return dialog


def sent(page: Page, dialog: Locator) -> dict[str, Any]:
    """The options that are sent when it is submitted."""
    with page.expect_request(
        lambda made: made.method == "POST" and made.url.endswith("/versions")
    ) as request:
        dialog.get_by_role("button", name="Start training").click()
    content = request.value.post_data_json
    assert content is not None
    options: dict[str, Any] = content.get("options", {})
    return options


def detection_view(site: Scene) -> str:
    """A detection view whose images hold boxes, and validate."""
    project_id = site.project("Boxes")
    body = {"name": "Where", "kind": "detection"}
    view_id = str(site.post(f"/projects/{project_id}/views", body)["id"])
    (cat,) = site.concepts(view_id, "cat")
    box = {"x": 0.1, "y": 0.1, "width": 0.5, "height": 0.5}
    said = [
        {"image_id": image_id, "annotations": [{"concept_id": cat, "box": box}]}
        for image_id in site.images(project_id, 6)
    ]
    site.post(f"/views/{view_id}/annotations", {"images": said})
    site.post(f"/projects/{project_id}/validation-split", {"size": 2, "seed": 1})
    return view_id


def test_the_page_follows_the_servers_rules(page: Page) -> None:
    page.goto("/")

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), forms(kind))),
        st.sampled_from([None, QUICK, BALANCED, ACCURATE]),
    )
    def same(filled: tuple[str, dict[str, Any]], preset: str | None) -> None:
        kind, values = filled
        values.pop("augmentations", None)
        form = training_form(kind, frozenset({"resnet18-f37072fd.pth"}))
        try:
            expected = resolve(form.controls(), with_preset(kind, preset, values))
        except Invalid:
            return
        told = page.evaluate(RULES, [json.loads(msgspec.json.encode(form)), values, preset])
        # The server fills in the parameters of operations; the page leaves that to it.
        for options in (told, expected):
            options["augmentations"] = [each["op"] for each in options["augmentations"]]
        assert told == expected

    same()


def test_the_dialog_has_every_control_of_the_form(site: Scene, page: Page) -> None:
    for view_id, kind in (
        (site.trainable()[1], "classification"),
        (detection_view(site), "detection"),
    ):
        dialog = opened(page, site, view_id)
        form = training_form(kind)
        for section in form.sections:
            expect(
                dialog.locator("legend", has_text=re.compile(f"^{section.label}$"))
            ).to_have_count(1)
        there = dialog.locator("[data-control]")
        keys = there.evaluate_all("all => all.map((one) => one.dataset.control)")
        basic = [control.key for control in form.controls() if control.key in form.basic]
        assert keys[: len(basic)] == basic
        assert keys[len(basic) :] == [
            control.key for control in form.controls() if control.key not in basic
        ]
        for control in form.controls():
            expect(dialog.locator(f"#train-{control.key}-help")).to_contain_text(control.help)
    width = dialog.get_by_label("Width")
    told = [width.get_attribute(name) for name in ("min", "max", "step", "placeholder")]
    assert told == ["32", "1024", "16", "256"]
    expect(dialog.locator("#train-width-help")).to_contain_text("from 32 to 1024, in steps of 16")


def test_defaults_and_what_is_shown_follow_what_is_chosen(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    dialog = opened(page, site, view_id)
    rate, decay = (
        dialog.get_by_label("Initial learning rate"),
        dialog.get_by_label("Decay", exact=True),
    )
    chosen = dialog.get_by_label("Optimizer", exact=True)
    expect(rate).to_have_attribute("placeholder", "0.002")
    expect(chosen.locator("option").first).to_have_text("default (Nadam)")
    expect(decay).to_be_hidden()
    dialog.get_by_label("Architecture").select_option("vgg16")
    expect(chosen.locator("option").first).to_have_text("default (Momentum)")
    expect(rate).to_have_attribute("placeholder", "0.01")
    chosen.select_option("rmsprop")
    expect(decay).to_be_visible()
    decay.fill("0.5")
    chosen.select_option("radam")
    expect(rate).to_have_attribute("placeholder", "0.0001")
    expect(decay).to_be_hidden()
    dialog.get_by_label("Architecture").select_option("inception_v3")
    expect(dialog.get_by_label("Width")).to_have_attribute("placeholder", "304")
    dialog.get_by_label("Resizer").select_option("keep_aspect_ratio")
    expect(dialog.get_by_label("Width")).to_be_hidden()
    expect(dialog.get_by_label("Longest side")).to_have_attribute("placeholder", "512")
    expect(dialog.get_by_label("Maximum expansion")).to_be_hidden()
    dialog.get_by_label("Balancing").check()
    dialog.get_by_label("Maximum expansion").fill("3")
    dialog.get_by_label("Iterations").fill("20")
    expect(dialog.get_by_label("Epochs", exact=True)).to_be_hidden()
    assert sent(page, dialog) == {
        "architecture": "inception_v3",
        "iterations": 20,
        "optimizer": "radam",
        "resizer": "keep_aspect_ratio",
        "balancing": True,
        "max_expansion_ratio": 3,
    }
    expect(page.locator("[data-version]")).to_contain_text("Inception v3")


def test_a_training_with_the_defaults_is_two_clicks(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    show(page, site, f"/views/{view_id}")
    page.get_by_role("button", name="Train", exact=True).click()
    page.get_by_role("button", name="Start training").click()
    expect(page.locator("[data-version]")).to_contain_text("EfficientNet B0")


def test_a_preset_is_chosen_and_what_it_would_take_is_said(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    ended = site.version(view_id, architecture="mobilenet_v3_small")
    site.begin(ended, 1)
    site.epoch(ended, 1, of=1)
    site.finish(ended)
    site.version(view_id)
    site.visible()
    every = site.http.get("/api/v1/versions?limit=500").json()["items"]
    before = sum(one["ended_at"] is None for one in every)
    dialog = opened(page, site, view_id, advanced=False)
    footer = dialog.locator("[data-footer]")
    expect(footer).to_contain_text("6 training and 4 validation images")
    expect(footer).to_contain_text(f"{before} training")
    expect(footer).to_contain_text("no training of EfficientNet B0 at 224 by 224 px has completed")
    expect(dialog.get_by_label("Epochs", exact=True)).to_have_attribute("placeholder", "6")
    expect(dialog.get_by_label("Architecture")).to_be_hidden()
    dialog.get_by_label("Quick").check()
    expect(dialog.get_by_label("Epochs", exact=True)).to_have_attribute("placeholder", "3")
    expect(footer).to_contain_text("by the 1 training of MobileNet v3 small at 224 by 224 px")
    dialog.get_by_label("Width").fill("32")
    expect(footer).to_contain_text("no training of MobileNet v3 small at 32 by 224 px")
    dialog.get_by_label("Accurate").check()
    expect(dialog.locator("[data-op]")).to_have_count(2)
    dialog.get_by_label("Epochs", exact=True).fill("5")
    with page.expect_request("**/versions") as request:
        dialog.get_by_role("button", name="Start training").click()
    assert request.value.post_data_json == {
        "preset": "accurate",
        "options": {"epochs": 5, "width": 32},
    }
    page.locator("[data-version] th a").first.click()
    changed = page.locator("dd:has([data-changed])")
    assert changed.evaluate_all("all => all.map((one) => one.dataset.option)") == [
        "epochs",
        "patience",
        "width",
        "augmentations",
    ]


def test_a_trainers_form_is_shown_with_its_own_names(site: Scene, page: Page) -> None:
    form = {
        "kinds": ["classification"],
        "settings": [
            {"control": "number", "key": "depth", "default": 3, "least": 1, "label": "Tree depth"},
            {"control": "choice", "key": "solver", "default": "sgd", "choices": ["sgd", "adam"]},
            {"control": "flag", "key": "bagging", "default": True},
            {"control": "text", "key": "note", "default": ""},
        ],
    }
    for name, kinds in (("acme/forest", ["classification"]), ("acme/boxes", ["detection"])):
        site.post("/trainers", form | {"name": name, "kinds": kinds})
    _, view_id = site.trainable()
    dialog = opened(page, site, view_id, advanced=False)
    by = dialog.get_by_label("Trained by")
    assert by.locator("option").all_inner_texts() == ["Stemma", "acme/forest"]
    by.select_option("acme/forest")
    expect(dialog.get_by_label("Quick")).to_be_hidden()
    expect(dialog.locator("[data-footer]")).to_contain_text("in the queue of acme/forest")
    dialog.get_by_label("Tree depth").fill("0")
    dialog.get_by_role("button", name="Start training").click()
    expect(dialog.locator(".field-error:visible")).to_contain_text(
        "depth is 0; it must be at least 1"
    )
    expect(dialog.get_by_label("Tree depth")).to_be_focused()
    dialog.get_by_label("Tree depth").fill("5")
    dialog.get_by_label("bagging").uncheck()
    body = {"trainer": "acme/forest", "settings": {"depth": 5, "bagging": False}}
    with page.expect_request("**/versions") as request:
        dialog.get_by_role("button", name="Start training").click()
    assert request.value.post_data_json == body
    page.locator("[data-version] th a").click()
    expect(page.locator('[data-option="depth"] [data-changed]')).to_have_text("5")
    expect(page.locator('[data-option="solver"]')).to_have_text("sgd")
    expect(page.locator("dl.facts").first).to_contain_text("Tree depth")
    # The same again, with its settings.
    version_id = page.url.rsplit("/", 1)[1]
    site.begin(version_id, 1)
    site.epoch(version_id, 1, of=1)
    site.finish(version_id)
    page.reload()
    page.get_by_role("link", name="Train again with changes").click()
    expect(page.locator("[data-again]")).to_contain_text("With the options of Version 1")
    expect(dialog.locator('[data-of="duration"]')).to_contain_text(
        "by the 1 training of acme/forest"
    )
    with page.expect_request("**/versions") as request:
        dialog.get_by_role("button", name="Start training").click()
    assert request.value.post_data_json == {
        "trainer": "acme/forest",
        "settings": {"depth": 5, "solver": "sgd", "bagging": False},
    }


def test_another_model_is_trained_by_the_same_dialog(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    site.version(view_id)
    site.concepts(view_id, "two")
    dialog = page.get_by_role("dialog")
    show(page, site, f"/views/{view_id}")
    page.get_by_role("button", name="Train model Model 1").click()
    expect(dialog.get_by_role("heading", level=2)).to_have_text("Train Model 1")
    dialog.get_by_role("button", name="Start training").click()
    expect(page.locator("[data-version]")).to_have_count(2)
    expect(page.locator("[data-version]").first).to_contain_text("Model 1")


def test_augmentations_are_put_in_order_by_keyboard(site: Scene, page: Page) -> None:
    view_id = detection_view(site)
    dialog = opened(page, site, view_id)
    entries = dialog.locator("[data-op]")
    expect(entries).to_have_count(1)
    add = dialog.get_by_label("Add", exact=True)
    for label in ("Contrast", "Brightness"):
        add.select_option(label=label)
        add.press("Tab")
        page.keyboard.press("Enter")
    expect(dialog.get_by_label("Maximum change")).to_be_focused()
    page.keyboard.type("0.25")
    up = dialog.get_by_role("button", name="Move Brightness up")
    up.press("Enter")
    expect(up).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("button", name="Move Brightness down")).to_be_focused()
    expect(dialog.locator("fieldset [role=status]")).to_have_text("Brightness is now number 1")
    dialog.get_by_role("button", name="Remove Horizontal flip").press("Enter")
    expect(dialog.get_by_role("button", name="Remove Contrast")).to_be_focused()
    expect(add.locator("option[value=contrast]")).to_be_disabled()
    expect(dialog.get_by_label("Minimum factor")).to_have_attribute("placeholder", "0.8")
    listed = [{"op": "brightness", "max_delta": 0.25}, {"op": "contrast"}]
    assert sent(page, dialog) == {"augmentations": listed}
    link = page.locator("[data-version] th a")
    link.click()
    fact = page.locator('[data-option="augmentations"]')
    expect(fact).to_have_text(
        "Brightness (maximum change 0.25), Contrast (minimum factor 0.8, maximum factor 1.25)"
    )
    expect(page.locator('[data-option="pretrained"]')).to_have_text("Random weights")


def test_a_list_that_is_left_alone_or_emptied(site: Scene, page: Page) -> None:
    view_id = detection_view(site)
    dialog = opened(page, site, view_id)
    dialog.get_by_role("button", name="Remove Horizontal flip").click()
    expect(dialog.locator("[data-none]")).to_be_visible()
    expect(dialog.get_by_label("Add", exact=True)).to_be_focused()
    assert sent(page, dialog) == {"augmentations": []}
    page.wait_for_selector("[data-version]")
    dialog = opened(page, site, view_id)
    assert sent(page, dialog) == {}


def test_a_problem_of_a_parameter_is_shown_at_it(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    dialog = opened(page, site, view_id)
    dialog.get_by_label("Add", exact=True).select_option("random_crop")
    dialog.get_by_role("button", name="Add to Augmentations").click()
    dialog.get_by_label("Minimum area").fill("2")
    assert sent(page, dialog)
    told = page.locator("#train-augmentations-random_crop-min_area-error")
    expect(told).to_contain_text("must be from 0.05 to 1")
    expect(dialog.get_by_label("Minimum area")).to_be_focused()
    dialog.get_by_label("Minimum area").fill("")
    dialog.get_by_label("Add", exact=True).select_option("auto_augment")
    dialog.get_by_role("button", name="Add to Augmentations").click()
    dialog.get_by_role("button", name="Start training").click()
    expect(page.locator("#train-augmentations-error")).to_contain_text("cannot be combined")
    expect(told).to_be_hidden()
    dialog.get_by_role("button", name="Remove Auto-augment").click()
    dialog.get_by_label("Seed").fill("-1")
    dialog.get_by_text("Advanced", exact=True).click()
    expect(dialog.get_by_label("Seed")).to_be_hidden()
    dialog.get_by_role("button", name="Start training").click()
    expect(dialog.get_by_label("Seed")).to_be_focused()
    expect(page.locator("#train-seed-error")).to_contain_text("from 0 to 4294967295")


def test_a_training_goes_on_from_an_earlier_version(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    earlier = ended(site, view_id)
    ended(site, view_id, failed=True)
    site.version(view_id, architecture="resnet18")
    dialog = opened(page, site, view_id)
    start = dialog.get_by_label("Start from")
    expect(start.locator("option")).to_have_count(1)
    dialog.get_by_label("Architecture").select_option("resnet18")
    expect(start.locator("option")).to_have_count(2)
    start.select_option(earlier)
    expect(dialog.get_by_label("Pretrained on")).to_be_hidden()
    dialog.get_by_label("Architecture").select_option("resnet50")
    expect(start.locator("option")).to_have_count(1)
    expect(dialog.get_by_label("Pretrained on")).to_be_visible()
    dialog.get_by_label("Architecture").select_option("resnet18")
    start.select_option(earlier)
    assert sent(page, dialog) == {"architecture": "resnet18", "start_from": earlier}
    page.locator("[data-version] th a").first.click()
    link = page.locator('[data-option="start_from"] a')
    expect(link).to_have_attribute("href", f"/versions/{earlier}")
    link.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Version 1")


def test_weights_at_hand_are_said_when_the_dialog_opens(site: Scene, page: Page) -> None:
    _, view_id = site.trainable()
    show(page, site, f"/views/{view_id}")
    put_weights(site)
    page.get_by_role("button", name="Train", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Advanced", exact=True).click()
    dialog.get_by_label("Architecture").select_option("resnet18")
    first = dialog.get_by_label("Pretrained on").locator("option").first
    expect(first).to_have_text("default (ImageNet)")
    for file in site.settings.weights_folder.iterdir():
        file.unlink()


def test_on_a_phone_no_text_of_a_preset_leaves_its_box(site: Scene, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    dialog = opened(page, site, detection_view(site))
    inside = """box => [...box.querySelectorAll("*")].every((part) =>
      part.getBoundingClientRect().right <= box.getBoundingClientRect().right)"""
    assert dialog.locator(".presets").evaluate(inside)
    page.set_viewport_size({"width": 1300, "height": 900})


@pytest.mark.parametrize("width", [1400, 400])
def test_the_open_form_can_be_read_in_both_schemes(site: Scene, page: Page, width: int) -> None:
    view_id = detection_view(site)
    page.set_viewport_size({"width": width, "height": 900})
    dialog = opened(page, site, view_id)
    for value in ("contrast", "auto_augment"):
        dialog.get_by_label("Add", exact=True).select_option(value)
        dialog.get_by_role("button", name="Add to Augmentations").click()
    dialog.get_by_role("button", name="Start training").click()
    expect(page.locator("#train-augmentations-error")).to_be_visible()
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(CHECKS) == [], f"{scheme} {width}"
