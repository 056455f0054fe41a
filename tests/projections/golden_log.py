"""A log that has every event, in every form that one was ever stored in."""

from pathlib import Path

from tests.golden.test_samples import SAMPLES, parts, read
from tests.projections.made_log import MadeLog

BEGINNINGS = {
    "account.opened",
    "blob.erasure_ordered",
    "experiment.started",
    "image.added",
    "import.requested",
    "key.issued",
    "model.created",
    "model.forked",
    "project.created",
    "trainer.registered",
    "version.created",
    "view.created",
    "webhook.registered",
}
ONCE = BEGINNINGS | {
    "blob.erased",
    "experiment.trial_proposed",
    "image.erased",
    "version.suggestions_requested",
    "version.test_evaluation_requested",
}
"""Events that a stream has once; of requests, one with the same number."""


def add_every_event(log: MadeLog) -> None:
    """Append each sample to a stream of its kind and form; those that may come again, twice."""
    ordered = sorted(SAMPLES, key=_place)
    for sample in [*ordered, *(each for each in ordered if parts(each)[0] not in ONCE)]:
        name, form = parts(sample)
        kind = name.partition(".")[0]
        stream = "model-forked" if name == "model.forked" else f"{kind}-golden{form}"
        log.add(stream, read(sample).event)


def _place(sample: Path) -> tuple[bool, bool, str]:
    name, _ = parts(sample)
    return name not in BEGINNINGS, name not in ONCE, sample.name
