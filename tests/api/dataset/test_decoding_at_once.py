"""Many uploads at once are decoded by few processes of limited memory, in nobody's way."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from adapters.images.decoders import AT_ONCE, memory_for
from api.backend import THREADS
from tests.adapters.running import eventually
from tests.api.conftest import serving, settings_at
from tests.api.dataset.test_images import encoded, upload
from tests.servers import Database

UPLOADS = 24
SIDE = 1500


def decoding() -> set[int]:
    """The processes that decode for this one."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended
        if parent == os.getpid() and b"adapters.images.child" in command:
            found.add(int(folder.name))
    return found


def data_limit(process: int) -> int:
    limits = Path(f"/proc/{process}/limits").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in limits if line.startswith("Max data size"))
    return int(line.split()[3])


@pytest.mark.parametrize("what", ["uploads", "thumbnails"])
def test_the_largest_images_at_once_are_in_nobodys_way(
    migrated: Database, tmp_path: Path, what: str
) -> None:
    largest = encoded(Image.new("RGBA", (SIDE, SIDE), (10, 200, 30, 100)), "PNG")
    # Else the first one would be the one that a later one is found to be.
    files = [(f"{number}.png", largest + bytes([number])) for number in range(UPLOADS)]
    settings = settings_at(migrated, tmp_path, max_image_pixels=SIDE * SIDE)
    with serving(settings) as scene, ThreadPoolExecutor(UPLOADS) as threads:
        assert UPLOADS > THREADS
        project = scene.project()
        other = scene.person("otto", "viewer")
        if what == "thumbnails":
            ids = upload(scene, project, *files).json()["ids"]
            scene.visible()
        else:
            upload(scene, project, files[0])
        stopped = decoding()
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        try:
            if what == "thumbnails":
                paths = [f"/api/v1/images/{image}/thumbnail" for image in ids]
                asked = [threads.submit(scene.http.get, path) for path in paths]
            else:
                asked = [threads.submit(upload, scene, project, file) for file in files]
            eventually(lambda: len(decoding()) == AT_ONCE)
            for process in decoding() - stopped:
                os.kill(process, signal.SIGSTOP)
            stopped |= decoding()
            for path in ("/api/v1/whoami", f"/api/v1/projects/{project}/images", "/health/ready"):
                assert other.get(path).is_success, path
            assert decoding() == stopped
        finally:
            for process in stopped:
                os.kill(process, signal.SIGCONT)
        assert {one.result().status_code for one in asked} <= {200, 201}
        assert {data_limit(process) for process in decoding()} == {memory_for(SIDE * SIDE)}
    assert decoding() == set(), "they end with the server"
