"""The description of each event on the trail."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import msgspec

from domain.aggregates import (
    ACCOUNT,
    BLOB,
    EXPERIMENT,
    IMAGE,
    IMPORT,
    KEY,
    MODEL,
    PROJECT,
    TRAINER,
    VERSION,
    VIEW,
    WEBHOOK,
)
from domain.audit.trail_access import of_account, of_key
from domain.audit.trail_descriptions import Description, States, labels_of, named, named_in
from domain.audit.trail_experiments import of_experiment
from domain.audit.trail_suspects import of_decision
from domain.audit.trail_trainers import of_trainer
from domain.audit.trail_training import of_training
from domain.audit.trail_webhooks import of_webhook
from domain.dataset import blob, imports, project
from domain.dataset import image as images
from domain.event import Recorded
from domain.formatting import counted
from domain.library import model, view
from domain.library.conditions import Conditions
from domain.training import version
from domain.training.adoption import NOT_WITNESSED


def describe(recorded: Recorded, states: States, after: object) -> Description:
    """The description of an event. Raises `LookupError` for an event that has none."""
    before = states.get(recorded.stream)
    subject = named(recorded.stream, before or after)
    match recorded.kind:
        case PROJECT.kind:
            description = _of_project(recorded, subject, states, before)
        case IMAGE.kind:
            description = _of_image(recorded, subject, states, before)
        case BLOB.kind:
            description = _of_blob(recorded)
        case IMPORT.kind:
            description = _of_import(recorded, subject, states)
        case VIEW.kind:
            description = _of_view(recorded, subject, states, before)
        case MODEL.kind:
            description = _of_model(recorded, subject, states, before)
        case VERSION.kind:
            description = _of_version(recorded, subject, states, before, after)
        case EXPERIMENT.kind:
            description = of_experiment(recorded.event, subject, states)
        case WEBHOOK.kind:
            description = of_webhook(recorded.event, subject, states)
        case TRAINER.kind:
            description = of_trainer(recorded.event, subject, states)
        case ACCOUNT.kind:
            description = of_account(recorded.event, subject, states)
        case KEY.kind:
            description = of_key(recorded.event, subject, states)
        case _:
            description = None
    if description is None:
        raise LookupError(f"the trail has no description of {recorded.event.event_name}")
    return description


def _of_project(
    recorded: Recorded, subject: str, states: States, before: object
) -> Description | None:
    match recorded.event:
        case project.ProjectCreated(name=name):
            return Description(f"project '{name}' created")
        case project.ProjectRenamed(name=name):
            return Description(f"{subject} renamed", _name(before), name)
        case project.GreyDepthChosen(bits=bits):
            return Description(f"16-bit grey of {subject} read by the upper 8 of {bits} bits")
        case project.GroupKeySet() as grouped:
            return _of_group_key(grouped, subject, before)
        case project.SnapshotNamed(name=name, log_position=position):
            return Description(f"dataset of {subject} at position {position} named '{name}'")
        case project.SnapshotRemoved(name=name):
            return Description(f"snapshot '{name}' of {subject} removed")
        case project.ValidationSplitDrawn() as drawn:
            return Description(
                f"validation split of {subject} drawn: {drawn.validation_images:,} of"
                f" {counted(drawn.images, 'image')} ({_request(drawn, states)})"
            )
        case project.TestSetDrawn() as drawn:
            return Description(
                f"test set of {subject} drawn: {drawn.test_images:,} of"
                f" {counted(drawn.images, 'image')}"
                f" ({_request(drawn, states)})"
            )
    return None


_MENDED = {
    "majority": "each was moved to the split that had most of its images",
    "draw": "the sets were drawn again",
}


def _of_group_key(grouped: project.GroupKeySet, subject: str, before: object) -> Description:
    old = before.group_key if isinstance(before, project.Project) else None
    what = f"images of {subject} grouped by a new key: {counted(grouped.groups, 'group')}"
    if grouped.key is None:
        what = f"images of {subject} no longer grouped"
    if grouped.mended is not None:
        what += f", {grouped.torn} of them torn; {_MENDED[grouped.mended]}"
    return Description(what, old, grouped.key)


def _request(drawn: project.ValidationSplitDrawn | project.TestSetDrawn, states: States) -> str:
    """The parameters of a draw of images."""
    size = f"{drawn.size:.4g} of them" if drawn.size < 1 else f"{drawn.size:.0f}"
    view = drawn.stratified_by
    how = f", stratified by {named_in(states, VIEW.stream(view))}" if view else ""
    if drawn.group_key is not None:
        how += f", in whole groups by {drawn.group_key}"
    return f"{size} requested, seed {drawn.seed}{how}"


def _of_image(
    recorded: Recorded, subject: str, states: States, before: object
) -> Description | None:
    image = before if isinstance(before, images.Image) else None
    match recorded.event:
        case images.ImageAdded() as added:
            where = named_in(states, PROJECT.stream(added.project_id))
            again = " again" if image else ""
            size = f"{added.width} by {added.height} pixels"
            return Description(f"image {added.file_name} ({size}) added to {where}{again}")
        case images.ImageAnnotated() as now:
            where = named_in(states, VIEW.stream(now.view_id))
            labels = labels_of(states.get(VIEW.stream(now.view_id)))
            earlier = image.annotations.get(now.view_id) if image else None
            was, is_now = annotations_in(earlier, labels), annotations_in(now, labels)
            if was == is_now:
                is_now = f"{is_now}, with other boxes"
            return Description(f"{subject} annotated in {where}", was, is_now)
        case images.ImageAnnotatedBlindly() as blind:
            where = named_in(states, VIEW.stream(blind.view_id))
            labels = labels_of(states.get(VIEW.stream(blind.view_id)))
            shown = images.ImageAnnotated(blind.view_id, blind.annotations, blind.without_concept)
            return Description(
                f"{subject} annotated blindly in {where}: {annotations_in(shown, labels)}"
            )
        case images.ImageReviewed(view_id=view_id):
            where = named_in(states, VIEW.stream(view_id))
            return Description(f"annotations of {subject} in {where} reviewed")
        case images.ImageReviewWithdrawn(view_id=view_id):
            where = named_in(states, VIEW.stream(view_id))
            return Description(f"review of {subject} in {where} withdrawn")
        case images.SuggestionAccepted() as accepted:
            version = named_in(states, VERSION.stream(accepted.version_id))
            where = named_in(states, VIEW.stream(accepted.view_id))
            changed = ", changed first" if accepted.changed else ""
            return Description(
                f"annotations of {subject} in {where} were proposed by {version}, and accepted"
                f"{changed}"
            )
        case images.SuggestionRejected() as rejected:
            version = named_in(states, VERSION.stream(rejected.version_id))
            where = named_in(states, VIEW.stream(rejected.view_id))
            return Description(f"what {version} proposed for {subject} in {where} rejected")
        case images.SuspectUpheld() | images.SuspectLeftUnsure() | images.SuspectCorrected():
            return of_decision(recorded.event, subject, states)
        case images.ImageSplitAssigned(split=split):
            return Description(
                f"{subject} assigned to a split", image.split if image else None, split
            )
        case images.ImageRemoved():
            where = named_in(states, PROJECT.stream(image.project_id)) if image else "its project"
            return Description(f"{subject} removed from {where}")
        case images.ImageErased(blob=digest, reason=reason):
            where = named_in(states, PROJECT.stream(image.project_id)) if image else "its project"
            return Description(f"{subject} erased from {where}, with its bytes {digest}: {reason}")
    return None


def _of_blob(recorded: Recorded) -> Description | None:
    match recorded.event:
        case blob.BlobErasureOrdered(reason=reason):
            return Description(f"erasure of the bytes {recorded.entity_id} ordered: {reason}")
        case blob.BlobErased():
            return Description(f"bytes {recorded.entity_id} deleted from the blob store")
    return None


def annotations_in(annotated: images.ImageAnnotated | None, labels: Mapping[str, str]) -> str:
    """The annotations of an image in a view, as text."""
    if annotated is None or not (annotated.annotations or annotated.without_concept):
        return "nothing"
    if annotated.without_concept:
        return "without concept"
    concepts = [annotation.concept_id for annotation in annotated.annotations]
    counts = Counter(labels.get(concept_id, concept_id) for concept_id in concepts)
    return ", ".join(label if n == 1 else f"{label} ({n})" for label, n in counts.items())


def _of_import(recorded: Recorded, subject: str, states: States) -> Description | None:
    match recorded.event:
        case imports.ImportRequested() as requested:
            where = named_in(states, PROJECT.stream(requested.project_id))
            how = ", as a dry run" if requested.rules.dry_run else ""
            return Description(f"{subject} into {where} requested{how}")
        case imports.ImportCompleted(format=form, counts=counts):
            return Description(f"{subject} completed, {form}: {_counted(counts)}")
        case imports.ImportChecked(format=form, counts=counts):
            return Description(
                f"{subject} checked, {form}; an import would give {_counted(counts)}"
            )
        case imports.ImportRefused(reason=reason):
            return Description(f"{subject} refused: {reason}")
        case imports.ImportFailed(reason=reason):
            return Description(f"{subject} failed: {reason}")
    return None


def _counted(counts: imports.ImportCounts) -> str:
    items = msgspec.structs.asdict(counts).items()
    return ", ".join(_COUNTED[name](n) for name, n in items if n) or "nothing"


_COUNTED: dict[str, Callable[[int], str]] = {
    "images": lambda n: f"{counted(n, 'image')} read",
    "added": lambda n: f"{n:,} added",
    "annotated": lambda n: f"{n:,} annotated",
    "reannotated": lambda n: f"{n:,} annotated again",
    "split_assigned": lambda n: f"{n:,} moved to another split",
    "views": lambda n: f"{counted(n, 'view')} created",
    "concepts": lambda n: f"{counted(n, 'concept')} created",
    "skipped": lambda n: f"{n:,} skipped",
    "notes": lambda n: counted(n, "note"),
    "left_out": lambda n: f"{n:,} left out",
}


def _of_view(
    recorded: Recorded, subject: str, states: States, before: object
) -> Description | None:
    labels = labels_of(before)
    match recorded.event:
        case view.ViewCreated() as created:
            where = named_in(states, PROJECT.stream(created.project_id))
            if created.parent_id is None:
                return Description(f"{created.kind} view '{created.name}' created in {where}")
            parent = VIEW.stream(created.parent_id)
            conditions = _conditions(created.conditions, labels_of(states.get(parent)))
            return Description(
                f"{created.kind} view '{created.name}' created in {where}, on"
                f" {'crops' if created.crops else 'images'} of {named_in(states, parent)} with"
                f" {conditions}"
            )
        case view.ChildViewAdded(view_id=key):
            return Description(
                f"{subject} became the parent of {named_in(states, VIEW.stream(key))}"
            )
        case view.ConditionsChanged(conditions=conditions):
            earlier = before if isinstance(before, view.View) else None
            parent_id = earlier.parent_id if earlier else None
            of_parent = labels_of(states.get(VIEW.stream(parent_id or "")))
            was = _conditions(earlier.conditions, of_parent) if earlier else None
            return Description(
                f"conditions of {subject} changed", was, _conditions(conditions, of_parent)
            )
        case view.ViewRenamed(name=name):
            return Description(f"{subject} renamed", _name(before), name)
        case view.ViewArchived():
            return Description(f"{subject} archived")
        case view.ViewRestored():
            return Description(f"{subject} restored")
        case view.ConceptAdded(label=label):
            return Description(f"concept '{label}' added to {subject}")
        case view.ConceptRenamed(concept_id=key, label=label):
            return Description(f"concept of {subject} renamed", labels.get(key, key), label)
        case view.ConceptRemoved(concept_id=key):
            return Description(f"concept '{labels.get(key, key)}' removed from {subject}")
        case view.ModelRegistered(model_id=key, concepts=concepts):
            which = named_in(states, MODEL.stream(key))
            return Description(f"{subject} registered {which} for {_listed(concepts, labels)}")
    return None


def _of_model(
    recorded: Recorded, subject: str, states: States, before: object
) -> Description | None:
    earlier = before if isinstance(before, model.Model) else None
    at = getattr(recorded.event, "view_id", earlier.view_id if earlier else "")
    where, labels = named_in(states, VIEW.stream(at)), labels_of(states.get(VIEW.stream(at)))
    match recorded.event:
        case model.ModelCreated() as created:
            return Description(
                f"model '{created.name}' created in {where}: {_listed(created.concepts, labels)}"
            )
        case model.ModelForked() as forked:
            parent = named_in(states, MODEL.stream(forked.parent_model_id))
            return Description(
                f"model '{forked.name}' forked from {parent} ({forked.why}):"
                f" {_listed(forked.concepts, labels)}"
            )
        case model.ConceptSetAmended(concepts=concepts):
            was = _listed(earlier.concepts, labels) if earlier else None
            return Description(f"concepts of {subject} amended", was, _listed(concepts, labels))
        case model.ModelReopened():
            return Description(f"{subject} reopened: the view came back to its concepts")
        case model.ModelRenamed(name=name):
            return Description(f"{subject} renamed", _name(before), name)
        case model.ModelArchived():
            return Description(f"{subject} archived")
        case model.VersionNumbered(number=number):
            return Description(f"{subject} gave a version the number {number}")
    return None


def _trained_by(created: version.VersionCreated) -> str:
    if created.options is not None:
        return created.options.architecture
    return created.trainer.name if created.trainer else "another program"


def _of_version(
    recorded: Recorded, subject: str, states: States, before: object, after: object
) -> Description | None:
    earlier = before if isinstance(before, version.Version) else None
    match recorded.event:
        case version.VersionCreated() as created:
            of = named_in(states, MODEL.stream(created.model_id))
            trial = "" if created.trial is None else f", trial {created.trial} of an experiment"
            adopted = f", {NOT_WITNESSED}," if created.adopted else ""
            return Description(
                f"{subject} of {of}{trial} created: {_trained_by(created)}{adopted} on the"
                f" images as of position {created.log_position}"
            )
        case version.VersionRenamed(name=name):
            return Description(f"{subject} renamed", _name(before), name)
        case version.VersionArchived():
            return Description(f"{subject} archived")
        case version.ThresholdSet(concept_id=key, threshold=threshold):
            concepts = earlier.created.concepts if earlier else ()
            labels = {concept.concept_id: concept.label for concept in concepts}
            default = version.default_threshold(earlier.created.kind) if earlier else None
            was = earlier.thresholds.get(key, default) if earlier else None
            return Description(
                f"threshold of '{labels.get(key, key)}' set for {subject}",
                None if was is None else f"{was:g}",
                f"{threshold:g}",
            )
    status = earlier.status if earlier else None
    return of_training(recorded.event, subject, status, getattr(after, "status", None))


def _conditions(conditions: Conditions, labels: Mapping[str, str]) -> str:
    return " or ".join(" and ".join(labels.get(key, key) for key in group) for group in conditions)


def _listed(concepts: Iterable[str], labels: Mapping[str, str]) -> str:
    return ", ".join(sorted(labels.get(key, key) for key in concepts))


def _name(state: object) -> str | None:
    return getattr(state, "name", None)
