"""Real images that need no download: the handwritten digits that ship in scikit-learn."""

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple


class Digits(NamedTuple):
    """`images` are floats of 0 to 16, of shape (1797, 8, 8); `target` is what each one shows."""

    images: Any
    target: Any


def read_digits() -> Digits:
    """What `sklearn.datasets.load_digits` returns, without loading scikit-learn, which takes a
    second."""
    import numpy as np

    package = find_spec("sklearn")
    assert package is not None
    assert package.submodule_search_locations is not None
    (folder,) = package.submodule_search_locations
    path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
    rows = np.loadtxt(path, delimiter=",")
    return Digits(rows[:, :-1].reshape(-1, 8, 8), rows[:, -1].astype(int))


def handwritten_digits() -> tuple[list[tuple[str, bytes]], list[int]]:
    """The 1,797 digits, 8 by 8 pixels in grey, as (name, PNG bytes), and what each one shows."""
    from PIL import Image

    digits = read_digits()
    files = []
    for number, pixels in enumerate(digits.images):
        encoded = io.BytesIO()
        Image.fromarray((pixels * (255 / 16)).round().astype("uint8")).save(encoded, "PNG")
        files.append((f"digit-{number:04}.png", encoded.getvalue()))
    return files, [int(target) for target in digits.target]
