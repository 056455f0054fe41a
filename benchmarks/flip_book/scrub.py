"""Frames a second of the flip book's page while its epochs are scrubbed, in headless Chromium."""

import hashlib
import shutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import Engine

from adapters.blobs.blobs import BlobStore
from adapters.flip_book.files import SampledImages, file_of
from application import views
from application.access.first_key import give_key
from application.dataset import projects
from application.log.store import Store
from benchmarks.calls import do
from benchmarks.database import migrated_postgres, opened
from benchmarks.measurements import Expected, Measurement, quantile
from benchmarks.processes import data_folder, free_port, stemma
from benchmarks.quiet import repeat
from benchmarks.sample_events import CONCEPTS, append_all, recorded, trained_version
from cli.operations.first_key import new_key
from cli.operations.up import wait_ready
from domain.event import StreamName
from domain.training.version import EpochItemsRecorded
from projections.engine.follow import Follower
from projections.registry import READ_MODELS
from projections.training.library_queries import library

POINTS, QUICK_POINTS = 5_000, 50
EPOCHS, QUICK_EPOCHS = 20, 3
SECONDS, QUICK_SECONDS = 5.0, 0.3
START_SECONDS = 60.0
LONGEST_MS = 120_000
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
OFFLINE = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

SCRUB = """seconds => new Promise((resolve) => {
  const slider = document.querySelector("[data-slider]");
  const { map } = document.querySelector("[data-canvas]");
  const times = [];
  let [began, before, drawn, at, by] = [undefined, undefined, undefined, Number(slider.max), -1];
  const frame = (now) => {
    began ??= now;
    const sum = map.drawn.reduce((total, place) => total + place);
    if (sum !== drawn) {
      if (before !== undefined) times.push(now - before);
      before = now;
      drawn = sum;
    }
    if (at + by < 1 || at + by > Number(slider.max)) by = -by;
    at += by;
    slider.value = at;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    if (now - began < 1000 * seconds) requestAnimationFrame(frame);
    else resolve(times);
  };
  requestAnimationFrame(frame);
})"""
"""Moves the slider by an epoch in each frame, to and fro; the milliseconds between frames that
drew the points at other places."""


def run(quick: bool) -> list[Measurement]:
    """The slider moves by an epoch in each frame; the browser draws at most 60 a second."""
    points = QUICK_POINTS if quick else POINTS
    epochs = QUICK_EPOCHS if quick else EPOCHS
    seconds = QUICK_SECONDS if quick else SECONDS
    with page_of(points, epochs) as page:
        page.evaluate(SCRUB, seconds)
        done = repeat(
            1 if quick else 5, lambda: page.evaluate(SCRUB, seconds), spare=0 if quick else 3
        )
    what = f"scrubbing {points:,} points over {epochs} epochs"
    return [
        Measurement(
            what=f"{what}: frames",
            unit="/s",
            ours=tuple(1000 / statistics.mean(times) for times in done.results),
            expected=Expected(30, at_least=True),
            others=done.others,
        ),
        Measurement(
            what=f"{what}: a frame, p95",
            unit="ms",
            ours=tuple(quantile(times, 0.95) for times in done.results),
            others=done.others,
        ),
    ]


@contextmanager
def page_of(points: int, epochs: int) -> Iterator[Page]:
    """The flip book's page of a version with this number of items and epochs, all loaded."""
    with site_of(points, epochs) as (url, key, version_id), browser(url, key) as page:
        page.goto(f"{url}/versions/{version_id}/flip-book", wait_until="networkidle")
        page.wait_for_selector("body[data-ready]")
        yield page


@contextmanager
def site_of(points: int, epochs: int) -> Iterator[tuple[str, str, str]]:
    """A server with a version of that many items and epochs: its address, a key, the version."""
    with (
        data_folder() as folder,
        migrated_postgres(folder) as server,
        opened(server.app_url) as (store, engine),
    ):
        settings = {
            "STEMMA_DATA": str(folder),
            "STEMMA_DATABASE_URL": server.app_url,
            "STEMMA_BLOBS_URL": f"file://{folder}/blobs",
            "STEMMA_API_PORT": str(free_port()),
            "STEMMA_RATE_LIMIT": "0",
        }
        blobs = BlobStore.from_url(settings["STEMMA_BLOBS_URL"])
        version_id = fill(store, engine, blobs, points, epochs)
        key = new_key()
        give_key(store, key, "benchmark")
        url = f"http://127.0.0.1:{settings['STEMMA_API_PORT']}"
        log = folder / "logs" / "api.log"
        with stemma("api", log=log, settings=settings):
            if not wait_ready(url, START_SECONDS):
                raise RuntimeError(f"the API does not answer: {log.read_text(encoding='utf-8')}")
            yield url, key, version_id


def fill(store: Store, engine: Engine, blobs: BlobStore, points: int, epochs: int) -> str:
    """A trained version that has recorded; its id."""
    project_id = do(store, lambda s: projects.create_project(s, "Digits")).id
    view_id = do(store, lambda s: views.create_view(s, project_id, "which", "classification")).id
    do(store, lambda s: views.add_concepts(s, view_id, [each.label for each in CONCEPTS]))
    Follower(engine, store, READ_MODELS).catch_up()
    with engine.connect() as connection:
        model_id = library(connection, view_id)[0].model.model_id
    events = list(trained_version(project_id, view_id, model_id, 2, 1))
    stream, revision = events[-1].stream, events[-1].originator_version
    images = [hashlib.sha256(b"%d" % number).hexdigest()[:36] for number in range(points)]
    splits = ["train" if number < 0.8 * points else "validation" for number in range(points)]
    for epoch in range(1, epochs + 1):
        columns = _columns(points, epoch)
        data = file_of("classification", CONCEPTS, epoch, SampledImages(images, splits), columns)
        told = EpochItemsRecorded(epoch, 10 * epoch, blobs.put(data), points, points, 0.1)
        events.append(recorded(stream, revision + epoch, told))
    append_all(store, events)
    Follower(engine, store, READ_MODELS).catch_up()
    return StreamName.parse(stream).entity_id


def _columns(points: int, epoch: int) -> dict[str, Any]:
    """Points that are learnt at speeds of their own, and a few that are not."""
    random, noise = np.random.default_rng(1), np.random.default_rng(epoch)
    speed = random.gamma(2, 0.4, points) * np.where(random.random(points) < 0.07, -0.3, 1)
    margin = speed * epoch - 2 + noise.normal(0, 0.5, points)
    probability = 1 / (1 + np.exp(-margin))
    concept = np.arange(points) % len(CONCEPTS)
    predicted = np.where(margin > 0, concept, (concept + 1) % len(CONCEPTS))
    return {
        "concept": concept,
        "predicted": predicted,
        "probability": probability,
        "margin": margin,
        "loss": -np.log(probability),
    }


@contextmanager
def browser(url: str, key: str) -> Iterator[Page]:
    """A tab of a browser with an empty cache, signed in with a key."""
    if CHROMIUM is None:
        raise RuntimeError(
            "no Chromium here: run `apt-get update && apt-get install -y chromium-headless-shell`"
        )
    with httpx.Client(base_url=url) as client:
        client.post("/api/v1/sessions", json={"key": key}).raise_for_status()
        (cookie,) = client.cookies.jar
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        context = chromium.new_context(viewport={"width": 1400, "height": 900})
        context.add_cookies([{"name": cookie.name, "value": str(cookie.value), "url": url}])
        context.set_default_timeout(LONGEST_MS)
        yield context.new_page()
        chromium.close()
