"""`stemma versions source`: the code of a trainer's version, through the public API."""

from pathlib import Path

import click

from cli.calls import calling, find_version
from cli.client import ApiProblem


@click.command("source")
@click.argument("version")
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
def source_command(version: str, target: Path) -> None:
    """Write the archive of the code that trained VERSION to the file TARGET, a .tar.gz.

    Its trainer declares that this is the code.
    """
    with calling() as client:
        version_id = find_version(client, version)
        source = client.query(f"versions/{version_id}/code")["source"]
        if source is None:
            raise ApiProblem("the version has no archive of its code")
        client.download(f"versions/{version_id}/source", target, {}, digest=source)
    click.echo(f"wrote {target}, sha256 {source}")
