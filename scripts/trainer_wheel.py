"""Build the wheel of stemma-trainer into a folder: `python -m scripts.trainer_wheel FOLDER`."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "stemma_trainer"


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as copy:
        # setuptools leaves a build folder beside what it builds.
        source = Path(copy, SOURCE.name)
        shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        command = [*pip, "--no-build-isolation", "-w", str(folder), str(source)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
