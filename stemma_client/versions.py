"""Versions: trainings, and the models that they end with."""

from __future__ import annotations

import hashlib
import html
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from stemma_client import notebook
from stemma_client._generated import answers, operations
from stemma_client.comparisons import Comparison
from stemma_client.downloads import download
from stemma_client.entities import Entity
from stemma_client.errors import DigestMismatch, StemmaError, TrainingFailed
from stemma_client.evaluations import Evaluation
from stemma_client.flip_book import FlipBook
from stemma_client.manifests import ManifestLine
from stemma_client.metrics import Metrics
from stemma_client.onnx_files import cached_onnx, write_onnx
from stemma_client.prediction import Box, Images, OnnxModel, PredictedImages
from stemma_client.proofs import Proof, prove_version
from stemma_client.suspects import Suspects
from stemma_client.tables import Rows
from stemma_client.waiting import wait_for

if TYPE_CHECKING:
    from stemma_client.client import Stemma

FINISHED = frozenset({"ready", "stopped"})
FAILED = frozenset({"failed", "cancelled"})

ENDINGS = {"safetensors": "safetensors", "onnx": "onnx"}
"""Of files of weights, by their formats; others are `bin`."""

Split = Literal["train", "validation"]


class Version(Entity):
    """A version of a model: its training and its results."""

    kind = "version"

    def __init__(self, client: Stemma, row: answers.VersionRow) -> None:
        super().__init__(client, row.version_id, row.name)
        self.row = row

    @property
    def number(self) -> int:
        """Its number among the versions of its model."""
        return self.row.number

    @property
    def status(self) -> str:
        """`queued`, the running step, or the result: `ready`, `stopped`, `failed` and so on."""
        return self.row.status

    @property
    def ended(self) -> bool:
        """Whether the training has ended."""
        return self.status in FINISHED | FAILED

    @property
    def progress(self) -> float:
        """The share of the training that is done."""
        return self.row.progress

    @property
    def indicator(self) -> float | None:
        """The saved checkpoint's validation accuracy, or mAP for tagging and detection."""
        return self.row.indicator

    @property
    def options(self) -> answers.TrainingOptions:
        """All options of the training."""
        return self.row.options

    def look(self, seconds: float = 0, *, patience: float | None = None) -> None:
        """Read it again, as soon as it has ended or after some seconds."""
        request = operations.get_version(self.id, wait=seconds)
        view = self.client.send(request, patience=patience)
        self.row, self.name = view.version, view.version.name

    def wait(self, timeout: float | None = None, *, bar: bool | None = None) -> Version:
        """Wait for the training's end. Raises `TrainingFailed`, also if it was cancelled, and
        `WaitTimeout` after `timeout` seconds. An interrupt leaves it running."""
        wait_for([self], timeout=timeout, bar=bar)
        self.require_weights()
        return self

    def require_weights(self) -> None:
        """Raise `TrainingFailed` if the training ended without weights."""
        if self.status in FAILED:
            raise TrainingFailed(self.row, self)

    def stop(self) -> Version:
        """End it after its running epoch; it keeps its best checkpoint and is evaluated."""
        return self._changed(operations.stop_version(self.id))

    def cancel(self) -> Version:
        """End it at once; its weights are discarded."""
        return self._changed(operations.cancel_version(self.id))

    def retry(self, *, key: str | None = None) -> Version:
        """Try a failed training again, from its last checkpoint."""
        return self._changed(operations.retry_version(self.id), key)

    def rename(self, name: str) -> Version:
        """Give it another name."""
        return self._changed(operations.rename_version(self.id, answers.NewName(name=name)))

    def archive(self) -> Version:
        """Archive it: it is no longer listed."""
        return self._changed(operations.archive_version(self.id))

    def _changed(self, request: Any, key: str | None = None) -> Version:
        self.client.send(request, key=key)
        self.look()
        return self

    def details(self) -> answers.VersionView:
        """The version with its warnings, and what it waits for."""
        return self.client.send(operations.get_version(self.id))

    def steps(self) -> answers.ProgressRow:
        """Each step of the training, with its times."""
        return self.client.send(operations.get_version_progress(self.id)).progress

    def metrics(self, *names: str) -> Metrics:
        """All values of its metrics."""
        return self.client.metrics([self], *names)

    def compare(self, other: Version, *, split: Split = "validation") -> Comparison:
        """What differs between this version and another."""
        request = operations.compare_versions(self.id, other.id, split=split, limit=500)
        return Comparison(self.client, self.client.send(request))

    @property
    def evaluation(self) -> Evaluation:
        """Its evaluation, by concept and image."""
        return Evaluation(self.client, self.id)

    @property
    def suspects(self) -> Suspects:
        """Labels of its dataset that are doubtful."""
        return Suspects(self.client, self.id)

    @property
    def flip_book(self) -> FlipBook:
        """How each item was learned."""
        return FlipBook(self.client, self.id)

    def describe(self) -> answers.ModelDescription:
        """How to use the checkpoint, and how it was made."""
        return self.client.send(operations.get_model_description(self.id))

    def manifest(self) -> Rows[ManifestLine]:
        """Its frozen dataset, checked against the digest in the log. Raises `DigestMismatch`."""
        content = self.client.send(operations.get_training_manifest(self.id))
        found = hashlib.sha256(content).hexdigest()
        self.look()
        if found != self.row.manifest:
            raise DigestMismatch(f"the manifest is {found}, and the log names {self.row.manifest}")
        return Rows(msgspec.json.decode(line, type=ManifestLine) for line in content.splitlines())

    def download(self, folder: str | Path) -> Path:
        """Write the weights, their description and the model card to a folder, and return the
        folder.

        An interrupted download is continued. The weights are checked against their digest in the
        log. Raises `DigestMismatch`, and `StemmaError` for a folder with another README.md.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        readme = target / "README.md"
        if readme.exists() and not any(target.glob("model.*")):
            raise StemmaError(f"{readme} is not that of a version: give a folder of its own")
        # A user's own trainer describes its weights itself: only the card is written of it.
        model = None if self.row.trainer else self.describe()
        digest = model.checkpoint if model else self.row.checkpoint
        weights = operations.download_checkpoint(self.id)
        format_ = self.row.trainer.format if self.row.trainer else "safetensors"
        path = target / f"model.{ENDINGS.get(format_, 'bin')}"
        download(self.client.transport, weights, path, digest=digest)
        card = self.client.send(operations.get_model_card(self.id))
        readme.write_bytes(card)
        if model is not None:
            described = msgspec.json.format(msgspec.json.encode(model))
            (target / "model.json").write_bytes(described + b"\n")
        return target

    def code(self) -> answers.DeclaredCode:
        """What its trainer declares of its code: commit, difference, command, packages."""
        return self.client.send(operations.get_code(self.id))

    def download_source(self, path: str | Path) -> Path:
        """Write the archive of the code that its trainer declares, a .tar.gz. Raises
        `NotFound`."""
        target, source = Path(path), self.code().source
        request = operations.download_source(self.id)
        download(self.client.transport, request, target, digest=source)
        return target

    def compare_code(self, other: Version) -> answers.CodeComparison:
        """What differs between its declared code and that of another."""
        return self.client.send(operations.compare_code(self.id, other.id))

    def download_onnx(self, target: str | Path, *, timeout: float | None = None) -> Path:
        """Write the network as an ONNX file, which takes RGB pixels as bytes; the file.

        A worker makes it at the first call and compares it with torch; that takes the right to
        train. It is compared with the digest in the log. Raises `OnnxFailed`, `WaitTimeout` and
        `DigestMismatch`.
        """
        return write_onnx(self, Path(target), timeout=timeout)

    def predict(
        self,
        images: Images,
        *,
        box: Box | None = None,
        skip_bad: bool = False,
        timeout: float | None = None,
    ) -> PredictedImages:
        """Predict images on this machine, which needs the extra `onnx`: files, folders or patterns.

        Images are read as they were in training, and the thresholds are those in force. The network
        is that of `download_onnx`, kept in a folder of yours. A file that is no image raises
        `ImageUnreadable`; with `skip_bad` it has an `error`. A version that was trained on crops
        predicts for `box`, else for the whole image.
        """
        network = cached_onnx(self, timeout=timeout)
        model = OnnxModel(network, self.describe().thresholds)
        return model.predict(images, box=box, skip_bad=skip_bad)

    def prove(self, kept: str | Path, *, weights: str | Path | None = None) -> Proof:
        """Prove from a checkpoint of the log that you kept, a text or a file, that all events of
        this version are in the log, unaltered, and that they name these weights.

        The server answers with proofs, and each of them is checked here. Raises `NotProven` and
        `DigestMismatch`; needs the right to audit.
        """
        return prove_version(self.client, self.id, kept, weights)

    def evaluate_on_test_set(
        self, reason: str, *, key: str | None = None
    ) -> Rows[answers.EvaluationOnTestSet]:
        """Open the test set for this version; the reason stays in the log. Returns all its
        evaluations."""
        body = answers.NewTestEvaluation(reason=reason)
        self.client.send(operations.evaluate_on_test_set(self.id, body), key=key)
        return self.test_evaluations()

    def test_evaluations(self) -> Rows[answers.EvaluationOnTestSet]:
        """The evaluations on the test set."""
        return Rows(self.client.send(operations.list_test_evaluations(self.id)).items)

    def _facts(self) -> dict[str, Any]:
        facts = {"id": self.id, "number": self.number, "status": self.status}
        if not self.ended:
            facts["progress"] = f"{self.progress:.0%}"
        if self.indicator is not None:
            facts["indicator"] = round(self.indicator, 4)
        return facts

    def _picture(self) -> str:
        drawn = notebook.curves(self.metrics().series)
        if self.status not in FINISHED:
            return drawn
        try:
            return drawn + notebook.gallery(self.evaluation.pictures(5))
        except StemmaError as error:  # of an erased version the rest is shown
            return f"{drawn}<p>{html.escape(error.explanation)}</p>"
