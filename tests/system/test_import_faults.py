"""An import by the command line, while everything it needs is killed: as if it had not been."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.adapters.dataset.importing import png, write_files
from tests.servers import server_folder
from tests.system.system import RunningSystem, running_system
from tests.waiting import HANG_SECONDS

IMAGES = 1300


@pytest.fixture(scope="module")
def system(initialised: Path) -> Iterator[RunningSystem]:
    with server_folder(initialised) as folder, running_system(Path(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {f"{number % 3}/{number}.png": png(number) for number in range(IMAGES)}
    return write_files(tmp_path_factory.mktemp("source"), files)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "cli.main", *map(str, arguments)]


def run(system: RunningSystem, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"STEMMA_DATA": str(system.data)}
    argv = command(*arguments)
    return subprocess.run(
        argv, check=False, env=environment, capture_output=True, text=True, timeout=HANG_SECONDS
    )


@contextmanager
def held_in_the_middle(system: RunningSystem) -> Iterator[None]:
    """Within, an import has added some of its images, and cannot go on: we have its lock."""
    with closing(psycopg.connect(system.runtime.database_admin_url)) as connection:
        while not _some_are_added(connection):
            connection.rollback()
        yield


def _some_are_added(connection: psycopg.Connection) -> bool:
    connection.execute("LOCK TABLE log.stemma_events IN EXCLUSIVE MODE")
    row = connection.execute(
        "SELECT count(*) FROM log.events WHERE name = 'image.added'"
    ).fetchone()
    added: int = row[0] if row else 0
    return 0 < added < IMAGES


def exported(system: RunningSystem, project: str, folder: Path) -> list[bytes]:
    target = folder / f"{project}.zip"
    done = run(system, "export", target, "--project", project, "--format", "csv", "--images")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(target) as archive:
        files = [name.encode() + archive.read(name) for name in archive.namelist()]
        return sorted(archive.read("annotations.csv").splitlines()) + sorted(files)[1:]


def test_a_system_killed_during_an_import_ends_it_after_its_restart(
    system: RunningSystem, source: Path, tmp_path: Path
) -> None:
    environment = os.environ | {"STEMMA_DATA": str(system.data)}
    arguments = command("import", source, "--project", "Disturbed", "--view", "class")
    client = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True)
    with held_in_the_middle(system):
        system.kill_everything()
    system.start()
    output, _ = client.communicate(timeout=HANG_SECONDS)
    assert client.returncode == 0
    assert f"added {IMAGES:,}, annotated {IMAGES:,}" in output
    undisturbed = run(system, "import", source, "--project", "Undisturbed", "--view", "class")
    assert undisturbed.stdout == output
    assert exported(system, "Disturbed", tmp_path) == exported(system, "Undisturbed", tmp_path)
    again = run(system, "import", source, "--project", "Disturbed")
    assert "added 0, annotated 0, annotated again 0" in again.stdout
    assert run(system, "audit", "replay").returncode == 0


def test_what_is_refused_is_told_at_the_terminal(system: RunningSystem, tmp_path: Path) -> None:
    source = write_files(tmp_path, {"cat/1.png": png(1), "cat/2.png": b"no image"})
    done = run(system, "import", source, "--project", "Refused", "--view", "animal")
    assert done.returncode == 1
    assert "cat/2.png: 2.png: this is not an image" in done.stderr
    assert "Traceback" not in done.stderr
    for arguments, says in (
        (("import", tmp_path / "nowhere", "--project", "Refused"), "nowhere"),
        (("import", source, "--project", "Refused", "--format", "xls"), "format is 'xls'"),
        (("import", "/etc", "--project", "Refused", "--on-server"), "STEMMA_IMPORT_ROOTS"),
        (("import", tmp_path / "nowhere", "--project", "New"), "nowhere"),
        (("import", source, "--project", "New", "--dry-run"), "project 'New' not found"),
        (
            ("export", tmp_path / "a.zip", "--project", "New", "--format", "csv"),
            "project 'New' not found",
        ),
        (("manifest", "nothing"), "version 'nothing' not found"),
    ):
        told = run(system, *arguments)
        assert told.returncode != 0
        assert says in told.stderr
        assert "Traceback" not in told.stderr
    assert not (tmp_path / "a.zip").exists()
