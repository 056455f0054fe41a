"""`stemma cancel`, `stop` and `retry`: control of a version's training, through the API."""

import click

from cli.calls import calling, find_version


def _control(version: str, what: str) -> None:
    with calling() as client:
        version_id = find_version(client, version)
        answer = client.command(f"versions/{version_id}/{what}", None)
        view = client.query(f"versions/{version_id}", at_least=answer["position"])
    row = view["version"]
    click.echo(f"version {row['number']} ({row['name']}) is {row['status']}")


_version = click.argument("version")


@click.command("cancel")
@_version
def cancel_command(version: str) -> None:
    """End a training at once and discard its weights. This is final."""
    _control(version, "cancel")


@click.command("stop")
@_version
def stop_command(version: str) -> None:
    """End a training after its running epoch and keep its best checkpoint."""
    _control(version, "stop")


@click.command("retry")
@_version
def retry_command(version: str) -> None:
    """Queue a failed version again, to continue from its last checkpoint."""
    _control(version, "retry")
