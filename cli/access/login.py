"""`stemma login`: an address that signs a browser in with the key that commands here use."""

import webbrowser
from urllib.parse import quote

import click

from adapters.settings import load_settings


def sign_in_address(api_url: str, api_key: str, path: str = "/") -> str:
    """The address where a browser signs in and then opens a path. The fragment after `#` is not
    sent to any server."""
    return f"{api_url}/login?next={quote(path)}#key={api_key}"


@click.command("login")
@click.option("--open", "opens", is_flag=True, help="Open it in this machine's browser.")
def login_command(opens: bool) -> None:
    """Print an address that signs a browser in. It holds your key: keep it to yourself."""
    settings = load_settings()
    address = sign_in_address(settings.require("api_url"), settings.require("api_key"))
    click.echo(address)
    if opens:
        webbrowser.open(address)
