"""`stemma webhooks`: registration and control of webhooks, through the API."""

from typing import Any
from urllib.parse import quote

import click

from cli.calls import calling, find_project
from cli.client import ApiClient, ApiProblem
from cli.output import json_option, print_json, print_list

_webhook = click.argument("webhook_id", metavar="WEBHOOK")


@click.group()
def webhooks() -> None:
    """Send events to URLs, signed and in order."""


@webhooks.command()
@click.argument("url")
@click.option("--name", "names", multiple=True,
              help="An event's name, or all of a kind: version.*; may be repeated.")  # fmt: skip
@click.option("--project", help="Only events of this project, by its name or id.")
@click.option("--description", default="", help="A description of its purpose.")
def add(url: str, names: tuple[str, ...], project: str | None, description: str) -> None:
    """Send events to URL from now on, and print the secret that signs them."""
    with calling() as client:
        project_id = None if project is None else find_project(client, project)
        if project is not None and project_id is None:
            raise ApiProblem(f"project {project!r} not found")
        body = {
            "url": url,
            "names": names,
            "project_id": project_id,
            "description": description,
        }
        _print_secret(client.command("webhooks", body))


@webhooks.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List webhooks with their positions and errors."""
    with calling(exact=as_json) as client:
        rows = client.query("webhooks")["items"]
    columns = ("webhook id", "url", "events", "state", "position", "behind", "trouble")
    print_list(rows, columns, _row, as_json=as_json)


def _row(webhook: dict[str, Any]) -> tuple[str, ...]:
    return (
        webhook["webhook_id"],
        webhook["url"],
        _events(webhook),
        webhook["going"],
        str(webhook["position"]),
        str(webhook["behind"]),
        webhook["reason"] or webhook["last_error"] or "",
    )


@webhooks.command()
@_webhook
@json_option
def show(webhook_id: str, as_json: bool) -> None:
    """Show a webhook: its position, its state, the last error and the next attempt."""
    with calling(exact=as_json) as client:
        row = client.query(_path(webhook_id))["webhook"]
        if as_json:
            print_json(row)
            return
        row["names"] = _events(row)
        for name, value in row.items():
            if value not in {None, ""}:
                click.echo(f"{name.replace('_', ' ')}: {value}")


@webhooks.command()
@_webhook
@click.confirmation_option(prompt="Nothing will be sent to it any longer. Remove it?")
def remove(webhook_id: str) -> None:
    """Remove a webhook. This is final."""
    with calling() as client:
        client.delete(_path(webhook_id))
        click.echo(f"webhook {webhook_id} is removed")


@webhooks.command()
@_webhook
def pause(webhook_id: str) -> None:
    """Send nothing until the webhook is resumed."""
    _change(webhook_id, "pause")


@webhooks.command()
@_webhook
def resume(webhook_id: str) -> None:
    """Resume a paused or parked webhook at its position."""
    _change(webhook_id, "resume")


@webhooks.command()
@_webhook
@click.option("--after", type=click.IntRange(0), required=True,
              help="The position of the log after which events are sent; 0 is its"
                  " beginning.")  # fmt: skip
def replay(webhook_id: str, after: int) -> None:
    """Continue after any position: send events again, or skip some."""
    with calling() as client:
        client.command(f"{_path(webhook_id)}/replay", {"after": after})
        state = client.query(_path(webhook_id))["webhook"]["state"]
        when = "" if state == "active" else ", once it is resumed"
        click.echo(f"webhook {webhook_id} is {state}: events after {after} are sent again{when}")


@webhooks.command()
@_webhook
def rotate(webhook_id: str) -> None:
    """Print a new secret; the previous one also signs for 24 hours."""
    with calling() as client:
        _print_secret(client.command(f"{_path(webhook_id)}/rotate", None))


@webhooks.command()
@_webhook
def test(webhook_id: str) -> None:
    """Send the event of the webhook's registration now, and show the receiver's answer."""
    with calling() as client:
        result = client.command(f"{_path(webhook_id)}/test", None)
        if result["trouble"] is not None:
            raise ApiProblem(f"not accepted: {result['trouble']}")
        click.echo(f"accepted: the receiver answered {result['status']} in {result['seconds']} s")


def _change(webhook_id: str, what: str) -> None:
    with calling() as client:
        client.command(f"{_path(webhook_id)}/{what}", None)
        _print_state(client, webhook_id)


def _print_state(client: ApiClient, webhook_id: str) -> None:
    row = client.query(_path(webhook_id))["webhook"]
    click.echo(
        f"webhook {webhook_id} is {row['going']}, at position {row['position']},"
        f" {row['behind']} behind"
    )


def _print_secret(answer: dict[str, Any]) -> None:
    click.echo(f"webhook {answer['id']}")
    click.echo(f"secret {answer['secret']}")
    click.echo("Keep the secret: it is not shown again.", err=True)


def _events(row: dict[str, Any]) -> str:
    return ", ".join(row["names"]) or "all"


def _path(webhook_id: str) -> str:
    return f"webhooks/{quote(webhook_id, safe='')}"
