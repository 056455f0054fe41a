"""The package against a running server: what a notebook does, from a project to metrics."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pandas
import pytest

from adapters.blobs.blobs import BlobStore
from domain.training.messages import CheckpointSaved
from stemma_client import (
    ApiError,
    Conflict,
    Invalid,
    NotFound,
    ReadOnly,
    Stale,
    Stemma,
    TrainingFailed,
    WaitTimeout,
    answers,
    arrow,
    operations,
)
from stemma_client.asynchronous import AsyncStemma
from stemma_client.requests import Request
from stemma_client.versions import Version
from tests.api.scene import KEY, Scene, png
from tests.waiting import HANG_SECONDS

EPOCHS = 4


@pytest.fixture
def client(site: Scene) -> Iterator[Stemma]:
    with Stemma(site.url, KEY, patience=HANG_SECONDS) as made:
        yield made


@pytest.fixture(scope="module")
def trained(site: Scene) -> tuple[str, str]:
    """The ids of a version that has ended well, and of one that is queued."""
    _, view = site.trainable("Trained")
    version = site.version(view)
    site.begin(version, EPOCHS)
    for number in range(1, EPOCHS + 1):
        site.epoch(version, number, of=EPOCHS)
    site.finish(version)
    return version, site.version(view)


def test_what_is_made_is_there_at_once(client: Stemma, tmp_path: Path) -> None:
    pets = client.projects.ensure("Pets")
    assert client.projects.ensure("Pets") == pets
    view = pets.views.ensure("species", concepts=["cat", "dog"])
    assert pets.views.ensure("species", concepts=["cat", "dog"]) == view
    files = []
    for number in range(6):
        files.append(tmp_path / f"{number}.png")
        files[-1].write_bytes(png(number))
    ids = pets.upload(files)
    labels = {image_id: ("cat", "dog")[at % 2] for at, image_id in enumerate(ids)}
    assert view.annotate(labels, key="labels") == 6
    pets.draw_validation(0.5, seed=7)
    assert [image.id for image in pets.images(view, annotated=True)] == ids
    assert [pets.image_of(file, view).id for file in files] == ids
    with pytest.raises(NotFound):
        pets.image_of(__file__)
    assert pets.dataset.summary().counts.validation == 3
    assert client.projects["Pets"].views["species"].concepts == view.concepts
    for shown in (pets, view, pets.image_of(files[0], view)):
        assert "data:image/webp;base64" in shown._repr_html_()
    with pytest.raises(KeyError, match="it has 'species'"):
        pets.views["breed"]
    run = view.train(name="first", architecture="mobilenet_v3_small", epochs=1, key="first")
    assert run.status == "queued"
    assert view.train(name="first", architecture="mobilenet_v3_small", epochs=1, key="first") == run
    with pytest.raises(Conflict, match="used for another") as reused:
        view.train(architecture="resnet18", key="first")
    assert reused.value.kind == "idempotency-key-reused"
    assert reused.value.correlation_id == client.correlation_id
    assert [one.id for one in pets.versions()] == [run.id]
    caused = [line.event for line in client.history()]
    assert {"project.created", "view.created", "image.annotated", "version.created"} <= {*caused}
    assert run.history()[0].event == "version.created"


def test_an_option_that_is_wrong_is_named(client: Stemma, site: Scene) -> None:
    _, view_id = site.trainable("Wrong")
    view = client.view(view_id)
    with pytest.raises(Invalid, match="epochs") as wrong:
        view.train(epochs=0)
    assert wrong.value.status == 422
    assert wrong.value.fields == {"epochs"}
    form = view.form()
    assert "epochs" in form.columns["option"]
    assert "resnet18" in form._repr_html_()


def test_metrics_of_several_versions_are_whole(client: Stemma, trained: tuple[str, str]) -> None:
    runs = [client.version(one) for one in trained]
    frame = client.metrics(runs).to_pandas()
    first = frame[frame.version_id == trained[0]]
    assert list(frame.columns) == ["version_id", "name", "metric", "iteration", "value"]
    assert (first.metric == "batch_loss").sum() == 10 * EPOCHS
    assert frame[frame.version_id == trained[1]].empty
    loss = client.metrics(runs, "validation_loss")
    assert len(loss) == EPOCHS
    assert len(client.metrics(runs, "batch_loss").thinned(7)) == 7
    assert "<polyline" in runs[0]._repr_html_()
    assert "has not been evaluated" in runs[1].evaluation._repr_html_()
    with pytest.raises(NotFound, match="version not found"):
        client.metrics([Version(client, answers.VersionRow(version_id="none", name="x"))])


def test_tables_are_the_same_with_and_without_arrow(
    client: Stemma, site: Scene, trained: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project_id, view_id = site.trainable("Tables")
    project, view = client.project(project_id), client.view(view_id)
    runs = [client.version(one) for one in trained]
    frames: list[list[Any]] = []
    for installed in (True, False):
        monkeypatch.setattr(arrow, "is_installed", partial(bool, installed))
        metrics, images = client.metrics([runs[0]]), project.image_table(view)
        assert (images._of_arrow is not None) is installed
        assert client.metrics(runs[1:]).to_pandas().empty
        assert len(metrics.thinned(2)) == 2 * len(metrics.series)
        assert images.columns["annotations"][0][0]["concept_id"] in view.concepts.values()
        polars = [table.to_polars().to_dicts() for table in (metrics, images)]
        plain = [metrics.columns, images.columns, metrics.series, len(repr(images)), polars]
        frames.append([plain, metrics.to_pandas(), images.to_pandas()])
    (one, *ours), (other, *theirs) = frames
    assert one == other
    for with_arrow, without in zip(ours, theirs, strict=True):
        empty = with_arrow.columns[with_arrow.isna().all()]  # an empty column has no type in JSON
        pandas.testing.assert_frame_equal(
            with_arrow.drop(columns=empty), without.drop(columns=empty), check_dtype=False
        )


def test_lists_take_what_is_named_and_refuse_what_is_not_known(
    client: Stemma, trained: tuple[str, str]
) -> None:
    project = client.project(client.version(trained[0]).row.project_id)
    assert [run.id for run in project.versions(status="ready")] == [trained[0]]
    versions = project.versions(sort="oldest")
    assert [run.id for run in versions] == list(trained)
    assert list(versions.to_pandas().version_id) == list(trained)
    assert list(client.view(versions[0].row.view_id).models().to_pandas().versions) == [2]
    names = [image.name for image in project.images()][:2]
    assert [image.name for image in project.images(file_names=names)] == names
    assert project.image_table(file_names=["none"]).columns["image_id"] == []
    with pytest.raises(Invalid, match="limit must be at most 500 in JSON, got 501") as long:
        client.send(operations.list_images(project.id, limit=501))
    assert long.value.fields == {"limit"}
    refused: list[Request[Any]] = [
        operations.list_versions(status="done"),  # type: ignore[arg-type]
        operations.list_versions(sort="fast"),  # type: ignore[arg-type]
        operations.list_imports(project.id, status="good"),  # type: ignore[arg-type]
        operations.export_annotations(project.id, format="pdf"),  # type: ignore[arg-type]
    ]
    for request in refused:
        with pytest.raises(Invalid, match=r"one of|Invalid enum"):
            client.send(request)


def test_a_wait_ends_with_the_training(client: Stemma, site: Scene) -> None:
    _, view = site.trainable("Waits")
    run = client.view(view).train(architecture="mobilenet_v3_small")
    with pytest.raises(WaitTimeout, match="continues"):
        run.wait(timeout=0)
    worker = threading.Thread(target=train, args=[site, run.id])
    worker.start()
    assert run.wait(timeout=HANG_SECONDS).status == "ready"
    worker.join()
    assert "ready" in repr(run)


def test_an_interrupt_leaves_the_training_running(
    client: Stemma, site: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    _, view = site.trainable("Interrupted")
    run = client.view(view).train(name="long", architecture="mobilenet_v3_small")
    interrupt = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        run.wait(bar=True)
    interrupt.join()
    told = capsys.readouterr().err
    assert "this continues on the server: 'long'" in told
    assert "[...." in told
    run.look()
    assert run.status == "queued"


def test_several_are_waited_for_and_one_that_fails_is_no_result(
    client: Stemma, site: Scene
) -> None:
    _, view_id = site.trainable("Several")
    view = client.view(view_id)
    good, bad = (view.train(architecture="mobilenet_v3_small") for _ in range(2))
    train(site, good.id)
    waited = client.wait([bad, good], timeout=HANG_SECONDS)
    assert next(waited) == good
    bad.cancel()
    with pytest.raises(TrainingFailed, match="cancelled") as failed:
        next(waited)
    assert failed.value.run == bad
    with pytest.raises(TrainingFailed):
        bad.wait()


def train(site: Scene, version_id: str) -> None:
    site.begin(version_id, 1)
    site.epoch(version_id, 1, of=1)
    site.finish(version_id)


def test_the_past_is_read_only(client: Stemma) -> None:
    project = client.projects.create("Before")
    then = client.position
    project.rename("After")
    past = client.at(then)
    assert past.project(project.id).name == "Before"
    assert client.project(project.id).name == "After"
    with pytest.raises(ReadOnly):
        past.projects.create("In the past")
    with pytest.raises(ApiError, match="log ends"):
        client.at(then + 1_000_000).project(project.id)


def test_an_annotation_rests_on_what_was_read(client: Stemma, site: Scene) -> None:
    project_id, view_id = site.trainable("Annotated")
    view = client.view(view_id)
    image = next(client.project(project_id).images(view))
    old = image.row.revision
    for label in ("one", "zero"):
        given = answers.Annotation(concept_id=view.concept_id(label))
        image.annotate(view, [given])
        assert image.row.annotations == [given]
    with pytest.raises(Stale, match="load it again"):
        image.annotate(view, [given], revision=old)


def test_the_asynchronous_client_waits_too(site: Scene) -> None:
    project_id, view = site.trainable("Awaited")
    version_id = site.version(view)

    async def follow() -> tuple[str, int, str]:
        async with AsyncStemma(site.url, KEY, patience=HANG_SECONDS) as client:
            waited = asyncio.ensure_future(client.wait(version_id, HANG_SECONDS))
            await asyncio.to_thread(train, site, version_id)
            row = await waited
            events = client.events(names=["version.training_completed"])
            async for received in events:
                if received.subject == f"version-{version_id}":
                    break
            await events.aclose()  # type: ignore[attr-defined]
            images = client.pages(operations.list_images(project_id, limit=4))
            found = [image.image_id async for page in images for image in page.items]
            assert len(set(found)) == 10
            metrics = await client.metrics([version_id], "batch_loss")
            return row.status, len(metrics), received.name

    assert asyncio.run(follow()) == ("ready", 10, "version.training_completed")


def test_the_server_names_its_versions(client: Stemma, site: Scene) -> None:
    about = client.about()
    assert about.version == version("stemma")
    assert site.http.get("/api/v1/whoami").headers["Stemma-API-Version"] == about.api_version
    assert about.api_version == operations.API_VERSION


def test_part_of_a_checkpoint_is_sent_where_it_is_asked_for(site: Scene) -> None:
    weights = bytes(range(200))
    digest = BlobStore.from_url(site.settings.require("blobs_url")).put(weights)
    _, view = site.trainable("Ranges")
    version_id = site.version(view)
    site.begin(version_id, 1)
    site.report(version_id, CheckpointSaved(digest, 200, "validation_accuracy", 0.5, 1))
    site.visible()
    path = f"/api/v1/versions/{version_id}/checkpoint"
    for asked, status, content in (
        ({"Range": "bytes=150-"}, 206, weights[150:]),
        ({"Range": "bytes=5-9"}, 206, weights[5:10]),
        ({"Range": "bytes=150-", "If-Range": f'"{digest}"'}, 206, weights[150:]),
        ({"Range": "bytes=150-", "If-Range": '"other"'}, 200, weights),
        ({"Range": "bytes=200-"}, 200, weights),
        ({"Range": "bytes=-5"}, 200, weights),
        ({}, 200, weights),
    ):
        answer = site.http.get(path, headers=asked)
        assert (answer.status_code, answer.content) == (status, content), asked
    assert site.http.get(path, headers={"Range": "bytes=5-9"}).headers["Content-Range"] == (
        "bytes 5-9/200"
    )


def test_a_newer_or_older_server_is_understood() -> None:
    row = msgspec.json.decode(
        b'{"name":"x","colour":"red","status":"new"}', type=answers.VersionRow
    )
    missing: object = row.number
    assert (row.name, row.status, missing) == ("x", "new", msgspec.UNSET)
    assert msgspec.json.encode(answers.NewSplit(size=0.5)) == b'{"size":0.5}'
