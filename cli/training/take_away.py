"""`stemma download`, `predict`, `onnx`: use of a checkpoint without the server that trained it."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from cli.calls import calling, find_version
from cli.client import ApiClient, ApiProblem
from cli.torch_here import require_torch
from domain.library.view import DETECTION
from domain.trainers.trainer import ENDINGS, ONNX
from domain.training.model_description import (
    CARD_FILE,
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    ModelDescription,
)

SAMPLES = 4


@click.command("download")
@click.argument("version")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def download_command(version: str, folder: Path) -> None:
    """Write a version's weights, description and model card to FOLDER.

    VERSION is an id, or PROJECT/VIEW/NAME.
    """
    with calling() as client:
        version_id = find_version(client, version)
        folder.mkdir(parents=True, exist_ok=True)
        row = client.query(f"versions/{version_id}")["version"]
        if row["trainer"] is None:
            model = download_version(client, version_id, folder)
            name, checkpoint = model.name, model.checkpoint
        else:
            name, checkpoint = row["name"], _download_foreign(client, row, folder)
    click.echo(f"wrote {folder}: {name}, sha256 {checkpoint}")


@click.command("predict")
@click.argument("model")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--box", nargs=4, type=click.FloatRange(0, 1), metavar="X Y WIDTH HEIGHT",
    help="For a version trained on crops: the crop, as shares of the image; by default the whole"
        " image.",
)  # fmt: skip
def predict_command(
    model: str, images: tuple[Path, ...], box: tuple[float, float, float, float] | None
) -> None:
    """Run MODEL, a version's id or a downloaded folder, on images, and print a line of JSON for
    each.

    A version of a trainer of your own predicts if its weights are an ONNX file.
    """
    require_torch()
    if not (Path(model) / DESCRIPTION_FILE).exists():
        with calling() as client:
            row = client.query(f"versions/{find_version(client, model)}")["version"]
            if row["trainer"] is not None:
                sys.exit(_predict_foreign(client, row, box, images))
    with _folder_of(model) as folder:
        crop = "" if box is None else ",".join(map(str, box))
        sys.exit(_run_torch("predict", str(folder), crop, *map(str, images)))


@click.command("onnx")
@click.argument("model")
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--image",
    "images",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Images for the comparison with torch; by default some of its validation set.",
)
@click.option(
    "--uint8",
    "takes_bytes",
    is_flag=True,
    help="The model takes RGB pixels of shape (n, height, width, 3) and scales and normalises"
    " them itself.",
)
def onnx_command(model: str, target: Path, images: tuple[Path, ...], takes_bytes: bool) -> None:
    """Export MODEL, a version's id or a downloaded folder, to the ONNX file TARGET."""
    require_torch()
    with _folder_of(model) as folder, tempfile.TemporaryDirectory() as samples:
        chosen = list(images)
        if not chosen:
            with calling() as client:
                chosen = _samples(client, folder, Path(samples))
        sys.exit(
            _run_torch(
                "onnx_export",
                str(folder),
                str(target),
                "uint8" if takes_bytes else "float32",
                *map(str, chosen),
            )
        )


@contextmanager
def _folder_of(model: str) -> Iterator[Path]:
    """The folder itself, or a temporary folder with the downloaded version."""
    if (Path(model) / DESCRIPTION_FILE).exists():
        yield Path(model)
        return
    with tempfile.TemporaryDirectory(prefix="stemma-model-") as folder:
        with calling() as client:
            download_version(client, find_version(client, model), Path(folder))
        yield Path(folder)


def _predict_foreign(
    client: ApiClient,
    row: dict[str, Any],
    box: tuple[float, float, float, float] | None,
    images: tuple[Path, ...],
) -> int:
    """Raises `ApiProblem` for weights that only their trainer reads."""
    form, name = row["trainer"]["format"], row["trainer"]["name"]
    if form != ONNX:
        raise ApiProblem(
            f"the version's weights are in the format {form}, which only {name} reads; `predict`"
            " works for ONNX"
        )
    kind = client.query(f"views/{row['view_id']}")["view"]["kind"]
    if kind == DETECTION or box is not None:
        raise ApiProblem("`predict` of a trainer's ONNX file is for whole images, without boxes")
    with tempfile.TemporaryDirectory(prefix="stemma-model-") as folder:
        _download_foreign(client, row, Path(folder))
        described = {"kind": kind, "concepts": row["concepts"]}
        Path(folder, "version.json").write_bytes(msgspec.json.encode(described))
        return _run_torch("predict_onnx", folder, *map(str, images))


def _download_foreign(client: ApiClient, row: dict[str, Any], folder: Path) -> str:
    """Write the weights of a trainer's version in its own format, and its model card. Raises
    `ApiProblem`."""
    path, checkpoint = f"versions/{row['version_id']}", row["checkpoint"]
    client.download(f"{path}/model-card", folder / CARD_FILE, {})
    weights = folder / f"model.{ENDINGS[row['trainer']['format']]}"
    client.download(f"{path}/checkpoint", weights, {}, digest=checkpoint)
    return str(checkpoint)


def download_version(client: ApiClient, version_id: str, folder: Path) -> ModelDescription:
    """Write weights, description and model card to an existing folder. Raises `ApiProblem`."""
    described = client.document(f"versions/{version_id}/model.json")
    model = msgspec.convert(described, ModelDescription)
    weights = folder / WEIGHTS_FILE
    client.download(f"versions/{version_id}/checkpoint", weights, {}, digest=model.checkpoint)
    client.download(f"versions/{version_id}/model-card", folder / CARD_FILE, {})
    (folder / DESCRIPTION_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(model)) + b"\n")
    return model


def _samples(client: ApiClient, folder: Path, target: Path) -> list[Path]:
    """Validation images of the version."""
    description = (folder / DESCRIPTION_FILE).read_bytes()
    version_id = msgspec.json.decode(description, type=ModelDescription).version_id
    project_id = client.query(f"versions/{version_id}")["version"]["project_id"]
    images = client.query(f"projects/{project_id}/images", split="validation", limit=SAMPLES)
    samples = []
    for number, image in enumerate(images["items"]):
        samples.append(target / str(number))
        client.download(f"images/{image['image_id']}/content", samples[-1], {})
    return samples


def _run_torch(module: str, *arguments: str) -> int:
    """Run a module of the worker in its own process, because only the worker imports torch."""
    command = [sys.executable, "-m", f"gpu_worker.{module}", *arguments]
    return subprocess.run(command, check=False).returncode
