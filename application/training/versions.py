"""Commands about model versions."""

from collections.abc import Iterator, Mapping
from typing import Any

from application.dataset.dataset import images_at, parents_at
from application.dataset.erasure import refuse_if_erased
from application.handle import Decided, Session
from application.log.store import Store
from application.training.starting import PretrainedWeights, initial_weights
from application.training.trainers import TrainerChoice, use_of
from domain.aggregates import MODEL, VERSION, VIEW, Aggregate
from domain.errors import Conflict
from domain.library import model as models
from domain.library import view as views
from domain.library.model import Model, NumberVersion
from domain.library.view import View
from domain.training import manifest
from domain.training.adoption import Adoption
from domain.training.messages import ConceptLabel, ManifestLine
from domain.training.options import TrainingOptions, resolve_options
from domain.training.presets import with_preset
from domain.training.version import CreateVersion, RetryVersion, Version


def create_version(
    session: Session,
    model_id: str,
    name: str | None,
    chosen: Mapping[str, Any],
    weights: PretrainedWeights | None = None,
    trainer: TrainerChoice | None = None,
    preset: str | None = None,
    *,
    adopted: Adoption | None = None,
) -> Decided[Version]:
    """Create a version to train on the current images, by the built-in training or a trainer.

    Options that are not `chosen` are those of the `preset`, then the defaults. A training that
    cannot work is refused here, before any job. Without `weights`, no pretrained weights are
    available. With `adopted` a trainer's model is brought instead of trained.
    """
    model = models.require(session.get(MODEL, model_id))
    view = views.require_active(session.get(VIEW, model.view_id))
    options: TrainingOptions | None = None
    if trainer is None:
        at_hand = frozenset() if weights is None else weights.at_hand()
        given = with_preset(view.kind, preset, chosen)
        options = resolve_options(view.kind, given, at_hand, crops=view.crops)
    use = None
    if trainer is not None:
        use = use_of(session, trainer, view.kind, defaults=adopted is None)
    position = session.position
    reviewed_only = options is not None and options.reviewed_only
    lines = _lines(session.store, model, view, position, reviewed_only=reviewed_only)
    labels = view.removed | view.concepts
    version_id = session.begin(VERSION)
    command = CreateVersion(
        project_id=view.project_id,
        view_id=model.view_id,
        model_id=model_id,
        number=model.versions + 1,
        name=name,
        kind=view.kind,
        concepts=tuple(
            ConceptLabel(key, label) for key, label in labels.items() if key in model.concepts
        ),
        options=options,
        counts=manifest.counts_of_enough(lines, view.kind),
        log_position=position,
        initial_weights=None
        if options is None
        else initial_weights(session, model.view_id, options, weights),
        trainer=use,
        adopted=adopted,
    )
    session.decide(MODEL, model_id, NumberVersion(version_id))
    return session.decide(VERSION, version_id, command)


def train_view(
    session: Session,
    view_id: str,
    name: str | None,
    chosen: Mapping[str, Any],
    weights: PretrainedWeights | None = None,
    trainer: TrainerChoice | None = None,
    preset: str | None = None,
    *,
    adopted: Adoption | None = None,
) -> Decided[Version]:
    """Create a version of the view's current model."""
    view: View = views.require_active(session.get(VIEW, view_id))
    model_id = _current_model(view)
    return create_version(
        session, model_id, name, chosen, weights, trainer, preset, adopted=adopted
    )


def dataset_of_view(store: Store, view_id: str) -> Iterator[ManifestLine]:
    """The dataset of a version of the view's current model, if it were created now. Raises
    `Conflict` for a view without concepts."""
    position = store.head()
    view: View = views.require_active(_state(store, VIEW, view_id))
    model = models.require(_state(store, MODEL, _current_model(view)))
    return _lines(store, model, view, position)


def _current_model(view: View) -> str:
    if view.current_model is None:
        raise Conflict(f"view {view.name!r} has no concepts yet; add at least two")
    return view.current_model


def _state(store: Store, aggregate: Aggregate[Any], entity_id: str) -> Any:
    stream = aggregate.stream(entity_id)
    return aggregate.fold(recorded.event for recorded in store.streams([stream])[stream])


def _lines(
    store: Store, model: Model, view: View, position: int, *, reviewed_only: bool = False
) -> Iterator[ManifestLine]:
    return manifest.manifest(
        images_at(store, view.project_id, position),
        model.view_id,
        view.kind,
        frozenset(model.concepts),
        negative_validation=True,
        reviewed_only=reviewed_only,
        parents=parents_at(store, model.view_id, position),
    )


def retry_version(session: Session, version_id: str) -> Decided[Version]:
    version = session.get(VERSION, version_id)
    if version is not None:
        refuse_if_erased(session.store, version.created)
        views.require_active(session.get(VIEW, version.created.view_id))
    return session.change(VERSION, version_id, RetryVersion())
