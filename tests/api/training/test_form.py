"""The training form over HTTP, and the weights that a training starts from."""

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import msgspec
import pytest

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from api.app import create_app
from domain.training.architectures import ARCHITECTURES
from domain.training.form import KINDS, training_form
from domain.training.form_controls import Form
from domain.training.messages import BatchMetrics, CheckpointSaved, Failed
from domain.training.version import VersionCreated
from tests.api.scene import Scene

FILE = ARCHITECTURES["resnet18"].weights["imagenet"]
CHECKPOINT = "5a" * 32


def train(server: Scene, view_id: str, **options: object) -> httpx.Response:
    return server.http.post(f"/api/v1/views/{view_id}/versions", json={"options": options})


def refusal(response: httpx.Response) -> tuple[str, str]:
    """The one field that a 422 names, and what it says of it."""
    assert response.status_code == 422, response.text
    (error,) = response.json()["errors"]
    return error["field"], error["detail"]


def put_weights(server: Scene, content: bytes = b"weights") -> str:
    """Lay a file where ResNet 18's weights are looked for; its sha256."""
    folder = server.settings.weights_folder
    folder.mkdir(exist_ok=True)
    (folder / FILE).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def created(server: Scene, version_id: str) -> VersionCreated:
    """The first event of a version."""
    (stored,) = server.store.streams([f"version-{version_id}"])[f"version-{version_id}"][:1]
    assert isinstance(stored.event, VersionCreated)
    return stored.event


def ended(server: Scene, view_id: str, *, saved: bool = True, failed: bool = False) -> str:
    """A ResNet 18 that was trained, with a checkpoint or without."""
    version_id = server.version(view_id, architecture="resnet18")
    server.begin(version_id, epochs=1)
    if saved:
        server.report(version_id, CheckpointSaved(CHECKPOINT, 7, "validation_accuracy", 0.5, 1))
    if failed:
        server.report(version_id, Failed("out of memory"))
    else:
        server.finish(version_id)
    return version_id


@pytest.mark.parametrize("kind", KINDS)
def test_the_form_is_that_of_the_domain(server: Scene, kind: str) -> None:
    response = server.http.get(f"/api/v1/forms/{kind}")
    assert msgspec.json.decode(response.content, type=Form) == training_form(kind)


def test_there_is_no_form_of_another_kind(server: Scene) -> None:
    response = server.http.get("/api/v1/forms/segmentation")
    assert response.status_code == 404
    assert "classification, tagging, detection" in response.json()["detail"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_description_fits_the_form(kind: str) -> None:
    document: dict[str, Any] = create_app(Settings(data=Path())).openapi_schema.to_schema()
    answer = document["paths"]["/api/v1/forms/{kind}"]["get"]["responses"]["200"]
    schema = answer["content"]["application/json"]["schema"] | {
        "components": document["components"]
    }
    jsonschema.Draft202012Validator(schema).validate(
        json.loads(msgspec.json.encode(training_form(kind)))
    )


def test_weights_that_lie_there_are_the_default_of_the_form(server: Scene) -> None:
    put_weights(server)
    (server.settings.weights_folder / "other.pth").write_bytes(b"unknown")
    response = server.http.get("/api/v1/forms/classification")
    expected = training_form("classification", frozenset({FILE}))
    assert msgspec.json.decode(response.content, type=Form) == expected
    assert expected != training_form("classification")


def test_a_training_starts_from_weights_that_lie_there(server: Scene) -> None:
    _, view_id = server.trainable()
    digest = put_weights(server)
    version = created(server, server.version(view_id, architecture="resnet18"))
    assert version.built_in("x").pretrained == "imagenet"
    assert (
        version.built_in("x").initial_learning_rate == ARCHITECTURES["resnet18"].pretrained.adaptive
    )
    assert version.initial_weights is not None
    assert msgspec.structs.astuple(version.initial_weights) == (digest, "imagenet", None)
    blobs = BlobStore.from_url(server.settings.require("blobs_url"))
    assert blobs.get(digest) == b"weights"

    chosen = server.version(view_id, architecture="resnet18", pretrained="none")
    assert created(server, chosen).initial_weights is None
    other = server.version(view_id, architecture="resnet50")
    assert created(server, other).initial_weights is None


def test_weights_that_are_missing_are_named_with_what_to_do(server: Scene) -> None:
    _, view_id = server.trainable()
    head = server.store.head()
    field, told = refusal(train(server, view_id, architecture="resnet18", pretrained="imagenet"))
    assert field == "pretrained"
    for part in (FILE, str(server.settings.weights_folder), "stemma weights fetch resnet18"):
        assert part in told
    assert server.store.head() == head


def test_a_training_starts_from_an_earlier_version(server: Scene) -> None:
    _, view_id = server.trainable()
    earlier = ended(server, view_id)
    server.concepts(view_id, "two")
    options = {"architecture": "resnet18", "start_from": earlier, "pretrained": "imagenet"}
    version = created(server, server.version(view_id, **options))
    start = created(server, earlier)
    assert version.model_id != start.model_id
    assert version.built_in("x").pretrained is None
    assert version.initial_weights is not None
    theirs = tuple(one.concept_id for one in start.concepts)
    assert msgspec.structs.astuple(version.initial_weights) == (CHECKPOINT, earlier, theirs)


def test_what_cannot_be_started_from_is_refused_with_the_reason(server: Scene) -> None:
    _, view_id = server.trainable()
    _, other = server.trainable(name="Other")

    def told(version_id: str, architecture: str = "resnet18", view: str = view_id) -> str:
        field, detail = refusal(
            train(server, view, architecture=architecture, start_from=version_id)
        )
        assert field == "start_from"
        return detail

    assert told("nothing").startswith("this view has no version 'nothing'")
    ready = ended(server, view_id)
    assert told(ready, view=other).startswith(f"this view has no version '{ready}'")
    assert "resnet18" in told(ready, architecture="resnet50")
    running = server.version(view_id, architecture="resnet18")
    assert "is queued; wait" in told(running)
    server.begin(running)
    server.report(running, BatchMetrics(0, (0.1,), (1.0,)))
    assert "is training; wait" in told(running)
    assert "is failed and has no checkpoint" in told(ended(server, view_id, failed=True))
    assert "is ready and has no checkpoint" in told(ended(server, view_id, saved=False))
