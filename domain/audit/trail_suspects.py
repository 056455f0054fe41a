"""The description of each decision about a suspect on the trail."""

from domain.aggregates import VERSION, VIEW
from domain.audit.trail_descriptions import Description, States, labels_of, named_in
from domain.dataset.annotation import DoubtedLabel
from domain.dataset.image import SuspectCorrected, SuspectLeftUnsure, SuspectUpheld

_DECIDED = {
    SuspectUpheld: "upheld",
    SuspectLeftUnsure: "left unsure",
    SuspectCorrected: "corrected",
}


def of_decision(
    event: SuspectUpheld | SuspectLeftUnsure | SuspectCorrected, subject: str, states: States
) -> Description:
    """The description of a decision, which names the version whose list led there."""
    view = VIEW.stream(event.view_id)
    label = _named(event.label, labels_of(states.get(view)).get(event.label.concept_id))
    version = named_in(states, VERSION.stream(event.version_id))
    return Description(
        f"{label} of {subject} in {named_in(states, view)}, a suspect of {version},"
        f" {_DECIDED[type(event)]}"
    )


def _named(label: DoubtedLabel, name: str | None) -> str:
    concept = f"'{name or label.concept_id}'"
    box = "" if label.box is None else " in a box"
    return f"label {concept}{box}" if label.present else f"absence of {concept}{box}"
