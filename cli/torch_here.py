"""Some commands need torch, which an installation of the backend alone lacks."""

from importlib.util import find_spec

import click

WHERE = (
    "it is not installed here (the image of the backend does not have it): use the image"
    " `stemma-worker`, or"
    " install the extra `worker` (`pip install '.[worker]'`)"
)


class TorchMissing(click.ClickException):
    """The command cannot run in this installation."""

    exit_code = 2


def has_torch() -> bool:
    """Whether torch is installed; it is not imported."""
    return find_spec("torch") is not None


def require_torch() -> None:
    """Raises `TorchMissing`, which says where to run the present command."""
    if not has_torch():
        command = click.get_current_context().command_path
        raise TorchMissing(f"`{command}` needs torch: {WHERE}")
