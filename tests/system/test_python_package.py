"""The Python package by itself: installed from a wheel, with what it needs and nothing else."""

import re
import shutil
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from api.operations.client_package import FOLDER, client_wheel
from scripts.generate_client.__main__ import modules
from tests.system.clean_environment import CleanEnvironment, size_of

MOST_BYTES = 6_000_000
MOST_TIMES_HTTPX = 2.5
"""`import stemma_client` imports httpx itself."""
PAIRS = 5


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> CleanEnvironment:
    links = tmp_path_factory.mktemp("links")
    wheel = client_wheel()
    (links / wheel.name).write_bytes(wheel.content)
    environment = CleanEnvironment(tmp_path_factory.mktemp("clean") / "venv")
    environment.install("stemma-client", str(links))
    return environment


def test_generated_modules_are_those_of_the_contract() -> None:
    for name, source in modules().items():
        path = FOLDER / "_generated" / name
        assert path.read_text(encoding="utf-8") == source, "run `make setup`"


def test_it_is_small_and_needs_no_more_than_it_says(clean: CleanEnvironment) -> None:
    code = "import sys, stemma_client; print(*sorted(sys.modules))"
    done = subprocess.run(
        [clean.python, "-I", "-c", code], check=True, capture_output=True, text=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"domain", "pandas", "pyarrow", "polars", "numpy", "nats"}
    assert size_of(clean.site_packages) <= MOST_BYTES


def test_it_is_imported_about_as_fast_as_httpx(clean: CleanEnvironment) -> None:
    code = (
        "import sys, time; began = time.process_time(); __import__(sys.argv[1]);"
        "print(time.process_time() - began)"
    )

    def seconds(module: str) -> float:
        argv = [str(clean.python), "-I", "-c", code, module]
        return float(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)

    seconds("stemma_client")  # compiles all of it
    ratios = [seconds("stemma_client") / seconds("httpx") for _ in range(PAIRS)]
    assert statistics.median(ratios) <= MOST_TIMES_HTTPX, ratios


def test_setuptools_makes_the_same_wheel(tmp_path: Path) -> None:
    source = tmp_path / "stemma_client"
    shutil.copytree(FOLDER, source, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps",
             "--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]  # fmt: skip
    subprocess.run(build, check=True)
    ours = tmp_path / "ours.whl"
    ours.write_bytes(client_wheel().content)
    theirs = tmp_path / client_wheel().name
    assert contents(ours) == contents(theirs)
    assert requirements(ours) == requirements(theirs)


def contents(wheel: Path) -> dict[str, bytes]:
    """The package's files; those about the wheel itself differ."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        return {name: archive.read(name) for name in names}


def requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        text = archive.read(name).decode()
    lines = re.findall(r"^(?:Requires|Provides|Name|Version|Summary).*$", text, re.MULTILINE)
    return sorted(line.replace("'", '"') for line in lines)
