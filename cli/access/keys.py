"""`stemma keys`: API keys, through the API; and the first one, through the database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from cli.calls import calling, find_project
from cli.client import ApiProblem
from cli.output import json_option, print_list
from domain.access.account import account_id
from domain.access.roles import Role
from domain.formatting import moment_of

_key = click.argument("key_id", metavar="KEY")


@click.group()
def keys() -> None:
    """Issue, list, rotate and revoke API keys."""


@keys.command("issue")
@click.argument("label")
@click.option("--account", help="The account; by default yours.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice([str(role) for role in Role]),
    help="Limit it to the rights of this role; may be repeated.",
)
@click.option(
    "--project", "projects", multiple=True, help="Limit it to this project; may be repeated."
)
@click.option("--days", type=click.FloatRange(0, min_open=True), help="Days until it expires.")
def issue_command(
    label: str,
    account: str | None,
    roles: tuple[str, ...],
    projects: tuple[str, ...],
    days: float | None,
) -> None:
    """Issue a key named LABEL and print it. It is shown only once."""
    with calling() as client:
        ids = [find_project(client, project) for project in projects]
        if None in ids:
            raise ApiProblem(f"project {projects[ids.index(None)]!r} not found")
        expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
        body = {
            "label": label,
            "account_id": account_id(account) if account else None,
            "roles": list(roles) or None,
            "projects": ids or None,
            "expires_at": expires and expires.isoformat(),
        }
        _print_key(client.command("keys", body))


@keys.command("list")
@click.option("--account", help="The account; by default yours.")
@json_option
def list_command(account: str | None, as_json: bool) -> None:
    """List keys by their ids, without secrets."""
    with calling(exact=as_json) as client:
        filters = {"account_id": account_id(account)} if account else {}
        rows = list(client.query_all("keys", limit=500, **filters))
    print_list(rows, ("key id", "label", "limited to", "until"), _row, as_json=as_json)


def _row(key: dict[str, Any]) -> tuple[str, ...]:
    limits = [", ".join(key["roles"] or ()), ", ".join(key["projects"] or ())]
    ends = "revoked" if key["revoked"] else moment_of(key["expires_at"])
    return key["key_id"], key["label"], " in ".join(filter(None, limits)), ends


@keys.command("rotate")
@_key
@click.option(
    "--overlap-hours",
    type=click.FloatRange(0),
    default=0.0,
    show_default=True,
    help="Hours for which the previous secret stays valid.",
)
def rotate_command(key_id: str, overlap_hours: float) -> None:
    """Give KEY, by its id, a new secret and print it. It is shown only once."""
    with calling() as client:
        body = {"overlap_seconds": 3600 * overlap_hours}
        _print_key(client.command(f"keys/{key_id}/rotate", body))


@keys.command("revoke")
@_key
def revoke_command(key_id: str) -> None:
    """Revoke KEY, by its id."""
    with calling() as client:
        client.delete(f"keys/{key_id}")
    click.echo(f"key {key_id} is revoked")


@keys.command("first")
@click.option(
    "--again", is_flag=True, help="Issue another key if the administrator already has one."
)
def first_command(again: bool) -> None:
    """Issue a key of the account administrator through the database, and print it. It is shown only
    once.

    For a deployment without `stemma up`, and for when all keys are lost.
    """
    from adapters.settings import load_settings
    from application.access.first_key import give_key, has_key
    from application.log.store import Store
    from cli.operations.first_key import new_key
    from domain.errors import Conflict

    store = Store(load_settings().require("database_url"), pool_size=1)
    try:
        if has_key(store) and not again:
            raise click.ClickException(
                "`stemma keys first --again` issues another key: the account administrator"
                " already has one, which was shown once; if it is lost, revoke it with `stemma"
                " keys revoke`"
            )
        key = new_key()
        give_key(store, key, "first")
    except Conflict as refused:
        raise click.ClickException(refused.detail) from refused
    finally:
        store.close()
    click.echo(key)


def _print_key(answer: dict[str, object]) -> None:
    if answer["key"] is None:
        raise ApiProblem(
            f"key {answer['id']} was issued, but the response that contained it was lost: rotate it"
            f" with `stemma keys rotate {answer['id']}`"
        )
    click.echo(f"key {answer['id']}, shown only once:", err=True)
    click.echo(answer["key"])
