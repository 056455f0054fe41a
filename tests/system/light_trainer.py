"""A trainer for tests: the means of small pictures, in plain Python.

Its weights and each of its losses follow from the dataset, however often it is interrupted.
"""

import json
import math
from collections.abc import Sequence
from typing import Any

from PIL import Image

from stemma_trainer import Form, Number, Run, trainer
from stemma_trainer.data import Item

SIDE, BATCH, RATE = 4, 8, 0.5
FORM = Form("classification", [Number("epochs", 20, least=1, whole=True)])

Means = list[list[float]]


def grey(item: Item) -> list[float]:
    """The grey values of an image, made small."""
    with Image.open(item.path) as image:
        return [value / 255 for value in image.convert("L").resize((SIDE, SIDE)).tobytes()]


def scores(means: Means, pictures: Sequence[Sequence[float]]) -> list[list[float]]:
    """A softmax over the distances from the means."""
    found = []
    for picture in pictures:
        near = [math.exp(-math.dist(picture, mean)) for mean in means]
        found.append([value / sum(near) for value in near])
    return found


def loss_of(rows: Sequence[Sequence[float]], labels: Sequence[int]) -> float:
    losses = [-math.log(row[label]) for row, label in zip(rows, labels, strict=True)]
    return sum(losses) / len(losses)


@trainer("acme/light", FORM)
def train(run: Run) -> None:
    data, epochs = run.data, run.settings.epochs
    held_out, truth = [grey(item) for item in data.validation], data.validation.labels
    saved: dict[str, Any] = json.loads(run.resume() or b"{}")
    means: Means = saved.get("means") or [[0.5] * SIDE**2 for _ in run.concepts]
    best: Means = saved.get("best") or means
    run.plan(data.train, batch=BATCH, epochs=epochs)
    for epoch in range(saved.get("epoch", 0), epochs):
        for batch in data.train.batches(BATCH, seed=epoch):
            pictures, labels = [grey(item) for item in batch], [item.concepts[0] for item in batch]
            run.step(loss=loss_of(scores(means, pictures), labels), learning_rate=RATE)
            for picture, label in zip(pictures, labels, strict=True):
                means[label] = [
                    mean + RATE * (value - mean)
                    for mean, value in zip(means[label], picture, strict=True)
                ]
        rows = scores(means, held_out)
        right = [row.index(max(row)) == label for row, label in zip(rows, truth, strict=True)]
        accuracy = sum(right) / len(right)
        run.epoch(validation_loss=loss_of(rows, truth), validation_accuracy=accuracy)
        if run.is_best(accuracy):
            best = [list(mean) for mean in means]
            run.checkpoint(json.dumps(best).encode())
        run.save(json.dumps({"epoch": epoch + 1, "means": means, "best": best}).encode())
    run.predict(data.all, lambda items: scores(best, [grey(item) for item in items]))


if __name__ == "__main__":
    train.serve()
