"""A server for trainers of users' own, who run as their authors run them."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner, Result
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from adapters.nats.jetstream import JOBS, connect, job_subject
from cli.main import main
from domain.aggregates import VERSION
from tests.adapters.running import eventually
from tests.api.scene import Scene

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples" / "own_training"


class Lab:
    """A server with its services, and a view with images."""

    def __init__(self, site: Scene, nats_url: str, package: Path, folder: Path) -> None:
        self.site, self._nats_url, self._package, self._folder = site, nats_url, package, folder
        self._written: set[str] = set()
        self.project, self.view = site.trainable("Own training", images=24)

    def run(self, *arguments: str) -> Result:
        """A command, by the administrator, on the machine of the database."""
        settings = self.site.settings
        environment = self.site.environment | {
            "STEMMA_DATABASE_URL": settings.require("database_url"),
            "STEMMA_BLOBS_URL": settings.require("blobs_url"),
        }
        return CliRunner().invoke(main, arguments, env=environment)

    def write(self, name: str, body: str, before: str = "") -> Path:
        """A trainer whose function has this body, registered as acme/NAME."""
        path = self._folder / f"{name}.py"
        path.write_text(
            f"import os\nimport stemma_trainer.contract\n{before}\n"
            "from stemma_trainer import Form, trainer\n"
            f"@trainer('acme/{name}', Form('classification'))\n"
            f"def train(run):\n    {body}\n"
            "train.serve()\n"
        )
        if name not in self._written:
            self.site.post("/trainers", {"name": f"acme/{name}", "kinds": ["classification"]})
        self._written.add(name)
        return path

    def environment(self, **more: str) -> dict[str, str]:
        # What the example imports besides, and nothing of Stemma: not the folder of its source.
        return os.environ | {
            "PYTHONPATH": str(self._package),
            "STEMMA_API_URL": self.site.url,
            "STEMMA_NATS_URL": self._nats_url,
            "STEMMA_WORKER_NAME": "own1",
            "STEMMA_TRAINER_CACHE": str(self._folder / "cache"),
            **more,
        }

    def register(self, example: str) -> str:
        """Register an example's trainer with the form that it writes; its name."""
        form = subprocess.run(
            [sys.executable, str(EXAMPLES / example), "form"],
            cwd=self._folder,
            env=self.environment(),
            capture_output=True,
            check=True,
        )
        name = f"acme/{example.removesuffix('.py').replace('_', '-')}"
        body = msgspec.json.decode(form.stdout, type=dict[str, Any]) | {"name": name}
        self.site.post("/trainers", body)
        return name

    def train(self, trainer: str, **settings: object) -> str:
        body = {"trainer": trainer, "settings": settings}
        version_id = str(self.site.post(f"/views/{self.view}/versions", body)["id"])
        self.site.visible()
        return version_id

    @contextmanager
    def worker(self, example: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        with subprocess.Popen(
            [sys.executable, str(EXAMPLES / example)],  # an absolute path stays as it is
            cwd=self._folder,
            env=self.environment(**environment),
        ) as process:
            try:
                yield process
            finally:
                process.terminate()

    def status(self, version_id: str) -> str:
        return str(self.version(version_id)["version"]["status"])

    def version(self, version_id: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.site.http.get(f"/api/v1/versions/{version_id}").json()
        return found

    def jobs(self, version_id: str) -> list[bytes]:
        """The jobs of a version that are not acknowledged."""

        async def read(js: JetStreamContext) -> list[bytes]:
            state = (await js.stream_info(JOBS)).state
            found = []
            for sequence in range(state.first_seq, state.last_seq + 1):
                with suppress(NatsError):
                    found.append((await js.get_msg(JOBS, sequence)).data or b"")
            return found

        jobs: list[bytes] = self._ask(read)
        return [job for job in jobs if msgspec.json.decode(job)["version_id"] == version_id]

    def waiting(self, version_id: str) -> list[bytes]:
        """As `jobs`, once there are some."""
        eventually(lambda: bool(self.jobs(version_id)))
        return self.jobs(version_id)

    def send(self, job: bytes) -> None:
        """Send a job once more, as if it had not been acknowledged."""
        subject = job_subject(msgspec.json.decode(job)["queue"])
        self._ask(lambda js: js.publish(subject, job))

    def _ask(self, ask: Callable[[JetStreamContext], Awaitable[Any]]) -> Any:
        async def asked() -> Any:
            client = await connect(self._nats_url, "test")
            try:
                return await ask(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(asked())

    def until(self, version_id: str, *statuses: str) -> None:
        eventually(lambda: self.status(version_id) in statuses)

    def names(self, version_id: str) -> list[str]:
        stream = VERSION.stream(version_id)
        events = self.site.store.streams([stream])[stream]
        return [recorded.event.event_name.removeprefix("version.") for recorded in events]
