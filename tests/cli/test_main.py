"""What is wrong with a call is said in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

STEMMA = Path(sys.executable).with_name("stemma")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([b"up", b"--port", b"99999"], "99999 is not in the range 1<=x<=65535"),
        ([b"train", b"caf\xe9"], r"argument 2 is not UTF-8: b'caf\xe9'"),
    ],
)
def test_a_wrong_argument_is_named(tmp_path: Path, arguments: list[bytes], says: str) -> None:
    environment = {"STEMMA_DATA": str(tmp_path / "data")}
    done = subprocess.run([STEMMA, *arguments], capture_output=True, env=environment, check=False)
    assert done.returncode == 2
    assert says in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert not (tmp_path / "data").exists()
