"""A version leaves the system that trained it: its events go to who follows them, its files to who
takes them, and it is trained again by whoever doubts it."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
import nbformat
import pytest
from nbclient import NotebookClient

from cli.client import authorization
from cli.demo.digits import handwritten_digits
from domain.training.model_description import ModelDescription
from tests.servers import server_folder
from tests.system.clean_environment import CleanEnvironment
from tests.system.doc_consumers import consumer
from tests.system.system import RunningSystem, annotated_digits, positions_of, running_system
from tests.waiting import HANG_SECONDS

GUIDE = Path(__file__).parents[2] / "docs" / "python.md"
NOTEBOOK = GUIDE.with_name("notebook.ipynb")
SWEEP = GUIDE.parent / "examples" / "sweep.py"

OPTIONS = {
    "architecture": "mobilenet_v3_small",
    "width": 32,
    "height": 32,
    "epochs": 1.5,
    "augmentations": ["random_crop", "patch_noise"],
    "balancing": True,
}


class Trained:
    """A system, and what it says of a version that it trained."""

    def __init__(self, system: RunningSystem) -> None:
        self.system = system
        with ExitStack() as stack:
            followed = {
                library: stack.enter_context(
                    consumer(system.data, library, system.data / f"follows-{library}")
                )
                for library in ("httpx", "nats")
            }
            client = stack.enter_context(system.client())
            view_id = annotated_digits(client, 120)
            answer = client.command(f"views/{view_id}/versions", {"options": OPTIONS})
            self.version_id = str(answer["id"])
            for _ in client.follow(f"versions/{self.version_id}/events"):
                pass
            described = client.query(f"versions/{self.version_id}/model.json")
            self.told = positions_of(system.runtime, f"version-{self.version_id}")
            self.seen = {
                library: one.wait_for(self.told[-1][0]) for library, one in followed.items()
            }
        self.model = msgspec.convert(described, ModelDescription)

    def run(self, *arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"STEMMA_DATA": str(self.system.data)} | settings
        argv = [sys.executable, "-m", "cli.main", *map(str, arguments)]
        return subprocess.run(
            argv, check=False, env=environment, capture_output=True, text=True, timeout=HANG_SECONDS
        )

    def blob(self, digest: str, folder: str) -> Path:
        return self.system.data / "blobs" / folder / digest[:2] / digest


@pytest.fixture(scope="module")
def trained(initialised: Path) -> Iterator[Trained]:
    with server_folder(initialised) as folder, running_system(Path(folder)) as system:
        yield Trained(system)


@pytest.fixture(scope="module")
def folder(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("taken") / "digits"
    done = trained.run("download", trained.version_id, target)
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.parametrize("library", ["httpx", "nats"])
def test_a_consumer_of_the_guide_follows_the_training(trained: Trained, library: str) -> None:
    seen = trained.seen[library]
    assert [one for one in seen if one[2] == trained.told[0][2]] == trained.told
    assert trained.told[-1][1] == "version.training_completed"
    positions = [position for position, _, _ in seen]
    assert positions == sorted(set(positions))


def test_a_downloaded_model_predicts_without_a_server(
    trained: Trained, folder: Path, tmp_path: Path
) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "model.json",
        "model.safetensors",
    ]
    card = (folder / "README.md").read_text()
    for said in (trained.model.checkpoint, trained.model.manifest, "mobilenet_v3_small"):
        assert said in card
    (image,) = images(trained, tmp_path, 1)
    away = {"STEMMA_DATA": str(tmp_path / "nothing"), "STEMMA_API_URL": "http://127.0.0.1:1"}
    done = trained.run("predict", folder, image, tmp_path / "none.png", **away)
    good, bad = (json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 1
    assert "none.png" in bad["error"]
    assert len(good["predicted"]) == 1
    assert len(good["discarded"]) == 9


def images(trained: Trained, target: Path, count: int) -> list[Path]:
    found = []
    with trained.system.client() as client:
        project = client.query(f"versions/{trained.version_id}")["version"]["project_id"]
        for item in client.query(f"projects/{project}/images", limit=count)["items"]:
            found.append(target / f"{item['image_id']}.png")
            client.download(f"images/{item['image_id']}/content", found[-1], {})
    return found


def test_onnx_is_compared_on_images_of_the_version(trained: Trained, tmp_path: Path) -> None:
    done = trained.run("onnx", trained.version_id, tmp_path / "digits.onnx")
    assert done.returncode == 0, done.stderr
    assert "on 4 images" in done.stdout
    assert (tmp_path / "digits.onnx").stat().st_size > 1_000_000


def test_a_version_is_reproduced_to_the_bit(trained: Trained) -> None:
    done = trained.run("reproduce", trained.version_id)
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(trained.model.final_weights) in done.stdout
    assert not resumable(trained)


def resumable(trained: Trained) -> list[Path]:
    """The checkpoints that are left to resume from."""
    folder = trained.system.data / "blobs" / "scratch" / "resume"
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_was_tampered_with_is_not_reproduced(trained: Trained) -> None:
    path = trained.blob(trained.model.manifest, "zstd")
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        done = trained.run("reproduce", trained.version_id)
    finally:
        path.write_bytes(whole)
    assert done.returncode == 1
    assert "not reproduced" in done.stdout
    assert "manifest" in done.stdout
    assert not resumable(trained)


def test_what_cannot_be_taken_away_is_said(trained: Trained, tmp_path: Path) -> None:
    for arguments, says in (
        (("download", "nothing", tmp_path / "a"), "version not found"),
        (("predict", "nothing", tmp_path / "a.png"), "version not found"),
        (("reproduce", "nothing"), "version 'nothing' not found"),
    ):
        done = trained.run(*arguments)
        assert done.returncode == 1
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_the_card_escapes_what_users_named(trained: Trained) -> None:
    with trained.system.client() as client:
        name = "<b>|`best`|</b>"
        runtime = trained.system.runtime
        base = f"{runtime.api_url}/api/v1/versions/{trained.version_id}"
        key = authorization(runtime.api_key or "")
        answer: dict[str, Any] = httpx.patch(base, json={"name": name}, headers=key).json()
        client.query(f"versions/{trained.version_id}", at_least=answer["position"])
    card = httpx.get(f"{base}/model-card", headers=key, timeout=HANG_SECONDS)
    assert card.headers["content-type"].startswith("text/markdown")
    assert card.text.startswith("# \\<b\\>\\|\\`best\\`\\|\\</b\\>\n")


def test_the_python_guide_runs_with_the_package_alone(trained: Trained, tmp_path: Path) -> None:
    """From `pip install` to a proof, in an environment with nothing of this repository."""
    url = trained.system.runtime.api_url
    environment = CleanEnvironment(tmp_path / "venv")
    environment.install("stemma-client", f"{url}/client", "pandas", "onnx")
    files, digits = handwritten_digits()
    for (name, content), digit in zip(files[:60], digits, strict=False):
        folder = tmp_path / "pets" / ("cat" if digit < 5 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    check = "assert len(best.manifest()) == sum(best.manifest().to_pandas().split.notna()) == 60\n"
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "guide.py").write_text("\n".join([*blocks, check]))
    variables = {
        "STEMMA_DATA": str(trained.system.data),
        "PATH": os.environ["PATH"],
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [environment.python, "-I", "guide.py"],
        check=False,
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "60 images are new" in done.stdout
    weights = (tmp_path / "model" / "model.safetensors").read_bytes()
    assert f"are in the log: {hashlib.sha256(weights).hexdigest()}" in done.stdout


def test_the_example_of_a_sweep_names_takes_and_proves_the_best(
    trained: Trained, tmp_path: Path
) -> None:
    """Run again, it finds the versions that it started."""
    argv = [sys.executable, str(SWEEP), "Digits", "Which digit?", str(tmp_path / "model")]
    options = ("architecture=mobilenet_v3_small", "width=32", "height=32", "epochs=1")
    environment = os.environ | {"STEMMA_DATA": str(trained.system.data)}
    printed = [
        subprocess.run(
            [*argv, *options], check=True, env=environment, cwd=tmp_path, stdout=subprocess.PIPE
        ).stdout.decode()
        for _ in range(2)
    ]
    weights = hashlib.sha256((tmp_path / "model" / "model.safetensors").read_bytes()).hexdigest()
    assert re.match(rf"best: rate 0\.\d+, .*\nproven: \d+ events .* {weights}\n$", printed[0])
    assert printed[1] == printed[0]
    with trained.system.client() as client:
        view_id = client.query(f"versions/{trained.version_id}")["version"]["view_id"]
        rows = list(client.query_all("versions", view_id=view_id, limit=500))
    assert len([row for row in rows if row["name"].startswith("rate ")]) == 3


def test_the_notebook_runs(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stored without outputs; run, its objects show curves and pictures."""
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    monkeypatch.setenv("STEMMA_DATA", str(trained.system.data))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    NotebookClient(
        notebook,
        timeout=int(HANG_SECONDS),
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    shown = "".join(
        output.get("data", {}).get("text/html", "") for cell in code for output in cell.outputs
    )
    assert shown.count("<polyline") > 4
    assert "data:image/webp;base64" in shown
    last = code[-1].outputs[0].text
    assert re.search(r"\d+ events of rate 0\.\d+ are in the log: [0-9a-f]{64}", last)
