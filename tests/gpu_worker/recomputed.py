"""The items of an epoch again: by torch, image by image, from the checkpoint of that epoch."""

import io
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch.nn import functional
from torchvision.ops import box_iou

from adapters.blobs.blobs import BlobStore
from domain.training.messages import CheckpointSaved, EpochItems, ManifestLine, TrainJob
from domain.training.preprocessing import MEAN, STD
from gpu_worker.checkpoint import load_weights
from gpu_worker.images import decode
from gpu_worker.networks import build_network
from tests.gpu_worker.samples import of_type


def items_of(blobs: BlobStore, epoch: EpochItems) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(blobs.get(epoch.items))).to_pylist()
    return rows


def check_items(
    said: list[Any], blobs: BlobStore, job: TrainJob, lines: list[ManifestLine]
) -> None:
    """The file of the best epoch has the numbers of its checkpoint."""
    best = of_type(CheckpointSaved, said)[-1]
    (epoch,) = [each for each in of_type(EpochItems, said) if each.epoch == best.epoch]
    network = build_network(job.kind, job.options, len(job.concepts))
    load_weights(network, blobs.get(best.checkpoint))
    network.eval()
    rows = items_of(blobs, epoch)
    assert epoch.images == len(lines)
    names = [concept.concept_id for concept in job.concepts]
    expected = [row for line in lines for row in _rows(network, blobs, job, line, names)]
    found = rows if job.kind != "detection" else [box for row in rows for box in row["truth"]]
    assert epoch.rows == len(found) == len(expected)
    assert len(expected) > 0
    for row, own in zip(found, expected, strict=True):
        for name, value in own.items():
            near = value if isinstance(value, str) else pytest.approx(value, abs=2e-4, rel=2e-3)
            assert row[name] == near, name


def _rows(
    network: torch.nn.Module, blobs: BlobStore, job: TrainJob, line: ManifestLine, names: list[str]
) -> list[dict[str, Any]]:
    fitted = decode(blobs.get(line.blob), job.options, 10**6)
    pixels = torch.from_numpy(fitted.pixels.copy()).permute(2, 0, 1) / 255
    truth = [names.index(concept) for concept in line.concepts]
    with torch.no_grad():
        if job.kind == "detection":
            return _boxes(network([pixels])[0], truth, line, pixels.shape[1])
        mean, deviation = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
        logits = network(((pixels - mean) / deviation)[None])[0]
    if job.kind == "classification":
        return [_class(logits, truth[0]) | {"image": line.image, "split": line.split}]
    return [
        _tag(logits[number], number in truth) | {"image": line.image, "concept": number}
        for number in range(len(names))
    ]


def _class(logits: torch.Tensor, truth: int) -> dict[str, Any]:
    others = [float(value) for n, value in enumerate(logits) if n != truth]
    return {
        "concept": truth,
        "predicted": int(logits.argmax()),
        "probability": float(logits.softmax(0)[truth]),
        "margin": float(logits[truth]) - max(others),
        "loss": float(functional.cross_entropy(logits[None], torch.tensor([truth]))),
    }


def _tag(logit: torch.Tensor, truth: bool) -> dict[str, Any]:
    probability = float(logit.sigmoid())
    return {
        "truth": truth,
        "predicted": probability >= 0.5,
        "probability": probability if truth else 1 - probability,
        "margin": float(logit) if truth else -float(logit),
        "loss": float(functional.binary_cross_entropy(logit.sigmoid(), torch.tensor(float(truth)))),
    }


def _boxes(
    predicted: dict[str, torch.Tensor], truth: list[int], line: ManifestLine, side: int
) -> list[dict[str, Any]]:
    found = []
    for concept, (x, y, width, height) in zip(truth, line.boxes, strict=True):
        corners = torch.tensor([[x, y, x + width, y + height]]) * side
        quality = box_iou(corners, predicted["boxes"])[0] * predicted["scores"]
        own = max(quality[predicted["labels"] == concept + 1].tolist(), default=0.0)
        other = max(quality[predicted["labels"] != concept + 1].tolist(), default=0.0)
        found.append(
            {
                "concept": concept,
                "probability": own,
                "margin": own - other,
                "loss": -np.log(max(own, 1e-6)),
            }
        )
    return found
