"""Which events somebody wants, by name: exactly, or all of a kind by `version.*`."""

from collections.abc import Iterable, Sequence

from domain.errors import Invalid
from domain.event import registry


def matching(names: Sequence[str]) -> frozenset[str]:
    """The names of the events that are meant."""
    return frozenset(_meant(names, registry()))


def checked(names: Iterable[str], field: str = "names") -> tuple[str, ...]:
    """The names, each once. Raises `Invalid` for one that stands for no event."""
    event_names = registry()
    unique = tuple(dict.fromkeys(names))
    for name in unique:
        if not any(True for _ in _meant([name], event_names)):
            kinds = sorted({name.split(".", 1)[0] for name in event_names})
            raise Invalid(
                f"{name!r} is not the name of an event; give a name such as"
                " version.training_completed, or all"
                f" of a kind: {', '.join(f'{kind}.*' for kind in kinds)}",
                field=field,
            )
    return unique


def _meant(names: Iterable[str], event_names: Iterable[str]) -> Iterable[str]:
    exact = {name for name in names if not name.endswith(".*")}
    kinds = tuple(name[:-1] for name in names if name.endswith(".*") and name.count(".") == 1)
    return (name for name in event_names if name in exact or (kinds and name.startswith(kinds)))
