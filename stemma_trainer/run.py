"""The run of a job in the child process: what the user's code reads, reports and stores."""

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import msgspec

from stemma_trainer.contract import Assignment
from stemma_trainer.data import Data, Item, Split, read_data
from stemma_trainer.provenance import Declared
from stemma_trainer.scores import as_parquet, rows_of
from stemma_trainer.steps import REPORT_SECONDS, NonFinite, StepBuffer
from stemma_trainer.store import JobStore

_BATCH = 256


class Channel(Protocol):
    """The way to the parent process, which publishes reports."""

    stop_early: bool

    def report(self, body: dict[str, Any]) -> None: ...

    def flush(self) -> None:
        """Wait until every report is stored."""


class _Saved(msgspec.Struct):
    """What the run itself resumes from; the user's state follows it."""

    iteration: int = 0
    epoch: int = 0
    best_value: float | None = None
    best_epoch: int = 0
    checkpoint: str = ""
    bytes: int = 0


class Run:
    """One delivery of a job. `settings` has the chosen values by their keys, as attributes.

    `concepts` are the labels; number i of a score is that of the i-th. `stop_early` is true once a
    user wants the training to end after the running epoch. Of several processes one `leads`; the
    others read the same, and report and store nothing.
    """

    def __init__(
        self,
        assignment: Assignment,
        channel: Channel,
        declared: Declared,
        device: str,
        *,
        leads: bool = True,
    ) -> None:
        job = self.job = assignment.job
        self.concepts: list[str] = [concept.label for concept in job.concepts]
        self.settings: Any = SimpleNamespace(**job.settings)
        self.seed = int(job.settings.get("seed", 0))
        self._assignment, self._channel, self._leads = assignment, channel, leads
        self._store = JobStore(job, assignment.api_url)
        state = self._store.claim(assignment.delivery)
        length = int.from_bytes(state[:4], "big")
        self._saved = msgspec.json.decode(state[4 : 4 + length], type=_Saved) if state else _Saved()
        self._state = state[4 + length :] if state else None
        self._planned = 0
        self._per_epoch = 0
        self._value = 0.0
        self._steps = StepBuffer(channel.report, self._saved.iteration)
        self._due = time.monotonic() + REPORT_SECONDS
        self._predicted = False
        started = {
            "worker": assignment.worker,
            "device": device,
            "environment": declared.facts,
            "resumed_from": self._saved.iteration,
        }
        if leads and (source := self._store.put_source(declared.archive)):
            started["source"] = source
        self._report("started", **started)
        self._step("preparing", "running", 0.0)
        self.data: Data = read_data(
            self._store,
            job.concepts,
            job.kind,
            job.manifest,
            Path(assignment.cache),
            self._prepared,
        )
        self._step("preparing", "done", 1.0)

    @property
    def stop_early(self) -> bool:
        return self._channel.stop_early

    def resume(self) -> bytes | None:
        """The state last given to `save`, by any worker; None at the start."""
        return self._state

    def plan(
        self,
        train: Split,
        *,
        epochs: int,
        batch: int | None = None,
        iterations_per_epoch: int | None = None,
    ) -> None:
        """Say how long the training will be, before its first step: the images of a batch, or the
        batches of an epoch."""
        if (batch is None) == (iterations_per_epoch is None):
            raise ValueError("give either batch or iterations_per_epoch")
        self._per_epoch = iterations_per_epoch or math.ceil(len(train) / (batch or 1))
        self._planned = epochs
        if not self._per_epoch or epochs < 1:
            raise ValueError("a training needs at least one image and one epoch")
        self._report(
            "data_prepared",
            iterations_per_epoch=self._per_epoch,
            iterations=self._per_epoch * epochs,
            samples=len(train),
        )
        self._step("training", "running", self._saved.epoch / epochs)

    def step(self, *, loss: float, learning_rate: float = 0.0) -> None:
        """Report a completed iteration (a batch). Raises `NonFinite`."""
        self._steps.add(loss, learning_rate)

    def epoch(
        self,
        *,
        validation_loss: float,
        validation_accuracy: float | None = None,
        validation_mean_average_precision: float | None = None,
        more: Mapping[str, float] | None = None,
    ) -> None:
        """An epoch is done and validated. `more` are metrics of your own by their names, such as
        `{"f1": 0.9}`: they are shown as reported by the trainer. Raises `NonFinite`."""
        self._flush_steps()
        own = {name: float(value) for name, value in (more or {}).items()}
        values = {
            "validation_loss": validation_loss,
            "validation_accuracy": validation_accuracy,
            "validation_mean_average_precision": validation_mean_average_precision,
        }
        values = {name: None if one is None else float(one) for name, one in values.items()}
        for name, value in (values | own).items():
            if value is not None and not math.isfinite(value):
                raise NonFinite(f"the {name} of epoch {self._saved.epoch + 1} is {value}")
        self._saved.epoch += 1
        more_fields = {"more": own} if own else {}
        self._report(
            "epoch_metrics",
            epoch=self._saved.epoch,
            iteration=self._saved.iteration,
            **values,
            **more_fields,
        )
        self._step("training", "running", min(self._saved.epoch / max(self._planned, 1), 1.0))

    def is_best(self, value: float) -> bool:
        """Whether the epoch that was just reported is better than all with a checkpoint."""
        best = self._saved.best_value
        better = best is None or float(value) > best
        if better:
            self._value = float(value)
        return better

    def checkpoint(self, weights: bytes | Path) -> None:
        """Store the best weights so far, after `is_best` returned true."""
        if not self._leads:
            return
        digest, size = self._store.put("checkpoint", weights)
        saved = self._saved
        saved.best_value, saved.best_epoch = self._value, saved.epoch
        saved.checkpoint, saved.bytes = digest, size
        self._report_best()

    def save(self, state: bytes) -> None:
        """Store what the run resumes from, if it is interrupted: all reports are stored first."""
        self._flush_steps()
        if not self._leads:
            return
        self._channel.flush()
        own = msgspec.json.encode(self._saved)
        self._store.save(self._assignment.delivery, len(own).to_bytes(4, "big") + own + state)

    def predict(self, items: Split, scores: Callable[[list[Item]], Any]) -> None:
        """Store the scores of every image of the dataset by the best checkpoint; the server
        measures them.

        For a batch of items `scores` gives a list of numbers from 0 to 1 for each, one for each
        concept; in a detection a list of boxes, which are mappings of concept, score, x, y, width
        and height.
        """
        if not self._leads:
            return
        self._flush_steps()
        self._step("training", "done", 1.0)
        self._step("evaluating", "running", 0.0)
        self._report_best()
        rows: list[Any] = []
        for batch in items.batches(_BATCH):
            rows += rows_of(scores(batch))
            self._step("evaluating", "running", min(len(rows) / len(items), 1.0))
        digest, _ = self._store.put("predictions", as_parquet(items, rows, self.job.kind))
        self._report(
            "evaluated",
            checkpoint=self._saved.checkpoint,
            predictions=digest,
            validation=self._measured(items, rows, train=False),
            train=self._measured(items, rows, train=True),
        )
        self._step("evaluating", "done", 1.0)
        self._predicted = True

    def _measured(self, items: Split, rows: Sequence[Any], *, train: bool) -> dict[str, Any]:
        """What the worker claims of a split: the server compares it with what it measures."""
        pairs = [
            (item, row)
            for item, row in zip(items, rows, strict=True)
            if (item.split == "train") == train
        ]
        claimed: dict[str, Any] = {"images": len(pairs)}
        if self.job.kind == "classification" and pairs:
            right = sum(row.index(max(row)) == item.concepts[0] for item, row in pairs)
            claimed["accuracy"] = right / len(pairs)
        return claimed

    def finish(self) -> None:
        """Report the end. Raises `ValueError` if a required call is missing."""
        if not self._leads:
            return
        if not self._predicted:
            raise ValueError("run.predict was not called: the server needs the scores to measure")
        self._step("saving", "running", 0.0)
        self._step("saving", "done", 1.0)
        complete = self._saved.epoch == self._planned
        ended_by = "length" if complete else "stop" if self.stop_early else "patience"
        final = hashlib.sha256(self._state or b"").hexdigest()
        self._report(
            "completed",
            checkpoint=self._saved.checkpoint,
            final_weights=self._saved.checkpoint or final,
            iterations=self._saved.iteration,
            ended_by=ended_by,
        )
        self._channel.flush()
        self._store.forget()

    def fail(self, error: BaseException) -> None:
        """Report the end of a training that raised."""
        reason = f"{type(error).__name__}: {error}"[:2000]
        self._report("failed", reason=reason, non_finite=isinstance(error, NonFinite))
        self._channel.flush()

    def _report_best(self) -> None:
        saved = self._saved
        if saved.best_value is None:
            raise ValueError("no checkpoint was stored; call run.checkpoint after run.is_best")
        metric = "accuracy" if self.job.kind == "classification" else "mean_average_precision"
        self._report(
            "checkpoint_saved",
            checkpoint=saved.checkpoint,
            bytes=saved.bytes,
            metric=f"validation_{metric}",
            value=saved.best_value,
            epoch=saved.best_epoch,
        )

    def _flush_steps(self) -> None:
        self._steps.flush()
        self._saved.iteration = self._steps.reported

    def _prepared(self, fraction: float) -> None:
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + REPORT_SECONDS
            self._step("preparing", "running", fraction)

    def _step(self, step: str, status: str, fraction: float) -> None:
        self._report("step_advanced", step=step, status=status, fraction=fraction)

    def _report(self, tag: str, **fields: Any) -> None:
        self._channel.report({"report": tag} | fields)
