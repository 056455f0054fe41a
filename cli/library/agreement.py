"""`stemma views agreement`: how far people agree who annotated the same images, by the API."""

from typing import Any

import click

from cli.calls import calling, find_view
from cli.output import json_option, print_json, print_table
from domain.formatting import counted, percent


@click.command("agreement")
@click.argument("view")
@click.option("--differing", is_flag=True, help="List the images that were annotated differently.")
@json_option
def agreement_command(view: str, differing: bool, as_json: bool) -> None:
    """Show how far blind annotations of VIEW agree with the others: Cohen's kappa for each pair of
    accounts and each concept; for boxes, also F1 and mean IoU."""
    with calling(exact=as_json) as client:
        row = find_view(client, view)
        path = f"views/{row['view_id']}/agreement"
        if differing:
            found = list(client.query_all(f"{path}/images", differing="true", limit=500))
        else:
            measured = client.query(path)
    labels = {each["concept_id"]: each["label"] for each in row["concepts"]}
    if differing:
        if as_json:
            print_json(found)
            return
        print_table(
            ("image id", "file", "first", "by", "second", "by"),
            [
                (
                    each["image_id"],
                    each["file_name"],
                    *(_named(each["first"], labels), each["first_by"]),
                    *(_named(each["second"], labels), each["second_by"]),
                )
                for each in found
            ],
        )
    elif as_json:
        print_json(measured)
    else:
        _show(measured, labels)


def _show(measured: dict[str, Any], labels: dict[str, str]) -> None:
    agreement = measured["agreement"]
    boxed = agreement["boxes"] is not None
    print_table(
        ("accounts", "images", "alike", "kappa", *(("F1", "mean IoU") if boxed else ())),
        [
            (
                ", ".join(each["accounts"]),
                f"{each['images']:,}",
                percent(each["equal"] / each["images"], 1),
                _number(each["kappa"]),
                *(_number(each["boxes"][name]) for name in ("f1", "mean_iou") if boxed),
            )
            for each in measured["accounts"]
        ],
    )
    print_table(
        ("concept", "both", "first only", "second only", "kappa"),
        [
            (
                labels[each["concept_id"]],
                *(f"{each[name]:,}" for name in ("both", "first_only", "second_only")),
                _number(each["kappa"]),
            )
            for each in agreement["concepts"]
        ],
    )
    click.echo(
        f"{counted(agreement['images'], 'image')} annotated twice, {agreement['equal']:,} the"
        " same way; kappa"
        f" {_number(agreement['kappa'])}"
    )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _named(annotations: list[dict[str, Any]], labels: dict[str, str]) -> str:
    names = [labels.get(each["concept_id"], each["concept_id"]) for each in annotations]
    return ", ".join(names) or "without concept"
