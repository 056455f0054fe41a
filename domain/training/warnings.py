"""What is wrong with a training that can run, but not well."""

from collections.abc import Mapping, Sequence

from domain.training.architectures import STEPPED
from domain.training.messages import ConceptLabel
from domain.training.options import TrainingOptions


def warnings_of(
    options: TrainingOptions,
    concepts: Sequence[ConceptLabel],
    images_per_concept: Mapping[str, int] | None,
    iterations: int | None,
) -> list[str]:
    """Sentences for the user; the numbers are None until they are known."""
    warnings = []
    if images_per_concept is not None:
        absent = [one.label for one in concepts if not images_per_concept.get(one.concept_id)]
        if absent:
            warnings.append(
                f"No training image holds {', '.join(absent)}: the model cannot learn what it never"
                " sees. Annotate some, or draw another split."
            )
    if iterations == 1 and options.optimizer not in STEPPED:
        warnings.append(
            "The training has one iteration, in which a one-cycle schedule is at its lowest"
            f" learning rate: {options.optimizer} leaves the weights as good as untrained. Train"
            " more epochs, or choose a smaller batch size."
        )
    return warnings
