"""What AsyncAPI says of the contract with trainers: jobs, reports, and what users want."""

from typing import Any

from adapters.subscriptions.contract.payloads import json_schema
from adapters.subscriptions.contract.transports import ref
from domain.training.jobs import CONTRACT, TrainerJob, TrainerPredictJob
from domain.training.messages import DesiredState, Report

Part = dict[str, Any]

_VERSION = (
    f"Version {CONTRACT} of the contract with trainers; `contract` of a job is the one that its"
    " worker must support."
)

CHANNELS: Part = {
    "jobs": {
        "address": "stemma.jobs.train.{queue}",
        "title": "Stream JOBS",
        "description": f"The jobs of a trainer's queue. {_VERSION} JetStream is at the domain"
        " `stemma`. Read them from the pull consumer `worker-QUEUE`, one at a time; send an *in"
        " progress* acknowledgement every 20 seconds, and acknowledge the job once its last"
        " report is stored. Without them, a job is delivered again after a minute.",
        "servers": [ref("servers", "nats")],
        "parameters": {"queue": {"description": "The trainer's queue; `GET /trainers` names it."}},
        "messages": {
            "job": ref("components", "messages", "job"),
            "predictJob": ref("components", "messages", "predictJob"),
        },
    },
    "reports": {
        "address": "stemma.reports.{worker}.{version}",
        "title": "Stream REPORTS",
        "description": (
            f"The reports of a worker on its job, in order. {_VERSION} Publish each"
            " with a `Nats-Msg-Id` that nobody can guess, and wait for the stream's"
            " acknowledgement. A report that cannot be right becomes `version.report_refused`."
        ),
        "servers": [ref("servers", "nats")],
        "parameters": {
            "worker": {"description": "The worker's name, as its seed was made for."},
            "version": {"description": "The version that the job is for."},
        },
        "messages": {"report": ref("components", "messages", "report")},
    },
    "control": {
        "address": "$KV.control.{version}",
        "title": "Bucket control",
        "description": (
            "The state that users request of a running training: the last message on"
            " the subject, in the stream `KV_control`. A cancellation applies to earlier"
            " attempts, too; a stop applies to its own."
        ),
        "servers": [ref("servers", "nats")],
        "parameters": {"version": {"description": "The version that is trained."}},
        "messages": {"desired": ref("components", "messages", "desired")},
    },
}

OPERATIONS: Part = {
    "sendJob": {
        "action": "send",
        "channel": ref("channels", "jobs"),
        "summary": "A job goes to the trainer's queue.",
        "bindings": {"nats": {"bindingVersion": "0.1.0"}},
    },
    "takeReport": {
        "action": "receive",
        "channel": ref("channels", "reports"),
        "summary": "A worker reports on its job.",
        "bindings": {"nats": {"bindingVersion": "0.1.0"}},
    },
    "sendDesired": {
        "action": "send",
        "channel": ref("channels", "control"),
        "summary": "A user cancels a training, or ends it early.",
        "bindings": {"nats": {"bindingVersion": "0.1.0"}},
    },
}


def _message(name: str, title: str, struct: type) -> Part:
    return {
        "name": name,
        "title": title,
        "contentType": "application/json",
        "payload": json_schema(struct),
    }


MESSAGES: Part = {
    "job": _message("job", "A job of a trainer: a training", TrainerJob),
    "predictJob": _message(
        "predictJob", "A job of a trainer that predicts other images", TrainerPredictJob
    ),
    "report": _message("report", "A report of a worker", Report),
    "desired": _message("desired", "The requested state of a version", DesiredState),
}
