"""Suspects over HTTP: the list of a version, CSV, decisions, and what became of labels."""

import csv
import io
import json
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from adapters.processes.processes import wait_until
from cli.main import main
from domain.training.messages import ConceptLabel
from stemma_client import Stemma
from tests.api.evaluation.scene import Asked, finish, predictions, row, trained
from tests.api.evaluation.scene import ask as ask_of_kind
from tests.api.flip_book.scene import recorded
from tests.api.scene import KEY, Scene, png
from tests.waiting import HANG_SECONDS

IMAGES, TRAIN = 24, 6
TRUTH = np.arange(IMAGES, dtype=np.int32) % 3
LABELS = ("zero", "one", "two")


def columns(wrong: dict[int, tuple[int, float]]) -> dict[str, Any]:
    """Measurements in which some images are predicted wrongly: the concept, and the margin."""
    predicted, margin = TRUTH.copy(), np.full(IMAGES, 2.0, np.float32)
    for image, (concept, less) in wrong.items():
        predicted[image], margin[image] = concept, less
    probability = 1 / (1 + np.exp(-margin))
    loss = -np.log(probability)
    return {
        "concept": TRUTH,
        "predicted": predicted,
        "probability": probability,
        "margin": margin,
        "loss": loss,
    }


EPOCHS = [
    columns({1: (0, -3), 2: (0, -2)}),
    columns({1: (0, -3), 2: (1, -2)}),
    columns({1: (2, -1)}),
]


def ask(site: Scene, name: str, first: int = 0) -> Asked:
    """A project with images that no other one has if `first` is a number of their own."""
    project_id = site.project(name)
    view_id = site.view(project_id)
    concepts = site.concepts(view_id, *LABELS)
    files = [("files", (f"{n}.png", png(first + n), "image/png")) for n in range(IMAGES)]
    uploaded = site.http.post(f"/api/v1/projects/{project_id}/images", files=files)
    images = [str(image) for image in uploaded.json()["ids"]]
    site.post(f"/views/{view_id}/annotations", {"images": said(images, concepts)})
    for image in images[TRAIN:]:
        site.http.put(f"/api/v1/images/{image}/split", json={"split": "validation"})
    return Asked(project_id, view_id, concepts, images)


def said(images: list[str], concepts: list[str]) -> list[dict[str, Any]]:
    return [
        {"image_id": image, "annotations": [{"concept_id": concepts[concept]}]}
        for image, concept in zip(images, TRUTH.tolist(), strict=True)
    ]


def evaluate(
    site: Scene, asked: Asked, version_id: str, truth: dict[int, int] | None = None
) -> None:
    """Predictions of 0 and 1 for images 7 and 11, the first more surely: not their first labels."""
    rows = []
    for number, image in enumerate(asked.images):
        predicted = {7: 0, 11: 1}.get(number, int(TRUTH[number]))
        sure = {7: 0.96, 11: 0.9}.get(number, 0.9)
        scores = [sure if c == predicted else (1 - sure) / 2 for c in range(3)]
        split = "train" if number < TRAIN else "validation"
        true = (truth or {}).get(number, int(TRUTH[number]))
        rows.append(row(image, split, [true], scores))
    known = site.http.get(f"/api/v1/versions/{version_id}").json()["version"]["concepts"]
    concepts = msgspec.convert(known, list[ConceptLabel])
    finish(site, version_id, predictions(site, "classification", concepts, rows))
    site.visible()


def get(site: Scene, version_id: str, path: str = "", status: int = 200, **query: Any) -> Any:
    response = site.http.get(f"/api/v1/versions/{version_id}/suspects{path}", params=query)
    assert response.status_code == status, response.text
    return response.json()


def complete(site: Scene, version_id: str, **query: Any) -> Any:
    """The list, once cleanlab has looked at the validation images."""
    view: Any = None

    def computed() -> bool:
        nonlocal view
        view = get(site, version_id, **query)
        return bool(view["complete"])

    assert wait_until(computed, HANG_SECONDS)
    return view


def numbers(asked: Asked, view: Any) -> list[int]:
    return [asked.images.index(item["image_id"]) for item in view["items"]]


def decide(site: Scene, version_id: str, item: str, **body: Any) -> Any:
    path = f"/api/v1/versions/{version_id}/suspects/{item}/decision"
    return site.http.put(path, json=body)


@pytest.fixture(scope="module")
def suspected(site: Scene) -> tuple[Asked, str]:
    asked = ask(site, "Suspects")
    version_id = recorded(site, asked, "classification", EPOCHS)
    site.visible()
    evaluate(site, asked, version_id)
    return asked, version_id


def test_the_package_shows_suspects_and_errors_in_a_notebook(
    site: Scene, suspected: tuple[Asked, str]
) -> None:
    complete(site, suspected[1])
    with Stemma(site.url, KEY) as client:
        run = client.version(suspected[1])
        assert run.suspects._repr_html_().count("data:image/webp;base64") == 4
        assert "data:image/webp;base64" in run.evaluation._repr_html_()


def test_suspects_are_ranked_with_their_reasons(site: Scene, suspected: tuple[Asked, str]) -> None:
    asked, version_id = suspected
    view = complete(site, version_id)
    assert numbers(asked, view) == [1, 7, 2, 11]
    assert [(item["split"], item["rank"]) for item in view["items"]] == [
        ("train", 1),
        ("validation", 1),
        ("train", 2),
        ("validation", 2),
    ]
    never, sure, later, _ = view["items"]
    assert never["reason"] == "predicted 'zero' in 2 of 3 epochs, never learned"
    assert never["score"] == pytest.approx(-7 / 3, abs=1e-6)
    assert (never["label"], never["measure"]) == ("one", "aum")
    assert later["reason"] == "predicted 'one' in 1 of 3 epochs, learned in epoch 3" or (
        later["reason"] == "predicted 'zero' in 1 of 3 epochs, learned in epoch 3"
    )
    assert sure["reason"] == "the saved checkpoint predicts 'zero' with 0.96, 'one' with 0.02"
    assert sure["suggestion"]["label"] == "zero"
    assert sure["file_name"].endswith(".png")
    assert view["counts"] == {"open": 4, "unsure": 0, "upheld": 0, "corrected": 0, "changed": 0}
    queries: list[tuple[dict[str, Any], list[int]]] = [
        ({"split": "validation"}, [7, 11]),
        ({"concept": asked.concepts[2]}, [2, 11]),
        ({"image": asked.images[7]}, [7]),
        ({"sort": "concept"}, [1, 7, 2, 11]),
        ({"state": "unsure"}, []),
    ]
    for query, expected in queries:
        assert numbers(asked, get(site, version_id, **query)) == expected, query
    first = get(site, version_id, limit=3)
    second = get(site, version_id, limit=3, cursor=first["next"])
    assert numbers(asked, first) + numbers(asked, second) == [1, 7, 2, 11]
    assert (second["next"], second["count"]) == (None, 4)
    assert get(site, version_id, status=422, concept="none")["errors"][0]["field"] == "concept"
    one = get(site, version_id, f"/{asked.images[7]}")["item"]
    assert one == sure
    assert "no suspect 'x'" in get(site, version_id, "/x", status=404)["detail"]


def test_decisions_stay_with_the_label(site: Scene, suspected: tuple[Asked, str]) -> None:
    asked, version_id = suspected
    never, sure, later = (asked.images[number] for number in (1, 7, 2))
    before = site.store.head()
    complete(site, version_id)
    ada = site.person("ada", "annotator")
    path = f"/api/v1/versions/{version_id}/suspects/{never}/decision"
    assert ada.put(path, json={"decision": "upheld"}).is_success
    assert decide(site, version_id, never, decision="upheld").json()["revision"] == 3
    assert decide(site, version_id, later, decision="unsure").is_success
    corrected = decide(site, version_id, sure, decision="corrected")
    assert corrected.json()["revision"] == 5
    site.visible()
    assert numbers(asked, get(site, version_id)) == [11]
    assert numbers(asked, get(site, version_id, state="all")) == [1, 7, 2, 11]
    upheld = get(site, version_id, state="upheld")["items"][0]
    assert (upheld["decision"]["decided_by"], upheld["state"]) == ("ada", "upheld")
    assert numbers(asked, get(site, version_id, state="unsure")) == [2]
    assert numbers(asked, get(site, version_id, state="corrected")) == [7]
    image = site.http.get(f"/api/v1/images/{sure}", params={"view_id": asked.view_id}).json()
    assert image["image"]["annotations"][0]["concept_id"] == asked.concepts[0]
    assert image["image"]["revision"] == 5
    assert numbers(asked, get(site, version_id, as_of=before)) == [1, 7, 2, 11]

    again = decide(site, version_id, sure, decision="upheld")
    assert again.status_code == 409
    assert "no longer has the doubted label" in again.json()["detail"]
    # A label that changes and comes back has to be looked at again.
    for concept in (2, 1):
        annotated = {"annotations": [{"concept_id": asked.concepts[concept]}]}
        url = f"/api/v1/images/{never}/annotations/{asked.view_id}"
        assert site.http.put(url, json=annotated).is_success
        site.visible()
        expected = "changed" if concept == 2 else "open"
        assert get(site, version_id, f"/{never}")["item"]["state"] == expected


def test_many_are_decided_at_once_or_none(site: Scene, suspected: tuple[Asked, str]) -> None:
    asked, version_id = suspected
    complete(site, version_id)
    path = f"/versions/{version_id}/suspects/decisions"
    items = [asked.images[11], asked.images[1]]
    refused = site.http.post(
        f"/api/v1{path}", json={"decision": "upheld", "items": [*items, asked.images[7]]}
    )
    assert refused.status_code == 409
    assert "items[2]" in refused.json()["detail"]
    wrong = {"decision": "upheld", "corrections": [{"item": items[0]}]}
    assert site.http.post(f"/api/v1{path}", json=wrong).status_code == 422
    assert site.http.post(f"/api/v1{path}", json={"decision": "upheld"}).status_code == 422
    correction = {"item": items[0], "annotations": [{"concept_id": asked.concepts[0]}]}
    same = correction | {"annotations": [{"concept_id": asked.concepts[2]}]}
    body = {"decision": "corrected", "corrections": [same]}
    assert site.http.post(f"/api/v1{path}", json=body).status_code == 422
    answer = site.post(path, body | {"corrections": [correction]})
    assert get(site, version_id, f"/{items[0]}", at_least=answer["position"])["item"]["state"] == (
        "corrected"
    )


def test_suspects_as_csv(site: Scene, suspected: tuple[Asked, str]) -> None:
    _, version_id = suspected
    listed = complete(site, version_id, state="all")
    response = site.http.get(f"/api/v1/versions/{version_id}/suspects.csv")
    assert "suspects.csv" in response.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert [row["item"] for row in rows] == [item["item"] for item in listed["items"]]
    assert [row["state"] for row in rows] == [item["state"] for item in listed["items"]]
    assert rows[0]["reason"] == listed["items"][0]["reason"]


def test_a_version_without_any_says_why(site: Scene, suspected: tuple[Asked, str]) -> None:
    asked, _ = suspected
    version_id = site.version(asked.view_id)
    site.visible()
    assert "no epoch is recorded yet" in get(site, version_id, status=409)["detail"]
    get(site, "nothing", status=404)


def test_an_annotator_that_came_from_a_suspect_corrects_it(site: Scene) -> None:
    asked = ask(site, "Annotated from a suspect")
    version_id = recorded(site, asked, "classification", EPOCHS)
    site.visible()
    image = asked.images[1]
    url = f"/api/v1/versions/{version_id}/suspects/{image}/annotations"

    for concept, decided in ((1, False), (0, True), (2, True)):
        body = {"annotations": [{"concept_id": asked.concepts[concept]}]}
        answer = site.http.put(url, json=body)
        assert answer.is_success, answer.text
        shown = get(site, version_id, f"/{image}", at_least=answer.json()["position"])["item"]
        assert shown["state"] == ("corrected" if decided else "open")
    refused = site.http.put(url, json={"annotations": []}, headers={"If-Match": '"2"'})
    assert refused.status_code == 412


def test_what_was_corrected_shows_in_the_next_version_and_the_comparison(site: Scene) -> None:
    asked = ask(site, "Corrected and trained again")
    first = recorded(site, asked, "classification", EPOCHS)
    site.visible()
    assert site.http.get(f"/api/v1/versions/{first}").json()["corrected"] is None
    evaluate(site, asked, first)
    complete(site, first)
    path = f"/versions/{first}/suspects/decisions"
    items = [asked.images[7], asked.images[11]]
    answer = site.post(path, {"decision": "corrected", "items": items})
    site.post(path, {"decision": "upheld", "items": [asked.images[1]]})
    shown = site.http.get(
        f"/api/v1/images/{items[0]}",
        params={"view_id": asked.view_id, "at_least": answer["position"]},
    ).json()
    assert [row["decision"] for row in shown["decisions"]] == ["corrected"]
    assert shown["decisions"][0]["label"]["concept_id"] == asked.concepts[1]

    second = trained(site, asked.view_id, "validates")
    site.visible()
    since = site.http.get(f"/api/v1/versions/{second}").json()["corrected"]
    assert (since["version_id"], since["images"]) == (first, 2)
    page = site.http.get(f"/versions/{second}", headers={"Accept": "text/html"}).text
    assert "2 images since" in page
    relabelled = {7: 0, 11: 1}
    evaluate(site, asked, second, truth=relabelled)
    url = f"/api/v1/versions/{first}/compare/{second}/corrected"
    moved = site.http.get(url).json()
    assert moved["counts"] == {
        "corrected": 2,
        "shared": 2,
        "right": 0,
        "fixed": 2,
        "broken": 0,
        "wrong": 0,
    }
    assert sorted(item["image_id"] for item in moved["items"]) == sorted(items)
    assert {item["first"]["outcome"] for item in moved["items"]} == {"misclassified"}
    one = site.http.get(url, params={"limit": 1}).json()
    assert (one["next"], len(one["items"])) == ("1", 1)
    back = site.http.get(f"/api/v1/versions/{second}/compare/{first}/corrected").json()
    assert back["counts"]["broken"] == 2


def test_the_command_lists_and_decides(site: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ask(site, "On the command line")
    version_id = recorded(site, asked, "classification", EPOCHS)
    site.visible()
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)

    def stemma(*arguments: str) -> str:
        result = CliRunner().invoke(main, ["suspects", version_id, *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    assert "predicted 'zero' in 2 of 3 epochs, never learned" in stemma()
    assert "2 of 2; in total 2 open" in stemma()
    assert stemma("--csv").startswith("item,image_id,file_name")
    assert json.loads(stemma("--json", "--split", "train"))["count"] == 2
    assert "1 upheld" in stemma(asked.images[1], "--uphold")
    assert "1 of 1; in total 1 open, 1 upheld" in stemma()
    refused = CliRunner().invoke(main, ["suspects", version_id, "--uphold"])
    assert refused.exit_code == 2


HERE = {"x": 0.1, "y": 0.1, "width": 0.5, "height": 0.5}
BESIDE, FAR = HERE | {"x": 0.4}, {"x": 0.7, "y": 0.7, "width": 0.25, "height": 0.25}


def box_columns() -> dict[str, Any]:
    """A box in each image; of the first three, one is swapped, one shifted, and one is missing."""

    def true(image: int, outcome: str) -> dict[str, Any]:
        own = {"concept": image % 3, **HERE, "outcome": outcome, "predicted": -1}
        return own | {"probability": 0.5, "margin": 0.5, "loss": 0.5}

    def predicted(concept: int, sides: dict[str, float], outcome: str) -> dict[str, Any]:
        matched = -1 if outcome == "spurious" else 0
        return {"concept": concept, "score": 0.75, **sides, "outcome": outcome, "matched": matched}

    found = [[true(n, "found")] for n in range(10)]
    boxes = [[predicted(n % 3, HERE, "found")] for n in range(10)]
    boxes[0], boxes[1] = [predicted(1, HERE, "swapped")], [predicted(1, BESIDE, "shifted")]
    boxes[2].append(predicted(0, FAR, "spurious"))
    return {"loss": [0.5] * 10, "truth": found, "boxes": boxes}


def test_suggestions_about_boxes_are_taken(site: Scene) -> None:
    asked = ask_of_kind(site, "detection")
    version_id = recorded(site, asked, "detection", [box_columns()])
    site.visible()
    view = get(site, version_id)
    assert (view["complete"], view["notes"]) == (True, [])
    by_image = {asked.images.index(item["image_id"]): item for item in view["items"]}
    assert {n: item["suggestion"]["action"] for n, item in by_image.items()} == {
        0: "relabel",
        1: "move",
        2: "add",
    }
    upheld = decide(site, version_id, by_image[2]["item"], decision="upheld")
    assert upheld.is_success
    items = [by_image[0]["item"], by_image[1]["item"]]
    path = f"/versions/{version_id}/suspects/decisions"
    answer = site.post(path, {"decision": "corrected", "items": items})
    now = get(site, version_id, state="all", at_least=answer["position"])
    assert now["counts"]["corrected"] == 2
    assert now["counts"]["upheld"] == 1
    for n, concept, sides in ((0, 1, HERE), (1, 1, BESIDE), (2, 2, HERE)):
        query = {"view_id": asked.view_id}
        image = site.http.get(f"/api/v1/images/{asked.images[n]}", params=query).json()["image"]
        (annotation,) = image["annotations"]
        assert annotation["concept_id"] == asked.concepts[concept]
        assert annotation["box"] == pytest.approx(sides, abs=1e-6)


def test_erased_images_are_no_suspects(site: Scene) -> None:
    asked = ask(site, "Erased suspects", first=500)
    version_id = recorded(site, asked, "classification", EPOCHS)
    before = site.visible()
    site.post(f"/images/{asked.images[1]}/erase", {"reason": "asked for"})
    site.visible()
    assert numbers(asked, get(site, version_id, state="all")) == [2]
    assert numbers(asked, get(site, version_id, as_of=before)) == [2]
    get(site, version_id, f"/{asked.images[1]}", status=404)
