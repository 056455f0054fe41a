"""Suspects among validation images, by label quality as cleanlab has it."""

from collections.abc import Mapping

import numpy as np

from adapters.evaluation.prediction_arrays import Boxes, Labels
from adapters.flip_book.box_margins import boxes_of
from adapters.flip_book.box_suspects import Detections, box_suspects
from adapters.flip_book.label_quality import LabelQuality
from adapters.flip_book.suspects import QUALITY, Suspect, quoted, ranked
from domain.dataset.annotation import DoubtedLabel
from domain.dataset.image import VALIDATION
from domain.dataset.suspects import ADD, RELABEL, REMOVE, Suggestion


def validation_suspects(
    predictions: Labels, quality: LabelQuality, labels: Mapping[str, str]
) -> list[Suspect]:
    """The suspects among validation images, the most suspect first."""
    places = np.flatnonzero(~predictions.images.train).tolist()
    if predictions.single:
        found = [
            _of_image(predictions, place, quality.scores[n], labels)
            for n, place in enumerate(places)
            if quality.issues[n]
        ]
    else:
        concepts = len(predictions.concepts)
        found = [
            _of_tag(predictions, places[n // concepts], n % concepts, quality.scores[n], labels)
            for n in np.flatnonzero(quality.issues).tolist()
        ]
    return ranked([suspect for suspect in found if suspect is not None])


def validation_boxes(predictions: Boxes, labels: Mapping[str, str]) -> list[Suspect]:
    """The suspects among boxes of validation images, by the margins of the saved checkpoint."""
    true, predicted = boxes_of(predictions)
    detections = Detections(predictions.images.ids, predictions.concepts, true, [predicted])
    validation = ~predictions.images.train
    return box_suspects(detections, validation, VALIDATION, labels, lambda _: "")


def _suspect(
    item: str, image_id: str, score: float, label: DoubtedLabel, what: Suggestion, why: str
) -> Suspect:
    return Suspect(item, image_id, VALIDATION, 0, score, QUALITY, label, what, why)


def _of_image(
    predictions: Labels, place: int, score: float, labels: Mapping[str, str]
) -> Suspect | None:
    """None where the label is the most probable concept: there is nothing to suggest."""
    scores = predictions.scores[place]
    true, top = int(predictions.truth[place].argmax()), int(scores.argmax())
    if true == top:
        return None
    image_id = predictions.images.ids[place]
    own, other = predictions.concepts[true], predictions.concepts[top]
    why = (
        f"the saved checkpoint predicts {quoted(labels, other)} with {scores[top]:.2f},"
        f" {quoted(labels, own)} with {scores[true]:.2f}"
    )
    suggestion = Suggestion(RELABEL, other)
    return _suspect(image_id, image_id, score, DoubtedLabel(own), suggestion, why)


def _of_tag(
    predictions: Labels, place: int, concept: int, score: float, labels: Mapping[str, str]
) -> Suspect:
    image_id, own = predictions.images.ids[place], predictions.concepts[concept]
    present = bool(predictions.truth[place, concept])
    why = (
        f"the saved checkpoint predicts {quoted(labels, own)} with"
        f" {predictions.scores[place, concept]:.2f}"
    )
    suggestion = Suggestion(REMOVE if present else ADD, own)
    label = DoubtedLabel(own, present)
    return _suspect(f"{image_id}:{own}", image_id, score, label, suggestion, why)
