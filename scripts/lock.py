"""Write the lock of a part, with the versions of requirements.lock: `python -m scripts.lock PART`.

Parts are those of the container images: `backend`, `worker`, and `build`, which makes the package.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("backend", "worker", "build")


def lock_of(part: str) -> Path:
    return ROOT / f"requirements-{part}.lock"


def requirements(part: str) -> list[str]:
    """What a part asks for, as pyproject.toml has it."""
    file = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = file["project"]
    asked: dict[str, list[str]] = {
        "backend": project["dependencies"],
        "worker": project["dependencies"] + project["optional-dependencies"]["worker"],
        "build": file["build-system"]["requires"] + project["optional-dependencies"]["pages"],
    }
    return asked[part]


def main() -> None:
    (part,) = sys.argv[1:]
    uv = Path(sys.executable).with_name("uv")
    options = ["--quiet", "--universal", "--generate-hashes", "--no-header", "--no-annotate"]
    versions = ["--python-version", "3.11", "--constraints", str(ROOT / "requirements.lock")]
    argv = [str(uv), "pip", "compile", *options, *versions, "-", "-o", str(lock_of(part))]
    subprocess.run(argv, input="\n".join(requirements(part)), text=True, check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
