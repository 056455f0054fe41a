"""`python -m gpu_worker.predict FOLDER IMAGE…`: a line of JSON for each image."""

import sys
from pathlib import Path

import msgspec

from gpu_worker.images import ImageUnreadable
from gpu_worker.inference import TakenModel


def main(folder: Path, images: list[str]) -> int:
    """Write predictions to stdout. Returns 1 if an image could not be read."""
    model = TakenModel(folder)
    status = 0
    for image in images:
        try:
            line = {"image": image} | model.predict(Path(image).read_bytes())
        except OSError as error:
            line = {"image": image, "error": str(error)}
            status = 1
        except ImageUnreadable as error:
            line = {"image": image, "error": f"{image}: {error}"}
            status = 1
        print(msgspec.json.encode(line).decode(), flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
