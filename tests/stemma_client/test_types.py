"""The guide's examples and the package itself are typed, for the oldest Python that it takes."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from api.operations.client_package import FOLDER

GUIDE = FOLDER.parent / "docs" / "python.md"
SWEEP = GUIDE.parent / "examples" / "sweep.py"
EXAMPLE = """
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


def guide_in(folder: Path) -> Path:
    """The guide's examples, and more, as a program in a folder."""
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    guide = folder / "guide.py"
    guide.write_text("\n".join(blocks) + EXAMPLE)
    return guide


def test_the_guide_is_typed_for_python_3_10(tmp_path: Path) -> None:
    assert "Success" in check(SWEEP, "--python-version", "3.10")
    told = check(guide_in(tmp_path), "--python-version", "3.10")
    assert "Success" in told, told
    notes = re.findall(r"note: Revealed type is \"(.*)\"", told)
    assert [note.replace("builtins.", "") for note in notes] == [
        "float | None",
        "stemma_client.versions.Version",
        "stemma_client._generated.answers.Delta | None",
    ]


def test_pyright_finds_nothing_in_the_guide(tmp_path: Path) -> None:
    """In its strict mode, but for types that pandas leaves open; from a wheel that has it whole."""
    guide_in(tmp_path)
    shutil.copy(SWEEP, tmp_path)
    settings = {
        "typeCheckingMode": "strict",
        "pythonVersion": "3.10",
        "extraPaths": [str(FOLDER.parent)],
        "reportMissingTypeStubs": "none",
        "reportUnknownMemberType": "none",
        "reportUnknownArgumentType": "none",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    program = Path(sys.executable).with_name("basedpyright")
    argv = [str(program), "-p", str(tmp_path), "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    errors = [one for one in found["generalDiagnostics"] if one["severity"] == "error"]
    assert not errors
    assert found["summary"]["filesAnalyzed"] == 2
