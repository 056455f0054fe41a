"""The pages of evaluation and comparison in a real browser, and as documents."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from domain.training.messages import CheckpointSaved, EpochMetrics
from tests.api.evaluation.scene import (
    Asked,
    ask,
    evaluated,
    finish,
    some_boxes,
    some_labels,
    trained,
)
from tests.api.pages.test_html import NASTY, get
from tests.api.pages.test_pages import CHARTS_FOLLOW, CHECKS, SCHEMES, page, profile, show
from tests.api.scene import Scene
from tests.waiting import HANG_SECONDS

__all__ = ["page", "profile"]

Made = tuple[Asked, str]


@pytest.fixture(scope="module")
def classified(site: Scene) -> Made:
    asked = ask(site, "classification", ("zero", NASTY, "two"))
    version_id = evaluated(site, asked, some_labels(asked.images), kind="classification")
    site.visible()
    # The first evaluation of a process imports scikit-learn, which a cold disk gives slowly.
    site.http.get(
        f"/api/v1/versions/{version_id}/evaluation", timeout=HANG_SECONDS
    ).raise_for_status()
    return asked, version_id


@pytest.fixture(scope="module")
def detected(site: Scene) -> Made:
    asked = ask(site, "detection")
    return asked, evaluated(site, asked, some_boxes(asked.images), kind="detection")


def shown(page: Page) -> list[str]:
    return [str(one.get_attribute("data-image")) for one in page.locator("[data-image]").all()]


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


@pytest.mark.usefixtures("classified")
def test_a_threshold_is_tried_out_and_saved(site: Scene, page: Page) -> None:
    asked = ask(site, "classification")
    version_id = evaluated(site, asked, some_labels(asked.images), kind="classification")
    zero = asked.concepts[0]
    show(page, site, f"/versions/{version_id}/evaluation")
    row = page.locator(f'[data-concept="{zero}"]')
    precision = row.locator('[data-label="Precision"]')
    expect(precision).to_have_text("50.0%")
    head = site.store.head()
    slider = row.get_by_label("Threshold of zero", exact=True)
    slider.focus()
    slider.evaluate(
        "one => { one.value = 0.6; one.dispatchEvent(new Event('input', {bubbles: true})) }"
    )
    expect(precision).to_have_text("100.0%")
    expect(page.get_by_text("Preview: nothing is recorded yet")).to_be_visible()
    assert query(page)["threshold"] == [f"{zero}:0.6"]
    expect(page.locator("[data-image] .outcome").nth(1)).to_have_text("unsure")
    assert site.store.head() == head
    page.get_by_role("button", name="Undo").click()
    expect(precision).to_have_text("50.0%")
    assert "threshold" not in query(page)
    row.get_by_role("button", name="Use 0.7 for zero").click()
    expect(precision).to_have_text("100.0%")
    page.reload()
    expect(row.get_by_label("Threshold of zero as a number")).to_have_value("0.7")
    page.get_by_role("button", name="Save thresholds").click()
    expect(page.get_by_text("Preview: nothing is recorded yet")).to_have_count(0)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    expect(precision).to_have_text("100.0%")
    assert "threshold" not in query(page)
    assert site.store.head() == head + 1
    page.reload()
    expect(row.get_by_label("Threshold of zero as a number")).to_have_value("0.7")


def await_image(page: Page, place: str) -> None:
    """Until the page of an image is there, and its script, without which a key does nothing."""
    expect(page.get_by_text(place)).to_be_visible()
    page.wait_for_load_state()


def test_the_gallery_is_filtered_and_walked_by_keyboard(
    site: Scene, page: Page, classified: Made
) -> None:
    asked, version_id = classified
    show(page, site, f"/versions/{version_id}/evaluation")
    assert shown(page) == asked.images[:4]
    page.wait_for_function("() => document.querySelector('[data-image] img').naturalWidth === 8")
    page.get_by_role("link", name="Misclassified").click()
    expect(page.locator("[data-image]")).to_have_count(2)
    assert query(page) == {"show": ["misclassified"]}
    page.get_by_label("Sort").select_option("highest")
    expect(page.locator("[data-image]").first).to_have_attribute("data-image", asked.images[1])
    assert query(page) == {"show": ["misclassified"], "sort": ["highest"]}
    page.locator("[data-image] a").first.focus()
    page.keyboard.press("Enter")
    await_image(page, "1 of 2")
    page.keyboard.press("ArrowRight")
    await_image(page, "2 of 2")
    assert asked.images[3] in page.url
    page.keyboard.press("ArrowLeft")
    await_image(page, "1 of 2")
    page.keyboard.press("Escape")
    expect(page.locator("[data-image]")).to_have_count(2)
    page.get_by_role("link", name="Show all images").click()
    expect(page.locator("[data-image]")).to_have_count(4)
    page.get_by_role("link", name="Training", exact=True).click()
    expect(page.locator("[data-image]")).to_have_count(6)
    page.get_by_role("link", name="Misclassified").click()
    expect(page.locator("[data-empty=gallery]")).to_contain_text("No errors of this kind")


def test_a_cell_of_the_confusion_matrix_leads_to_its_images(
    site: Scene, page: Page, classified: Made
) -> None:
    asked, version_id = classified
    show(page, site, f"/versions/{version_id}/evaluation")
    page.get_by_role("link", name=f"1 image of {NASTY} predicted as zero").click()
    expect(page.locator("[data-image]")).to_have_count(1)
    assert shown(page) == [asked.images[1]]
    assert query(page) == {"actual": [asked.concepts[1]], "predicted": [asked.concepts[0]]}
    assert page.locator('img[src="x"]').count() == 0


def test_a_curve_is_drawn_with_its_threshold(site: Scene, page: Page, classified: Made) -> None:
    _, version_id = classified
    show(page, site, f"/versions/{version_id}/evaluation")
    page.wait_for_selector("[data-curve][data-points]")
    expect(page.locator("[data-curve] [data-latest]")).to_contain_text("average precision")
    x = page.eval_on_selector("[data-curve] .plot", "plot => plot.data[1].x[0]")
    page.get_by_label("Threshold of zero as a number").fill("1")
    page.wait_for_function(
        f"() => document.querySelector('[data-curve] .plot').data[1].x[0] !== {x}"
    )


def test_boxes_are_drawn_over_the_thumbnails(site: Scene, page: Page, detected: Made) -> None:
    _, version_id = detected
    show(page, site, f"/versions/{version_id}/evaluation")
    items = page.locator("[data-image]")
    expect(items).to_have_count(4)
    drawn = [
        {
            kind: item.locator(f"svg .{kind}").count()
            for kind in ("right", "wrong", "missed", "true")
        }
        for item in items.all()
    ]
    assert drawn == [
        {"right": 1, "wrong": 0, "missed": 0, "true": 1},
        {"right": 1, "wrong": 1, "missed": 0, "true": 1},
        {"right": 1, "wrong": 0, "missed": 1, "true": 1},
        {"right": 0, "wrong": 1, "missed": 1, "true": 0},
    ]
    over = page.eval_on_selector(
        "[data-image] .shot",
        """shot => {
          const [image, svg] = [shot.querySelector("img"), shot.querySelector("svg")];
          const [one, other] = [image.getBoundingClientRect(), svg.getBoundingClientRect()];
          return Math.abs(one.width - other.width) + Math.abs(one.height - other.height);
        }""",
    )
    assert over < 1
    page.get_by_role("link", name="False negatives", exact=True).click()
    expect(items).to_have_count(2)
    # COCO's figures come a moment later, by themselves.
    expect(page.locator('[data-label="AP .50:.95"]').first).to_have_text(re.compile(r"\d%"))


def test_an_image_that_has_left_the_project_leaves_its_answers(site: Scene) -> None:
    asked = ask(site, "classification")
    version_id = evaluated(site, asked, some_labels(asked.images), kind="classification")
    site.http.delete(f"/api/v1/images/{asked.images[0]}").raise_for_status()
    site.visible()
    text = get(site, f"/versions/{version_id}/evaluation")
    assert "an image that is no longer in the project" in text
    assert "no longer in the project" in get(
        site, f"/versions/{version_id}/evaluation/images/{asked.images[0]}"
    )


def test_versions_are_compared(site: Scene, page: Page) -> None:
    asked = ask(site, "classification")
    first = evaluated(site, asked, some_labels(asked.images), kind="classification", seed=1)
    show(page, site, f"/versions/{first}/compare")
    expect(page.locator("[data-empty]")).to_contain_text("Train another one")
    rows = some_labels(asked.images)
    rows[0]["scores"], rows[1]["scores"] = [0.2, 0.7, 0.1], [0.2, 0.7, 0.1]
    second = evaluated(site, asked, rows, kind="classification", seed=2, validation_set="another")
    show(page, site, f"/views/{asked.view_id}")
    page.get_by_label("Actions of version 1").click()
    page.get_by_role("link", name="Compare version 1").click()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Version 1 and Version 2")
    assert page.url.endswith(f"/versions/{first}/compare/{second}")
    expect(page.locator("[data-warning]")).to_contain_text("different images")
    expect(page.locator('[data-option="Seed"]')).to_have_text(re.compile(r"Seed\s*1\s*2"))
    assert shown(page) == asked.images[:2]
    # Each value has a cell and headings of its own.
    concept = page.locator("tr[data-part^=concept-]").first
    assert all(len(text.split()) == 1 for text in concept.locator("td").all_inner_texts())
    expect(concept.locator("td")).to_have_count(12)
    expect(page.get_by_role("columnheader", name="Difference")).to_have_count(5)
    page.get_by_role("link", name="Broken 1").click()
    expect(page.locator("[data-image]")).to_have_count(1)
    assert shown(page) == [asked.images[0]]
    page.get_by_role("link", name="Swap").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Version 2 and Version 1")
    expect(page.locator("[data-image]")).to_have_count(1)
    assert shown(page) == [asked.images[1]]


def test_the_best_other_version_is_proposed_to_compare_with(site: Scene) -> None:
    _, view_id = site.trainable("Best other")
    versions = []
    for held_out in (0.9, 0.3, 0.6):
        versions.append(site.version(view_id))
        site.begin(versions[-1])
        site.epoch(versions[-1], 1, held_out=held_out)
        site.finish(versions[-1])
    site.visible()
    _, best, newest = versions
    assert re.findall(r'value="([^"]+)" selected', get(site, f"/versions/{newest}/compare")) == [
        best
    ]


def test_every_page_can_be_read_and_steered_in_both_schemes(
    site: Scene, page: Page, classified: Made, detected: Made
) -> None:
    asked, version_id = classified
    other = evaluated(site, asked, some_labels(asked.images), kind="classification", seed=5)
    boxed = evaluated(site, detected[0], some_boxes(detected[0].images), kind="detection", seed=5)
    waiting = trained(site, asked.view_id, "v")
    site.visible()
    ready = "[data-curve][data-points]"
    paths = {
        f"/versions/{version_id}/evaluation?threshold=0.6": ready,
        f"/versions/{detected[1]}/evaluation": ready,
        f"/versions/{version_id}/evaluation/images/{asked.images[1]}": ".shot",
        f"/versions/{detected[1]}/evaluation/images/{detected[0].images[3]}": ".shot",
        f"/versions/{version_id}/compare": "h1",
        f"/versions/{version_id}/compare/{other}": "h1",
        f"/versions/{detected[1]}/compare/{boxed}": "h1",
        f"/versions/{version_id}/compare/{boxed}": "h1",
        f"/versions/{waiting}/evaluation": "[data-empty]",
    }
    for path, there in paths.items():
        page.goto(path)
        page.wait_for_selector(there)
        for width in (1400, 400):
            page.set_viewport_size({"width": width, "height": 900})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                page.wait_for_function(CHARTS_FOLLOW)
                assert page.evaluate(CHECKS) == [], f"{path} {scheme} {width}"


def test_on_a_phone_the_metrics_scroll_and_no_word_is_broken(
    page: Page, site: Scene, classified: Made
) -> None:
    _, version_id = classified
    page.set_viewport_size({"width": 390, "height": 800})
    show(page, site, f"/versions/{version_id}/evaluation")
    box = page.locator('[aria-labelledby="figures-title"][role="group"]')
    heights = "box => [...box.querySelectorAll('th, td')].map((cell) => cell.offsetHeight)"
    assert max(box.evaluate(heights)) < 40, "each cell is one line"
    assert box.evaluate("box => getComputedStyle(box).overflowX") == "auto"
    box.evaluate("box => box.scrollTo(box.scrollWidth, 0)")
    last = box.get_by_role("columnheader", name="Calibration error").bounding_box()
    assert last is not None
    assert last["x"] + last["width"] <= 390


def test_a_version_without_an_evaluation_says_what_to_do(site: Scene) -> None:
    asked = ask(site, "classification")
    version_id = trained(site, asked.view_id, "v")
    for what in ("evaluation", "compare"):
        text = get(site, f"/versions/{version_id}/{what}")
        assert "has not been evaluated" in text
        assert "See its progress" in text
    finish(site, version_id, "ef" * 32)
    site.visible()
    assert "erased" in get(site, f"/versions/{version_id}/evaluation", 410)
    assert "version not found" in get(site, "/versions/nobody/evaluation", 404)


def test_a_detection_is_told_by_its_map(site: Scene) -> None:
    asked = ask(site, "detection")
    version_id = trained(site, asked.view_id, "v")
    site.report(
        version_id,
        EpochMetrics(1, 10, 0.5, None, 0.375),
        CheckpointSaved("ab" * 32, 1000, "validation_mean_average_precision", 0.375, 2),
    )
    text = get(site, f"/versions/{version_id}")
    assert "Validation mAP" in text
    assert "37.5%" in text
    assert "mAP (validation)" in text
    assert "as COCO defines it, at IoU thresholds from 0.50 to 0.95" in text
    assert "Accuracy (validation)" not in text
    library = get(site, f"/views/{asked.view_id}")
    assert "Validation mAP of the saved checkpoint" in library
    assert "37.5%" in library
    series = site.http.get(f"/api/v1/versions/{version_id}/metrics").json()["series"]
    assert [one["metric"] for one in series] == [
        "validation_loss",
        "validation_mean_average_precision",
    ]


def test_the_address_of_a_page_is_checked(site: Scene, classified: Made) -> None:
    _, version_id = classified
    for bad in ("show=x", "concept=x", "cursor=x", "before=99", "threshold=2", "split=all"):
        refused = site.http.get(
            f"/versions/{version_id}/evaluation?{bad}", headers={"Accept": "text/html"}
        )
        assert refused.status_code == 422, bad
        assert "text/html" in refused.headers["content-type"]


def test_a_label_error_is_corrected_in_two_clicks_and_leads_back(
    site: Scene, page: Page, classified: Made
) -> None:
    _, version_id = classified
    page.goto(f"/versions/{version_id}/evaluation?show=misclassified")
    wrong = page.locator("[data-image]").first
    image_id = str(wrong.get_attribute("data-image"))
    wrong.get_by_role("link", name="Edit annotation").click()
    expect(page.locator("[data-annotate]")).to_have_attribute("data-state", "saved")
    page.locator("[data-says][aria-pressed=false]").first.click()
    page.wait_for_url(f"**/versions/{version_id}/evaluation?show=misclassified*")
    expect(page.locator("[data-image]")).to_have_count(2)
    at = site.store.head()
    query = f"view_id={page_view(site, version_id)}&at_least={at}"
    image = site.http.get(f"/api/v1/images/{image_id}?{query}").json()["image"]
    assert image["changed_by"] == "administrator"
    assert image["revision"] > 1


def test_the_worst_errors_of_a_version_lead_to_the_annotation_and_back(
    site: Scene, page: Page
) -> None:
    asked = ask(site, "classification")
    version_id = evaluated(site, asked, some_labels(asked.images), kind="classification")
    show(page, site, f"/versions/{version_id}")
    worst = page.locator("#worst [data-image]")
    expect(worst).to_have_count(2)
    assert shown(page) == [asked.images[1], asked.images[3]]
    expect(worst.first).to_contain_text("true one")
    expect(worst.first).to_contain_text("predicted zero 0.50")
    expect(page.get_by_role("link", name="All 2 images with errors")).to_have_attribute(
        "href", f"/versions/{version_id}/evaluation?show=misclassified&sort=highest#gallery"
    )
    heights = "links => links.map((link) => link.offsetHeight)"
    assert max(worst.get_by_role("link", name="Edit annotation").evaluate_all(heights)) < 40
    code = "codes => codes.every((code) => code.offsetWidth <= code.closest('section').offsetWidth)"
    assert page.locator("#use pre").evaluate_all(code)
    # Two clicks.
    worst.first.get_by_role("link", name="Edit annotation").click()
    expect(page.locator("[data-annotate]")).to_have_attribute("data-state", "saved")
    page.locator(f"[data-says='{asked.concepts[0]}']").click()
    page.wait_for_url(f"**/versions/{version_id}*#worst")
    expect(worst).to_have_count(2)
    query = f"view_id={asked.view_id}&at_least={site.store.head()}"
    image = site.http.get(f"/api/v1/images/{asked.images[1]}?{query}").json()["image"]
    assert [each["concept_id"] for each in image["annotations"]] == asked.concepts[:1]


def page_view(site: Scene, version_id: str) -> str:
    """The view of a version."""
    return str(site.http.get(f"/api/v1/versions/{version_id}").json()["version"]["view_id"])
