"""The test set is closed until somebody with the right opens it for a version, and that is told."""

import io
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from playwright.sync_api import Page, expect

from adapters.blobs.blobs import BlobMissing, BlobStore
from cli.main import main
from domain.training.messages import Failed
from tests.api.access.table import QUERIES, TABLE
from tests.api.evaluation.at_work import SMALL, Work
from tests.api.scene import Scene

STREAMS = {
    "/api/v1/versions/{version_id}/events",
    "/api/v1/experiments/{experiment_id}/events",
    "/api/v1/events/stream",
}
"""Routes that never end. They are fed from the log and from what the others show."""

OF_THE_DATASET = {
    "/api/v1/projects/{project_id}/images",
    "/api/v1/projects/{project_id}/export",
    "/api/v1/projects/{project_id}/difference",
    "/api/v1/images/{image_id}",
    "/api/v1/events",
    "/api/v1/events/{position}/data",
    "/api/v1/audit/trail",
    "/api/v1/audit/trail/export",
    "/api/v1/audit/correlations/{correlation_id}",
    "/projects/{project_id}",
    "/projects/{project_id}/images",
    "/images/{image_id}",
    "/views/{view_id}/annotate",
    "/audit",
    "/audit/correlations/{correlation_id}",
    "/audit/log/tile/{tile}",
    "/events",
}
"""Routes that show test images as images with their annotations, or that they were assigned."""

OF_THE_TEST_SET = {
    "/api/v1/versions/{version_id}/test-evaluations",
    "/versions/{version_id}",
    "/api/v1/versions/{version_id}/compare/{other_id}",
    "/versions/{version_id}/compare/{other_id}",
    "/api/v1/events",
    "/api/v1/events/{position}/data",
    "/events",
    "/api/v1/audit/trail",
    "/api/v1/audit/trail/export",
    "/audit",
}
"""Routes that show the metrics of the test set once it was opened."""


class Made(NamedTuple):
    """A view with test images and a version that was really trained."""

    project_id: str
    view_id: str
    version_id: str
    tests: list[str]
    ids: dict[str, str]


@pytest.fixture(scope="module")
def work(site: Scene) -> Work:
    return Work(site)


@pytest.fixture(scope="module")
def made(site: Scene, work: Work) -> Made:
    return make(site, work, "Sealed")


def make(site: Scene, work: Work, name: str) -> Made:
    project_id, view_id = site.trainable(name, images=16)
    site.visible()
    items = site.http.get(f"/api/v1/projects/{project_id}/images").json()["items"]
    images = [one["image_id"] for one in items]
    # The concepts take turns: of the test images three hold the first one, a share of no other set.
    splits = dict.fromkeys(images, "train") | dict.fromkeys(images[:6], "validation")
    tests = [images[place] for place in (6, 7, 8, 10)]
    for image, split in (splits | dict.fromkeys(tests, "test")).items():
        site.http.put(f"/api/v1/images/{image}/split", json={"split": split}).raise_for_status()
    version_id = site.version(view_id, **SMALL)
    work.carry_out()
    version = site.http.get(f"/api/v1/versions/{version_id}").json()["version"]
    assert version["status"] == "ready", version["reason"]
    items = site.http.get(f"/api/v1/versions/{version_id}/flip-book/epochs/1/items")
    ids = {
        "project_id": project_id,
        "view_id": view_id,
        "version_id": version_id,
        "other_id": version_id,
        "model_id": version["model_id"],
        "concept_id": version["concepts"][0]["concept_id"],
        "image_id": tests[0],
        "import_id": "none",
        "experiment_id": "none",
        "trainer_id": "none",
        "image": tests[0],
        "webhook_id": "none",
        "kind": "classification",
        "account_id": "none",
        "key_id": "none",
        "correlation_id": "none",
        "tile": "0/000",
        "digest": "00" * 32,
        "position": str(site.store.head()),
        "epoch": "1",
        "item": items.json()["items"][0]["item"],
        "key": tests[0],
        "name": "version.created",
        "file": "5.json",
        "path": "openapi.json",
        "file_path": "style.css",
    }
    return Made(project_id, view_id, version_id, tests, ids)


def shown(site: Scene, made: Made) -> dict[str, str]:
    """What each route that can be read says, by its address as the table has it."""
    texts = {}
    for line in TABLE.strip().splitlines():
        *_, method, path = line.split()
        if method != "GET" or path in STREAMS or path.startswith("/login"):
            continue
        query = QUERIES.get(path, "")
        if path in {"/api/v1/events", "/events"}:
            query = "limit=500"
        address = (f"{path}?{query}" if query else path).format(**made.ids)
        texts[path] = site.http.get(address).text
        if "/evaluation" in path or "/compare" in path:
            more = f"{address}{'&' if query else '?'}split=train"
            texts[path] += site.http.get(more).text
    return texts


def stored(blobs: BlobStore) -> Iterator[tuple[str, str]]:
    """Each blob as text: rows of a Parquet file, lines of a manifest, or bytes."""
    for blob in blobs.list_blobs():
        yield blob.digest, text_of(blobs, blob.digest)


def text_of(blobs: BlobStore, digest: str) -> str:
    try:
        content = blobs.get(digest)
    except BlobMissing:
        return b"".join(blobs.read_compressed(digest)).decode()
    try:
        return repr(pq.read_table(io.BytesIO(content)).to_pylist())
    except pa.ArrowInvalid:
        return content.decode("latin-1")


def naming(texts: dict[str, str], ids: list[str]) -> set[str]:
    return {path for path, text in texts.items() if any(one in text for one in ids)}


def events_naming(site: Scene, ids: list[str]) -> set[str]:
    """The names of events whose payload has one of these ids."""
    payloads = [
        (recorded.event.event_name, msgspec.json.encode(recorded.event).decode())
        for recorded in site.store.read_all()
    ]
    return {name for name, payload in payloads if any(one in payload for one in ids)}


def order(site: Scene, made: Made, reason: str = "before the release") -> dict[str, Any]:
    path = f"/versions/{made.version_id}/test-evaluations"
    answer: dict[str, Any] = site.post(path, {"reason": reason})
    return answer


def evaluations(site: Scene, made: Made, **query: Any) -> dict[str, Any]:
    path = f"/api/v1/versions/{made.version_id}/test-evaluations"
    found: dict[str, Any] = site.http.get(path, params=query).raise_for_status().json()
    return found


def test_nothing_of_the_test_set_is_anywhere_before_it_is_opened(
    site: Scene, work: Work, made: Made
) -> None:
    """Every route, event and blob is looked at; exports are routes, and bundles are of these."""
    blobs = [site.http.get(f"/api/v1/images/{one}").json()["image"]["blob"] for one in made.tests]
    before = shown(site, made)
    assert naming(before, made.tests) <= OF_THE_DATASET
    assert events_naming(site, [*made.tests, *blobs]) <= {"image.added"}
    texts_before = dict(stored(work.blobs))
    assert naming(texts_before, made.tests) == set()
    for path in ("evaluation", "evaluation/images", "evaluation/slices"):
        asked = site.http.get(f"/api/v1/versions/{made.version_id}/{path}?split=test")
        assert asked.status_code in {400, 422}, path
    assert evaluations(site, made)["items"] == []

    order(site, made)
    work.carry_out()
    view = evaluations(site, made)
    (evaluation,), result = view["items"], view["result"]
    assert (evaluation["status"], evaluation["images"]) == ("done", 4)
    loss = repr(evaluation["metrics"]["loss"])
    assert len(loss) > 8, "it would be found anywhere"
    assert naming(before, [loss]) == set()
    assert naming(texts_before, [loss]) == set()
    assert result["images"] == 4
    assert result["accuracy"] == pytest.approx(evaluation["metrics"]["accuracy"])
    assert sum(concept["support"] for concept in result["concepts"]) == 4
    after = shown(site, made)
    assert naming(after, made.tests) <= OF_THE_DATASET
    assert naming(after, [loss]) <= OF_THE_TEST_SET
    assert "/api/v1/versions/{version_id}/test-evaluations" in naming(after, [loss])
    assert events_naming(site, [loss]) == {"version.test_evaluated"}
    new = dict(stored(work.blobs)).keys() - texts_before.keys()
    assert new == {evaluation["manifest"], evaluation["predictions"]}


def test_the_request_says_who_why_and_how_often_before(site: Scene, work: Work) -> None:
    made = make(site, work, "Counted")
    order(site, made, "  first look ")
    work.carry_out()
    second = site.version(made.view_id, **SMALL)
    work.carry_out()
    other = made._replace(version_id=second)
    order(site, other, "second look")
    position = work.carry_out()
    (one,), (two,) = (evaluations(site, each)["items"] for each in (made, other))
    assert (one["reason"], one["requested_by"]) == ("first look", "administrator")
    assert (one["earlier_of_version"], one["earlier_of_view"]) == (0, 0)
    assert (two["earlier_of_version"], two["earlier_of_view"]) == (0, 1)
    assert evaluations(site, made)["evaluations_of_view"] == 2
    assert evaluations(site, made, as_of=one["log_position"])["items"] == []
    trail = site.http.get(
        "/api/v1/audit/trail", params={"version": made.version_id, "at_least": position}
    )
    words = [entry["what"] for entry in trail.json()["items"]]
    assert any("to be evaluated on the test set (first look): 4 images" in w for w in words)
    assert any("evaluated on the test set, evaluation 1: loss" in w for w in words)
    compared = site.http.get(f"/api/v1/versions/{made.version_id}/compare/{second}").json()
    assert compared["test"]["same_images"] is True
    assert compared["test"]["second"]["metrics"] == two["metrics"]
    command = ["compare", made.version_id, second]
    printed = CliRunner().invoke(main, command, env=site.environment, catch_exceptions=False)
    row = re.search(r"test accuracy\W+([\d.]+)\W+([\d.]+)", printed.output)
    assert row is not None, printed.output
    assert list(row.groups()) == [f"{each['metrics']['accuracy']:.4f}" for each in (one, two)]
    site.http.put(f"/api/v1/images/{made.tests[0]}/split", json={"split": "train"})
    order(site, other, "a smaller one")
    work.carry_out()
    path = f"/versions/{made.version_id}/compare/{second}"
    compared = site.http.get(f"/api/v1{path}").json()
    assert compared["test"]["same_images"] is False
    assert any("different test images" in warning for warning in compared["warnings"])
    page = site.http.get(path).text
    assert "Test accuracy" in page
    assert "different test images" in page


def test_comparing_shows_no_test_metrics_of_one_version_alone(site: Scene, work: Work) -> None:
    made = make(site, work, "Compared")
    second = site.version(made.view_id, **SMALL)
    work.carry_out()
    order(site, made)
    work.carry_out()
    for first, other in ((made.version_id, second), (second, made.version_id)):
        path = f"/versions/{first}/compare/{other}"
        assert site.http.get(f"/api/v1{path}").json()["test"] is None
        assert "Test accuracy" not in site.http.get(path).text


def test_what_cannot_be_evaluated_is_refused_by_name(site: Scene, work: Work) -> None:
    made = make(site, work, "Refused")
    path = f"/api/v1/versions/{made.version_id}/test-evaluations"
    with site.person("trainer", "trainer") as trainer:
        refused = trainer.post(path, json={"reason": "why not"})
        assert refused.status_code == 403
        assert "the right test in this project" in refused.json()["detail"]
    for body, field in (({}, "reason"), ({"reason": " "}, "reason"), ({"why": "x"}, "why")):
        refused = site.http.post(path, json=body)
        assert refused.status_code in {400, 422}
        assert field in refused.text
    queued = site.version(made.view_id, **SMALL)
    refused = site.http.post(path.replace(made.version_id, queued), json={"reason": "x"})
    assert (refused.status_code, "only a ready one" in refused.text) == (409, True)
    site.http.post(f"/api/v1/versions/{queued}/cancel").raise_for_status()
    order(site, made)
    refused = site.http.post(path, json={"reason": "x"})
    assert (refused.status_code, "already running" in refused.text) == (409, True)
    work.carry_out()
    for image in made.tests:
        site.http.put(f"/api/v1/images/{image}/split", json={"split": "train"})
    refused = site.http.post(path, json={"reason": "x"})
    assert (refused.status_code, "no test image" in refused.text) == (409, True)
    site.http.delete(f"/api/v1/views/{made.view_id}").raise_for_status()
    refused = site.http.post(path, json={"reason": "x"})
    assert (refused.status_code, "archived" in refused.text) == (409, True)


def test_a_repeated_request_is_one(site: Scene, work: Work) -> None:
    made = make(site, work, "Repeated")
    path = f"/api/v1/versions/{made.version_id}/test-evaluations"
    key = {"Idempotency-Key": f"once {made.version_id}"}
    answers = [site.http.post(path, json={"reason": "x"}, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    work.carry_out()
    assert len(evaluations(site, made)["items"]) == 1


def test_a_failure_is_shown_and_may_be_tried_again(site: Scene, work: Work) -> None:
    made = make(site, work, "Failing")
    order(site, made)
    (job,) = work.pending()
    said = f"image {made.tests[0]} cannot be used: it is gone"
    work.report(job, [Failed(said)])
    site.visible()
    (failed,) = evaluations(site, made)["items"]
    assert failed["status"] == "failed"
    assert ".png (image" in failed["failure"], "the file's name is told"
    assert evaluations(site, made)["evaluations_of_view"] == 0
    order(site, made)
    work.carry_out()
    assert [one["status"] for one in evaluations(site, made)["items"]] == ["done", "failed"]
    assert failed["failure"] in site.http.get(f"/versions/{made.version_id}").text


def run(site: Scene, *arguments: str) -> Result:
    settings = site.environment | {"STEMMA_DATA": str(site.settings.data)}
    return CliRunner().invoke(main, arguments, env=settings | {"COLUMNS": "400"})


def test_commands_order_an_evaluation_and_list_them(site: Scene, work: Work) -> None:
    made = make(site, work, "Commanded")
    done = run(site, "versions", "test", made.version_id, "--reason", "for the record")
    assert done.exit_code == 0, done.output
    assert "evaluation 1 of this version on 4 test images" in done.output
    assert "earlier evaluations in this view: 0" in done.output
    again = run(site, "versions", "test", made.version_id, "--reason", "x", "--follow")
    assert again.exit_code == 1
    assert "already running" in again.output
    work.carry_out()
    listed = run(site, "versions", "tests", made.version_id)
    assert re.search(r"1: done: accuracy .* on 4 test images; requested by admin", listed.output)
    assert "for the record; earlier in this view: 0" in listed.output
    assert "in this view: 1" in listed.output
    assert run(site, "versions", "test", made.version_id).exit_code == 2


def test_the_page_orders_an_evaluation_and_shows_its_result(
    site: Scene, work: Work, page: Page
) -> None:
    made = make(site, work, "Shown")
    page.goto(f"/versions/{made.version_id}")
    part = page.locator("#test-set")
    expect(part).to_contain_text("Not evaluated on the test set")
    part.get_by_text("Evaluate on the test set").click()
    part.get_by_label("Reason").fill("to see it")
    page.evaluate("""async () => {
        const [parts] = performance.getEntriesByType("resource")
            .filter(({ name }) => name.endsWith("/parts.js"));
        await (await import(parts.name)).refresh();
    }""")
    expect(part.get_by_label("Reason")).to_have_value("to see it")
    part.get_by_role("button", name="Evaluate version").click()
    row = page.locator("[data-test-evaluation='1']")
    expect(row).to_contain_text("queued")
    expect(row).to_contain_text("administrator: to see it")
    expect(part.get_by_text("Evaluate on the test set")).to_have_count(0)
    work.carry_out()
    expect(row).to_contain_text("done")
    expect(row).to_contain_text("%")
    expect(row.locator("[data-earlier]")).to_have_text("0")
    with site.person("reader", "viewer") as reader:
        text = reader.get(f"/versions/{made.version_id}").text
    assert 'data-test-evaluation="1"' in text
    assert "Evaluate version" not in text
