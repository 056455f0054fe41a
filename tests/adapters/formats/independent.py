"""A data set as supervision, a library of others, writes it in its formats."""

from pathlib import Path

import numpy as np
import supervision as sv
from PIL import Image

from adapters.formats.boxes import pixel_box
from adapters.formats.items import SourceAnnotation, SourceImage, ViewAnnotations

WIDTH, HEIGHT = 400, 200
CLASSES = ["cat", "hot dog", "été"]
BOXES: dict[str, list[tuple[int, tuple[int, int, int, int]]]] = {
    "a.png": [(0, (10, 20, 110, 70)), (1, (0, 0, 400, 200)), (2, (399, 199, 400, 200))],
    "b.png": [],
    "c.png": [(1, (37, 41, 333, 197))],
}


def data_set(folder: Path) -> sv.DetectionDataset:
    annotations = {}
    for name, boxes in BOXES.items():
        path = folder / name
        Image.new("RGB", (WIDTH, HEIGHT)).save(path)
        annotations[str(path)] = sv.Detections(
            xyxy=np.array([box for _, box in boxes], dtype=np.float32).reshape(-1, 4),
            class_id=np.array([place for place, _ in boxes], dtype=int),
        )
    return sv.DetectionDataset(CLASSES, list(annotations), annotations)


def expected(name: str) -> ViewAnnotations:
    """What is said of the image, in our words."""
    said = tuple(
        SourceAnnotation(CLASSES[place], pixel_box(*box, WIDTH, HEIGHT))
        for place, box in BOXES[name]
    )
    return ViewAnnotations(said, without_concept=not said)


def said_of(images: list[SourceImage]) -> dict[str, ViewAnnotations]:
    """The answers in the only view by the images' bare names."""
    return {image.path.rpartition("/")[2]: image.annotations["animals"] for image in images}


EXPECTED = {name: expected(name) for name in BOXES}
