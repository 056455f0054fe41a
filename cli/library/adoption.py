"""`stemma versions adopt`: a model that was trained before Stemma, through the public API."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from cli.calls import SET, calling, find_view, parse_options
from cli.client import ApiClient
from domain.training.adoption import NOT_WITNESSED
from domain.training.version import ENDED, READY

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_PIECE = 1 << 20
_LOOK_SECONDS = 20


@click.command("adopt")
@click.argument("weights", metavar="FILE", type=_FILE)
@click.option("--view", required=True, help="The view of the model: PROJECT/VIEW or an id.")
@click.option("--trainer", required=True, help="The registered trainer whose code trained it.")
@click.option(
    "--predictions", required=True, type=_FILE,
    help="A Parquet file with its scores for every image of `stemma views dataset VIEW`.",
)  # fmt: skip
@click.option("--name", help="The name of the version.")
@SET
def adopt_command(
    weights: Path,
    view: str,
    trainer: str,
    predictions: Path,
    name: str | None,
    settings: tuple[str, ...],
) -> None:
    """Adopt the weights in FILE, of a model that was trained elsewhere.

    The server freezes the dataset and measures the predictions. The version is marked as adopted:
    nobody witnessed its training. The exit status is 1 if it is refused.
    """
    with calling() as client:
        path = f"views/{find_view(client, view)['view_id']}"
        body = {
            "trainer": trainer,
            "name": name,
            "settings": parse_options(settings),
            "checkpoint": _upload(client, path, weights),
            "predictions": _upload(client, path, predictions),
        }
        answer = client.command(f"{path}/adoptions", body)
        click.echo(answer["id"])
        sys.exit(_follow(client, answer["id"], answer["position"]))


def _upload(client: ApiClient, path: str, file: Path) -> str:
    def pieces() -> Iterator[bytes]:
        with file.open("rb") as opened:
            while piece := opened.read(_PIECE):
                yield piece

    return str(client.send_body(f"{path}/adopted-files", pieces, {})["digest"])


def _follow(client: ApiClient, version_id: str, position: int) -> int:
    while True:
        given = {"at_least": position, "wait": _LOOK_SECONDS}
        version = client.query(f"versions/{version_id}", **given)["version"]
        if version["status"] in ENDED:
            break
    if version["status"] != READY:
        click.echo(f"{version['name']} is {version['status']}: {version['reason']}", err=True)
        return 1
    measured = "" if version["indicator"] is None else f", measured {version['indicator']:.4f}"
    click.echo(f"{version['name']} is ready: {NOT_WITNESSED}{measured}", err=True)
    return 0
