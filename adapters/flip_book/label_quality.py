"""`python -m adapters.flip_book.label_quality BLOBS_URL DIGEST`: label quality by cleanlab.

A process of its own, since cleanlab takes seconds to import. It scores the validation images of a
predictions file: their probabilities are out of sample, as confident learning requires (Northcutt
et al. 2021, arXiv 1911.00068).
"""

import warnings

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.blobs.blobs import BlobStore
from adapters.blobs.derived import run_computation
from adapters.evaluation.prediction_arrays import Labels

FORM = 1
"""Of the result: another form has another key."""


class LabelQuality(msgspec.Struct, frozen=True):
    """The quality of labels from 0 to 1, and whether each is an issue, of validation images.

    A label is an image's in classification, an image's for a concept in tagging.
    """

    scores: list[float]
    issues: list[bool]


def result_key(digest: str) -> str:
    """Where the label quality of a predictions file is stored among the derived entries."""
    return f"label-quality/{FORM}/{digest}"


def label_quality(predictions: Labels) -> LabelQuality:
    """The label quality of the validation images."""
    validation = ~predictions.images.train
    if not validation.any():
        return LabelQuality([], [])
    truth, scores = predictions.truth[validation], predictions.scores[validation]
    if predictions.single:
        return _of_classes(truth.argmax(axis=1), scores.astype(np.float64))
    return _of_tags(truth, scores.astype(np.float64))


def _of_classes(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> LabelQuality:
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    scores = get_label_quality_scores(labels, probabilities, method="self_confidence")
    if len(np.unique(labels)) < 2:
        # No two labels can have been taken for each other, and cleanlab refuses some of these.
        return LabelQuality(scores.tolist(), [False] * len(labels))
    issues = find_label_issues(labels, probabilities, n_jobs=1)
    return LabelQuality(scores.tolist(), issues.tolist())


def _of_tags(truth: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> LabelQuality:
    """One concept against the rest, as `cleanlab.multilabel_classification` has it, which refuses
    images without a tag and a single concept."""
    each = [
        _of_classes(has.astype(np.int64), np.stack([1 - probability, probability], axis=1))
        for has, probability in zip(truth.T, probabilities.T, strict=True)
    ]
    scores = np.stack([quality.scores for quality in each], axis=1)
    issues = np.stack([quality.issues for quality in each], axis=1)
    return LabelQuality(scores.ravel().tolist(), issues.ravel().tolist())


def main(blobs_url: str, digest: str) -> None:
    """Compute and store the label quality. Raises what `load_blob` raises."""
    from adapters.evaluation.loading import load_blob

    warnings.simplefilter("ignore")  # of concepts with few images
    blobs = BlobStore.from_url(blobs_url)
    predictions = load_blob(blobs, digest)
    assert isinstance(predictions, Labels)
    quality = label_quality(predictions)
    blobs.put_derived(result_key(digest), msgspec.json.encode(quality))


if __name__ == "__main__":
    run_computation(main)
