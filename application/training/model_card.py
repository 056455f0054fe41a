"""A model card: a readable description of a checkpoint, its metrics and its origin."""

from collections.abc import Iterator

import msgspec

from application.training.model_code import onnx_code, torch_code
from domain.formatting import counted
from domain.training.messages import SplitFigures
from domain.training.model_description import (
    CARD_FILE,
    DESCRIPTION_FILE,
    ONNX_FILE,
    WEIGHTS_FILE,
    ModelDescription,
)

_FIGURES = {
    "images": "Images",
    "loss": "Loss",
    "accuracy": "Accuracy",
    "mean_average_precision": "mAP",
    "map_50": "mAP at IoU 0.50",
    "map_75": "mAP at IoU 0.75",
}


def model_card(model: ModelDescription) -> str:
    """The card in Markdown."""
    return "\n".join(_lines(model)) + "\n"


def _lines(model: ModelDescription) -> Iterator[str]:
    yield f"# {plain(model.name)}"
    yield ""
    yield (
        f"Version {model.number} of a {model.kind} model: {model.options.architecture}, trained on"
        f" {counted(model.train_images, 'image')} and validated on {model.validation_images:,}."
        " The weights"
        f" are those of epoch {model.best_epoch}, the best by {model.best_by.replace('_', ' ')}:"
        f" {model.best_value:.4f}."
    )
    yield from ("", "## Concepts", "", "| output | concept | training images | threshold |")
    yield "| --- | --- | --- | --- |"
    for number, concept in enumerate(model.concepts):
        images = model.images_per_concept.get(concept.concept_id, 0)
        threshold = model.thresholds.get(concept.concept_id)
        shown = "default" if threshold is None else f"{threshold:g}"
        yield f"| {number} | {plain(concept.label)} | {images:,} | {shown} |"
    if model.validation is not None:
        yield from metrics_table(model.validation, model.train)
    yield from ("", "## Options", "", "| option | value |", "| --- | --- |")
    for key, value in msgspec.to_builtins(model.options).items():
        if value is not None:
            yield f"| {key} | {plain(msgspec.json.encode(value).decode().strip(chr(34)))} |"
    yield from ("", "## Where it comes from", "", "| what | value |", "| --- | --- |")
    facts = {
        "Version": model.version_id,
        "Weights, sha256": model.checkpoint,
        "Weights of the last iteration, sha256": model.final_weights,
        "Manifest of the images, sha256": model.manifest,
        "Predictions, sha256": model.predictions,
        "Started from": model.initial_weights or "random weights",
        "Images as of log position": str(model.log_position),
        "Described at log position": str(model.described_at),
    } | {f"Environment: {key}": value for key, value in model.environment.items() if value}
    for what, value in facts.items():
        yield f"| {what} | {plain(value or 'none')} |"
    yield from ("", "## Files", "")
    yield f"- `{WEIGHTS_FILE}`: the weights as safetensors, by torch's names."
    yield f"- `{DESCRIPTION_FILE}`: all of this, for programs."
    yield f"- `{CARD_FILE}`: this page."
    yield from _preprocessing(model)
    yield from ("", "## Use", "")
    yield "`stemma predict FOLDER IMAGE…` predicts images; it needs no server. The same without"
    yield "Stemma, in this folder, with an image as the argument:"
    yield from ("", "```python", torch_code(model), "```", "")
    yield f"And with the file that `stemma onnx FOLDER {ONNX_FILE}` writes:"
    yield from ("", "```python", onnx_code(model), "```")


def _preprocessing(model: ModelDescription) -> Iterator[str]:
    """Tables of what happens to an image and of what the network answers."""
    for title, table in (("Preprocessing", model.preprocessing), ("Outputs", model.outputs)):
        if table is None:
            continue
        yield from ("", f"## {title}", "", "| what | value |", "| --- | --- |")
        for key, value in msgspec.to_builtins(table).items():
            values = value if isinstance(value, (list, tuple)) else [value]
            shown = "none" if value is None else ", ".join(map(str, values))
            yield f"| {key.replace('_', ' ')} | {plain(shown)} |"


def metrics_table(validation: SplitFigures, train: SplitFigures | None) -> Iterator[str]:
    """The metrics of both splits."""
    yield from ("", "## Figures", "", "| figure | validation | training |", "| --- | --- | --- |")
    for key, label in _FIGURES.items():
        pair = _shown(validation, key), _shown(train, key)
        if any(pair):
            yield f"| {label} | {pair[0]} | {pair[1]} |"


def _shown(metrics: SplitFigures | None, key: str) -> str:
    value = getattr(metrics, key, None)
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def plain(text: str) -> str:
    """Escape text of users, so that it can neither end a cell nor begin markup."""
    for special in "\\`*_[]<>|#":
        text = text.replace(special, f"\\{special}")
    return " ".join(text.split())
