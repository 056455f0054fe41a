"""A model card of a version that a user's own trainer trained, or that was adopted."""

from collections.abc import Iterator, Mapping

from application.training.histories import VersionHistory
from application.training.model_card import metrics_table, plain
from domain.errors import Conflict
from domain.trainers.trainer import TrainerUse
from domain.training.adoption import NOT_WITNESSED
from domain.training.version import FINISHED


def trainer_card(history: VersionHistory) -> str:
    """The card in Markdown. Raises `Conflict` for a version without weights to take away."""
    state, trainer = history.state, history.created.trainer
    if state.status not in FINISHED or state.best is None or trainer is None:
        raise Conflict(f"the version is {state.status}; only a finished version can be downloaded")
    return "\n".join(_lines(history, trainer)) + "\n"


def _lines(history: VersionHistory, trainer: TrainerUse) -> Iterator[str]:
    state, created, frozen = history.state, history.created, history.frozen
    assert state.best is not None
    assert frozen is not None
    yield f"# {plain(state.name)}"
    yield ""
    what = f"Version {created.number} of a {created.kind} model, by the trainer {trainer.name}"
    where = f"{frozen.train_images:,} training and {frozen.validation_images:,} validation images"
    if created.adopted is not None:
        yield f"{what}: **{NOT_WITNESSED}**."
        yield ""
        yield (
            "The model was trained before it was brought. Nobody knows here which images it was"
            f" trained on. The server froze a dataset of {where}, and measured the predictions that"
            " were brought for it."
        )
    else:
        yield (
            f"{what}, whose code is not Stemma's. It was trained on a frozen dataset of {where}."
            " The server measured its predictions."
        )
    yield from (
        "",
        "## Concepts",
        "",
        "| score | concept | training images |",
        "| --- | --- | --- |",
    )
    for number, concept in enumerate(created.concepts):
        images = frozen.images_per_concept.get(concept.concept_id, 0)
        yield f"| {number} | {plain(concept.label)} | {images:,} |"
    if state.evaluated is not None:
        yield from metrics_table(state.evaluated.validation, state.evaluated.train)
    yield from _table("Settings", "setting", {k: str(v) for k, v in trainer.settings.items()})
    if history.started is not None:
        source = {"source archive, sha256": history.started.source or "none"}
        title = "Declared by the trainer, checked by nobody"
        yield from _table(title, "what", source | history.started.environment)
    facts = {
        "Version": history.version_id,
        "Trainer": trainer.name,
        "Form, sha256": trainer.form,
        "Training": NOT_WITNESSED if created.adopted else "of the trainer, recorded by Stemma",
        "Weights, sha256": state.best.checkpoint,
        "Format of the weights": trainer.format,
        "Manifest of the images, sha256": frozen.manifest,
        "Predictions, sha256": (state.evaluated.predictions if state.evaluated else None) or "none",
        "Images as of log position": str(created.log_position),
        "Described at log position": str(history.position),
    }
    yield from _table("Where it comes from", "what", facts)


def _table(title: str, first: str, facts: Mapping[str, str]) -> Iterator[str]:
    if not facts:
        return
    yield from ("", f"## {title}", "", f"| {first} | value |", "| --- | --- |")
    for what, value in facts.items():
        yield f"| {plain(what)} | {plain(value)} |"
