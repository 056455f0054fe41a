"""`stemma weights`: pretrained weights on this machine, and their download."""

import subprocess
import sys
from typing import Any

import click

from adapters.settings import load_settings
from adapters.training.weights import files_in
from cli.output import json_option, print_json, print_table
from cli.torch_here import require_torch
from domain.training.architectures import ARCHITECTURES


@click.group()
def weights() -> None:
    """List or fetch pretrained weights, in the folder of the API."""


@weights.command("list")
@json_option
def list_weights(as_json: bool) -> None:
    """Show which architectures have pretrained weights, and which are downloaded."""
    folder = load_settings().weights_folder
    there = files_in(folder)
    rows: list[dict[str, Any]] = [
        {"architecture": each.key, "trained_on": data, "file": file, "here": file in there}
        for each in ARCHITECTURES.values()
        for data, file in each.weights.items()
    ]
    if as_json:
        print_json({"folder": str(folder), "items": rows})
        return
    print_table(
        ("architecture", "trained on", "file", "here"),
        [
            (row["architecture"], row["trained_on"], row["file"], "yes" if row["here"] else "no")
            for row in rows
        ],
        title=str(folder),
    )


@weights.command("fetch")
@click.argument("architecture")
def fetch_weights(architecture: str) -> None:
    """Download the weights of ARCHITECTURE, so that the API offers them."""
    require_torch()
    folder = load_settings().weights_folder
    # torch is the worker's alone.
    argv = [sys.executable, "-m", "gpu_worker.weights", architecture, str(folder)]
    sys.exit(subprocess.run(argv, check=False).returncode)
