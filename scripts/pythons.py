"""The Python package on every version of Python that it is for: `python -m scripts.pythons`.

The wheel is installed, with what it needs, into an environment of each version that is on this
machine or that uv can fetch. Each module is imported, and each type of an answer and of an event is
made ready to be decoded, which evaluates all annotations. A version that is not to be had is named.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from api.operations.client_package import client_wheel

VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
UV = Path(sys.executable).with_name("uv")
TRIAL = """
import pkgutil, sys, importlib, warnings
import msgspec
import stemma_client
from stemma_client import Stemma, Unreachable, answers, operations
from stemma_client._generated.events import EVENT_TYPES
from stemma_client.tables import Rows

warnings.simplefilter("error")
# They need NumPy, Pillow or nats-py.
needing = {"decoding", "fitting", "nats_filters", "nats_seat", "over_nats"}
modules = [m.name for m in pkgutil.walk_packages(stemma_client.__path__, "stemma_client.")]
for name in modules:
    if name.rpartition(".")[2] not in needing:
        importlib.import_module(name)
for type_ in [*operations.ANSWERS.values(), *EVENT_TYPES.values()]:
    msgspec.json.Decoder(type_)
row = msgspec.json.decode(b'{"name":"x","number":3}', type=answers.VersionRow)
assert Rows([row]).table.columns["number"] == [3] and "x" in Rows([row])._repr_html_()
try:
    Stemma("http://127.0.0.1:9", "none", patience=0).whoami()
except Unreachable as error:
    assert "that the server is running" in str(error)
print(f"{sys.version.split()[0]}: {len(modules)} modules, {len(operations.ANSWERS)} operations")
"""


def main() -> int:
    """Try all versions. Returns 1 if one of them fails."""
    failed = False
    with tempfile.TemporaryDirectory(prefix="stemma-pythons-") as folder:
        wheel = client_wheel()
        (Path(folder) / wheel.name).write_bytes(wheel.content)
        for version in VERSIONS:
            python = find(version)
            if python is None:
                print(f"{version}: not on this machine, and uv cannot fetch it")
                continue
            failed |= not works(python, Path(folder) / version, Path(folder) / wheel.name)
    return int(failed)


def find(version: str) -> str | None:
    """An interpreter of this version that runs."""
    for candidate in _candidates(version):
        done = subprocess.run([candidate, "-c", ""], capture_output=True, check=False)
        if done.returncode == 0:
            return str(candidate)
    fetched = subprocess.run([UV, "python", "install", version], capture_output=True, check=False)
    if fetched.returncode:
        return None
    found = subprocess.run(
        [UV, "python", "find", version], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or None


def _candidates(version: str) -> Iterator[str | Path]:
    """That of the path, whose shims may lead nowhere, and those of pyenv."""
    if on_path := shutil.which(f"python{version}"):
        yield on_path
    yield from sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"))


def works(python: str, folder: Path, wheel: Path) -> bool:
    """Whether the trial succeeds in an environment of this interpreter."""
    subprocess.run([UV, "venv", "--quiet", "--python", python, folder], check=True)
    own = folder / "bin" / "python"
    subprocess.run([UV, "pip", "install", "--quiet", "--python", own, wheel], check=True)
    return subprocess.run([own, "-I", "-c", TRIAL], check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
