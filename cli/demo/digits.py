"""Real images that need no download: the handwritten digits that ship in scikit-learn."""

import io
from typing import Any


def handwritten_digits() -> tuple[list[tuple[str, bytes]], list[int]]:
    """The 1,797 digits, 8 by 8 pixels in grey, as (name, PNG bytes), and what each one shows."""
    from PIL import Image
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    files = []
    for number, pixels in enumerate(data.images):
        encoded = io.BytesIO()
        Image.fromarray((pixels * (255 / 16)).round().astype("uint8")).save(encoded, "PNG")
        files.append((f"digit-{number:04}.png", encoded.getvalue()))
    return files, [int(target) for target in data.target]
