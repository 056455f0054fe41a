"""Suggestions: predicted by a job, ordered by uncertainty, accepted, changed or rejected."""

from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner
from playwright.sync_api import Page, expect

from cli.main import main
from domain.dataset.image import SuggestionAccepted, SuggestionRejected
from domain.training.messages import Failed
from tests.api.evaluation.at_work import SMALL, Work
from tests.api.scene import Scene


class Made(NamedTuple):
    """A view with a ready version, six images without annotation, and one more of the test set."""

    view_id: str
    version_id: str
    concepts: list[str]
    unannotated: list[str]


@pytest.fixture(scope="module")
def work(site: Scene) -> Work:
    return Work(site)


def make(site: Scene, work: Work, name: str, *, request: bool = True) -> Made:
    project_id, view_id = site.trainable(name, images=12)
    version_id = site.version(view_id, **SMALL)
    work.carry_out()
    every = site.images(project_id, 19)
    site.visible()
    query = {"view_id": view_id, "annotated": "false"}
    items = site.http.get(f"/api/v1/projects/{project_id}/images", params=query).json()["items"]
    unannotated = [item["image_id"] for item in items]
    assert set(unannotated) < set(every)
    site.http.put(f"/api/v1/images/{unannotated[-1]}/split", json={"split": "test"})
    concepts = site.http.get(f"/api/v1/views/{view_id}").json()["view"]["concepts"]
    made = Made(view_id, version_id, [c["concept_id"] for c in concepts], unannotated[:-1])
    if request:
        site.post(f"/views/{view_id}/suggestions", {"version_id": version_id})
        work.carry_out()
    return made


def open_of(site: Scene, made: Made, **query: Any) -> dict[str, Any]:
    path = f"/api/v1/views/{made.view_id}/suggestions"
    query.setdefault("at_least", site.store.head())
    found: dict[str, Any] = site.http.get(path, params=query).raise_for_status().json()
    return found


def decided(site: Scene, image_id: str) -> list[object]:
    """The events about suggestions of an image, and the event before each."""
    stream = f"image-{image_id}"
    return [recorded.event for recorded in site.store.streams([stream])[stream]]


def test_images_without_annotation_get_suggestions_and_test_images_none(
    site: Scene, work: Work
) -> None:
    made = make(site, work, "Suggested")
    found = open_of(site, made)
    assert found["request"]["status"] == "done"
    assert found["request"]["images"] == found["count"] == 6
    assert {item["image_id"] for item in found["items"]} == set(made.unannotated)
    for item in found["items"]:
        (one,) = item["annotations"]
        assert one["annotation"]["concept_id"] in made.concepts
        assert 0.5 <= item["score"] == one["score"] <= 1
        assert 0 <= item["entropy"] <= 0.6932
    unsure = [item["entropy"] for item in open_of(site, made, random_share=0)["items"]]
    assert unsure == sorted(unsure, reverse=True)
    orders = {
        tuple(item["image_id"] for item in open_of(site, made, random_share=1, seed=n)["items"])
        for n in range(4)
    }
    assert len(orders) > 1, "the seed decides"
    assert all(set(order) == set(made.unannotated) for order in orders)


def test_accepting_changing_and_rejecting_is_told_by_events(site: Scene, work: Work) -> None:
    made = make(site, work, "Decided")
    path = f"/api/v1/views/{made.view_id}/suggestions"
    by_id = {item["image_id"]: item for item in open_of(site, made)["items"]}
    same, changed, rejected, bulk, by_hand, _ = made.unannotated

    def body(image_id: str, *, other: bool = False) -> dict[str, Any]:
        concept = by_id[image_id]["annotations"][0]["annotation"]["concept_id"]
        others = [each for each in made.concepts if each != concept]
        return {"annotations": [{"concept_id": others[0] if other else concept}]}

    for image, other in ((same, False), (changed, True)):
        url = f"{path}/{image}/annotations"
        site.http.put(url, json=body(image, other=other)).raise_for_status()
        assert decided(site, image)[-1] == SuggestionAccepted(made.view_id, made.version_id, other)
    site.post(f"/views/{made.view_id}/suggestions/reject", {"image_ids": [rejected]})
    assert decided(site, rejected)[-1] == SuggestionRejected(made.view_id, made.version_id)
    site.post(f"/views/{made.view_id}/suggestions/accept", {"image_ids": [bulk]})
    assert decided(site, bulk)[-1] == SuggestionAccepted(made.view_id, made.version_id, False)
    url = f"/api/v1/images/{by_hand}/annotations/{made.view_id}"
    site.http.put(url, json=body(by_hand)).raise_for_status()
    assert not isinstance(decided(site, by_hand)[-1], SuggestionAccepted)
    found = open_of(site, made)
    assert found["count"] == 1
    assert found["outcomes"] == {
        "accepted": 2,
        "changed": 1,
        "rejected": 1,
        "accepted_unchanged": pytest.approx(2 / 3),
    }
    refused = site.http.put(f"{path}/{same}/annotations", json=body(same))
    assert (refused.status_code, "no suggestion is open" in refused.text) == (409, True)
    trail = site.http.get("/api/v1/audit/trail", params={"version": made.version_id}).json()
    words = [entry["what"] for entry in trail["items"]]
    assert any("were proposed by" in one and "accepted, changed first" in one for one in words)
    assert any("suggests annotations for 6 images" in one for one in words)


def test_in_bulk_those_above_a_score_are_accepted(site: Scene, work: Work) -> None:
    made = make(site, work, "Bulk")
    scores = sorted(item["score"] for item in open_of(site, made)["items"])
    path = f"/api/v1/views/{made.view_id}/suggestions/accept"
    refused = site.http.post(path, json={"least_score": 1.0})
    assert (refused.status_code, "lower one" in refused.text) == (409, True)
    site.http.post(path, json={"least_score": scores[2]}).raise_for_status()
    left = open_of(site, made)
    assert left["count"] == sum(score < scores[2] for score in scores)
    both = site.http.post(path, json={"least_score": 0.5, "image_ids": ["x"]})
    assert both.status_code == 422
    for what in ("accept", "reject"):
        at = f"/api/v1/views/{made.view_id}/suggestions/{what}"
        unknown = site.http.post(at, json={"image_ids": ["x"]})
        assert (unknown.status_code, "for image 'x'" in unknown.text) == (409, True)
        none = site.http.post(at, json={"image_ids": []})
        assert 400 <= none.status_code < 500
        too_many = site.http.post(at, json={"image_ids": ["x"] * 1001})
        assert (too_many.status_code, too_many.json()["errors"][0]["field"]) == (422, "image_ids")


def test_what_cannot_be_suggested_is_refused_by_name(site: Scene, work: Work) -> None:
    made = make(site, work, "Refused suggestions", request=False)
    path = f"/api/v1/views/{made.view_id}/suggestions"
    queued = site.version(made.view_id, **SMALL)
    refused = site.http.post(path, json={"version_id": queued})
    assert (refused.status_code, "only a ready one makes suggestions" in refused.text) == (
        409,
        True,
    )
    site.http.post(f"/api/v1/versions/{queued}/cancel").raise_for_status()
    other = site.view(site.project("Elsewhere"))
    refused = site.http.post(
        f"/api/v1/views/{other}/suggestions", json={"version_id": made.version_id}
    )
    assert (refused.status_code, "belongs to another view" in refused.text) == (422, True)
    site.http.post(path, json={"version_id": made.version_id}).raise_for_status()
    refused = site.http.post(path, json={"version_id": made.version_id})
    assert (refused.status_code, "already running" in refused.text) == (409, True)
    (job,) = work.pending()
    work.report(job, [Failed("1 image cannot be used")])
    site.visible()
    found = open_of(site, made)
    assert (found["request"]["status"], found["count"]) == ("failed", 0)
    said = [{"image_id": each, "annotations": [{"concept_id": made.concepts[0]}]}
            for each in made.unannotated]  # fmt: skip
    site.post(f"/views/{made.view_id}/annotations", {"images": said})
    refused = site.http.post(path, json={"version_id": made.version_id})
    assert (refused.status_code, "every image of the view is annotated" in refused.text) == (
        409,
        True,
    )


def test_a_suggestion_that_is_out_of_date_is_refused(site: Scene, work: Work) -> None:
    """Whoever annotates the image in between is not overwritten."""
    from application.handle import Request, handle
    from application.training.suggestions import decide_suggestions
    from domain.dataset.image import AnnotateImage, Annotation
    from domain.dataset.suggestions import AcceptSuggestion
    from domain.errors import Conflict

    made = make(site, work, "Overtaken")
    image = made.unannotated[0]
    wanted = AnnotateImage(made.view_id, (Annotation(made.concepts[0]),))
    command = AcceptSuggestion(made.version_id, wanted, wanted)
    url = f"/api/v1/images/{image}/annotations/{made.view_id}"
    body = {"annotations": [{"concept_id": made.concepts[1]}]}
    site.http.put(url, json=body).raise_for_status()
    request = Request(actor="ada", command_id="late", correlation_id="late")
    with pytest.raises(Conflict, match="is now annotated in view"):
        handle(
            site.store,
            request,
            lambda session: decide_suggestions(session, made.view_id, [(image, command)]),
        )


def test_commands_request_list_and_accept(site: Scene, work: Work) -> None:
    made = make(site, work, "Commanded suggestions", request=False)
    settings = site.environment | {"STEMMA_DATA": str(site.settings.data), "COLUMNS": "400"}

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["suggestions", *arguments], env=settings)
        assert done.exit_code == 0, done.output
        return done.output

    assert "for 6 images" in run("request", made.view_id, made.version_id)
    work.carry_out()
    assert "6 open; 0 accepted" in run("list", made.view_id, "--by", "margin")
    assert "0 open; 6 accepted" in run("accept", made.view_id, "--least", "0.1")


def test_the_annotator_shows_accepts_changes_and_rejects(
    site: Scene, work: Work, page: Page
) -> None:
    made = make(site, work, "Annotated by suggestion")
    by_id = {item["image_id"]: item for item in open_of(site, made)["items"]}
    page.goto(f"/views/{made.view_id}/annotate?queue=entropy")
    suggestion = page.locator("[data-suggestion]")

    def shown() -> str:
        """The image that is shown, once its suggestion is."""
        expect(suggestion).to_be_visible()
        return parse_qs(urlsplit(page.url).query)["image"][0]

    page.wait_for_url("**image=**")
    first = shown()
    one = by_id[first]["annotations"][0]
    button = page.locator(f"[data-says='{one['annotation']['concept_id']}']")
    expect(button).to_have_class("suggested")
    expect(button).to_have_attribute("data-score", f"{round(100 * one['score'])}%")
    page.keyboard.press("=")
    page.wait_for_url(lambda url: first not in url)
    second = shown()
    concept = by_id[second]["annotations"][0]["annotation"]["concept_id"]
    (other,) = (each for each in made.concepts if each != concept)
    page.locator(f"[data-says='{other}']").click()
    page.wait_for_url(lambda url: second not in url)
    third = shown()
    page.keyboard.press("!")
    page.wait_for_url(lambda url: third not in url)
    shown()

    def outcomes() -> Any:
        return open_of(site, made)["outcomes"]

    expect(page.locator("[data-part='suggestion-outcomes']")).to_contain_text(
        "1 accepted unchanged, 1 changed, 1 rejected"
    )
    assert outcomes()["accepted_unchanged"] == 0.5
    page.get_by_label("Accept all with a score of at least").fill("0.1")
    page.get_by_role("button", name="Accept suggestions").click()
    page.locator("dialog[open]").get_by_role("button", name="Accept suggestions").click()
    expect(page.locator("[data-part='suggestion-outcomes']")).to_contain_text("4 accepted")
    assert open_of(site, made)["count"] == 0

    page.goto(f"/views/{made.view_id}?at_least={site.store.head()}")
    page.get_by_role("button", name="Train", exact=True).click()
    page.locator("dialog[open]").get_by_role("button", name="Start training").click()
    page.wait_for_url("**#version-*")
    work.pending()  # its dataset is frozen; nobody trains it
    trained_on = site.http.get(
        f"/api/v1/versions/{urlsplit(page.url).fragment.removeprefix('version-')}",
        params={"at_least": site.store.head()},
    ).json()["version"]
    before = site.http.get(f"/api/v1/versions/{made.version_id}").json()["version"]
    splits = ("train_images", "validation_images")
    assert sum(trained_on[split] - before[split] for split in splits) == 5


def test_boxes_are_suggested_dashed_and_accepted_by_a_key(
    site: Scene, work: Work, page: Page
) -> None:
    project_id = site.project("Boxes suggested")
    kind = {"name": "Where", "kind": "detection"}
    view_id = str(site.post(f"/projects/{project_id}/views", kind)["id"])
    cat, dog = site.concepts(view_id, "cat", "dog")
    images = site.images(project_id, 5)
    box = {"x": 0.1, "y": 0.2, "width": 0.6, "height": 0.5}
    annotated = [
        {"image_id": image, "annotations": [{"concept_id": concept, "box": box}]}
        for image, concept in zip(images[:4], (cat, dog) * 2, strict=True)
    ]
    site.post(f"/views/{view_id}/annotations", {"images": annotated})
    for image in images[:2]:
        site.http.put(f"/api/v1/images/{image}/split", json={"split": "validation"})
    small = {"architecture": "ssdlite320_mobilenet_v3_large", "width": 64, "height": 64}
    version_id = site.version(view_id, **small, epochs=1, batch_size=2, pretrained="none")
    work.carry_out()
    site.post(f"/views/{view_id}/suggestions", {"version_id": version_id})
    work.carry_out()
    # Hardly trained, it is sure of nothing: the thresholds are lowered after the prediction.
    path = f"/api/v1/versions/{version_id}/evaluation/thresholds"
    site.http.put(path, json={cat: 0.01, dog: 1}).raise_for_status()
    made = Made(view_id, version_id, [cat, dog], images[4:])
    (suggested,) = open_of(site, made)["items"]
    boxes = [each["annotation"] for each in suggested["annotations"]]
    assert boxes
    assert {each["concept_id"] for each in boxes} == {cat}
    page.goto(f"/views/{view_id}/annotate")
    expect(page.locator("[data-suggestion]")).to_be_visible()
    expect(page.locator("[data-frame] rect.suggested")).to_have_count(len(boxes))
    page.keyboard.press("=")
    expect(page.locator("[data-annotate]")).to_have_attribute("data-state", "saved")
    site.visible()
    found = site.http.get(f"/api/v1/images/{images[4]}", params={"view_id": view_id}).json()
    assert len(found["image"]["annotations"]) == len(boxes)
    assert decided(site, images[4])[-1] == SuggestionAccepted(view_id, version_id, False)
