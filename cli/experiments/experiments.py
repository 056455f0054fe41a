"""`stemma experiment`: search for the best training of a model, through the public API."""

import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console

from adapters.settings import load_settings
from cli.calls import SET, calling, find_experiment, find_view, parse_options
from cli.client import ApiClient, ApiProblem
from cli.experiments.screen import best_in_words, trials_table, watch_experiment
from cli.output import json_option, print_json, print_list
from cli.training.take_away import download_version
from domain.experiments.presets import Preset
from domain.formatting import counted


@click.group("experiment")
def experiment() -> None:
    """Search for the best training of a model: dozens of trials, each a version."""


@experiment.command("start")
@click.argument("view")
@click.option(
    "--preset", type=click.Choice([each.value for each in Preset]), default=Preset.QUICK.value,
    show_default=True, help="quick: 8 trials of 6 epochs; thorough: 24 trials of 9.",
)  # fmt: skip
@click.option("--name", help="The name of the experiment.")
@click.option("--budget", type=int, help="The number of trials, instead of that of the preset.")
@click.option(
    "--concurrency", type=int, help="The number of trials that are queued or training at once."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The seed of the choices.")
@click.option("--no-pruning", is_flag=True, help="Do not prune: train each trial to its end.")
@click.option(
    "--space", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A JSON file with what the trials vary; `stemma experiment space` writes the default.",
)  # fmt: skip
@click.option("--trainer", help="The trainer of your own that trains the trials.")
@click.option(
    "--vary", "varied", multiple=True, metavar="KEY=VALUES",
    help="A setting of the trainer that trials vary: a,b,c or 0.001..1, or log:0.001..1.",
)  # fmt: skip
@SET
@click.option(
    "--follow", is_flag=True, help="Watch it; exit with 0 only if a best trial was found."
)
def start_command(
    view: str,
    preset: str,
    name: str | None,
    budget: int | None,
    concurrency: int | None,
    seed: int,
    no_pruning: bool,
    space: Path | None,
    trainer: str | None,
    varied: tuple[str, ...],
    settings: tuple[str, ...],
    follow: bool,
) -> None:
    """Start an experiment in VIEW: an id, or PROJECT/VIEW by their names.

    `--set` gives options of the training form that all trials share, such as epochs; with
    `--trainer`, settings of its form. Without `--vary` they vary its choices and flags, and the
    numbers with limits.
    """
    body: dict[str, Any] = {
        "name": name,
        "preset": preset,
        "budget": budget,
        "concurrency": concurrency,
        "seed": seed,
        "pruning": not no_pruning,
        "options" if trainer is None else "settings": parse_options(settings),
        "space": None if space is None else _space_in(space),
        "trainer": trainer,
        "varied": dict(map(_varied, varied)) or None,
    }
    with calling() as client:
        view_id = str(find_view(client, view)["view_id"])
        answer = client.command(f"views/{view_id}/experiments", body)
        experiment_id = str(answer["id"])
        client.query(f"experiments/{experiment_id}", at_least=answer["position"])
        click.echo(experiment_id)
        click.echo(_estimate(client, view_id, experiment_id), err=True)
        page = f"{load_settings().require('api_url')}/experiments/{experiment_id}"
        click.echo(f"watch it at {page}", err=True)
        if follow:
            sys.exit(_follow(client, experiment_id))


def _estimate(client: ApiClient, view_id: str, experiment_id: str) -> str:
    row = client.query(f"experiments/{experiment_id}")["experiment"]
    estimate = client.query(
        f"views/{view_id}/experiments/estimate",
        budget=row["budget"],
        epochs=row["epochs"],
        concurrency=row["concurrency"],
    )
    return (
        f"{counted(estimate['trainings'], 'training')} of at most {estimate['epochs']:g} epochs on"
        f" {counted(estimate['train_images'], 'image')}. {estimate['duration']}"
    )


def _varied(text: str) -> tuple[str, object]:
    """A setting and its values, such as `solver=saga,lbfgs` or `penalty=log:0.001..1`."""
    key, equals, values = text.partition("=")
    log = values.startswith("log:")
    least, dots, most = values.removeprefix("log:").partition("..")
    try:
        if not key or not equals or not values:
            raise ValueError
        if dots:
            return key, {"least": float(least), "most": float(most), "log": log}
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not KEY=A,B,C or KEY=LEAST..MOST", param_hint="--vary"
        ) from None
    return key, [parse_options([f"{key}={value}"])[key] for value in values.split(",")]


def _space_in(path: Path) -> object:
    try:
        return msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"{path} is not JSON: {error}", param_hint="--space") from error


@experiment.command("space")
@click.argument("kind", type=click.Choice(["classification", "tagging", "detection"]))
def space_command(kind: str) -> None:
    """Write the default search space of a kind of view, as JSON to edit."""
    with calling() as client:
        space = client.query(f"forms/{kind}/space")["space"]
    click.echo(msgspec.json.format(msgspec.json.encode(space)))


@experiment.command("list")
@click.argument("view")
@json_option
def list_command(view: str, as_json: bool) -> None:
    """List the experiments of VIEW, newest first."""
    with calling(exact=as_json) as client:
        view_id = str(find_view(client, view)["view_id"])
        rows = list(client.query_all(f"views/{view_id}/experiments"))
    columns = ("name", "state", "trials", "best", "epochs trained", "experiment id")
    print_list(rows, columns, _row, as_json=as_json)


def _row(experiment: dict[str, Any]) -> tuple[str, ...]:
    counts = experiment["counts"]
    done = counts["completed"] + counts["pruned"] + counts["failed"]
    return (
        experiment["name"],
        experiment["state"],
        f"{done} of {experiment['budget']}",
        best_in_words(experiment),
        f"{experiment['epochs_trained']} of {experiment['epochs_planned']}",
        experiment["experiment_id"],
    )


@experiment.command("show")
@click.argument("experiment")
@click.option(
    "--follow", is_flag=True, help="Watch it; exit with 0 only if a best trial was found."
)
@json_option
def show_command(experiment: str, follow: bool, as_json: bool) -> None:
    """Show an experiment and its trials, the best first."""
    with calling(exact=as_json) as client:
        experiment_id = find_experiment(client, experiment)
        row = client.query(f"experiments/{experiment_id}")["experiment"]
        if follow:
            sys.exit(_follow(client, experiment_id))
        trials = client.query(f"experiments/{experiment_id}/trials", sort="best")["items"]
    if as_json:
        print_json(row | {"trials": trials})
        return
    console = Console(markup=False)
    console.print(f"{row['name']}: {row['state']}. {best_in_words(row)}", markup=False)
    console.print(trials_table(trials))


@experiment.command("stop")
@click.argument("experiment")
def stop_command(experiment: str) -> None:
    """Propose no more trials; running ones end after their epoch and keep their best weights."""
    with calling() as client:
        experiment_id = find_experiment(client, experiment)
        client.command(f"experiments/{experiment_id}/stop", None)
    click.echo(f"experiment {experiment_id} is stopping")


@experiment.command("best")
@click.argument("experiment")
@click.option(
    "--download", "folder", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
    help="Write its weights, description and model card to this folder.",
)  # fmt: skip
def best_command(experiment: str, folder: Path | None) -> None:
    """Write the id of the best version so far."""
    with calling() as client:
        experiment_id = find_experiment(client, experiment)
        row = client.query(f"experiments/{experiment_id}")["experiment"]
        if row["best"] is None:
            raise ApiProblem(f"experiment {experiment_id} has no trial that completed yet")
        click.echo(row["best"]["version_id"])
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            download_version(client, row["best"]["version_id"], folder)
            click.echo(f"wrote {folder}", err=True)


def _follow(client: ApiClient, experiment_id: str) -> int:
    row = watch_experiment(client, experiment_id, Console(stderr=True))
    click.echo(f"{row['name']}: {best_in_words(row)}", err=True)
    reason = row["conclusion"]["reason"]
    if reason:
        click.echo(f"its trials failed: {reason}", err=True)
    return 0 if row["best"] is not None else 1
