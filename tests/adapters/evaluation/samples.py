"""Predictions at random, as the worker would write them."""

from pathlib import Path
from typing import Any

import numpy as np

from adapters.evaluation.predictions import writing_predictions
from domain.training.messages import ConceptLabel

Box = tuple[float, float, float, float]


def concepts(count: int) -> list[ConceptLabel]:
    return [ConceptLabel(f"c{number}", f"label {number}") for number in range(count)]


def write(path: Path, kind: str, count: int, rows: list[dict[str, Any]]) -> Path:
    with writing_predictions(path, kind, concepts(count)) as file:
        for row in rows:
            file.add(row)
    return path


def labels(kind: str, images: int, count: int, seed: int = 3) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    rows = []
    for number in range(images):
        logits = random.normal(size=count)
        if kind == "classification":
            truth = [int(random.integers(count))]
            logits[truth] += 1
            scores = np.exp(logits) / np.exp(logits).sum()
        else:
            truth = np.flatnonzero(random.random(count) < 0.3).tolist()
            logits[truth] += 1
            scores = 1 / (1 + np.exp(-logits))
        split = "validation" if number % 3 == 0 else "train"
        rows.append(
            {"image": f"i{number}", "split": split, "truth": truth, "scores": scores.tolist()}
        )
    return rows


def boxes(images: int, count: int, seed: int = 3) -> list[dict[str, Any]]:
    """Matched as the worker matches: by falling score, each to the best free box of its concept."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(images):
        truth = [_box(random, count) for _ in range(random.integers(0, 4))]
        found = [
            one | {"score": random.random(), "x": one["x"] + random.normal() * 0.03}
            for one in truth
            if random.random() < 0.8
        ]
        found += [_box(random, count) | {"score": random.random()} for _ in range(3)]
        found.sort(key=lambda one: -one["score"])
        taken: set[int] = set()
        for one in found:
            one["matched"] = _match(one, truth, taken)
            taken.add(one["matched"])
        split = "validation" if number % 3 == 0 else "train"
        rows.append({"image": f"i{number}", "split": split, "truth": truth, "predicted": found})
    return rows


def _box(random: np.random.Generator, count: int) -> dict[str, Any]:
    x, y = random.random(2) * 0.5
    width, height = 0.1 + random.random(2) * 0.3
    return {
        "concept": int(random.integers(count)),
        "x": x,
        "y": y,
        "width": width,
        "height": height,
    }


def _match(one: dict[str, Any], truth: list[dict[str, Any]], taken: set[int]) -> int:
    free = [
        (overlap(one, other), number)
        for number, other in enumerate(truth)
        if number not in taken and other["concept"] == one["concept"]
    ]
    best = max(free, default=(0.0, -1))
    return best[1] if best[0] >= 0.5 else -1


def overlap(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Intersection over union."""
    width = min(one["x"] + one["width"], other["x"] + other["width"]) - max(one["x"], other["x"])
    height = min(one["y"] + one["height"], other["y"] + other["height"]) - max(one["y"], other["y"])
    both = max(width, 0) * max(height, 0)
    return float(both / (one["width"] * one["height"] + other["width"] * other["height"] - both))
