"""What happens around the pages in tests: an API client, and a worker that only reports."""

import itertools
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from io import BytesIO
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
from PIL import Image

from adapters.processes.processes import wait_until
from adapters.settings import Settings
from application.handle import Request, handle
from application.log.store import Store
from application.training.ingest import Delivered, Ingest
from cli.client import authorization
from cli.operations.first_key import new_key
from domain.access.account import account_id
from domain.aggregates import VERSION
from domain.training.manifest import ManifestCounts
from domain.training.messages import (
    LENGTH,
    AnyReport,
    BatchMetrics,
    CheckpointSaved,
    Completed,
    DataPrepared,
    EpochMetrics,
    Evaluated,
    Purpose,
    Report,
    SplitFigures,
    Started,
    StepAdvanced,
)
from domain.training.version import FreezeDataset
from stemma_client.connections import authorities
from tests.api.decoding import decodes
from tests.application.training.reports import accept_results
from tests.waiting import HANG_SECONDS

KEY = new_key()
"""A key of the account `administrator`."""

ITERATIONS_PER_EPOCH = 10
DIGEST = "ab" * 32


class Scene:
    """A running server at `url`, and what users and workers do to it."""

    def __init__(self, url: str, store: Store, settings: Settings) -> None:
        self.url = url
        self.store = store
        self.settings = settings
        self._clients = ExitStack()
        self.http = self.client(KEY)
        self._sequence = itertools.count(1)

    def client(self, key: str) -> httpx.Client:
        """A client of this server with a key of somebody's. It is closed with the scene."""
        return self._opened(
            httpx.Client(
                base_url=self.url,
                headers=authorization(key),
                timeout=HANG_SECONDS,
                event_hooks={"response": [decodes]},
                verify=authorities(self.url),
            )
        )

    def nobody(self) -> httpx.Client:
        """A client of this server without a key. It is closed with the scene."""
        return self._opened(
            httpx.Client(base_url=self.url, timeout=HANG_SECONDS, verify=authorities(self.url))
        )

    def _opened(self, client: httpx.Client) -> httpx.Client:
        self._clients.callback(client.close)
        return client

    def person(self, name: str, role: str = "administrator") -> httpx.Client:
        """A client of somebody with a role everywhere, whose account is opened if it is new."""
        known = self.http.get("/api/v1/accounts?limit=500").raise_for_status().json()["items"]
        if name not in {one["name"] for one in known}:
            self.post("/accounts", {"name": name})
            self.post(f"/accounts/{account_id(name)}/roles", {"role": role})
        key = {"label": "test", "account_id": account_id(name)}
        return self.client(self.post("/keys", key)["key"])

    @property
    def environment(self) -> dict[str, str]:
        """Where commands find this server, with the administrator's key."""
        return {"STEMMA_API_URL": self.url, "STEMMA_API_KEY": KEY}

    @property
    def browsing(self) -> Any:
        """What a context of a browser is made with to be signed in as the administrator."""
        return {"base_url": self.url, "storage_state": {"cookies": [self.session(KEY)]}}

    def session(self, key: str) -> dict[str, str]:
        """The cookie of a browser that has signed in with a key."""
        with self.nobody() as browser:
            browser.post("/api/v1/sessions", json={"key": key}).raise_for_status()
            (cookie,) = browser.cookies.jar
        return {"name": cookie.name, "value": str(cookie.value), "url": self.url}

    def __enter__(self) -> Self:
        deadline = time.monotonic() + HANG_SECONDS
        while True:
            try:
                self.http.get("/api/v1/status").raise_for_status()
                return self
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._clients.close()

    def post(self, path: str, content: object) -> Any:
        response = self.http.post(f"/api/v1{path}", json=content)
        assert response.is_success, response.text
        return response.json()

    def visible(self) -> int:
        """Wait until all read models show all there is; the position."""
        head = self.store.head()

        def shown() -> bool:
            status = self.http.get("/api/v1/status").raise_for_status().json()
            return all(one["position"] >= head for one in status["read_models"])

        assert wait_until(shown, HANG_SECONDS)
        return head

    def building(self) -> list[Any]:
        """The read models that `GET /status` says are being built."""
        return list(self.http.get("/api/v1/status").raise_for_status().json()["building"])

    def project(self, name: str = "Digits") -> str:
        return str(self.post("/projects", {"name": name})["id"])

    def images(self, project_id: str, count: int) -> list[str]:
        """Upload images that differ; their ids."""
        files = [("files", (f"{number}.png", png(number), "image/png")) for number in range(count)]
        response = self.http.post(f"/api/v1/projects/{project_id}/images", files=files)
        assert response.is_success, response.text
        return [str(one) for one in response.json()["ids"]]

    def view(self, project_id: str, *labels: str, name: str = "Which digit") -> str:
        kind = {"name": name, "kind": "classification"}
        view_id = str(self.post(f"/projects/{project_id}/views", kind)["id"])
        if labels:
            self.concepts(view_id, *labels)
        return view_id

    def concepts(self, view_id: str, *labels: str) -> list[str]:
        answer = self.post(f"/views/{view_id}/concepts", {"labels": list(labels)})
        return [str(one) for one in answer["ids"]]

    def trainable(self, name: str = "Digits", images: int = 10) -> tuple[str, str]:
        """A project with annotated and split images, and its view of two concepts."""
        project_id = self.project(name)
        view_id = self.view(project_id)
        concepts = self.concepts(view_id, "zero", "one")
        said = [
            {"image_id": image_id, "annotations": [{"concept_id": concepts[index % 2]}]}
            for index, image_id in enumerate(self.images(project_id, images))
        ]
        self.post(f"/views/{view_id}/annotations", {"images": said})
        self.post(f"/projects/{project_id}/validation-split", {"size": 0.4, "seed": 1})
        return project_id, view_id

    def version(self, view_id: str, **options: object) -> str:
        return str(self.post(f"/views/{view_id}/versions", {"options": options})["id"])

    def freeze(self, version_id: str) -> None:
        counts = ManifestCounts(train=6, validation=4, per_concept={})
        command = FreezeDataset(DIGEST, counts)
        request = Request(actor="policy", command_id=f"{version_id}/f", correlation_id=version_id)
        handle(
            self.store,
            request,
            lambda session: session.decide(VERSION, version_id, command),
        )

    def report(
        self,
        version_id: str,
        *bodies: AnyReport,
        attempt: int = 1,
        purpose: Purpose = Purpose.TRAINING,
    ) -> int:
        """Take in what a worker would report; the log's position afterwards."""
        messages = []
        for body in bodies:
            sequence = next(self._sequence)
            at = datetime.now(UTC)
            told = Report(
                version_id, attempt, 1, sequence, at, "gpu-1", version_id, body, purpose=purpose
            )
            messages.append(Delivered(sequence, msgspec.json.encode(told)))
        Ingest(self.store, "reports").take(messages)
        accept_results(self.store)
        return self.store.head()

    def begin(self, version_id: str, epochs: int = 4) -> None:
        """The version is frozen, taken up and prepared; its training step runs."""
        self.freeze(version_id)
        self.report(
            version_id,
            Started("gpu-1", "cuda:0 NVIDIA H100", {"torch": "2.11"}, 0),
            StepAdvanced("preparing", "running", 0.0),
            DataPrepared(ITERATIONS_PER_EPOCH, ITERATIONS_PER_EPOCH * epochs),
            StepAdvanced("preparing", "done", 1.0),
            StepAdvanced("training", "running", 0.0),
        )

    def epoch(
        self, version_id: str, number: int, *, of: int = 4, loss: float = 1.0, held_out: float = 1.0
    ) -> int:
        """An epoch goes by: its batches fall towards `loss`, and validation comes to `held_out`."""
        first = (number - 1) * ITERATIONS_PER_EPOCH
        losses = tuple(loss * (1 + 1 / (first + k + 1)) for k in range(ITERATIONS_PER_EPOCH))
        done = number * ITERATIONS_PER_EPOCH
        return self.report(
            version_id,
            BatchMetrics(first, tuple(0.01 / number for _ in losses), losses),
            StepAdvanced("training", "running", number / of),
            EpochMetrics(number, done, held_out, 1 - held_out / 3),
            CheckpointSaved(DIGEST, 44_800_000, "validation_accuracy", 1 - held_out / 3, number),
        )

    def finish(self, version_id: str, ended_by: str = LENGTH) -> int:
        return self.report(
            version_id,
            StepAdvanced("training", "done", 1.0),
            StepAdvanced("evaluating", "running", 0.0),
            Evaluated(
                DIGEST,
                SplitFigures(images=4, loss=0.2, accuracy=0.9),
                SplitFigures(images=8, loss=0.1, accuracy=1.0),
                DIGEST,
            ),
            StepAdvanced("evaluating", "done", 1.0),
            StepAdvanced("saving", "done", 1.0),
            Completed(DIGEST, "cd" * 32, 4 * ITERATIONS_PER_EPOCH, ended_by),
        )


def png(number: int) -> bytes:
    buffer = BytesIO()
    shade = [(17 * number + 31 * pixel) % 256 for pixel in range(64)]
    image = Image.new("L", (8, 8))
    image.putdata(shade)
    image.save(buffer, "PNG")
    return buffer.getvalue()
