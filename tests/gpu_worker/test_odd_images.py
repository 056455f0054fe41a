"""Training, prediction and ONNX get, of every odd image, the pixels that thumbnails show."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from domain.training.messages import CheckpointSaved, Completed, ManifestLine
from domain.training.model_description import DESCRIPTION_FILE, WEIGHTS_FILE
from domain.training.preprocessing import MEAN, STD
from gpu_worker import onnx_export, predict
from gpu_worker.checkpoint import weights
from gpu_worker.data import Draw
from gpu_worker.images import ImageUnreadable
from gpu_worker.inference import TakenModel
from gpu_worker.networks import build_network
from tests.adapters.images.odd import HEIGHT, ODD, REFUSED, WIDTH, Odd, encoded
from tests.gpu_worker.at_hand import prepare
from tests.gpu_worker.samples import coloured_job
from tests.gpu_worker.test_take_away import described

OPTIONS: dict[str, Any] = {"width": WIDTH, "height": HEIGHT}
DEPTHS = sorted({odd.grey_bits for odd in ODD.values()}, key=str)


@pytest.fixture(scope="module", params=DEPTHS, ids=str)
def depth(request: pytest.FixtureRequest) -> int | None:
    found: int | None = request.param
    return found


def of_depth(grey_bits: int | None) -> dict[str, Odd]:
    return {name: odd for name, odd in ODD.items() if odd.grey_bits == grey_bits}


def test_the_training_tensor_is_the_pixels_of_the_rule(depth: int | None, tmp_path: Path) -> None:
    blobs = BlobStore.from_url((tmp_path / "blobs").as_uri())
    odd = of_depth(depth)
    lines = [
        ManifestLine(name, blobs.put(image.data), split, ("red",))
        for split in ("train", "validation")
        for name, image in odd.items()
    ]
    job = msgspec.structs.replace(coloured_job(blobs, lines=lines, **OPTIONS), grey_bits=depth)
    for cache_bytes in (1 << 20, 0):
        settings = Settings(data=tmp_path, device="cpu", image_cache_bytes=cache_bytes)
        data = prepare(job, blobs, settings, lambda _: None)
        for images in (data.train, data.validation):
            tensor, _ = images.batch([Draw(index, None) for index in range(len(images))])
            for line, pixels in zip(images.lines, tensor.permute(0, 2, 3, 1).numpy(), strict=True):
                off = np.abs(pixels.astype(int) - odd[line.image].pixels).max()
                assert off <= odd[line.image].tolerance, line.image


@pytest.fixture(scope="module")
def model(depth: int | None, tmp_path_factory: pytest.TempPathFactory) -> TakenModel:
    folder = tmp_path_factory.mktemp("model")
    blobs = BlobStore.from_url((folder / "blobs").as_uri())
    job = msgspec.structs.replace(coloured_job(blobs, lines=[], **OPTIONS), grey_bits=depth)
    saved, completed = CheckpointSaved("c", 1, "accuracy", 0.5, 1), Completed("c", "f", 1)
    network = build_network(job.kind, job.options, len(job.concepts))
    (folder / WEIGHTS_FILE).write_bytes(weights(network))
    (folder / DESCRIPTION_FILE).write_bytes(msgspec.json.encode(described(job, saved, completed)))
    return TakenModel.from_folder(folder)


def test_the_input_of_onnx_and_predict_is_the_pixels_of_the_rule(
    depth: int | None, model: TakenModel
) -> None:
    for name, odd in of_depth(depth).items():
        tensor, fitted = model.read(odd.data)
        assert (fitted.width, fitted.height) == (WIDTH, HEIGHT)
        pixels = (tensor[0].permute(1, 2, 0).numpy() * STD + MEAN) * 255
        assert np.abs(pixels - odd.pixels).max() <= odd.tolerance + 1e-3, name


def test_predict_names_a_file_that_it_cannot_read(
    model: TakenModel, tmp_path: Path, capsys: pytest.CaptureFixture[str], depth: int | None
) -> None:
    if depth is not None:
        pytest.skip("the depth does not matter here")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / DESCRIPTION_FILE).write_bytes(msgspec.json.encode(model.description))
    (folder / WEIGHTS_FILE).write_bytes(weights(model.network))
    path = tmp_path / "x.heic"
    path.write_bytes(REFUSED["HEIC"])
    assert predict.main(folder, [str(path)]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    said = f"{path}: this is HEIC, which is not supported; convert it to JPEG, PNG, WebP or AVIF"
    assert msgspec.json.decode(line)["error"] == said
    assert onnx_export.main(folder, tmp_path / "model.onnx", [str(path)]) == 1
    assert capsys.readouterr().err == f"stemma: {said}\n"


@pytest.mark.parametrize("cache_bytes", [1 << 20, 0])
def test_all_unreadable_images_are_named_at_once(tmp_path: Path, cache_bytes: int) -> None:
    blobs = BlobStore.from_url((tmp_path / "blobs").as_uri())
    good = encoded(Image.new("RGB", (8, 8)))
    files = {"good": good, "float": REFUSED["float TIFF"], "cut": good[:-30], "more": good[:20]}
    lines = [
        ManifestLine(name, blobs.put(data), split, ("red",))
        for split in ("train", "validation")
        for name, data in files.items()
    ]
    settings = Settings(data=tmp_path, device="cpu", image_cache_bytes=cache_bytes)
    job = coloured_job(blobs, lines=lines, **OPTIONS)

    def read() -> None:
        data = prepare(job, blobs, settings, lambda _: None)
        raise data.unreadable()

    with pytest.raises(ImageUnreadable) as caught:
        read()
    text = str(caught.value)
    assert text.startswith("6 images cannot be used: image float")
    assert all(text.count(f"image {name}: ") == 2 for name in files if name != "good")
    assert "image good" not in text
