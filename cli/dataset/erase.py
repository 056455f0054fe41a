"""`stemma erase`: deletion of personal data, through the API."""

import time

import click

from cli.calls import calling
from cli.client import ApiClient, ApiProblem
from domain.access.account import account_id
from domain.formatting import moment_of

PAUSE = 0.2


@click.group()
def erase() -> None:
    """Delete personal data permanently; the log records the deletion and its reason."""


@erase.command("image")
@click.argument("image_id", metavar="IMAGE")
@click.option(
    "--reason",
    required=True,
    help="The reason; it stays in the log, so do not write personal data in it.",
)
@click.option("--everywhere", is_flag=True, help="Also in other projects that have the same image.")
@click.option(
    "--wait",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    help="Seconds to wait until the bytes are deleted; exit with 1 if they are not deleted by"
    " then.",
)
@click.confirmation_option(
    prompt="This cannot be undone: the image cannot be recovered, and versions trained with it"
    " cannot be trained again. Erase it?"
)
def image_command(image_id: str, reason: str, everywhere: bool, wait: float) -> None:
    """Remove an image and delete its bytes, its thumbnails, and its copies in the trash."""
    with calling() as client:
        body = {"reason": reason, "everywhere": everywhere}
        answer = client.command(f"images/{image_id}/erase", body)
        click.echo(f"image {image_id} is erased; its bytes are being deleted")
        gone_at = _gone_at(client, image_id, answer["position"], wait)
        if gone_at is None:
            raise ApiProblem(
                "its bytes are not deleted yet; `stemma status` shows whether the"
                " service eraser runs"
            )
        click.echo(f"its bytes were deleted at {moment_of(gone_at)}")


@erase.command("account")
@click.argument("name")
@click.option(
    "--reason",
    required=True,
    help="The reason; it stays in the log, so do not write personal data in it.",
)
@click.confirmation_option(
    prompt="This cannot be undone: the account is closed, and only its name remains known. Erase"
    " it?"
)
def account_command(name: str, reason: str) -> None:
    """Close the account NAME, and erase its e-mail address and its identity at a provider."""
    with calling() as client:
        client.command(f"accounts/{account_id(name)}/erase", {"reason": reason})
    click.echo(f"account {name} is closed, and its personal data is erased")


def _gone_at(client: ApiClient, image_id: str, position: int, seconds: float) -> str | None:
    deadline = time.monotonic() + seconds
    while True:
        erasure = client.query(f"images/{image_id}/erasure", at_least=position)["erasure"]
        gone_at: str | None = erasure["gone_at"]
        if gone_at is not None or time.monotonic() > deadline:
            return gone_at
        time.sleep(PAUSE)
