"""The archive of a trainer's code: what is in it, and what is left out."""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from stemma_trainer import source
from stemma_trainer.provenance import summary
from stemma_trainer.source import DIFFERENCE, pack

SEED = "SU" + "A" * 56
GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]


def names(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("_dot_", ".")).write_text(text)
    return folder


@pytest.mark.parametrize("repository", [True, False])
def test_what_git_ignores_is_left_out(tmp_path: Path, repository: bool) -> None:
    write(tmp_path, train_dot_py="lr = 1", data_dot_csv="1,2", _dot_gitignore="*.csv\n")
    (tmp_path / "weights.bin").write_bytes(b"\0\1")
    (tmp_path / "link.py").symlink_to(tmp_path / "train.py")
    if repository:
        subprocess.run([*GIT, "init", "-q"], cwd=tmp_path, check=True)
    packed = pack(tmp_path)
    assert names(packed.content) == {".gitignore": b"*.csv\n", "train.py": b"lr = 1"}
    assert packed.left_out == {}
    assert pack(tmp_path).content == packed.content


def test_what_differs_from_the_commit_is_in_it(tmp_path: Path) -> None:
    write(tmp_path, train_dot_py="lr = 1\n")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*GIT, *arguments], cwd=tmp_path, check=True)
    assert DIFFERENCE not in names(pack(tmp_path).content)
    write(tmp_path, train_dot_py="lr = 2\n")
    assert b"+lr = 2" in names(pack(tmp_path).content)[DIFFERENCE]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".env", "A=1"),
        ("id_ed25519", "x"),
        ("server.pem", "x"),
        ("notes.py", "-----BEGIN EC PRIVATE KEY-----"),
        ("notes.py", f"connect('{SEED}')"),
        ("notes.py", 'api_key = "0123456789abcdef0123"'),
        ("notes.py", "AKIA" + "B" * 16),
    ],
)
def test_what_looks_like_a_secret_is_left_out_by_name(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path, train_dot_py="token = tokenizer(text)\n")
    (tmp_path / name).write_text(text)
    packed = pack(tmp_path)
    assert list(names(packed.content)) == ["train.py"]
    assert name in packed.left_out
    assert "secret" in packed.left_out[name]


def test_it_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST_FILE_BYTES", 10)
    monkeypatch.setattr(source, "MOST_BYTES", 15)
    write(tmp_path, a_dot_py="a" * 11, b_dot_py="b" * 10, c_dot_py="c" * 10)
    packed = pack(tmp_path)
    assert list(names(packed.content)) == ["b.py"]
    assert packed.left_out == {
        "a.py": "it is larger than 10 bytes",
        "c.py": "the archive would be too large",
    }


@pytest.mark.parametrize("repository", [True, False])
def test_environments_and_caches_are_skipped(tmp_path: Path, repository: bool) -> None:
    write(tmp_path, train_dot_py="lr = 1")
    for folder in ("my env", "lib/site-packages/a", "js/node_modules", "a/__pycache__", "kept"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file.py").write_text("x")
    (tmp_path / "my env" / "pyvenv.cfg").write_text("home = /usr")
    (tmp_path / "pyvenv.cfg").write_text("home = /usr")  # the folder itself is what was asked for
    if repository:
        subprocess.run([*GIT, "init", "-q"], cwd=tmp_path, check=True)
    packed = pack(tmp_path)
    assert list(names(packed.content)) == ["kept/file.py", "pyvenv.cfg", "train.py"]
    assert packed.left_out == {}


def test_the_trainers_own_file_is_first_even_if_git_ignores_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MOST_BYTES", 15)
    write(tmp_path, a_dot_py="a" * 10, train_dot_py="b" * 10, _dot_gitignore="train.py")
    packed = pack(tmp_path, "train.py")
    assert list(names(packed.content)) == ["train.py"]
    assert packed.left_out["a.py"] == "the archive would be too large"


@pytest.mark.parametrize(
    ("text", "code", "why"),
    [
        (f"# {SEED}", ".", "it holds what looks like a secret: rename the file, or move"),
        ("", "model", "/model: set `code` of @trainer(…) to a folder above"),
    ],
)
def test_a_trainer_without_its_own_file_in_the_archive_does_not_start(
    tmp_path: Path, text: str, code: str, why: str
) -> None:
    (tmp_path / "model").mkdir()
    done = start(tmp_path, text, code)
    assert done.returncode == 2
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


def start(folder: Path, text: str, code: str = ".") -> subprocess.CompletedProcess[str]:
    """Start a trainer whose file has this text."""
    path = folder / "train.py"
    path.write_text(
        f"{text}\nfrom stemma_trainer import Form, trainer\n"
        f"@trainer('acme/own', Form('classification'), code={code!r})\n"
        "def train(run): ...\n"
        "train.serve()\n"
    )
    servers = {"STEMMA_API_URL": "http://127.0.0.1:1", "STEMMA_NATS_URL": "nats://127.0.0.1:1"}
    root = {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [sys.executable, str(path)],
        env=os.environ | servers | root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_is_left_out_is_summed_up_in_a_line() -> None:
    large = "the archive would be too large"
    assert summary({"a": large, "b": large, "c": "its name is that of a secret"}) == (
        "the archive of the code leaves out 3 files: 2 because the archive would be too large,"
        " 1 because its name is that of a secret"
    )
