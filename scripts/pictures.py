"""The pictures of the documentation: `make pictures` takes them from a real run in Chromium.

A demo trains in a folder of its own, a second version and a fork of its model follow, and each page
is saved as docs/pictures/NAME.webp.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from adapters.settings import read_runtime
from cli.access.login import sign_in_address
from cli.client import ApiClient

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
WIDTH, HEIGHT = 1360, 850
QUALITY = 55
LOADED_MS = 60_000


@contextmanager
def demo_system(folder: Path) -> Iterator[ApiClient]:
    """A system on which a demo has trained a version; it is stopped at the end."""
    environment = os.environ | {"STEMMA_DATA": str(folder), "STEMMA_API_PORT": "0"}
    stemma = [sys.executable, "-m", "cli.main"]
    try:
        subprocess.run([*stemma, "demo", "--keep"], env=environment, check=True)
        runtime = read_runtime(folder)
        assert runtime is not None
        with ApiClient(runtime.api_url, runtime.api_key or "") as client:
            yield client
    finally:
        subprocess.run([*stemma, "down"], env=environment, check=True)


class Camera:
    """A tab, whose pages it saves."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def take(self, name: str, path: str | None = None, *, scrolled_to: str | None = None) -> None:
        if path is not None:
            self.page.goto(path)
        self.page.wait_for_load_state("networkidle")
        if scrolled_to is not None:
            self.page.locator(scrolled_to).scroll_into_view_if_needed()
        taken = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        taken.save(PICTURES / f"{name}.webp", "WEBP", quality=QUALITY, method=6)


def train(client: ApiClient, view_id: str, name: str, **options: object) -> str:
    body = {"name": name, "options": options}
    created = client.command(f"views/{view_id}/versions", body)
    version: Any = {"status": "queued"}
    while version["status"] not in ("ready", "failed"):
        version = client.query(f"versions/{created['id']}", wait="20")["version"]
    assert version["status"] == "ready", version
    return str(created["id"])


def take_all(client: ApiClient, camera: Camera) -> None:
    project = client.query("projects")["items"][0]
    view = client.query(f"projects/{project['project_id']}/views")["items"][0]
    view_id = view["view_id"]
    first = client.query("versions")["items"][0]["version_id"]
    second = train(client, view_id, "Smaller network", architecture="mobilenet_v3_small",
                   width=32, height=32, epochs=6, pretrained="none")  # fmt: skip
    nine = view["concepts"][-1]["concept_id"]
    client.delete(f"views/{view_id}/concepts/{nine}")
    train(client, view_id, "Without nines", architecture="mobilenet_v3_small",
          width=32, height=32, epochs=3, pretrained="none")  # fmt: skip
    camera.take("home", "/")
    camera.take("project", f"/projects/{project['project_id']}")
    camera.take("annotate", f"/views/{view_id}/annotate")
    camera.take("library", f"/views/{view_id}")
    camera.page.locator("[data-opens=train]").first.click()
    expect(camera.page.locator('#train [data-of="duration"]')).not_to_be_empty(timeout=LOADED_MS)
    camera.take("train")
    camera.take("version", f"/versions/{first}")
    camera.take("evaluation", f"/versions/{first}/evaluation")
    camera.take("flip-book", f"/versions/{first}/flip-book")
    camera.take("compare", f"/versions/{first}/compare/{second}")
    camera.take("lineage", f"/views/{view_id}/lineage")
    camera.take("trail", f"/audit?version={first}")


@click.command()
def main() -> None:
    """Take all pictures anew."""
    if CHROMIUM is None:
        raise click.ClickException("no Chromium here: run `apt-get install -y chromium`")
    PICTURES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        demo_system(Path(folder) / "data") as client,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        page = browser.new_page(base_url=client.url, viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(LOADED_MS)
        page.goto(sign_in_address(client))
        page.wait_for_url(f"{client.url}/")
        take_all(client, Camera(page))
        browser.close()
    sizes = {path.name: path.stat().st_size for path in sorted(PICTURES.glob("*.webp"))}
    click.echo(json.dumps(sizes, indent=1))


if __name__ == "__main__":
    main()
