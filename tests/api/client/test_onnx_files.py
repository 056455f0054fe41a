"""A version's ONNX file: requested once, waited for, and taken only if it is that of the log."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.blobs.blobs import BlobStore
from domain.training.messages import CheckpointSaved, Completed, Failed, OnnxMade, Purpose, Started
from stemma_client import (
    Conflict,
    Forbidden,
    OnnxFailed,
    Stemma,
    StemmaError,
    WaitTimeout,
    operations,
)
from stemma_client.prediction import OnnxModel, paths_of
from tests.adapters.running import eventually
from tests.api.scene import DIGEST, KEY, Scene
from tests.waiting import HANG_SECONDS

CONTENT = bytes(range(256))
START = Started("gpu-1", "cpu", {"torch": "2"}, 0)


@pytest.fixture
def client(site: Scene) -> Iterator[Stemma]:
    with Stemma(site.url, KEY, patience=HANG_SECONDS) as made:
        yield made


def ready(site: Scene) -> str:
    _, view = site.trainable("Taken")
    version = site.version(view)
    site.begin(version, 1)
    site.report(
        version,
        CheckpointSaved(DIGEST, 9, "validation_accuracy", 0.5, 1),
        Completed(DIGEST, "cd" * 32, 10),
    )
    return version


def test_a_worker_makes_it_at_the_first_call(client: Stemma, site: Scene, tmp_path: Path) -> None:
    version = ready(site)
    run = client.version(version)
    digest = BlobStore.from_url(site.settings.require("blobs_url")).put(CONTENT)
    with pytest.raises(Conflict, match="has no ONNX file"):
        client.send(operations.download_onnx(version))
    with pytest.raises(WaitTimeout, match="ONNX file of"):
        run.download_onnx(tmp_path / "model.onnx", timeout=0)
    written: list[Path] = []
    waiting = threading.Thread(
        target=lambda: written.append(run.download_onnx(tmp_path / "a.onnx", timeout=HANG_SECONDS))
    )
    waiting.start()
    site.report(version, START, purpose=Purpose.ONNX)
    made = OnnxMade(DIGEST, digest, len(CONTENT), 4, 0.00001)
    site.report(version, made, purpose=Purpose.ONNX)
    waiting.join(HANG_SECONDS)
    assert [path.read_bytes() for path in written] == [CONTENT]
    assert run.download_onnx(tmp_path / "b.onnx").read_bytes() == CONTENT
    names = [line.event for line in run.history() if "onnx" in line.event]
    assert names == [f"version.onnx_{one}" for one in ("requested", "started", "made")]
    part = site.http.get(f"/api/v1/versions/{version}/model.onnx", headers={"Range": "bytes=250-"})
    assert (part.status_code, part.content) == (206, CONTENT[250:])


def test_why_it_cannot_be_made_is_named(client: Stemma, site: Scene, tmp_path: Path) -> None:
    version = ready(site)
    viewer = site.person("viewer", "viewer").headers["Authorization"].removeprefix("Bearer ")
    with Stemma(site.url, viewer) as reader, pytest.raises(Forbidden):
        reader.version(version).download_onnx(tmp_path / "model.onnx")
    run = client.version(version)
    with pytest.raises(WaitTimeout):
        run.download_onnx(tmp_path / "model.onnx", timeout=0)
    site.report(version, START, Failed("no memory"), purpose=Purpose.ONNX)
    failed = client.send(operations.get_onnx(version))
    assert (failed.status, failed.reason) == ("failed", "no memory")
    outcome: list[StemmaError] = []

    def download() -> None:
        try:
            run.download_onnx(tmp_path / "model.onnx", timeout=HANG_SECONDS)
        except OnnxFailed as error:
            outcome.append(error)

    waiting = threading.Thread(target=download)
    waiting.start()
    eventually(lambda: client.send(operations.get_onnx(version)).status == "queued")
    site.report(version, START, Failed("none again"), attempt=2, purpose=Purpose.ONNX)
    waiting.join(HANG_SECONDS)
    assert "none again" in str(outcome[0])


def test_a_file_of_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StemmaError, match="no images match"):
        paths_of(tmp_path / "*.jpg")
    with pytest.raises(Exception, match=r"(?i)protobuf|fail|exist"):
        OnnxModel(tmp_path / "none.onnx")
