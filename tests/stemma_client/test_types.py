"""The guide's examples and the package itself are typed, for the oldest Python that it takes."""

import re
import subprocess
import sys
from pathlib import Path

from api.operations.client_package import FOLDER

GUIDE = FOLDER.parent / "docs" / "python.md"
EXAMPLE = """
from stemma_client import Stemma, answers
from stemma_client.versions import Version

s = Stemma()
run = s.version("one")
reveal_type(run.wait().indicator)
reveal_type(s.projects["Pets"].views["species"].versions()[0])
reveal_type(run.compare(run).concepts[0].delta)
"""


def check(path: Path, *options: str) -> str:
    """What mypy says of a file."""
    settings = ["--config-file", str(FOLDER.parent / "pyproject.toml")]
    argv = [sys.executable, "-m", "mypy", "--strict", *settings, *options, str(path)]
    done = subprocess.run(argv, cwd=FOLDER.parent, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_guide_is_typed_for_python_3_10(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    guide = tmp_path / "guide.py"
    guide.write_text("\n".join(blocks) + EXAMPLE)
    told = check(guide, "--python-version", "3.10")
    assert "Success" in told, told
    notes = re.findall(r"note: Revealed type is \"(.*)\"", told)
    assert [note.replace("builtins.", "") for note in notes] == [
        "float | None",
        "stemma_client.versions.Version",
        "stemma_client._generated.answers.Delta | None",
    ]
