"""The events of one correlation as a tree: request → events → job → reports → events."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from domain.audit.trail import Line
from domain.event import Recorded
from domain.training.version import DatasetFrozen, VersionRetried

REQUEST, POLICY, EVENT, JOB, REPORT = "request", "policy", "event", "job", "report"


class Node(msgspec.Struct, frozen=True):
    """A node of the tree. Parents are listed before their children; `depth` counts from 0.

    `id` is the id of a command, event, job (VERSION:ATTEMPT) or report. Only events have a `line`.
    """

    kind: str
    id: str
    parent: str | None
    depth: int
    actor: str | None
    at: datetime
    line: Line | None = None


class _Branch(msgspec.Struct):
    kind: str
    id: str
    actor: str | None
    at: datetime
    line: Line | None = None
    children: list["_Branch"] = msgspec.field(default_factory=list)


def tree_of(events: Sequence[Recorded], lines: Sequence[Line]) -> list[Node]:
    """The events of one correlation with their lines, both in the order of the log, as a tree.

    The parent of a command is the event that caused it. The parent of a worker's report is its
    version's job, and the parent of a job is the event that dispatched it. A node whose parent is
    not among the events is a root.
    """
    roots: list[_Branch] = []
    by_event: dict[str, _Branch] = {}
    by_command: dict[str, _Branch] = {}
    jobs: dict[str, _Branch] = {}
    dispatching: dict[str, _Branch] = {}
    for recorded, line in zip(events, lines, strict=True):
        metadata = recorded.metadata
        command = by_command.get(metadata.command_id)
        if command is None:
            job = _job_of(recorded)
            kind = REPORT if job else POLICY if metadata.causation_id in by_event else REQUEST
            command = _Branch(kind, metadata.command_id, metadata.actor, metadata.occurred_at)
            by_command[metadata.command_id] = command
            if job is None:
                cause = by_event.get(metadata.causation_id or "")
            else:
                cause = jobs.get(job)
                if cause is None:
                    cause = jobs[job] = _Branch(JOB, job, None, metadata.occurred_at)
                    dispatched = dispatching.get(job)
                    (dispatched.children if dispatched else roots).append(cause)
            (cause.children if cause else roots).append(command)
        leaf = _Branch(EVENT, metadata.event_id, metadata.actor, metadata.occurred_at, line)
        by_event[metadata.event_id] = leaf
        command.children.append(leaf)
        match recorded.event:
            case DatasetFrozen():
                dispatching[f"{recorded.entity_id}:1"] = leaf
            case VersionRetried(attempt=attempt):
                dispatching[f"{recorded.entity_id}:{attempt}"] = leaf
    return [node for root in roots for node in _flat(root, None, 0)]


def _job_of(recorded: Recorded) -> str | None:
    """The job of the report that this event is from. A report's id is
    VERSION:ATTEMPT:RUN:NUMBER."""
    metadata = recorded.metadata
    parts = metadata.command_id.rsplit(":", 3)
    if metadata.actor.startswith("worker:") and len(parts) == 4 and parts[0] == recorded.entity_id:
        return ":".join(parts[:2])
    return None


def _flat(branch: _Branch, parent: str | None, depth: int) -> list[Node]:
    node = Node(branch.kind, branch.id, parent, depth, branch.actor, branch.at, branch.line)
    below = [node for child in branch.children for node in _flat(child, branch.id, depth + 1)]
    return [node, *below]
