"""`stemma login`: an address that signs a browser in with the key that commands here use."""

import webbrowser
from urllib.parse import quote

import click

from cli.calls import calling
from cli.client import ApiClient


def sign_in_address(client: ApiClient, path: str = "/") -> str:
    """The address where a browser signs in, once within minutes, and then opens a path. The
    fragment after `#` is not sent to any server."""
    code = client.command("sessions/codes", {})["code"]
    return f"{client.url}/login?next={quote(path)}#code={code}"


@click.command("login")
@click.option("--open", "opens", is_flag=True, help="Open it in this machine's browser.")
def login_command(opens: bool) -> None:
    """Print an address that signs one browser in, once, within 5 minutes."""
    with calling() as client:
        address = sign_in_address(client)
    click.echo(address)
    if opens:
        webbrowser.open(address)
