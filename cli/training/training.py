"""`stemma train`, `stemma form`: training from the command line, through the public API."""

import sys
from typing import Any
from urllib.parse import quote

import click
import msgspec
from rich.console import Console
from rich.table import Table

from adapters.settings import load_settings
from cli.calls import SET, calling, find_view, parse_options
from cli.client import ApiClient, ApiProblem
from cli.output import json_option, print_json
from cli.training.demo_screen import watch
from domain.training.form_controls import ANY, Control, Form, resolve
from domain.training.version import READY
from domain.training.waiting import START_TRAINER, workers_of

PRESET = click.option(
    "--preset", metavar="NAME",
    help="quick, balanced or accurate: the options that are not set.",
)  # fmt: skip


@click.command("train")
@click.argument("view")
@PRESET
@click.option("--model", help="The id of a model of the view; by default the current one.")
@click.option("--name", help="The name of the version.")
@SET
@click.option("--trainer", help="The name of a registered trainer; --set is then for its settings.")
@click.option(
    "--follow",
    is_flag=True,
    help="Watch the training; exit with 0 only if the version becomes ready.",
)
def train_command(
    view: str,
    preset: str | None,
    model: str | None,
    name: str | None,
    settings: tuple[str, ...],
    trainer: str | None,
    follow: bool,
) -> None:
    """Train a version in VIEW: an id, or PROJECT/VIEW by their names.

    Options that are not set are those of the preset, or the defaults; `stemma form` lists them.
    """
    chosen = "options" if trainer is None else "settings"
    options = parse_options(settings)
    body = {"name": name, "preset": preset, "trainer": trainer, chosen: options}
    with calling() as client:
        view_id = str(find_view(client, view)["view_id"])
        answer = client.command(_path(client, view_id, model), body)
        version_id = answer["id"]
        client.query(f"versions/{version_id}", at_least=answer["position"])
        click.echo(version_id)
        given = {
            "preset": preset,
            "trainer": trainer,
            chosen: msgspec.json.encode(options).decode(),
        }
        query = {key: value for key, value in given.items() if value is not None}
        estimate = client.query(f"views/{view_id}/versions/estimate", **query)
        click.echo(estimate["duration"], err=True)
        if trainer is not None and not follow and estimate["workers_online"] == 0:
            online = workers_of(trainer, 0)
            click.echo(f"{online}; start it with `{START_TRAINER}`", err=True)
        page = f"{load_settings().require('api_url')}/versions/{version_id}"
        click.echo(f"watch it at {page}", err=True)
        if follow:
            sys.exit(_follow(client, version_id))


@click.command("form")
@click.argument("kind", type=click.Choice(["classification", "tagging", "detection"]))
@PRESET
@SET
@json_option
def form_command(kind: str, preset: str | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Show the options of a training, with their defaults and ranges.

    Defaults depend on the options that are set, above all on the architecture. With --json, print
    the resolved options.
    """
    with calling(exact=as_json) as client:
        form = msgspec.convert(client.query(f"forms/{kind}"), Form)
        chosen = resolve(form.controls(), _below(form, preset) | parse_options(settings))
    if as_json:
        print_json(msgspec.to_builtins(chosen))
        return
    table = Table(title=f"Training in a {kind} view")
    for name in ("option", "value", "may be", "about"):
        table.add_column(name, overflow="fold")
    for section in form.sections:
        for control in section.controls:
            about = control.help + _condition(control)
            value = chosen[control.key] if control.shown(chosen) else None
            table.add_row(control.key, _shown(control, value), _range(control), about)
        table.add_section()
    console = Console()
    console.print(table)
    for each in form.presets:
        options = ", ".join(f"{key}={_plain(value)}" for key, value in each.options.items())
        console.print(f"--preset {each.key}: {each.help}" + (f" ({options})" if options else ""))


def _below(form: Form, preset: str | None) -> dict[str, Any]:
    """The options of a preset. Raises `click.BadParameter`."""
    presets = {each.key: each.options for each in form.presets}
    if preset is not None and preset not in presets:
        raise click.BadParameter(
            f"must be one of {', '.join(presets)}, got {preset!r}", param_hint="--preset"
        )
    return {} if preset is None else presets[preset]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _path(client: ApiClient, view_id: str, model: str | None) -> str:
    if model is None:
        return f"views/{view_id}/versions"
    path = f"models/{quote(model, safe='')}"
    if client.query(path)["model"]["view_id"] != view_id:
        raise ApiProblem(f"model {model!r} belongs to another view")
    return f"{path}/versions"


def _follow(client: ApiClient, version_id: str) -> int:
    watch(client, version_id, Console(stderr=True))
    answer = client.query(f"versions/{version_id}")
    version = answer["version"]
    for warning in answer["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    reason = f": {version['reason']}" if version["reason"] else ""
    click.echo(f"{version['name']} is {version['status']}{reason}", err=True)
    return 0 if version["status"] == READY else 1


def _shown(control: Control, value: Any) -> str:
    """A value in the syntax of `--set`."""
    if value is None:
        return ""
    if control.type in ("list", "toggle"):
        return msgspec.json.encode(value).decode()
    return value if isinstance(value, str) else control.describe(value)


def _range(control: Control) -> str:
    values = [choice.value for choice in control.choices]
    if control.type == "toggle":
        values = ["true", "false"]
    if control.type == "text":
        values = ["a version's id"]
    return "\n".join(values) or control.range


def _condition(control: Control) -> str:
    conditions = [
        f"{key} is {' or '.join(_value_text(value) for value in values)}"
        for key, values in control.shown_when.items()
    ]
    return f". Only where {' and '.join(conditions)}" if conditions else ""


def _value_text(value: Any) -> str:
    if value == ANY:
        return "set"
    return "not set" if value is None else value if isinstance(value, str) else f"{value}".lower()
