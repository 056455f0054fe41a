"""`python -m gpu_worker.predict FOLDER BOX IMAGE…`: a line of JSON for each image.

BOX is empty, or left, top, width and height of the crop to predict, in shares of the image.
"""

import sys
from pathlib import Path

import msgspec

from domain.training.messages import Sides
from gpu_worker.images import ImageUnreadable
from gpu_worker.inference import TakenModel


def main(folder: Path, images: list[str], box: str = "") -> int:
    """Write predictions to stdout. Returns 1 if an image could not be read."""
    model = TakenModel.from_folder(folder)
    crop = msgspec.convert([float(side) for side in box.split(",")], Sides) if box else None
    if crop is not None and not model.description.options.crops:
        print("stemma: the version was not trained on crops; omit --box", file=sys.stderr)
        return 2
    status = 0
    for image in images:
        try:
            line = {"image": image} | model.predict(Path(image).read_bytes(), crop)
        except OSError as error:
            line = {"image": image, "error": str(error)}
            status = 1
        except ImageUnreadable as error:
            line = {"image": image, "error": f"{image}: {error}"}
            status = 1
        print(msgspec.json.encode(line).decode(), flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[3:], sys.argv[2]))
