"""Command groups that import a subcommand only when it is run."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LaterGroup(click.Group):
    """A group whose `commands_later` maps names of commands to `module:name`.

    A subcommand's modules are imported when it runs, so that a process loads only its own part.
    """

    def __init__(self, *args: Any, commands_later: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._later = commands_later

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self._later])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._later:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._later[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command
