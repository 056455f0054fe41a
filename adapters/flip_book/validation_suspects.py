"""Suspects among validation images, by label quality as cleanlab has it."""

from collections.abc import Mapping

import numpy as np

from adapters.evaluation.prediction_arrays import Boxes, Labels, PredictionArrays
from adapters.flip_book.label_quality import LabelQuality
from adapters.flip_book.suspects import QUALITY, Suspect, missing_key, quoted, ranked
from domain.dataset.annotation import SAME_PLACE, Box, DoubtedLabel
from domain.dataset.image import VALIDATION
from domain.dataset.suspects import ADD, MOVE, RELABEL, REMOVE, Suggestion


def validation_suspects(
    predictions: PredictionArrays, quality: LabelQuality, labels: Mapping[str, str]
) -> list[Suspect]:
    """The suspects among validation images, the most suspect first."""
    if isinstance(predictions, Boxes):
        return _of_boxes(predictions, quality, labels)
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


def _of_boxes(
    predictions: Boxes, quality: LabelQuality, labels: Mapping[str, str]
) -> list[Suspect]:
    found: list[Suspect] = []
    true, predicted = 0, 0
    for place in np.flatnonzero(~predictions.images.train).tolist():
        for number, box in enumerate(predictions.truth.of(place)):
            if quality.issues[true]:
                found.append(_of_box(predictions, place, number, box, quality.scores[true], labels))
            true += 1
        for box in predictions.predicted.of(place):
            score = quality.missing[predicted]
            if score is not None:
                found.append(_of_missing(predictions, place, box, score, labels))
            predicted += 1
    return ranked(found)


def _of_box(
    predictions: Boxes,
    place: int,
    number: int,
    true: int,
    score: float,
    labels: Mapping[str, str],
) -> Suspect:
    image_id = predictions.images.ids[place]
    concept = int(predictions.truth.concept[true])
    own, box = predictions.concepts[concept], Box(*predictions.truth.sides[true].tolist())
    label = DoubtedLabel(own, True, box)
    near = [
        (box.overlap(other), each, other)
        for each in predictions.predicted.of(place)
        for other in (Box(*predictions.predicted.sides[each].tolist()),)
        if predictions.scores[each] >= 0.5
    ]
    overlap, each, other = max(near, key=lambda entry: entry[0], default=(0.0, -1, box))
    key = f"{image_id}:{number}"
    if not overlap:
        why = f"the saved checkpoint finds no {quoted(labels, own)} here"
        return _suspect(key, image_id, score, label, Suggestion(REMOVE, own, box), why)
    predicted = predictions.concepts[int(predictions.predicted.concept[each])]
    sure = f"with {predictions.scores[each]:.2f}"
    if predicted != own and overlap >= SAME_PLACE:
        why = f"the saved checkpoint predicts {quoted(labels, predicted)} in this box {sure}"
        suggestion = Suggestion(RELABEL, predicted, box)
    else:
        why = f"the saved checkpoint predicts {quoted(labels, predicted)} beside this box {sure}"
        suggestion = Suggestion(MOVE, predicted, other)
    return _suspect(key, image_id, score, label, suggestion, why)


def _of_missing(
    predictions: Boxes, place: int, predicted: int, score: float, labels: Mapping[str, str]
) -> Suspect:
    image_id = predictions.images.ids[place]
    concept = int(predictions.predicted.concept[predicted])
    own, box = predictions.concepts[concept], Box(*predictions.predicted.sides[predicted].tolist())
    why = (
        f"the saved checkpoint predicts a {quoted(labels, own)} with"
        f" {predictions.scores[predicted]:.2f} where no box is"
    )
    key, label = missing_key(image_id, concept, box), DoubtedLabel(own, False, box)
    return _suspect(key, image_id, score, label, Suggestion(ADD, own, box), why)
