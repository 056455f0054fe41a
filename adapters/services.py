"""The backend's services, each startable alone or several in one process.

This module imports nothing of theirs: a process holds only what it runs.
"""

from collections.abc import Mapping
from typing import NamedTuple

NATS, BLOBS = "nats", "blobs"


class Service(NamedTuple):
    """`name` is its command's and that of its metrics, too.

    `run` names, as `module:function`, what runs it until an event is set, given the settings, the
    log and that event. `needs` are the servers that it cannot do without, besides PostgreSQL.
    """

    name: str
    summary: str
    run: str
    needs: frozenset[str] = frozenset()


_ALL = (
    Service("project", "Update the read models from the event log.", "adapters.parts:run_project"),
    Service(
        "relay",
        "Publish the event log on NATS.",
        "adapters.subscriptions.relay:run_relay",
        frozenset({NATS}),
    ),
    Service(
        "policies",
        "Freeze datasets and dispatch training jobs.",
        "adapters.training.policy_feed:run_policies",
        frozenset({NATS, BLOBS}),
    ),
    Service(
        "ingest",
        "Write the workers' reports to the event log.",
        "adapters.training.report_feed:run_ingest",
        frozenset({NATS}),
    ),
    Service(
        "importer",
        "Run imports.",
        "adapters.dataset.imports.feed:run_imports",
        frozenset({BLOBS}),
    ),
    Service(
        "eraser",
        "Delete the bytes of erased images.",
        "adapters.dataset.eraser:run_eraser",
        frozenset({BLOBS}),
    ),
    Service(
        "checkpoints",
        "Sign the event log.",
        "adapters.audit.part:run_checkpoints",
        frozenset({NATS}),
    ),
    Service(
        "courier", "Send events to webhooks.", "adapters.subscriptions.webhooks.part:run_courier"
    ),
    Service(
        "trials",
        "Propose and prune the trials of experiments.",
        "adapters.experiments.part:run_experiments",
        frozenset({BLOBS}),
    ),
    Service(
        "hashes",
        "Hash images, to find near-duplicates.",
        "adapters.dataset.hashes:run_hashes",
        frozenset({BLOBS}),
    ),
    Service(
        "results",
        "Check and measure the results of trainings.",
        "adapters.training.results:run_results",
        frozenset({BLOBS}),
    ),
)

SERVICES: Mapping[str, Service] = {service.name: service for service in _ALL}
"""By name. With a process each, the metrics of `stemma up` are on ports in this order."""
