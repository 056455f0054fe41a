"""Balancing: images of rare concepts are drawn more often, to balance the concepts.

The entropy of the distribution of labels measures the balance. Images of the least frequent label
are drawn once more, spread over different images, while that raises the entropy.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def balanced(labels: Sequence[Sequence[int]], expansion: float) -> NDArray[np.int64]:
    """The indices of the images to draw, each at least once, sorted; `labels` are each image's.

    At most `expansion` times as many as there are images.
    """
    from scipy.stats import entropy  # two seconds that few trainings need to wait for

    holders: dict[int, list[int]] = {}
    for index, image_labels in enumerate(labels):
        for label in set(image_labels):
            holders.setdefault(label, []).append(index)
    counts = Counter({label: len(indices) for label, indices in holders.items()})
    times = np.ones(len(labels), np.int64)
    left = int(len(labels) * expansion) - len(labels)
    while left > 0 and len(counts) > 1:
        rarest = min(counts, key=lambda label: (counts[label], label))
        chosen = _least_drawn(holders[rarest], times, left, _lift(counts, rarest))
        after = counts + Counter(label for place in chosen for label in set(labels[place]))
        if entropy(list(after.values())) <= entropy(list(counts.values())):
            break
        times[chosen] += 1
        counts, left = after, left - len(chosen)
    return np.repeat(np.arange(len(labels)), times)


def _lift(counts: Counter[int], rarest: int) -> int:
    """How many more the rarest label needs to be as frequent as the next."""
    others = [count for label, count in counts.items() if label != rarest]
    return max(min(others) - counts[rarest], 1)


def _least_drawn(
    indices: Sequence[int], times: NDArray[np.int64], left: int, count: int
) -> NDArray[np.int64]:
    """Different images: those drawn least often so far."""
    candidates = np.asarray(indices)
    order = np.argsort(times[candidates], kind="stable")
    return candidates[order[: min(count, left)]]
