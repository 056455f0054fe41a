"""Jobs of the workers' queues: trainings, and what is done with a finished version."""

import msgspec

from domain.trainers.form import Value
from domain.trainers.trainer import SAFETENSORS
from domain.training.messages import ConceptLabel, Purpose, TrainJob, job_key
from domain.training.model_description import ModelDescription
from domain.training.options import TrainingOptions


class PredictJob(msgspec.Struct, frozen=True, tag_field="job", tag="predict"):
    """Predict the images of a manifest with a version's saved checkpoint.

    `request` counts the version's requests of this purpose. The other fields are as in a
    `TrainJob`; `options` are those that the version was trained with. A checkpoint in the `format`
    ONNX is a trainer's: no options apply, and its scores are for the server to measure.
    """

    version_id: str
    purpose: Purpose
    request: int
    kind: str
    concepts: tuple[ConceptLabel, ...]
    options: TrainingOptions
    checkpoint: str
    manifest: str
    correlation_id: str
    deliveries_before: int = 0
    token: str = ""
    grey_bits: int | None = None
    format: str = SAFETENSORS

    @property
    def attempt(self) -> int:
        return self.request

    @property
    def key(self) -> str:
        return job_key(self.purpose, self.request)

    @property
    def message_id(self) -> str:
        """The id that makes a repeated dispatch of the same request harmless."""
        return f"{self.version_id}:{self.key}"


class OnnxJob(msgspec.Struct, frozen=True, tag_field="job", tag="onnx"):
    """Make an ONNX file of a version's saved checkpoint, and compare it with torch on images of its
    `manifest`.

    `request` counts the version's requests of a file. The other fields are as in a `TrainJob`.
    """

    version_id: str
    request: int
    model: ModelDescription
    manifest: str
    correlation_id: str
    deliveries_before: int = 0
    token: str = ""

    @property
    def attempt(self) -> int:
        return self.request

    @property
    def key(self) -> str:
        return job_key(Purpose.ONNX, self.request)

    @property
    def message_id(self) -> str:
        """The id that makes a repeated dispatch of the same request harmless."""
        return f"{self.version_id}:{self.key}"


CONTRACT = 2
"""The version of the contract between Stemma and trainers: jobs, reports and what is desired."""

TRAINING_CONTRACT = 1
"""The version since which a worker of a trainer can train: version 2 brought predictions."""


class TrainerJob(msgspec.Struct, frozen=True, tag_field="job", tag="trainer"):
    """Train one attempt of a version with a trainer's own code, on the frozen manifest.

    `settings` are by the keys of the trainer's form, whose sha256 is `form`. `contract` is the
    version of the contract that its worker must support. `queue` is the one that it is sent to. The
    other fields are as in a `TrainJob`.
    """

    version_id: str
    attempt: int
    kind: str
    concepts: tuple[ConceptLabel, ...]
    trainer: str
    form: str
    settings: dict[str, Value]
    format: str
    manifest: str
    train_images: int
    validation_images: int
    correlation_id: str
    deliveries_before: int = 0
    token: str = ""
    contract: int = TRAINING_CONTRACT
    queue: str = ""

    @property
    def key(self) -> str:
        return job_key(Purpose.TRAINING, self.attempt)

    @property
    def message_id(self) -> str:
        """The id that makes a repeated dispatch of the same attempt harmless."""
        return f"{self.version_id}:{self.key}"


class TrainerPredictJob(TrainerJob, frozen=True, tag_field="job", tag="trainer_predict"):
    """Predict images with a version's saved checkpoint by a trainer's own code.

    `attempt` counts the version's requests of this `purpose`, which is `test` or `suggestions`.
    `manifest` lists the images without what is true of them; it counts them as
    `validation_images`. It has all fields of a training: a worker that knows only those can read
    it, and reports that its contract is too old.
    """

    contract: int = CONTRACT
    purpose: Purpose = Purpose.TEST
    checkpoint: str = ""

    @property
    def key(self) -> str:
        return job_key(self.purpose, self.attempt)


Job = TrainJob | PredictJob | OnnxJob
"""What the built-in worker carries out."""

AnyJob = Job | TrainerJob


class _Tag(msgspec.Struct):
    job: str = "train"


def purpose_of(job: AnyJob) -> Purpose:
    match job:
        case PredictJob(purpose=purpose) | TrainerPredictJob(purpose=purpose):
            return purpose
        case OnnxJob():
            return Purpose.ONNX
    return Purpose.TRAINING


def decode_job(data: bytes) -> Job:
    """A job from its JSON; one without a tag, as earlier releases sent it, is a training.

    Raises `msgspec.DecodeError`.
    """
    if msgspec.json.decode(data, type=_Tag).job == "train":
        return msgspec.json.decode(data, type=TrainJob)
    return msgspec.json.decode(data, type=PredictJob | OnnxJob)
