"""`stemma models`: the models of a view, through the public API."""

from typing import Any

import click

from cli.calls import calling, find_view
from cli.client import ApiProblem
from cli.output import json_option, print_list


@click.group("models")
def models() -> None:
    """List and fork the models of a view. A model is a set of concepts."""


@models.command("list")
@click.argument("view")
@json_option
def list_command(view: str, as_json: bool) -> None:
    """List the models of VIEW, an id or PROJECT/VIEW, each with its newest versions."""
    with calling(exact=as_json) as client:
        view_id = find_view(client, view)["view_id"]
        rows = list(client.query_all(f"views/{view_id}/models"))
    print_list(rows, ("name", "concepts", "versions", "id"), _row, as_json=as_json)


def _row(library: dict[str, Any]) -> tuple[str, ...]:
    model = library["model"]
    concepts, count = str(len(model["concepts"])), str(model["versions"])
    return model["name"], concepts, count, model["model_id"]


@models.command("fork")
@click.argument("model")
@click.option(
    "--concept", "concepts", multiple=True, required=True,
    help="A concept of the new model, by its label or id; may be repeated.",
)  # fmt: skip
@click.option("--why", required=True, help="The reason, which stays in the history.")
@click.option("--name", help="The new model's name.")
def fork_command(model: str, concepts: tuple[str, ...], why: str, name: str | None) -> None:
    """Create a model with other concepts and MODEL, an id, as its parent."""
    with calling() as client:
        row = client.query(f"models/{model}")["model"]
        view = find_view(client, row["view_id"])
        by_label = {concept["label"]: concept["concept_id"] for concept in view["concepts"]}
        known = {*by_label.values(), *row["concepts"]}
        body: dict[str, Any] = {"concepts": [], "why": why, "name": name}
        for concept in concepts:
            if concept not in by_label and concept not in known:
                raise ApiProblem(f"view {view['name']!r} has no concept {concept!r}")
            body["concepts"].append(by_label.get(concept, concept))
        answer = client.command(f"models/{row['model_id']}/forks", body)
    click.echo(f"forked {row['name']}: {answer['id']}")
