"""`stemma trainers`: training code of users' own, through the public API."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import msgspec

from cli.calls import calling, require_project
from cli.client import ApiClient, ApiProblem
from cli.output import json_option, print_list


@click.group()
def trainers() -> None:
    """Register training code of your own."""


@trainers.command("register")
@click.argument("name")
@click.argument("form", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--format", "checkpoint_format", default="opaque", show_default=True,
    type=click.Choice(["safetensors", "onnx", "opaque"]), help="The format of its checkpoints.",
)  # fmt: skip
def register_command(name: str, form: Path, checkpoint_format: str) -> None:
    """Register a trainer by NAME, such as acme/logreg, with the form in the JSON file FORM.

    `python TRAINER.py form` writes the file.
    """
    body = _form(form) | {"name": name, "format": checkpoint_format}
    with calling() as client:
        answer = client.command("trainers", body)
        found = client.query(f"trainers/{answer['id']}", at_least=answer["position"])
    click.echo(found["trainer"]["queue"])
    click.echo("its workers take jobs from this queue", err=True)


@trainers.command("change")
@click.argument("name")
@click.argument("form", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def change_command(name: str, form: Path) -> None:
    """Replace the form of the trainer NAME with the JSON file FORM.

    If FORM does not have `"predicts": true`, its workers predict no other images.
    """
    body = _form(form)
    with calling() as client:
        trainer = _trainer(client, name)
        client.put(f"{_path_of(trainer)}/form", body)
    if trainer["predicts"] and not body.get("predicts"):
        click.echo("its workers no longer predict other images: FORM has no `predicts`", err=True)


@trainers.command("retire")
@click.argument("name")
def retire_command(name: str) -> None:
    """Retire the trainer NAME: it trains no new versions."""
    with calling() as client:
        client.command(f"{_path(client, name)}/retire", None)


@trainers.command("seeds")
@json_option
def seeds_command(as_json: bool) -> None:
    """List the seeds of trainers' workers, with revoked ones."""
    with calling(exact=as_json) as client:
        items = client.query("trainers/seeds")["items"]
    columns = ("worker", "trainer", "project", "state", "queue")
    print_list(items, columns, _seed_row, as_json=as_json)


def _seed_row(seed: dict[str, Any]) -> tuple[str, ...]:
    state = "revoked" if seed["revoked"] else "issued"
    project = seed["project_id"] or "all"
    return seed["worker"], seed["trainer"], project, state, seed["queue"]


@trainers.command("issue-seed")
@click.argument("name")
@click.argument("worker")
@click.option("--project", help="The only project whose jobs it gets, by name or id.")
def issue_seed_command(name: str, worker: str, project: str | None) -> None:
    """Write a new seed for WORKER, which takes jobs of the trainer NAME.

    It is written once, to the standard output: put it into a file that only its owner can read.
    """
    with calling() as client:
        project_id = None if project is None else require_project(client, project)
        body = {"worker": worker, "project_id": project_id}
        answer = client.command(f"{_path(client, name)}/seeds", body)
    if answer["seed"] is None:
        raise click.ClickException(
            "the seed was issued, but the response with it was lost: revoke it with"
            f" `stemma trainers revoke-seed {name} {worker}`, and issue another"
        )
    click.echo(answer["seed"])
    click.echo(f"STEMMA_WORKER_NAME={worker} STEMMA_QUEUE={answer['queue']}", err=True)
    _warn_unless_applied(answer)


@trainers.command("revoke-seed")
@click.argument("name")
@click.argument("worker")
def revoke_seed_command(name: str, worker: str) -> None:
    """Cut off WORKER of the trainer NAME."""
    with calling() as client:
        answer = client.delete(f"{_path(client, name)}/seeds/{quote(worker, safe='')}")
    click.echo(f"the seed of {worker} is revoked", err=True)
    _warn_unless_applied(answer)


def _warn_unless_applied(answer: dict[str, Any]) -> None:
    if not answer["applied"]:
        click.echo("NATS does not have the change yet: run `stemma nats sync` beside it", err=True)


@trainers.command("list")
@click.option("--retired", is_flag=True, help="Include retired ones.")
@json_option
def list_command(retired: bool, as_json: bool) -> None:
    """List trainers, with their settings and queues."""
    with calling(exact=as_json) as client:
        items = client.query("trainers", retired=retired)["items"]
    columns = ("name", "trains", "checkpoints", "predicts", "settings", "queue")
    print_list(items, columns, _trainer_row, as_json=as_json)


def _trainer_row(trainer: dict[str, Any]) -> tuple[str, ...]:
    settings = ", ".join(f"{one['key']}={_plain(one['default'])}" for one in trainer["settings"])
    predicts = "yes" if trainer["predicts"] else "no"
    kinds = ", ".join(trainer["kinds"])
    return trainer["name"], kinds, trainer["format"], predicts, settings, trainer["queue"]


def _plain(value: object) -> object:
    """A whole number without `.0`: numbers of a form are those of JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _form(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ApiProblem(f"{path} is not a form: {error}") from error


def _path(client: ApiClient, name: str) -> str:
    return _path_of(_trainer(client, name))


def _path_of(trainer: dict[str, Any]) -> str:
    return f"trainers/{quote(trainer['trainer_id'], safe='')}"


def _trainer(client: ApiClient, name: str) -> dict[str, Any]:
    for trainer in client.query("trainers", retired=True)["items"]:
        if name in (trainer["name"], trainer["trainer_id"]):
            found: dict[str, Any] = trainer
            return found
    raise ApiProblem(f"trainer {name!r} not found; `stemma trainers list` lists all")
