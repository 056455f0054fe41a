"""Evaluations over HTTP: figures, thresholds, gallery, CSV, comparing, and what is refused."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from sklearn.metrics import precision_recall_fscore_support
from torchmetrics.functional.classification import multiclass_confusion_matrix, multilabel_f1_score

from adapters.blobs.blobs import BlobStore
from cli.main import main
from domain.training.messages import ConceptLabel, Failed
from tests.api.evaluation.scene import (
    Asked,
    ask,
    evaluated,
    finish,
    predictions,
    row,
    some_labels,
    trained,
)
from tests.api.scene import Scene

FORMULA = '=HYPERLINK("http://x")'


@pytest.fixture(scope="module")
def classified(site: Scene) -> tuple[Asked, str]:
    """A classification, and a version of it that nobody changes."""
    asked = ask(site, "classification", ("zero", "one", FORMULA))
    version_id = evaluated(site, asked, some_labels(asked.images), kind="classification")
    site.visible()
    return asked, version_id


@pytest.fixture(scope="module")
def tagged(site: Scene) -> tuple[Asked, str]:
    """A tagging of 200 images, more than the project has, at random."""
    asked = ask(site, "tagging")
    random = np.random.default_rng(5)
    rows = []
    for number in range(200):
        truth = np.flatnonzero(random.random(3) < 0.4).tolist()
        scores = random.random(3) * 0.6
        scores[truth] += 0.3
        image = asked.images[number] if number < 10 else f"image-{number}"
        rows.append(row(image, "validation" if number % 2 else "train", truth, scores.tolist()))
    version_id = evaluated(site, asked, rows, kind="tagging")
    site.visible()
    return asked, version_id


def get(site: Scene, path: str, status: int = 200, **query: Any) -> Any:
    response = site.http.get(f"/api/v1{path}", params=query)
    assert response.status_code == status, response.text
    return response.json()


def table(site: Scene, path: str, **query: Any) -> list[dict[str, str]]:
    response = site.http.get(f"/api/v1{path}", params=query)
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in response.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(response.text)))


def every_image(site: Scene, path: str, limit: int, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = get(site, f"{path}/evaluation/images", limit=limit, **query)
        found += page["items"]
        if page["next"] is None:
            assert len(found) == page["count"]
            return found
        query["cursor"] = page["next"]


def test_figures_of_a_classification(site: Scene, classified: tuple[Asked, str]) -> None:
    asked, version_id = classified
    found = get(site, f"/versions/{version_id}/evaluation")
    assert (found["kind"], found["split"], found["images"]) == ("classification", "validation", 4)
    assert found["validation"]["accuracy"] == 0.75, "as the worker measured it"
    assert (found["train"]["images"], found["errors"], found["accuracy"]) == (6, 2, 0.5)
    zero, one, two = found["concepts"]
    assert [c["concept_id"] for c in found["concepts"]] == asked.concepts
    assert (zero["precision"], zero["recall"], zero["support"]) == (0.5, 1.0, 1)
    assert (one["precision"], one["recall"], one["f1"]) == (0.0, 0.0, 0.0)
    assert (two["precision"], two["recall"], two["f1"]) == (1.0, 0.5, pytest.approx(2 / 3))
    assert (zero["threshold"], zero["best_threshold"], zero["best_f1"]) == (0.0, 0.7, 1.0)
    assert found["complete"]
    assert not found["previewed"]
    train = get(site, f"/versions/{version_id}/evaluation", split="train")
    assert (train["images"], train["errors"], train["accuracy"]) == (6, 0, 1.0)


def test_a_preview_moves_figures_and_records_nothing(
    site: Scene, classified: tuple[Asked, str]
) -> None:
    asked, version_id = classified
    head = site.store.head()
    path = f"/versions/{version_id}/evaluation"
    sure = get(site, path, threshold=[f"{asked.concepts[0]}:0.6"])
    assert sure["previewed"]
    zero = sure["concepts"][0]
    assert (zero["precision"], zero["threshold"], zero["recorded_threshold"]) == (1.0, 0.6, 0.0)
    none = get(site, path, threshold=["1", f"{asked.concepts[2]}:0.7"])
    assert [c["threshold"] for c in none["concepts"]] == [1.0, 1.0, 0.7]
    assert none["concepts"][0]["precision"] is None, "nothing is predicted: 0 of 0"
    unsure = get(site, f"{path}/images/{asked.images[0]}", threshold="1")["image"]
    assert (unsure["outcome"], unsure["predicted"]) == ("unsure", [])
    assert [one["score"] for one in unsure["discarded"]] == [0.7, 0.2, 0.1]
    matrix = get(site, f"{path}/confusion", threshold="1")["matrix"]
    assert matrix == [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 2]]
    assert get(site, path)["concepts"][0]["threshold"] == 0.0
    assert site.store.head() == head


def test_a_threshold_is_recorded_and_from_then_on_in_force(site: Scene) -> None:
    asked = ask(site, "classification")
    version_id = evaluated(site, asked, some_labels(asked.images), kind="classification")
    path = f"/api/v1/versions/{version_id}/evaluation"
    answer = site.http.put(f"{path}/thresholds", json={asked.concepts[0]: 0.6}).json()
    after = {"at_least": answer["position"]}
    found = site.http.get(path, params=after).json()["concepts"][0]
    assert (found["threshold"], found["recorded_threshold"], found["precision"]) == (0.6, 0.6, 1.0)
    again = site.http.put(f"{path}/thresholds", json={asked.concepts[0]: 0.6}).json()
    assert again["position"] == answer["position"], "nothing has changed"
    events = site.store.read(answer["position"] - 1)
    assert events[0].event.event_name == "version.threshold_set"

    def run(*arguments: str) -> Result:
        command = ["versions", "thresholds", version_id, *arguments]
        return CliRunner().invoke(main, command, env=site.environment)

    shown = {row["label"]: row["threshold"] for row in json.loads(run("--json").stdout)}
    assert shown == {"zero": 0.6, "one": 0.0, "two": 0.0}
    assert "0.65" in run("one=0.65", f"{asked.concepts[2]}=1").stdout
    shown = {row["label"]: row["threshold"] for row in json.loads(run("--json").stdout)}
    assert shown == {"zero": 0.6, "one": 0.65, "two": 1.0}
    assert "its concepts are zero, one, two" in run("three=0.5").stderr
    for wrong in ("one", "one=2", "one=high"):
        assert run(wrong).exit_code == 2


def test_as_of_then_an_evaluation_has_the_thresholds_of_then(site: Scene) -> None:
    asked = ask(site, "classification")
    version_id = evaluated(site, asked, some_labels(asked.images), kind="classification")
    before = site.visible()
    path = f"/versions/{version_id}/evaluation"
    told = {part: get(site, part) for part in (path, f"{path}/images", f"{path}/confusion")}
    site.http.put(f"/api/v1{path}/thresholds", json={asked.concepts[0]: 1.0}).raise_for_status()
    site.visible()
    for part, reply in told.items():
        assert get(site, part) != reply
        assert get(site, part, as_of=before) == reply
    csv_now = table(site, f"{path}/predictions.csv")
    assert table(site, f"{path}/predictions.csv", as_of=before) != csv_now
    get(site, path, status=409, as_of=before - 3)


@pytest.mark.parametrize(
    "body", [{"no concept": 0.5}, {"": 0.5}, [], None, {"x": "0.5"}, {"x": None}]
)
def test_senseless_thresholds_are_refused(
    site: Scene, classified: tuple[Asked, str], body: Any
) -> None:
    _, version_id = classified
    path = f"/api/v1/versions/{version_id}/evaluation/thresholds"
    assert site.http.put(path, json=body).status_code in {400, 422}


@pytest.mark.parametrize("value", ["-0.1", "1.1", "1e999", "NaN"])
def test_a_threshold_out_of_range_is_refused(
    site: Scene, classified: tuple[Asked, str], value: str
) -> None:
    asked, version_id = classified
    refused = site.http.put(
        f"/api/v1/versions/{version_id}/evaluation/thresholds",
        content=f'{{"{asked.concepts[0]}": {value}}}',
        headers={"Content-Type": "application/json"},
    )
    assert refused.status_code in {400, 422}


@pytest.mark.parametrize(
    "query",
    [
        {"split": "test"},
        {"show": "everything"},
        {"sort": "random"},
        {"concept": "none such"},
        {"concept": "\0"},
        {"actual": "none such"},
        {"predicted": "none such"},
        {"limit": 0},
        {"limit": 501},
        {"cursor": "-1"},
        {"cursor": "10"},
        {"cursor": "9" * 40},
        {"cursor": "²"},
        {"cursor": "1.5"},
        {"threshold": "2"},
        {"threshold": "nan"},
        {"threshold": ""},
        {"threshold": "x:0.5"},
        {"threshold": "0.5:"},
        {"sort": "highest", "from_score": 2},
        {"sort": "image", "from_score": 0.5},
    ],
)
def test_senseless_questions_are_refused(
    site: Scene, classified: tuple[Asked, str], query: dict[str, Any]
) -> None:
    _, version_id = classified
    refused = get(site, f"/versions/{version_id}/evaluation/images", 422, **query)
    assert refused["errors"][0]["field"] in query


def test_what_is_not_there_is_not_found(site: Scene, classified: tuple[Asked, str]) -> None:
    _, version_id = classified
    for path in ("", "/curves?concept=x", "/confusion", "/images", "/images/x", "/predictions.csv"):
        get(site, f"/versions/nobody/evaluation{path}", 404)
    get(site, f"/versions/{version_id}/evaluation/images/nothing", 404)
    get(site, "/versions/nobody/metrics.csv", 404)
    get(site, f"/versions/{version_id}/compare/nobody", 404)


def test_the_gallery_filters_sorts_and_pages(site: Scene, tagged: tuple[Asked, str]) -> None:
    asked, version_id = tagged
    path = f"/versions/{version_id}"
    whole = every_image(site, path, 500)
    assert len(whole) == 100
    assert every_image(site, path, 7) == whole
    errors = every_image(site, path, 500, show="errors")
    assert errors == [one for one in whole if one["outcome"] != "correct"]
    wrong = every_image(site, path, 500, show="false_positives")
    assert wrong == [one for one in whole if one["false_positives"]]
    missed = every_image(site, path, 500, show="false_negatives")
    assert missed == [one for one in whole if one["false_negatives"]]
    concept = asked.concepts[1]

    def has(one: dict[str, Any], where: str, **of: Any) -> bool:
        return any(a["concept_id"] == concept and of.items() <= a.items() for a in one[where])

    expectations: dict[str, Callable[[dict[str, Any]], bool]] = {
        "all": lambda one: has(one, "truth") or has(one, "predicted"),
        "false_positives": lambda one: has(one, "predicted", correct=False),
        "false_negatives": lambda one: has(one, "truth", found=False),
    }
    for show, expected in expectations.items():
        found = every_image(site, path, 9, show=show, concept=concept)
        ids = [one["image_id"] for one in found]
        assert ids == [one["image_id"] for one in whole if expected(one)]
        assert ids
    for sort, sign in (("highest", -1), ("lowest", 1)):
        ordered = every_image(site, path, 11, sort=sort, concept=concept)
        scores = [one["score"] for one in ordered]
        assert scores == sorted(scores, key=lambda score: sign * score)
        jumped = every_image(site, path, 11, sort=sort, concept=concept, from_score=0.5)
        assert jumped == [one for one in ordered if sign * one["score"] >= sign * 0.5]
    for one in whole:
        for where in ("predicted", "discarded"):
            scores = [answer["score"] for answer in one[where]]
            assert scores == sorted(scores, reverse=True)
        assert all(a["score"] >= a["threshold"] for a in one["predicted"])
        assert all(a["score"] < a["threshold"] for a in one["discarded"])


def test_a_page_goes_on_from_an_image_that_matches_no_more(
    site: Scene, classified: tuple[Asked, str]
) -> None:
    asked, version_id = classified
    path = f"/versions/{version_id}/evaluation/images"
    first = get(site, path, show="errors", limit=1)
    assert first["items"][0]["image_id"] == asked.images[1]
    rest = get(site, path, show="errors", cursor="2")
    assert [one["image_id"] for one in rest["items"]] == [asked.images[3]]


def test_a_cell_of_the_confusion_matrix_is_a_gallery(
    site: Scene, classified: tuple[Asked, str]
) -> None:
    asked, version_id = classified
    confusion = get(site, f"/versions/{version_id}/evaluation/confusion", threshold="0.5")
    columns = [*asked.concepts, "nothing"]
    path = f"/versions/{version_id}"
    for actual, counts in zip(asked.concepts, confusion["matrix"], strict=True):
        for predicted, count in zip(columns, counts, strict=True):
            cell = {"actual": actual, "predicted": predicted}
            images = every_image(site, path, 5, threshold="0.5", **cell)
            assert len(images) == count
            former = {"true": actual, "said": predicted}
            assert every_image(site, path, 5, threshold="0.5", **former) == images
    assert confusion["matrix"][2] == [0, 0, 1, 1]


def test_only_a_classification_has_a_confusion_matrix(
    site: Scene, tagged: tuple[Asked, str]
) -> None:
    asked, version_id = tagged
    path = f"/versions/{version_id}/evaluation"
    assert "tagging" in get(site, f"{path}/confusion", 422)["detail"]
    get(site, f"{path}/images", 422, actual=asked.concepts[0])
    get(site, f"{path}/images", 422, show="misclassified")


@pytest.mark.parametrize("threshold", ["0.5", "0.3", "0.85"])
def test_figures_are_those_of_the_exported_table(
    site: Scene, tagged: tuple[Asked, str], threshold: str
) -> None:
    _, version_id = tagged
    path = f"/versions/{version_id}/evaluation"
    rows = table(site, f"{path}/predictions.csv", threshold=threshold)
    assert len(rows) == 200 * 3
    found = get(site, path, threshold=threshold)["concepts"]
    mine = [one for one in rows if one["split"] == "validation"]
    for concept in found:
        own = [one for one in mine if one["concept_id"] == concept["concept_id"]]
        true = [int(one["true"]) for one in own]
        said = [float(one["score"]) >= float(threshold) for one in own]
        assert [int(one["predicted"]) for one in own] == said
        precision, recall, f1, _ = precision_recall_fscore_support(true, said, average="binary")
        assert concept["precision"] == pytest.approx(precision)
        assert concept["recall"] == pytest.approx(recall)
        assert concept["f1"] == pytest.approx(f1)
        assert concept["support"] == sum(true)
    as_tensor = torch.tensor(
        [[float(one["score"]), float(one["true"])] for one in mine], dtype=torch.float32
    ).reshape(-1, 3, 2)
    f1s = multilabel_f1_score(
        as_tensor[:, :, 0], as_tensor[:, :, 1].int(), 3, threshold=float(threshold), average=None
    )
    assert [c["f1"] or 0.0 for c in found] == pytest.approx(f1s.tolist())


def test_the_confusion_matrix_is_torchmetrics(site: Scene, classified: tuple[Asked, str]) -> None:
    asked, version_id = classified
    path = f"/versions/{version_id}/evaluation"
    images = every_image(site, f"/versions/{version_id}", 500)
    true = [asked.concepts.index(one["truth"][0]["concept_id"]) for one in images]
    said = [asked.concepts.index(one["predicted"][0]["concept_id"]) for one in images]
    expected = multiclass_confusion_matrix(torch.tensor(said), torch.tensor(true), 3)
    found = get(site, f"{path}/confusion")["matrix"]
    assert [counts[:3] for counts in found] == expected.tolist()


def test_the_exported_table_has_file_names(site: Scene, classified: tuple[Asked, str]) -> None:
    asked, version_id = classified
    rows = table(site, f"/versions/{version_id}/evaluation/predictions.csv")
    named = {one["image_id"]: one["file_name"] for one in rows}
    for image in asked.images:
        assert named[image] == get(site, f"/images/{image}")["image"]["file_name"]
    assert list(rows[0])[:3] == ["image_id", "file_name", "split"]


def test_no_cell_of_an_export_is_a_formula(site: Scene, classified: tuple[Asked, str]) -> None:
    _, version_id = classified
    rows = table(site, f"/versions/{version_id}/evaluation/predictions.csv")
    assert {one["concept"] for one in rows} == {"zero", "one", f"'{FORMULA}"}
    assert not any(cell.startswith(("=", "+", "-", "@")) for one in rows for cell in one.values())


def test_metrics_are_exported(site: Scene) -> None:
    _, view_id = site.trainable()
    version_id = site.version(view_id)
    site.begin(version_id)
    site.epoch(version_id, 1, held_out=0.9)
    site.visible()
    rows = table(site, f"/versions/{version_id}/metrics.csv")
    series = get(site, f"/versions/{version_id}/metrics")["series"]
    assert [[one["metric"], int(one["iteration"]), float(one["value"])] for one in rows] == [
        [one["metric"], iteration, value]
        for one in series
        for iteration, value in zip(one["iterations"], one["values"], strict=True)
    ]


def test_curves_are_thinned_and_end_where_nothing_is_predicted(
    site: Scene, tagged: tuple[Asked, str]
) -> None:
    asked, version_id = tagged
    path = f"/versions/{version_id}/evaluation/curves"
    found = get(site, path, concept=asked.concepts[0])
    curve = found["curve"]
    assert len(curve["precision"]) == len(curve["recall"]) == len(curve["thresholds"]) + 1
    assert (curve["precision"][-1], curve["recall"][-1]) == (1.0, 0.0)
    assert curve["thresholds"] == sorted(curve["thresholds"])
    evaluation = get(site, f"/versions/{version_id}/evaluation")["concepts"][0]
    assert found["average_precision"] == evaluation["average_precision"]
    at_best = get(
        site,
        f"/versions/{version_id}/evaluation",
        threshold=f"{asked.concepts[0]}:{evaluation['best_threshold']!r}",
    )["concepts"][0]
    assert at_best["f1"] == pytest.approx(evaluation["best_f1"])
    get(site, path, 422, concept="none such")


def test_a_version_without_an_evaluation_says_so(site: Scene) -> None:
    asked = ask(site, "classification")
    waiting = site.version(asked.view_id)
    site.visible()
    for path in ("", "/images", "/confusion", "/predictions.csv"):
        refused = get(site, f"/versions/{waiting}/evaluation{path}", 409)
        assert "is queued and has not been evaluated" in refused["detail"]
    assert site.http.get(f"/api/v1/versions/{waiting}/compare/{waiting}").status_code == 409
    put = site.http.put(
        f"/api/v1/versions/{waiting}/evaluation/thresholds", json={asked.concepts[0]: 0.5}
    )
    assert put.status_code == 409
    site.report(waiting, Failed("no memory"))
    site.visible()
    assert "is failed" in get(site, f"/versions/{waiting}/evaluation", 409)["detail"]


def test_predictions_that_are_gone_are_told(site: Scene) -> None:
    asked = ask(site, "classification")
    version_id = trained(site, asked.view_id, "v")
    finish(site, version_id, "ef" * 32)
    site.visible()
    refused = get(site, f"/versions/{version_id}/evaluation", 410)
    assert "erased" in refused["detail"]
    assert "ef" * 32 in refused["detail"]


@pytest.mark.parametrize("what", ["no parquet", "another version", "a bad score", "a gap"])
def test_predictions_that_are_none_are_told(site: Scene, what: str) -> None:
    asked = ask(site, "classification")
    version_id = trained(site, asked.view_id, "v")
    blobs = BlobStore.from_url(site.settings.require("blobs_url"))
    concepts = [ConceptLabel(key, "label") for key in asked.concepts]
    rows = some_labels(asked.images)
    match what:
        case "no parquet":
            digest = blobs.put(b"PAR1 but not really")
        case "another version":
            digest = predictions(site, "classification", concepts[::-1], rows)
        case "a bad score":
            rows[3]["scores"][1] = float("nan")
            digest = predictions(site, "classification", concepts, rows)
        case _:
            rows[3]["scores"] = [0.5]
            digest = predictions(site, "classification", concepts, rows)
    finish(site, version_id, digest)
    site.visible()
    refused = get(site, f"/versions/{version_id}/evaluation", 410)
    assert "cannot be used" in refused["detail"]


def test_predictions_that_were_altered_are_not_shown(site: Scene) -> None:
    asked = ask(site, "classification")
    version_id = evaluated(site, asked, some_labels(asked.images), kind="classification")
    site.visible()
    digest = site.store.read(0)[-3].event.predictions  # type: ignore[attr-defined]
    folder = site.settings.data / "blobs" / "sha256" / digest[:2]
    file = folder / digest
    file.write_bytes(file.read_bytes()[:-1] + b"X")
    refused = get(site, f"/versions/{version_id}/evaluation", 500)
    assert "tell your operator" in refused["detail"]


@pytest.fixture
def two(site: Scene) -> tuple[Asked, str, str]:
    """Two versions: the second is right where the first errs once, and errs elsewhere."""
    asked = ask(site, "classification")
    first = evaluated(site, asked, some_labels(asked.images), kind="classification", seed=1)
    rows = some_labels(asked.images)
    rows[0]["scores"], rows[1]["scores"] = [0.2, 0.7, 0.1], [0.2, 0.7, 0.1]
    second = evaluated(site, asked, rows, kind="classification", seed=2, epochs=2)
    site.visible()
    return asked, first, second


def test_two_versions_are_compared(site: Scene, two: tuple[Asked, str, str]) -> None:
    asked, first, second = two
    found = get(site, f"/versions/{first}/compare/{second}")
    assert found["warnings"] == []
    assert {one["option"]: (one["first"], one["second"]) for one in found["options"]} == {
        "seed": (1, 2),
        "epochs": (6.0, 2.0),
    }
    assert found["counts"] == {"shared": 4, "fixed": 1, "broken": 1, "other": 0}
    changed = {one["image_id"]: one["change"] for one in found["changed"]}
    assert changed == {asked.images[0]: "broken", asked.images[1]: "fixed"}
    zero, one, _ = found["concepts"]
    assert zero["delta"]["recall"] == -1.0
    assert one["delta"]["f1"] == pytest.approx(0.5)
    page = get(site, f"/versions/{first}/compare/{second}", limit=1)
    rest = get(site, f"/versions/{first}/compare/{second}", limit=1, cursor=page["next"])
    assert [*page["changed"], *rest["changed"]] == found["changed"]
    only = get(site, f"/versions/{first}/compare/{second}", change="broken")
    assert [one["change"] for one in only["changed"]] == ["broken"]
    back = get(site, f"/versions/{second}/compare/{first}")
    assert back["counts"]["fixed"] == 1
    assert get(site, f"/versions/{first}/compare/{first}")["counts"]["shared"] == 4
    get(site, f"/versions/{first}/compare/{second}", 422, change="worse")
    get(site, f"/versions/{first}/compare/{second}", 422, cursor="x")


def test_versions_that_cannot_be_compared_say_why(
    site: Scene, two: tuple[Asked, str, str], tagged: tuple[Asked, str]
) -> None:
    asked, first, _ = two
    rows = some_labels(asked.images)
    other = evaluated(site, asked, rows, kind="classification", validation_set="another")
    unknown = evaluated(site, asked, rows, kind="classification", validation_set=None)
    site.visible()
    (warning,) = get(site, f"/versions/{first}/compare/{other}")["warnings"]
    assert "different images" in warning
    (warning,) = get(site, f"/versions/{first}/compare/{unknown}")["warnings"]
    assert "not known" in warning
    found = get(site, f"/versions/{first}/compare/{tagged[1]}")
    told = " ".join(found["warnings"])
    assert "different views" in told
    assert "concepts differ" in told
    assert "a tagging" in told
    assert found["counts"]["shared"] == 0
    assert len(found["concepts"]) == 6


def test_an_api_that_evaluates_nothing_has_not_loaded_what_evaluates() -> None:
    heavy = {"sklearn", "pyarrow", "faster_coco_eval"}
    code = f"import sys, api.app; print(*({heavy} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == ""
