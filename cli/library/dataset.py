"""`stemma views dataset`: what a version of a view would be trained on now."""

from pathlib import Path

import click

from cli.calls import calling, find_view


@click.command("dataset")
@click.argument("view")
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
def dataset_command(view: str, target: Path) -> None:
    """Write the dataset of VIEW, as a version would have it now, to the file TARGET.

    It has a line of JSON for each image: its key, the sha256 of its file, its split and
    its annotations. `stemma versions adopt` needs predictions for all images.
    """
    with calling() as client:
        row = find_view(client, view)
        client.download(f"views/{row['view_id']}/dataset", target, {})
    labels = ", ".join(concept["label"] for concept in row["concepts"])
    click.echo(f"wrote {target}; the order of scores is {labels}")
