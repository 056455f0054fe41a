"""`stemma compare`: metrics, options and code of two versions, through the public API."""

from typing import Any

import click

from cli.calls import calling, find_version
from cli.output import json_option, print_json, print_table

_METRICS = ("accuracy", "mean_average_precision", "map_50", "map_75", "loss")


@click.command("compare")
@click.argument("first")
@click.argument("second")
@click.option("--lines", is_flag=True, help="Show the differing lines of each file of code.")
@json_option
def compare_command(first: str, second: str, lines: bool, as_json: bool) -> None:
    """Compare the versions FIRST and SECOND: ids, or PROJECT/VIEW/NAME.

    Their code is compared as their trainers declare it.
    """
    with calling(exact=as_json) as client:
        path = f"versions/{find_version(client, first)}/compare/{find_version(client, second)}"
        compared = client.query(path, limit=1)
        code = client.query(f"{path}/code")
    if as_json:
        print_json({"comparison": compared, "code": code})
        return
    for warning in compared["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    columns = ("", compared["first"]["name"], compared["second"]["name"])
    rows = [*_metrics(compared), *_options(compared), *_facts(code)]
    print_table(columns, rows)
    _print_files(code["files"], lines=lines)


def _metrics(compared: dict[str, Any]) -> list[tuple[str, ...]]:
    found = []
    sides = ("first", "second")
    test = compared["test"] or {}
    pairs = {
        split: [compared[f"{side}_evaluation"][split] or {} for side in sides]
        for split in ("validation", "train")
    }
    pairs["test"] = [test[side]["metrics"] or {} for side in sides] if test else [{}, {}]
    for split, pair in pairs.items():
        for metric in _METRICS:
            values = [each.get(metric) for each in pair]
            if values != [None, None]:
                label = f"{split} {metric.replace('_', ' ')}"
                found.append((label, *("" if v is None else f"{v:.4f}" for v in values)))
    return found


def _options(compared: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (one["option"].replace("_", " "), _text(one["first"]), _text(one["second"]))
        for one in compared["options"]
    ]


def _facts(code: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (f"{one['fact']} (declared)", _text(one["first"]), _text(one["second"]))
        for one in code["facts"]
    ]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _print_files(files: list[dict[str, Any]] | None, *, lines: bool) -> None:
    if files is None:
        click.echo("code: one or both versions have no archive")
        return
    if not files:
        click.echo("code: no file differs")
        return
    click.echo(f"code: {len(files)} files differ" if len(files) > 1 else "code: 1 file differs")
    for file in files:
        click.echo(f"{file['change']}: {file['path']}")
        if lines and file["diff"]:
            click.echo(file["diff"])
