"""What goes with a checkpoint, wherever it is taken: how to use it, and how it came to be."""

import msgspec

from domain.training.messages import ConceptLabel, SplitFigures
from domain.training.options import TrainingOptions
from domain.training.preprocessing import Outputs, Preprocessing

WEIGHTS_FILE, DESCRIPTION_FILE, CARD_FILE = "model.safetensors", "model.json", "README.md"
ONNX_FILE = "model.onnx"


class ModelDescription(msgspec.Struct, frozen=True, kw_only=True):
    """Output i of the network answers concept i. Digests are sha256.

    `thresholds` are by concept id; others are at 0.5. `log_position` is that at which the images
    were taken, `described_at` the position of the last event included. A description by an older
    server has no `preprocessing` and no `outputs`.
    """

    version_id: str
    number: int
    name: str
    status: str
    kind: str
    concepts: tuple[ConceptLabel, ...]
    thresholds: dict[str, float]
    options: TrainingOptions
    checkpoint: str
    final_weights: str | None
    manifest: str
    train_images: int
    validation_images: int
    images_per_concept: dict[str, int]
    best_epoch: int
    best_by: str
    best_value: float
    validation: SplitFigures | None
    train: SplitFigures | None
    predictions: str | None
    initial_weights: str | None
    environment: dict[str, str]
    log_position: int
    described_at: int
    preprocessing: Preprocessing | None = None
    outputs: Outputs | None = None
