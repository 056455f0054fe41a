"""The sample of images whose items are measured after each epoch: a function of the dataset."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from domain.library.view import TAGGING
from domain.training.messages import TrainJob
from gpu_worker.data import Data

Indices = NDArray[np.int64]

MOST_ROWS = 100_000
"""The most items of an epoch of tagging, where an image has one for each concept."""


class Sample(NamedTuple):
    """The indices of the sampled images of each split, ascending."""

    train: Indices
    validation: Indices


def sample_of(job: TrainJob, data: Data) -> Sample:
    """All images if they are no more than the option allows, else a stratified sample.

    Validation images come first: measuring them costs nearly nothing.
    """
    options = job.options
    size = options.recorded_images
    if job.kind == TAGGING:
        size = min(size, MOST_ROWS // max(len(job.concepts), 1))
    training = len(data.train) if options.record_training_images else 0
    validation = len(data.validation)
    if training + validation > size:
        validation = min(validation, max(size // 2, size - training))
        training = min(training, size - validation)
    return Sample(
        stratified(data.train.targets.labels, training, options.seed),
        stratified(data.validation.targets.labels, validation, options.seed),
    )


def stratified(labels: Sequence[Sequence[int]], size: int, seed: int) -> Indices:
    """So many images, with about the same share of each stratum: the rarest of its concepts.

    They are shuffled, sorted by stratum, and every n-th is taken.
    """
    if size >= len(labels):
        return np.arange(len(labels))
    counts = Counter(concept for concepts in labels for concept in set(concepts))
    strata = np.array(
        [min(concepts, key=lambda each: (counts[each], each), default=-1) for concepts in labels]
    )
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(strata[order], kind="stable")]
    taken = ((np.arange(size) + 0.5) * len(labels) / max(size, 1)).astype(np.int64)
    return np.sort(order[taken])
