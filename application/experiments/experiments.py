"""Commands about experiments."""

from collections.abc import Mapping

import msgspec

from application.dataset.dataset import images_at, parents_at
from application.handle import Decided, Session
from application.training.starting import PretrainedWeights, initial_weights
from application.training.trainers import TrainerChoice
from domain.aggregates import EXPERIMENT, MODEL, TRAINER, VERSION, VIEW
from domain.errors import Conflict, Invalid
from domain.experiments.experiment import (
    Experiment,
    ExperimentStarted,
    RecordProposal,
    StartExperiment,
    StopExperiment,
    TrialProposed,
)
from domain.experiments.presets import SIZES, Preset
from domain.experiments.space import (
    CROPS,
    MARGIN,
    NOT_SEARCHED,
    Parameters,
    SearchSpace,
    Value,
    check_space,
    default_space,
    default_trials,
    options_of,
)
from domain.experiments.trainer_space import EPOCHS, TrainerSearch, Varied, search_of
from domain.experiments.trainer_space import use_of as trial_use
from domain.experiments.trials import objective_of
from domain.library import model as models
from domain.library import view as views
from domain.library.model import NumberVersion
from domain.library.view import View
from domain.trainers.trainer import require_usable, trainer_id
from domain.training import manifest
from domain.training import version as versions
from domain.training.messages import ConceptLabel
from domain.training.version import CreateVersion, Version

SHARED = (
    "epochs",
    "batch_size",
    "pretrained",
    "precision",
    "freeze_backbone_epochs",
    "gradient_clip_norm",
    "resizer",
    "max_dimension",
    "width",
    "height",
    "margin_crop",
    "reviewed_only",
    "seed",
)
"""Options that the trials of an experiment may share."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a user wants of an experiment. `space` is None for the one of the kind of view.

    With a `trainer`, its settings are those of all trials, which train for `epochs` unless they
    say otherwise; `varied` is None for what its form gives.
    """

    name: str | None = None
    budget: int
    concurrency: int
    seed: int = 0
    pruning: bool = True
    epochs: int = SIZES[Preset.QUICK].epochs
    base: Mapping[str, Value] = {}
    space: SearchSpace | None = None
    trainer: TrainerChoice | None = None
    varied: Varied | None = None


def start_experiment(
    session: Session, view_id: str, plan: Plan, weights: PretrainedWeights | None = None
) -> Decided[Experiment]:
    """Start an experiment on the view's current model and images.

    What could not be trained is refused here, before any trial; the error names the field.
    """
    view = views.require_active(session.get(VIEW, view_id))
    if view.current_model is None:
        raise Conflict(f"view {view.name!r} has no concepts yet; add at least two")
    model = models.require(session.get(MODEL, view.current_model))
    if model.archived:
        raise Conflict(f"model {model.name!r} is archived and can no longer be trained")
    at_hand = frozenset() if weights is None else weights.at_hand()
    if plan.trainer is not None:
        base: dict[str, Value] = {}
        space, trainer = NOT_SEARCHED, _trainer_search(session, plan, plan.trainer, view.kind)
        epochs, reviewed_only = float(trainer.trainer.settings[EPOCHS]), False
    else:
        space, base = _built_in(plan, view, at_hand)
        first = default_trials(view.kind, space, base, at_hand)[0]
        options = options_of(view.kind, base, first, at_hand)
        if options.epochs is None:
            raise Invalid(
                "the length of trials is given in epochs; give epochs", field="options.epochs"
            )
        trainer, epochs, reviewed_only = None, options.epochs, options.reviewed_only
    labels = view.removed | view.concepts
    concepts = tuple(
        ConceptLabel(key, label) for key, label in labels.items() if key in model.concepts
    )
    position = session.position
    started = ExperimentStarted(
        project_id=view.project_id,
        view_id=view_id,
        model_id=view.current_model,
        name=plan.name or f"Experiment on {model.name}",
        kind=view.kind,
        concepts=concepts,
        log_position=position,
        base=base,
        space=space,
        objective=objective_of(view.kind),
        epochs=epochs,
        budget=plan.budget,
        concurrency=plan.concurrency,
        seed=plan.seed,
        pruning=plan.pruning,
        weights=() if trainer else tuple(sorted(at_hand)),
        trainer=trainer,
    )
    lines = manifest.manifest(
        images_at(session.store, view.project_id, position),
        view_id,
        view.kind,
        frozenset(model.concepts),
        negative_validation=True,
        reviewed_only=reviewed_only,
        parents=parents_at(session.store, view_id, position),
    )
    counts = manifest.counts_of_enough(lines, view.kind)
    versions.check_trainable(view.kind, concepts, counts, reviewed_only)
    return session.decide(EXPERIMENT, session.begin(EXPERIMENT), StartExperiment(started))


def _trainer_search(
    session: Session, plan: Plan, choice: TrainerChoice, kind: str
) -> TrainerSearch:
    """Raises `NotFound`, `Conflict`, or `Invalid` naming what the trainer does not take."""
    if plan.base:
        raise Invalid(
            "options are those of the built-in training; give `settings` of the trainer",
            field="options",
        )
    if plan.space is not None:
        raise Invalid(
            "space is that of the built-in training; give `varied` settings of the trainer",
            field="space",
        )
    trainer = require_usable(session.get(TRAINER, trainer_id(choice.name)), kind)
    return search_of(trainer, choice.settings, plan.varied, plan.epochs)


def _built_in(
    plan: Plan, view: View, at_hand: frozenset[str]
) -> tuple[SearchSpace, dict[str, Value]]:
    """The space, and the options of all trials. Raises `Invalid`."""
    if plan.varied is not None:
        raise Invalid("settings are varied of a trainer; name one", field="varied")
    for key in plan.base:
        if key not in SHARED:
            raise Invalid(
                f"{key!r} is not shared by trials; the options are: {', '.join(SHARED)}",
                field=f"options.{key}",
            )
    if MARGIN in plan.base and not view.crops:
        raise Invalid(
            "a margin applies to crops only; this view's items are images",
            field=f"options.{MARGIN}",
        )
    base = {**plan.base, CROPS: True} if view.crops else dict(plan.base)
    space = plan.space or default_space(view.kind, at_hand)
    check_space(view.kind, space, base, at_hand)
    return space, base


def stop_experiment(session: Session, experiment_id: str) -> Decided[Experiment]:
    return session.change(EXPERIMENT, experiment_id, StopExperiment())


def propose_trial(
    session: Session,
    experiment_id: str,
    experiment: Experiment,
    number: int,
    parameters: Parameters,
    sampler: str,
    libraries: Mapping[str, str],
    weights: PretrainedWeights | None,
) -> Decided[Version]:
    """Record a proposal, and the version that it is, in one transaction."""
    started = experiment.started
    options = use = initial = None
    if started.trainer is not None:
        use = trial_use(started.trainer, parameters)
    else:
        options = options_of(started.kind, started.base, parameters, frozenset(started.weights))
        initial = initial_weights(session, started.view_id, options, weights)
    version_id = session.begin(VERSION)
    proposal = TrialProposed(
        number, version_id, parameters, sampler, session.position, dict(libraries)
    )
    session.decide(EXPERIMENT, experiment_id, RecordProposal(proposal))
    model = models.require(session.get(MODEL, started.model_id))
    session.decide(MODEL, started.model_id, NumberVersion(version_id, archived=True))
    command = CreateVersion(
        project_id=started.project_id,
        view_id=started.view_id,
        model_id=started.model_id,
        number=model.versions + 1,
        name=f"{started.name}, trial {number}",
        kind=started.kind,
        concepts=started.concepts,
        options=options,
        counts=None,
        log_position=started.log_position,
        initial_weights=initial,
        trainer=use,
        experiment_id=experiment_id,
        trial=number,
    )
    return session.decide(VERSION, version_id, command)
