"""The flip book over HTTP: epochs, points, items, one item, CSV, and what is refused."""

import csv
import io
import json
import threading
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from httpx_sse import connect_sse

from adapters.flip_book.folds import REGIONS, dynamics
from application.training.item_retention import discard_items
from cli.main import main
from domain.training.messages import Completed, ConceptLabel, EpochItems
from tests.api.evaluation.scene import Asked, ask, trained
from tests.api.flip_book.scene import (
    EPOCHS,
    box_columns,
    class_columns,
    recorded,
    report_epoch,
    tag_columns,
)
from tests.api.scene import DIGEST, Scene, png
from tests.waiting import HANG_SECONDS

COLUMNS = [class_columns(seed) for seed in range(EPOCHS)]


@pytest.fixture(scope="module")
def classified(site: Scene) -> tuple[Asked, str]:
    asked = ask(site, "classification")
    version_id = recorded(site, asked, "classification", COLUMNS)
    site.visible()
    return asked, version_id


def get(site: Scene, version_id: str, path: str = "", status: int = 200, **query: Any) -> Any:
    response = site.http.get(f"/api/v1/versions/{version_id}/flip-book{path}", params=query)
    assert response.status_code == status, response.text
    return response.json()


def expected(epochs: int) -> Any:
    """The metrics of the first epochs, from the columns themselves."""
    columns = COLUMNS[:epochs]
    return dynamics(
        np.stack([each["probability"] for each in columns]),
        np.stack([each["margin"] for each in columns]),
        np.stack([each["predicted"] == each["concept"] for each in columns]),
        np.arange(1, epochs + 1),
    )


def test_the_flip_book_says_what_is_recorded(site: Scene, classified: tuple[Asked, str]) -> None:
    view = get(site, classified[1])
    assert (view["epochs"], view["latest"], view["images"], view["rows"]) == (EPOCHS, 3, 10, 10)
    assert (view["recorded_images"], view["note"]) == (5000, "")


def test_epochs_are_paged(site: Scene, classified: tuple[Asked, str]) -> None:
    first = get(site, classified[1], "/epochs", limit=2)
    assert [row["epoch"] for row in first["items"]] == [1, 2]
    second = get(site, classified[1], "/epochs", limit=2, cursor=first["next"])
    assert [row["epoch"] for row in second["items"]] == [3]
    assert second["next"] is None


def test_points_are_those_of_the_files(site: Scene, classified: tuple[Asked, str]) -> None:
    asked, version_id = classified
    points = get(site, version_id, "/points")
    assert points["items"] == asked.images
    assert [points["image_ids"][image] for image in points["images"]] == asked.images
    assert points["splits"] == [0] * 6 + [1] * 4
    assert points["truth"] == COLUMNS[0]["concept"].tolist()
    for epoch in (1, 3):
        after, metrics = get(site, version_id, f"/epochs/{epoch}/points"), expected(epoch)
        columns = COLUMNS[epoch - 1]
        assert after["probability"] == pytest.approx(columns["probability"].tolist(), abs=1e-6)
        assert after["predicted"] == columns["predicted"].tolist()
        for name in ("confidence", "variability", "correctness", "aum"):
            assert after[name] == pytest.approx(getattr(metrics, name).tolist(), abs=1e-6)
        assert after["forgotten"] == metrics.forgotten.tolist()
        assert after["region"] == metrics.region.tolist()
        assert [number or 0 for number in after["first_learnt"]] == metrics.first_learnt.tolist()


def test_items_are_sorted_filtered_and_paged(site: Scene, classified: tuple[Asked, str]) -> None:
    asked, version_id = classified
    metrics = expected(3)
    order = [asked.images[place] for place in np.argsort(-metrics.aum, kind="stable")]
    path = "/epochs/3/items"
    by_aum: dict[str, Any] = {"sort": "aum", "order": "descending"}
    first = get(site, version_id, path, limit=7, **by_aum)
    second = get(site, version_id, path, limit=7, cursor=first["next"], **by_aum)
    assert [row["item"] for row in first["items"] + second["items"]] == order
    assert (first["count"], second["next"]) == (10, None)
    assert first["items"][0]["file_name"].endswith(".png")
    concept = COLUMNS[0]["concept"]
    correct = COLUMNS[2]["predicted"] == concept
    training = np.arange(10) < 6
    chosen_by: list[tuple[dict[str, Any], Any]] = [
        ({"split": "train"}, training),
        ({"split": "validation", "concept": asked.concepts[0]}, ~training & (concept == 0)),
        ({"correct": "false"}, ~correct),
        ({"region": "ambiguous"}, metrics.region == REGIONS.index("ambiguous")),
        ({"image": asked.images[4]}, np.arange(10) == 4),
    ]
    for query, chosen in chosen_by:
        page = get(site, version_id, path, sort="item", **query)
        wanted = [asked.images[place] for place in np.flatnonzero(chosen)]
        assert [row["item"] for row in page["items"]] == wanted, query
        assert page["count"] == len(wanted)


def test_an_item_over_the_epochs(site: Scene, classified: tuple[Asked, str]) -> None:
    asked, version_id = classified
    view = get(site, version_id, f"/items/{asked.images[2]}")
    assert (view["item"]["split"], view["item"]["label"]) == ("train", "two")
    assert [row["epoch"] for row in view["epochs"]] == [1, 2, 3]
    for row, columns in zip(view["epochs"], COLUMNS, strict=True):
        assert row["margin"] == pytest.approx(float(columns["margin"][2]), abs=1e-6)
        confidence = expected(row["epoch"]).confidence[2]
        assert row["confidence"] == pytest.approx(confidence, abs=1e-6)


def test_items_as_csv(site: Scene, classified: tuple[Asked, str]) -> None:
    asked, version_id = classified
    path = f"/api/v1/versions/{version_id}/flip-book/items.csv"
    rows = list(csv.DictReader(io.StringIO(site.http.get(path).text)))
    assert [row["item"] for row in rows] == asked.images
    assert [float(row["aum"]) for row in rows] == pytest.approx(expected(3).aum, abs=1e-6)
    earlier = list(csv.DictReader(io.StringIO(site.http.get(path, params={"epoch": 1}).text)))
    assert [float(row["aum"]) for row in earlier] == pytest.approx(expected(1).aum, abs=1e-6)


def test_as_of_a_position_later_epochs_are_not_there(
    site: Scene, classified: tuple[Asked, str]
) -> None:
    version_id = classified[1]
    second = get(site, version_id, "/epochs")["items"][1]
    then = {"as_of": second["position"]}
    assert get(site, version_id, **then)["latest"] == 2
    assert get(site, version_id, "/points", **then)["latest"] == 2
    get(site, version_id, "/epochs/3/points", 404, **then)
    view = get(site, version_id, f"/items/{classified[0].images[0]}", **then)
    assert [row["epoch"] for row in view["epochs"]] == [1, 2]
    get(site, version_id, "/points", 409, as_of=second["position"] - 3)


def test_an_epoch_that_is_not_there_is_named(site: Scene, classified: tuple[Asked, str]) -> None:
    problem = get(site, classified[1], "/epochs/9/points", 404)
    assert "epochs 1 to 3" in problem["detail"]
    get(site, classified[1], "/items/nothing", 404)
    get(site, classified[1], "/epochs/3/items", 422, sort="colour")
    problem = get(site, classified[1], "/epochs/3/items", 422, outcome="missed")
    assert problem["errors"][0]["field"] == "outcome"


def test_a_version_without_a_recording_names_the_option(site: Scene) -> None:
    asked = ask(site, "classification")
    version_id = trained(site, asked.view_id, "validates", recorded_images=0)
    site.visible()
    assert "recorded_images" in get(site, version_id)["note"]
    assert "recorded_images" in get(site, version_id, "/points", 409)["detail"]
    waiting = trained(site, asked.view_id, "validates")
    site.visible()
    assert "no epoch is recorded yet" in get(site, waiting, "/points", 409)["detail"]


def test_tags_are_items_of_an_image_and_a_concept(site: Scene) -> None:
    asked = ask(site, "tagging")
    columns = [tag_columns(seed) for seed in (1, 2)]
    version_id = recorded(site, asked, "tagging", columns)
    site.visible()
    points = get(site, version_id, "/points")
    key = f"{asked.images[0]}:{asked.concepts[1]}"
    assert points["items"][1] == key
    assert points["positive"] == columns[0]["truth"].astype(int).tolist()
    view = get(site, version_id, f"/items/{key}")
    assert (view["item"]["concept_id"], view["item"]["positive"]) == (asked.concepts[1], False)
    found = get(site, version_id, "/epochs/2/items", concept=asked.concepts[2])
    assert {row["item"].partition(":")[2] for row in found["items"]} == {asked.concepts[2]}
    assert found["count"] == 10


def test_boxes_are_items_with_the_boxes_predicted_then(site: Scene) -> None:
    asked = ask(site, "detection")
    version_id = recorded(site, asked, "detection", [box_columns(1)])
    site.visible()
    points = get(site, version_id, "/points")
    assert points["items"][:3] == [
        f"{asked.images[0]}:0",
        f"{asked.images[0]}:1",
        f"{asked.images[1]}:0",
    ]
    assert get(site, version_id, "/epochs/1/points")["outcome"][:2] == ["found", "missed"]
    missed = get(site, version_id, "/epochs/1/items", outcome="missed")
    assert missed["count"] == 10
    assert missed["items"][0]["predicted"] is None
    view = get(site, version_id, f"/items/{asked.images[0]}:0")
    assert view["item"]["box"] == {"x": 0.25, "y": 0.125, "width": 0.5, "height": 0.25}
    boxes = view["epochs"][0]["boxes"]
    assert [(box["outcome"], box["matched"]) for box in boxes] == [("found", 0), ("spurious", -1)]
    assert boxes[1]["concept_id"] == asked.concepts[0]


def test_items_that_are_given_up_answer_410_and_since_when(site: Scene) -> None:
    asked = ask(site, "classification")
    older, newer = (recorded(site, asked, "classification", COLUMNS[:1]) for _ in range(2))
    for version_id in (older, newer):
        site.report(version_id, Completed(DIGEST, "cd" * 32, 10))
    before = site.visible()
    assert discard_items(site.store, 1) == 1
    site.visible()
    since = get(site, older)["discarded_at"]
    for path in ("/points", "/epochs/1/points", "/epochs/1/items", "/items/x", "/items.csv"):
        detail = get(site, older, path, 410)["detail"]
        assert since[:19] in detail
    get(site, older, "/points", 410, as_of=before)
    assert get(site, older, "/epochs")["items"][0]["rows"] == 10
    assert get(site, newer, "/points")["latest"] == 1


def test_a_file_that_is_lost_answers_410(site: Scene) -> None:
    asked = ask(site, "classification")
    version_id = recorded(site, asked, "classification", [])
    site.report(version_id, EpochItems(1, 10, "ef" * 32, 10, 10, 0.5))
    site.visible()
    assert "lost" in get(site, version_id, "/points", 410)["detail"]


def test_an_erased_image_leaves_the_flip_book(site: Scene) -> None:
    asked = ask(site, "classification")
    # The other images have the bytes of those of other projects, which would be erased too.
    file = ("files", ("own.png", png(4711), "image/png"))
    path = f"/api/v1/projects/{asked.project_id}/images"
    (gone,) = site.http.post(path, files=[file]).raise_for_status().json()["ids"]
    kept = asked.images[1:]
    asked = msgspec.structs.replace(asked, images=[gone, *kept])
    version_id = recorded(site, asked, "classification", COLUMNS)
    before = site.visible()
    site.post(f"/images/{gone}/erase", {"reason": "asked for"})
    site.visible()
    assert get(site, version_id, "/points")["items"] == kept
    assert get(site, version_id, "/points", as_of=before)["items"] == kept
    assert len(get(site, version_id, "/epochs/2/points")["aum"]) == len(kept)
    assert get(site, version_id, "/epochs/2/items")["count"] == len(kept)
    get(site, version_id, f"/items/{gone}", 404)
    table = site.http.get(f"/api/v1/versions/{version_id}/flip-book/items.csv").text
    assert gone not in table


def test_a_new_epoch_is_announced_on_the_versions_stream(site: Scene) -> None:
    asked = ask(site, "classification")
    version_id = recorded(site, asked, "classification", COLUMNS[:1])
    site.visible()
    seen: list[tuple[str, list[int]]] = []
    first = threading.Event()

    def follow() -> None:
        path = f"/api/v1/versions/{version_id}/events"
        with connect_sse(site.http, "GET", path) as source:
            for event in source.iter_sse():
                if event.event == "flip_book":
                    seen.append((event.id, [row["epoch"] for row in json.loads(event.data)]))
                    first.set()

    follower = threading.Thread(target=follow)
    follower.start()
    assert first.wait(HANG_SECONDS)
    columns, known = COLUMNS[1], site.http.get(f"/api/v1/versions/{version_id}").json()
    concepts = msgspec.convert(known["version"]["concepts"], list[ConceptLabel])
    report_epoch(site, version_id, "classification", concepts, 2, asked.images, columns)
    site.report(version_id, Completed(DIGEST, "cd" * 32, 20))
    follower.join(HANG_SECONDS)
    assert [epochs for _, epochs in seen] == [[1], [2]]


def test_the_command_line_shows_the_same(
    site: Scene, classified: tuple[Asked, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, version_id = classified
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")

    def stemma(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["flip-book", version_id, *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    assert [line.split()[1] for line in stemma().splitlines()[3:6]] == ["1", "2", "3"]
    lowest = get(site, version_id, "/epochs/2/items", sort="aum", limit=1)["items"][0]["item"]
    shown = stemma("--epoch", "2", "--sort", "aum", "--limit", "1")
    assert lowest in shown
    assert "1 of 10 items after epoch 2" in shown
    assert "(train), one: " in stemma("--item", asked.images[1])
    path = f"/api/v1/versions/{version_id}/flip-book/items.csv"
    assert stemma("--csv").splitlines() == site.http.get(path).text.splitlines()
