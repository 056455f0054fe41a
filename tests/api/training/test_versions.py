"""Training over HTTP: what is refused before any job, and what can be watched and fetched."""

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from httpx_sse import ServerSentEvent, connect_sse

from adapters.blobs.blobs import BlobStore
from cli.main import main
from domain.training.messages import CheckpointSaved, Completed, Failed
from tests.api.scene import Scene
from tests.waiting import HANG_SECONDS


def train(server: Scene, view_id: str, **options: object) -> httpx.Response:
    return server.http.post(f"/api/v1/views/{view_id}/versions", json={"options": options})


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"architecture": "resnet9000"}, "architecture"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": -1}, "batch_size"),
        ({"optimizer": "luck"}, "optimizer"),
        ({"width": 33}, "width"),
        ({"initial_learning_rate": 11}, "initial_learning_rate"),
    ],
)
def test_an_option_out_of_range_is_named(
    server: Scene, options: dict[str, object], field: str
) -> None:
    _, view_id = server.trainable()
    head = server.store.head()
    refused = train(server, view_id, **options)
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert server.store.head() == head


@pytest.mark.parametrize("field", ["status", "architecture", "sort"])
def test_a_filter_or_order_that_is_none_is_refused(server: Scene, field: str) -> None:
    refused = server.http.get("/api/v1/versions", params={field: "nonsense"})
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    detail = refused.json()["detail"]
    assert detail.startswith(f"{field} must be one of ")
    assert detail.endswith("got 'nonsense'")


def test_an_unknown_option_and_a_wrong_type_are_refused(server: Scene) -> None:
    _, view_id = server.trainable()
    assert "epoch" in train(server, view_id, epoch=3).json()["detail"]
    assert "epochs" in train(server, view_id, epochs="many").json()["detail"]


def test_what_cannot_be_trained_is_refused_with_what_to_do(server: Scene) -> None:
    project_id = server.project()
    view_id = server.view(project_id)
    assert "add at least two" in train(server, view_id).json()["detail"]
    (zero,) = server.concepts(view_id, "zero")
    assert "add another" in train(server, view_id).json()["detail"]
    (one,) = server.concepts(view_id, "one")
    assert "annotate" in train(server, view_id).json()["detail"]
    images = server.images(project_id, 6)

    def annotate(concept: str, *chosen: str) -> None:
        said = [{"image_id": i, "annotations": [{"concept_id": concept}]} for i in chosen]
        server.post(f"/views/{view_id}/annotations", {"images": said})

    annotate(zero, *images)
    assert "same concept" in train(server, view_id).json()["detail"]
    annotate(one, *images[3:])
    assert "draw a validation set" in train(server, view_id).json()["detail"]
    server.http.put(f"/api/v1/images/{images[0]}/split", json={"split": "validation"})
    assert train(server, view_id).status_code == 201


@pytest.mark.parametrize(("kind", "lacking"), [("tagging", "annotated"), ("detection", "a box")])
def test_other_kinds_say_what_they_need(server: Scene, kind: str, lacking: str) -> None:
    project_id = server.project()
    view_id = server.post(f"/projects/{project_id}/views", {"name": "v", "kind": kind})["id"]
    assert "add at least" in train(server, view_id).json()["detail"]
    server.concepts(view_id, "a")
    refused = train(server, view_id)
    assert refused.status_code == 409
    assert f"no image {'is ' if kind == 'tagging' else 'has '}{lacking}" in refused.json()["detail"]


def test_changing_concepts_after_a_training_forks_and_coming_back_reopens(server: Scene) -> None:
    _, view_id = server.trainable()
    server.version(view_id, architecture="resnet18")
    (two,) = server.concepts(view_id, "two")
    server.visible()
    library = f"/api/v1/views/{view_id}/models"
    child, parent = (row["model"] for row in server.http.get(library).json()["items"])
    assert child["parent"] == parent["model_id"]
    assert child["why"] == "added 'two'"
    server.http.delete(f"/api/v1/views/{view_id}/concepts/{two}")
    again = server.version(view_id, architecture="resnet18")
    server.visible()
    trained = server.http.get(f"/api/v1/versions/{again}").json()["version"]
    assert (trained["model_id"], trained["number"]) == (parent["model_id"], 2)
    assert len(server.http.get(library).json()["items"]) == 2


def test_the_library_shows_a_training_to_its_end(server: Scene, tmp_path: Any) -> None:
    _, view_id = server.trainable()
    version_id = server.version(view_id, architecture="resnet18", epochs=1)
    weights = b"weights"
    digest = BlobStore.from_url(f"file://{tmp_path}/blobs").put(weights)
    server.begin(version_id, epochs=1)
    server.epoch(version_id, 1, of=1)
    server.report(
        version_id,
        CheckpointSaved(digest, len(weights), "validation_accuracy", 0.95, 2),
        Completed(digest, hashlib.sha256(b"last").hexdigest(), 10),
    )
    server.visible()
    path = f"/api/v1/versions/{version_id}"
    version = server.http.get(path).json()["version"]
    assert (version["status"], version["progress"]) == ("ready", 1.0)
    assert (version["indicator"], version["checkpoint"]) == (0.95, digest)
    assert version["ended_at"] > version["created_at"]
    fetched = server.http.get(f"{path}/checkpoint")
    assert fetched.content == weights
    assert fetched.headers["etag"] == f'"{digest}"'


def test_a_failed_version_says_why_and_is_retried(server: Scene) -> None:
    _, view_id = server.trainable()
    version_id = server.version(view_id, architecture="resnet18")
    path = f"/api/v1/versions/{version_id}"
    assert server.http.post(f"{path}/retry").status_code == 409
    server.begin(version_id)
    server.report(version_id, Failed("the graphics card is out of memory; lower batch_size"))
    server.visible()
    failed = server.http.get(path).json()["version"]
    assert (failed["status"], "out of memory" in failed["reason"]) == ("failed", True)
    assert server.http.get(f"{path}/checkpoint").status_code == 409
    assert server.http.post(f"{path}/retry").status_code == 200
    server.visible()
    retried = server.http.get(path).json()["version"]
    assert (retried["status"], retried["attempt"], retried["reason"]) == ("queued", 2, None)


def test_a_failure_names_images_by_their_file_names(server: Scene) -> None:
    project_id, view_id = server.trainable()
    version_id = server.version(view_id, architecture="resnet18")
    server.begin(version_id)
    server.visible()
    listed = server.http.get(f"/api/v1/projects/{project_id}/images").json()["items"]
    first, second = listed[0], listed[1]
    bad = [f"image {image['image_id']}: it is cut" for image in (first, second)]
    server.report(version_id, Failed(f"2 images cannot be used: {'; '.join(bad)}"))
    server.visible()

    def reasons() -> list[str]:
        version, library = f"/api/v1/versions/{version_id}", f"/api/v1/views/{view_id}/models"
        return [
            server.http.get(version).json()["version"]["reason"],
            server.http.get(f"{version}/progress").json()["progress"]["reason"],
            server.http.get("/api/v1/versions").json()["items"][0]["reason"],
            server.http.get(library).json()["items"][0]["versions"][0]["reason"],
            server.http.get(f"{version}/events").text,
            server.http.get(f"/versions/{version_id}").text,
            server.http.get(f"/views/{view_id}").text,
        ]

    for reason in reasons():
        for image in (first, second):
            assert f"{image['file_name']} (image {image['image_id']}): it is cut" in reason
    reason = "asked for by its owner"
    server.post(f"/images/{first['image_id']}/erase", {"reason": reason})
    server.visible()
    for reason in reasons():
        assert f"{second['file_name']} (image" in reason
        assert f"[erased] (image {first['image_id']}): it is cut" in reason


def test_a_training_is_cancelled_and_its_weights_are_gone(server: Scene) -> None:
    _, view_id = server.trainable()
    version_id = server.version(view_id, architecture="resnet18")
    server.begin(version_id)
    server.epoch(version_id, 1)
    path = f"/api/v1/versions/{version_id}"
    server.visible()
    tag = server.http.get(path).headers["etag"]
    server.epoch(version_id, 2)
    stale = server.http.post(f"{path}/cancel", headers={"If-Match": tag})
    assert stale.status_code == 412
    key = {"Idempotency-Key": "cancel it"}
    first = server.http.post(f"{path}/cancel", headers=key)
    again = server.http.post(f"{path}/cancel", headers=key)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["revision"] == again.json()["revision"]
    server.epoch(version_id, 3)
    server.finish(version_id)
    server.visible()
    version = server.http.get(path).json()["version"]
    assert (version["status"], version["checkpoint"], version["indicator"]) == (
        "cancelled",
        None,
        None,
    )
    assert version["revision"] == first.json()["revision"]
    fetched = server.http.get(f"{path}/checkpoint")
    assert (fetched.status_code, "discarded" in fetched.json()["detail"]) == (409, True)
    for refused in ("retry", "stop"):
        answer = server.http.post(f"{path}/{refused}")
        assert (answer.status_code, "cancelled" in answer.json()["detail"]) == (409, True)


def test_a_training_is_stopped_early_and_its_checkpoint_kept(server: Scene, tmp_path: Path) -> None:
    _, view_id = server.trainable()
    version_id = server.version(view_id, architecture="resnet18")
    path = f"/api/v1/versions/{version_id}"
    queued = server.http.post(f"{path}/stop")
    assert (queued.status_code, "cancel it" in queued.json()["detail"]) == (409, True)
    server.begin(version_id)
    digest = BlobStore.from_url(f"file://{tmp_path}/blobs").put(b"weights")
    server.report(version_id, CheckpointSaved(digest, 7, "validation_accuracy", 0.9, 1))
    assert server.http.post(f"{path}/stop").status_code == 200
    server.visible()
    assert server.http.get(f"{path}/progress").json()["progress"]["stop_requested"] is True
    head = server.store.head()
    assert server.http.post(f"{path}/stop").status_code == 200
    assert server.store.head() == head
    server.finish(version_id, ended_by="stop")
    server.visible()
    version = server.http.get(path).json()["version"]
    assert (version["status"], version["checkpoint"]) == ("stopped", digest)
    assert server.http.get(f"{path}/checkpoint").content == b"weights"
    with connect_sse(server.http, "GET", f"{path}/events") as source:
        assert list(source.iter_sse())[-1].data == '"stopped"'
    assert server.http.post(f"{path}/cancel").status_code == 409


def test_the_command_line_asks_for_the_same(server: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    _, view_id = server.trainable()
    version_id = server.version(view_id, architecture="resnet18")

    def stemma(command: str, exit_status: int = 0) -> str:
        done = CliRunner().invoke(main, [command, version_id])
        assert done.exit_code == exit_status, done.output
        return done.output

    assert "cancel it instead" in stemma("stop", 1)
    server.begin(version_id)
    assert "is training" in stemma("stop")
    server.report(version_id, Failed("the disk is full"))
    assert "is queued" in stemma("retry")
    assert "is cancelled" in stemma("cancel")
    assert "only a failed version" in stemma("retry", 1)


def test_live_events_show_all_then_what_is_new_and_resume_without_gap(server: Scene) -> None:
    _, view_id = server.trainable()
    version_id = server.version(view_id, architecture="resnet18", epochs=4)
    server.begin(version_id)
    server.epoch(version_id, 1)
    server.visible()
    path = f"/api/v1/versions/{version_id}/events"
    seen: list[ServerSentEvent] = []
    first_metrics = threading.Event()

    def follow() -> None:
        with connect_sse(server.http, "GET", path) as source:
            for event in source.iter_sse():
                seen.append(event)
                if event.event == "metrics":
                    first_metrics.set()

    follower = threading.Thread(target=follow)
    follower.start()
    assert first_metrics.wait(HANG_SECONDS)
    for number in (2, 3, 4):
        server.epoch(version_id, number)
    server.report(version_id, Completed("a" * 64, "b" * 64, 40))
    follower.join(HANG_SECONDS)
    assert not follower.is_alive()
    assert seen[-1].event == "end"
    assert iterations(seen) == list(range(1, 41))
    middle = next(event.id for event in seen if event.event == "metrics")
    with connect_sse(server.http, "GET", path, headers={"Last-Event-ID": middle}) as source:
        resumed = list(source.iter_sse())
    done = [i for event in seen if int(event.id) <= int(middle) for i in iterations([event])]
    assert done + iterations(resumed) == list(range(1, 41))


def iterations(events: list[ServerSentEvent]) -> list[int]:
    """The iterations of the batch loss that these events carry."""
    return [
        iteration
        for event in events
        if event.event == "metrics"
        for series in json.loads(event.data)
        if series["metric"] == "batch_loss"
        for iteration in series["iterations"]
    ]
