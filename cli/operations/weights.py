"""`stemma weights`: pretrained weights on this machine, and their download."""

import subprocess
import sys

import click
from rich.console import Console
from rich.table import Table

from adapters.settings import load_settings
from adapters.training.weights import files_in
from cli.torch_here import require_torch
from domain.training.architectures import ARCHITECTURES


@click.group()
def weights() -> None:
    """List or fetch pretrained weights, in the folder that the API looks into."""


@weights.command("list")
def list_weights() -> None:
    """Show which architectures have pretrained weights, and which of those are here."""
    folder = load_settings().weights_folder
    there = files_in(folder)
    table = Table(title=str(folder))
    for name in ("architecture", "trained on", "file", "here"):
        table.add_column(name, overflow="fold")
    for architecture in ARCHITECTURES.values():
        for data, file in architecture.weights.items():
            table.add_row(architecture.key, data, file, "yes" if file in there else "no")
    Console().print(table)


@weights.command("fetch")
@click.argument("architecture")
def fetch_weights(architecture: str) -> None:
    """Download the weights of ARCHITECTURE; the API offers them from then on."""
    require_torch()
    folder = load_settings().weights_folder
    # torch is the worker's alone.
    argv = [sys.executable, "-m", "gpu_worker.weights", architecture, str(folder)]
    sys.exit(subprocess.run(argv, check=False).returncode)
