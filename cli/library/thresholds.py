"""`stemma versions thresholds`: the thresholds of a version's concepts, shown or set."""

from typing import Any

import click

from cli.calls import calling, find_version
from cli.client import ApiProblem
from cli.output import json_option, print_list


@click.command("thresholds")
@click.argument("version")
@click.argument("thresholds", nargs=-1, metavar="[CONCEPT=THRESHOLD]...")
@json_option
def thresholds_command(version: str, thresholds: tuple[str, ...], as_json: bool) -> None:
    """Show the thresholds of VERSION by concept, or set some first, such as cat=0.65.

    A threshold is the lowest score, from 0 to 1, at which the concept is predicted. CONCEPT is a
    label or an id. Concepts that are not named keep theirs, and the version is not trained again.
    """
    with calling(exact=as_json) as client:
        path = f"versions/{find_version(client, version)}/evaluation"
        rows: list[dict[str, Any]] = client.query(path)["concepts"]
        if thresholds:
            body = dict(_parsed(text, rows) for text in thresholds)
            position = client.put(f"{path}/thresholds", body)["position"]
            rows = client.query(path, at_least=position)["concepts"]
    print_list(
        rows,
        ("concept", "threshold", "precision", "recall", "F1", "best F1 at", "id"),
        _row,
        as_json=as_json,
    )


def _parsed(text: str, rows: list[dict[str, Any]]) -> tuple[str, float]:
    """A concept's id and its threshold. Raises `ApiProblem` for an unknown concept."""
    name, separator, value = text.rpartition("=")
    try:
        threshold = float(value)
    except ValueError:
        threshold = -1.0
    if not separator or not 0 <= threshold <= 1:
        raise click.UsageError(f"{text!r} is not CONCEPT=THRESHOLD with a threshold from 0 to 1")
    matches = [row["concept_id"] for row in rows if name in (row["concept_id"], row["label"])]
    if len(matches) != 1:
        labels = ", ".join(row["label"] for row in rows)
        raise ApiProblem(f"the version has no concept {name!r}; its concepts are {labels}")
    return matches[0], threshold


def _row(concept: dict[str, Any]) -> tuple[str, ...]:
    best = concept["best_threshold"]
    return (
        concept["label"],
        f"{concept['threshold']:g}",
        *(_number(concept[key]) for key in ("precision", "recall", "f1")),
        "" if best is None else f"{best:.4g}",
        concept["concept_id"],
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
