"""`stemma cancel`, `stop` and `retry`: a version's training, by the API."""

import click

from cli.client import ApiClient, ApiProblem


def _ask(version_id: str, what: str, actor: str) -> None:
    from adapters.settings import load_settings

    with ApiClient(load_settings().require("api_url"), actor) as client:
        try:
            answer = client.command(f"versions/{version_id}/{what}", None)
            found = client.query(f"versions/{version_id}", at_least=answer["position"])
        except ApiProblem as problem:
            raise click.ClickException(str(problem)) from problem
    version = found["version"]
    click.echo(f"version {version['number']} ({version['name']}) is {version['status']}")


_version = click.argument("version_id", metavar="VERSION")
_actor = click.option("--actor", default="cli", show_default=True, help="Who is on record.")


@click.command("cancel")
@_version
@_actor
def cancel_command(version_id: str, actor: str) -> None:
    """End a training at once and discard its weights. This is final."""
    _ask(version_id, "cancel", actor)


@click.command("stop")
@_version
@_actor
def stop_command(version_id: str, actor: str) -> None:
    """End a training after its running epoch and keep its best checkpoint."""
    _ask(version_id, "stop", actor)


@click.command("retry")
@_version
@_actor
def retry_command(version_id: str, actor: str) -> None:
    """Send a failed version back to the queue, to go on from its last checkpoint."""
    _ask(version_id, "retry", actor)
