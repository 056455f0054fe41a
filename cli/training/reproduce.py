"""`stemma reproduce`: train a version again from its manifest, and compare it with the log."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from adapters.settings import Settings, load_settings
from application.dataset.erasure import refuse_if_erased
from application.log.store import Store
from application.training.histories import VersionHistory, history_of
from cli.reading import reading
from cli.torch_here import require_torch
from domain.aggregates import VERSION
from domain.errors import Refusal
from domain.text import escaped
from domain.training.messages import (
    AnyReport,
    Completed,
    EpochMetrics,
    Failed,
    Started,
    StepAdvanced,
    TrainJob,
)
from domain.training.version import EpochMetricsRecorded, VersionTrainingCompleted

_SAME_BITS = ("torch", "torchvision", "pillow", "decoder", "device", "cpu_threads", "code")
"""Parts of the environment that must be equal for identical weights."""

_MEANING = {"decoder": " (between 1 and 2, the reading of images with transparency changed)"}

_UNRECORDED = {"decoder": "1"}
"""What a part was before it was recorded."""


class Outcome(msgspec.Struct):
    """The results of the second training."""

    started: Started | None = None
    epochs: dict[int, EpochMetrics] = msgspec.field(default_factory=dict)
    completed: Completed | None = None
    failed: str | None = None


@click.command("reproduce")
@click.argument("version_id")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=0.02,
    show_default=True,
    help="The tolerance for metrics where equal weights cannot be expected.",
)
def reproduce_command(version_id: str, tolerance: float) -> None:
    """Train a version again, from its frozen images, options and seed.

    On a CPU like that of the first training the final weights must be equal, bit for bit; elsewhere
    the validation metrics must be, within the tolerance. The exit status is 1 if they are not, and
    2 if the log could not be read. It reads the log and the blob store, and needs neither NATS nor
    a server.
    """
    require_torch()
    settings = load_settings()
    url = settings.require("database_url")
    with reading(url), closing(Store(url, pool_size=2)) as store:
        try:
            history = history_of(store, version_id)
            refuse_if_erased(store, history.created)
            history.created.built_in(_instead(history))
            recorded = _epochs(store, history)
        except Refusal as refusal:
            click.echo(f"stemma: {escaped(refusal.detail)}", err=True)
            sys.exit(1)
    if history.frozen is None or history.completed is None or history.started is None:
        click.echo(f"stemma: the version is {history.state.status}; nothing to compare", err=True)
        sys.exit(1)
    outcome = _train(settings, history)
    sys.exit(0 if _verdict(history, history.completed, recorded, outcome, tolerance) else 1)


def _instead(history: VersionHistory) -> str:
    """How to reproduce a version that other code trained."""
    if history.created.adopted is not None:
        return "it was adopted, and how it was trained is not known"
    source = history.started.source if history.started else None
    if source is None:
        return "reproduce it with that code; the trainer stored no archive of it"
    return (
        f"reproduce it with that code, whose archive has the sha256 {source}: `stemma versions"
        f" source {history.version_id} FILE` writes it"
    )


def _epochs(store: Store, history: VersionHistory) -> dict[int, EpochMetricsRecorded]:
    stream = VERSION.stream(history.version_id)
    events = store.streams([stream])[stream]
    return {
        recorded.event.epoch: recorded.event
        for recorded in events
        if isinstance(recorded.event, EpochMetricsRecorded)
    }


def _train(settings: Settings, history: VersionHistory) -> Outcome:
    from gpu_worker.channel import Assignment, encode_line
    from gpu_worker.process import PATIENT_THREADS

    assert history.frozen is not None
    assert history.completed is not None
    job = TrainJob(
        version_id=history.version_id,
        attempt=1,
        kind=history.created.kind,
        concepts=history.created.concepts,
        options=history.created.built_in("train it with that code"),
        manifest=history.frozen.manifest,
        correlation_id=history.version_id,
        initial_weights=history.created.initial_weights,
        grey_bits=history.frozen.grey_bits,
    )
    bare = msgspec.structs.replace(
        settings, database_url=None, database_admin_url=None, nats_url=None, workers=1
    )
    with subprocess.Popen(
        [sys.executable, "-m", "gpu_worker.reproduce", str(history.completed.iterations)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=PATIENT_THREADS | os.environ | same_threads(history),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(encode_line(Assignment(job, 1, bare)))
        process.stdin.close()
        return _watch(process.stdout)


def same_threads(history: VersionHistory) -> dict[str, str]:
    """The variable by which torch has as many threads as in the first training, whose worker may
    have shared its machine: sums are added in another order with others."""
    assert history.started is not None
    threads = history.started.environment.get("cpu_threads")
    return {} if threads is None else {"OMP_NUM_THREADS": threads}


def _watch(lines: Iterator[bytes]) -> Outcome:
    decoder = msgspec.json.Decoder(AnyReport)
    outcome = Outcome()
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=1.0)
        for line in lines:
            match decoder.decode(line):
                case Started() as started:
                    outcome.started = started
                case StepAdvanced() as step:
                    bar.update(task, description=step.step, completed=step.fraction)
                case EpochMetrics() as epoch:
                    outcome.epochs[epoch.epoch] = epoch
                case Completed() as completed:
                    outcome.completed = completed
                case Failed(reason=reason):
                    outcome.failed = reason
    return outcome


def _verdict(
    history: VersionHistory,
    before: VersionTrainingCompleted,
    recorded: dict[int, EpochMetricsRecorded],
    outcome: Outcome,
    tolerance: float,
) -> bool:
    """Print the comparison; returns whether the version was reproduced."""
    if outcome.completed is None or outcome.started is None:
        reason = outcome.failed or "the training process ended without a result"
        click.echo(f"not reproduced: {escaped(reason)}")
        return False
    again = outcome.completed
    if again.final_weights == before.final_weights:
        click.echo(f"reproduced: the final weights are the same, sha256 {again.final_weights}")
        return True
    different = _different(history, outcome.started)
    if not different:
        click.echo(
            f"not reproduced: the final weights are {again.final_weights}, the log has"
            f" {before.final_weights}, and the environment is the same"
        )
        return False
    click.echo(f"different weights are expected: {escaped('; '.join(different))}")
    apart = [
        (name, epoch, distance(getattr(new, name), getattr(old, name)))
        for epoch, old in recorded.items()
        for name in ("validation_accuracy", "validation_mean_average_precision")
        if (new := outcome.epochs.get(epoch)) is not None
        and (getattr(new, name), getattr(old, name)) != (None, None)
    ]
    last = [entry for entry in apart if entry[1] == max(recorded)]
    for name, epoch, difference in last:
        click.echo(f"{name.replace('_', ' ')} after epoch {epoch}: {difference:.4f} apart")
    close = bool(last) and all(difference <= tolerance for *_, difference in last)
    click.echo(
        f"{'reproduced' if close else 'not reproduced'}: the metrics are"
        f" {'within' if close else 'not within'} {tolerance:g}"
    )
    return close


def distance(ours: float | None, theirs: float | None) -> float:
    """How far two metrics are apart: NaN, which is within no tolerance, if only one is a number."""
    return math.nan if ours is None or theirs is None else abs(ours - theirs)


def _different(history: VersionHistory, again: Started) -> list[str]:
    """The differences of the environment; training on a GPU is not deterministic."""
    assert history.started is not None
    before, now = history.started.environment, again.environment
    differences = [
        f"{key} was {was!r} and is {now.get(key)!r}{_MEANING.get(key, '')}"
        for key in _SAME_BITS
        if (was := before.get(key, _UNRECORDED.get(key))) != now.get(key)
    ]
    if history.started.device != "cpu" or again.device != "cpu":
        differences.append("a GPU was used")
    return differences
