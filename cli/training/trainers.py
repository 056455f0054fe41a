"""`stemma trainers`: training code of users' own, through the public API."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import msgspec
from rich.console import Console
from rich.table import Table

from cli.calls import calling
from cli.client import ApiClient, ApiProblem
from cli.output import json_option, print_json


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
    """Replace the form of the trainer NAME with the JSON file FORM."""
    with calling() as client:
        client.put(f"{_path(client, name)}/form", _form(form))


@trainers.command("retire")
@click.argument("name")
def retire_command(name: str) -> None:
    """Retire the trainer NAME: it trains no new versions."""
    with calling() as client:
        client.command(f"{_path(client, name)}/retire", None)


@trainers.command("list")
@click.option("--retired", is_flag=True, help="Include retired ones.")
@json_option
def list_command(retired: bool, as_json: bool) -> None:
    """List trainers, with their settings and queues."""
    with calling(exact=as_json) as client:
        items = client.query("trainers", retired=retired)["items"]
    if as_json:
        print_json(items)
        return
    table = Table("name", "trains", "settings", "queue")
    for trainer in items:
        settings = ", ".join(f"{one['key']}={one['default']}" for one in trainer["settings"])
        table.add_row(trainer["name"], ", ".join(trainer["kinds"]), settings, trainer["queue"])
    Console().print(table)


def _form(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ApiProblem(f"{path} is not a form: {error}") from error


def _path(client: ApiClient, name: str) -> str:
    for trainer in client.query("trainers", retired=True)["items"]:
        if name in (trainer["name"], trainer["trainer_id"]):
            return f"trainers/{quote(trainer['trainer_id'], safe='')}"
    raise ApiProblem(f"trainer {name!r} not found; `stemma trainers list` lists all")
