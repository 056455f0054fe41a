"""The package of an earlier release with this server, and this package with the earlier server.

The earlier release is a commit of this repository, taken from its history: the one before versions
got `adopted`, and presets and the code of trainers came. Where the history is not there, as in a
clone of depth 1, the tests are skipped and say so.
"""

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from api.operations.client_package import client_wheel
from tests.api.scene import png
from tests.system.clean_environment import CleanEnvironment
from tests.system.system import RunningSystem

ROOT = Path(__file__).parents[2]
EARLIER = "8813be2f"
IMAGES = 8
SCRIPT = """
import sys
from pathlib import Path
from stemma_client import NotFound, Stemma, answers, operations

folder = Path(sys.argv[3])
with Stemma(*sys.argv[1:3]) as s:
    print("adopted" in answers.VersionRow.__struct_fields__)
    pets = s.projects.ensure("Pets")
    view = pets.views.ensure("species", concepts=["cat", "dog"])
    ids = pets.upload(sorted(folder.glob("*.png")))
    labels = {one: ("cat", "dog")[place % 2] for place, one in enumerate(ids)}
    assert view.annotate(labels, key="labels") == len(ids)
    pets.draw_validation(0.5, seed=7)
    table = pets.image_table(view)
    assert table.columns["image_id"] == ids and table._of_arrow is not None
    cat = view.concepts["cat"]
    assert table.columns["annotations"][0] == [{"concept_id": cat, "box": None}]
    assert [image.id for image in pets.images(view, concept="cat")] == ids[::2]
    assert [image.name for image in pets.images(file_names=["3.png"])] == ["3.png"]
    options = {"architecture": "mobilenet_v3_small", "epochs": 1, "width": 32, "height": 32}
    run = view.train(name="first", key="first", **options)
    assert view.train(name="first", key="first", **options) == run
    assert [one.id for one in pets.versions()] == [run.id]
    assert "first" in run._repr_html_()
    run.wait(timeout=240)
    assert len(s.metrics([run], "validation_loss")) == 1
    run.download(folder / "model")
    pets.export(folder / "export.zip", format="studio")
    for received in s.events(names=["version.created"]):
        assert received.subject == f"version-{run.id}" and b"first" in received.payload
        break  # of a newer kind, the event itself is `Unknown` here
    assert run.history()[0].event == "version.created"
    note = s.audit.checkpoint(at_least=s.status().head).note
    assert run.prove(note, weights=folder / "model").weights == run.row.checkpoint
    assert s.at(run.row.created_position).version(run.id).status == "queued"
    try:
        pets.image_of(__file__ if "__file__" in globals() else sys.executable)
    except NotFound:
        print("works")
"""


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the earlier release, with the generated part of its package."""
    argv = ["git", "-C", str(ROOT), "archive", "--format=tar", EARLIER]
    archive = subprocess.run(argv, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip(f"commit {EARLIER}, the earlier release, is not in the history of this clone")
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as opened:
        opened.extractall(folder, filter="data")
    run_in(folder, "scripts.generate_client")
    return folder


def run_in(folder: Path, module: str, *arguments: str) -> None:
    argv = [sys.executable, "-m", module, *arguments]
    subprocess.run(argv, cwd=folder, env={"PYTHONPATH": str(folder)}, check=True)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number in range(IMAGES):
        (folder / f"{number}.png").write_bytes(png(number))
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> CleanEnvironment:
    return CleanEnvironment(tmp_path / "venv")


def works(environment: CleanEnvironment, system: RunningSystem, images: Path) -> list[str]:
    """The lines that the script prints with the package of an environment."""
    runtime = system.runtime
    argv = [str(environment.python), "-I", "-c", SCRIPT, runtime.api_url, runtime.api_key or ""]
    done = subprocess.run([*argv, str(images)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_an_earlier_wheel_works_with_this_server(
    earlier: Path, environment: CleanEnvironment, images: Path, tmp_path: Path
) -> None:
    run_in(earlier, "api.operations.client_package", str(tmp_path / "links"))
    environment.install("stemma-client", str(tmp_path / "links"), "arrow")
    with running(RunningSystem(tmp_path)) as system:
        assert works(environment, system, images) == ["False", "works"]


def test_this_wheel_works_with_an_earlier_server(
    earlier: Path, environment: CleanEnvironment, images: Path, tmp_path: Path
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    wheel = client_wheel()
    (links / wheel.name).write_bytes(wheel.content)
    environment.install("stemma-client", str(links), "arrow")
    with running(RunningSystem(tmp_path, code=earlier)) as system:
        assert works(environment, system, images) == ["True", "works"]


@contextmanager
def running(system: RunningSystem) -> Iterator[RunningSystem]:
    try:
        system.start()
        yield system
    finally:
        system.stop()
